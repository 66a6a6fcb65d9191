"""Which version of a flow acts: another person lets it; what it asks, and what its data are for, still hold then."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, InvalidRulesetError, NotFoundError
from fivefold.store.tables.flows import FlowActivation, FlowRow
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.flows_in_force import (
    AskedVersion,
    flow_as_asked,
    flow_of_version,
    standing_flow,
    standing_flows,
)
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes import asks
from fivefold.usecases.decisions.policies import approve_policy, propose_policy
from fivefold.usecases.flows import commit
from fivefold.usecases.flows.activate import (
    WITHOUT_REPLAY,
    activate_flow,
    end_flow_shadow,
    list_flow_activations,
    replays_of_version,
    roll_back_flow,
    shadow_flow,
    switch_flow_off,
    what_stands_against_flow,
)
from fivefold.usecases.flows.commit import commit_flow
from fivefold.usecases.flows.drafts import save_flow_draft
from fivefold.usecases.flows.read import list_flows, read_flow_version
from fivefold.usecases.flows.replays.jobs import REPLAYS, ReplayAsked, request_flow_replay
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.store.audits import bind_unnamed
from tests.usecases import platforms
from tests.usecases.at_once import retire_policy, switch_family
from tests.usecases.decisions.deciding import CASH, WORTH, Desk, document, opened
from tests.usecases.flows.documents import (
    BY_COUNTRY,
    WHY,
    Data,
    acting,
    as_,
    asking,
    committed,
    flow_document,
    shadowing,
)
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.governed import audited, rows_of


def stands(desk: Desk) -> tuple[int | None, int | None]:
    """The numbers of the versions that act and run as a shadow."""
    line = next(line for line in list_flows(as_(desk, desk.ana)) if line.name == "care")
    return line.active, line.shadow


@pytest.mark.postgresql
def test_another_person_lets_it_act(desk: Desk) -> None:
    draft = save_flow_draft(as_(desk, desk.ana), flow_document())
    cyd = Actor(desk.bank.of, "member:3")
    commit_flow(as_(desk, cyd), "care", draft.revision)
    for actor in (desk.ana, cyd):
        with pytest.raises(ConflictError, match="edited or committed version 1 of the flow care: another person"):
            activate_flow(as_(desk, actor), "care", 1, WHY)
        assert what_stands_against_flow(as_(desk, actor), "care", 1)
    for nobody in ("cli:ana", "token:9"):
        with pytest.raises(ConflictError, match="is not a member"):
            activate_flow(as_(desk, Actor(desk.bank.of, nobody)), "care", 1, WHY)
    with pytest.raises(ConfigError):
        activate_flow(as_(desk, desk.ben), "care", 1, " ")
    assert stands(desk) == (None, None)
    assert what_stands_against_flow(as_(desk, desk.ben), "care", 1) == ()
    activate_flow(as_(desk, desk.ben), "care", 1, WHY)
    assert stands(desk) == (1, None)
    assert read_flow_version(as_(desk, desk.ana), "care", 1).active
    with pytest.raises(ConflictError, match="version 1 of the flow care is active already"):
        activate_flow(as_(desk, desk.ben), "care", 1, WHY)


def test_only_what_is_there_acts(desk: Desk, engine: Engine) -> None:
    committed(desk, flow_document())
    other = opened(engine, "other")
    for change in (activate_flow, roll_back_flow, shadow_flow):
        with pytest.raises(NotFoundError, match="there is no version 2 of the flow care"):
            change(as_(desk, desk.ben), "care", 2, WHY)
        with pytest.raises(NotFoundError, match="there is no flow 'care'"):
            change(as_(other, other.ben), "care", 1, WHY)
    for end in (switch_flow_off, end_flow_shadow):
        with pytest.raises(ConflictError, match="no version of the flow care"):
            end(as_(desk, desk.ben), "care", WHY)
        with pytest.raises(NotFoundError, match=r"there is no flow 'care'$"):
            end(as_(other, other.ben), "care", WHY)
        with pytest.raises(NotFoundError, match=r"there is no flow 'crae'; perhaps care was meant$"):
            end(as_(desk, desk.ben), "crae", WHY)


def test_the_life_of_versions(desk: Desk) -> None:
    acting(desk, flow_document())
    shadowing(desk, flow_document(title="Two"))
    assert stands(desk) == (1, 2)
    with pytest.raises(ConflictError, match="version 2 of the flow care runs as a shadow already"):
        shadow_flow(as_(desk, desk.ana), "care", 2, WHY)
    with pytest.raises(ConflictError, match="version 1 of the flow care is active already"):
        shadow_flow(as_(desk, desk.ana), "care", 1, WHY)
    with pytest.raises(ConflictError, match="version 2 of the flow care never acted; it needs to be activated"):
        roll_back_flow(as_(desk, desk.ben), "care", 2, WHY)
    activate_flow(as_(desk, desk.ben), "care", 2, WHY)
    assert stands(desk) == (2, None), "beside itself it shows nothing"
    with pytest.raises(ConflictError, match="another person"):
        roll_back_flow(as_(desk, desk.ana), "care", 1, WHY)
    roll_back_flow(as_(desk, desk.ben), "care", 1, WHY)
    shadow_flow(as_(desk, desk.ana), "care", 2, WHY)
    switch_flow_off(as_(desk, desk.ana), "care", "It does harm.")
    assert stands(desk) == (None, 2)
    end_flow_shadow(as_(desk, desk.ana), "care", WHY)
    assert stands(desk) == (None, None)
    roll_back_flow(as_(desk, desk.ben), "care", 2, WHY)
    told = [(line.kind, line.version, line.previous) for line in list_flow_activations(as_(desk, desk.ana), "care")]
    assert told == [
        ("rollback", 2, None),
        ("shadow_off", None, 2),
        ("off", None, 1),
        ("shadow", 2, None),
        ("rollback", 1, 2),
        ("shadow_off", None, 2),
        ("active", 2, 1),
        ("shadow", 2, None),
        ("active", 1, None),
    ]
    done = [entry[1] for entry in audited(desk.bank.engine) if entry[1].startswith("flow.")]
    assert done[-4:] == ["flow.shadowed", "flow.switched_off", "flow.shadow_ended", "flow.rolled_back"]
    bind_unnamed(desk.bank.engine)
    assert verify(desk.bank.engine, pytest.fail).entries


def test_what_stands_is_given_with_what_it_asks(desk: Desk) -> None:
    first = desk.publish(WORTH)
    made = acting(desk, asking())
    shadowing(desk, asking(title="Two"))
    with Session(desk.bank.engine) as session:
        now = standing_flow(session, desk.bank.of, "care")
        assert (now.version.number, now.version.content_hash, now.acting) == (1, made.content_hash, True)
        assert now.dependency_versions == {
            "policies": {"payments": AskedVersion(version=1, content_hash=first.content_hash)}
        }
        assert now.analysed.errors == ()
        assert [(each.version.number, each.acting) for each in standing_flows(session, desk.bank.of)] == [
            (1, True),
            (2, False),
        ]
        assert not flow_of_version(session, 2).acting
        with pytest.raises(NotFoundError):
            standing_flow(session, desk.bank.of, "other")
    switch_flow_off(as_(desk, desk.ana), "care", WHY)
    with Session(desk.bank.engine) as session, pytest.raises(NotFoundError, match="no version of the flow care is"):
        standing_flow(session, desk.bank.of, "care")


def test_a_policy_approved_anew_is_asked_from_then_on(desk: Desk) -> None:
    desk.publish(WORTH)
    acting(desk, asking())
    new = desk.publish(WORTH, CASH)
    with Session(desk.bank.engine) as session:
        asked = standing_flow(session, desk.bank.of, "care").dependency_versions["policies"]["payments"]
    assert asked == AskedVersion(version=2, content_hash=new.content_hash)
    pinned = read_flow_version(as_(desk, desk.ana), "care", 1).pinned["policies"]["payments"]
    assert pinned["version"] == 1, "which it was committed with"


@pytest.mark.parametrize("stand", [acting, shadowing])
def test_what_flows_ask_is_not_taken_from_them(desk: Desk, stand: Callable[[Desk, str], Any]) -> None:
    desk.publish(WORTH)
    stand(desk, asking())
    with pytest.raises(ConflictError, match="version 1 of the flow care could not run any more"):
        retire_policy(as_(desk, desk.ana), "payments", 1, WHY)
    # nobody notes anyone any more, which a way of the flow asks for
    quiet = document([CASH], actions=["allow", "block"])
    line = propose_policy(as_(desk, desk.ana), quiet, WHY, WHY)
    with pytest.raises(ConflictError, match="version 1 of the flow care could not run any more"):
        approve_policy(as_(desk, desk.ben), "payments", line.number, WHY)
    end = switch_flow_off if stand is acting else end_flow_shadow
    end(as_(desk, desk.ana), "care", WHY)
    assert approve_policy(as_(desk, desk.ben), "payments", line.number, WHY).state == "active"
    for change in (activate_flow, shadow_flow, *((roll_back_flow,) if stand is acting else ())):
        with pytest.raises(ConflictError, match="version 1 of the flow care cannot run now"):
            change(as_(desk, desk.ben), "care", 1, WHY)
    assert any("cannot run now" in each for each in what_stands_against_flow(as_(desk, desk.ben), "care", 1))


def test_what_is_asked_does_not_change_while_it_is_committed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.publish(WORTH)
    draft = save_flow_draft(as_(desk, desk.ana), asking())
    review = commit.review_flow

    def slow(*args: Any) -> Any:
        looked = review(*args)
        desk.publish(WORTH, CASH)
        return looked

    monkeypatch.setattr(commit, "review_flow", slow)
    with pytest.raises(ConflictError, match="what the flow care asks was approved or retired in between"):
        commit_flow(as_(desk, desk.ana), "care", draft.revision)


def commercial(**parts: Any) -> str:
    """An offer to those from one country, which may be read for it."""
    return flow_document(purpose="commercial", purposes={"fields": {"country": "both"}}, **parts)


def say(desk: Desk, purpose: str) -> None:
    define_type(as_(desk, desk.ana), "customer", {}, purposes={"fields": {"country": purpose}})


@pytest.mark.parametrize("stand", [acting, shadowing])
def test_nothing_of_aml_comes_to_serve_commerce(desk: Desk, stand: Callable[[Desk, str], Any]) -> None:
    say(desk, "both")
    stand(desk, commercial())
    with pytest.raises(ConflictError, match="flow care would feed commerce: it reads"):
        say(desk, "aml")
    (switch_flow_off if stand is acting else end_flow_shadow)(as_(desk, desk.ana), "care", WHY)
    say(desk, "aml")
    for change in (activate_flow, shadow_flow, *((roll_back_flow,) if stand is acting else ())):
        with pytest.raises(ConflictError, match="flow care would feed commerce"):
            change(as_(desk, desk.ben), "care", 1, WHY)
    assert any("would feed commerce" in each for each in what_stands_against_flow(as_(desk, desk.ben), "care", 1))
    assert stands(desk) == (None, None)
    draft = save_flow_draft(as_(desk, desk.ana), commercial(title="Two"))
    with pytest.raises(InvalidRulesetError):
        commit_flow(as_(desk, desk.ana), "care", draft.revision)


def test_a_list_or_a_policy_does_not_become_aml_while_commerce_reads_it(desk: Desk) -> None:
    say(desk, "both")
    of = as_(desk, desk.ana)

    def put(since_us: int, purpose: str) -> Any:
        return asks.put_list_version(of, "watched", since_us, ["IR"], "Watched", "our own", WHY, purpose=purpose)

    put(0, "both")
    listed = {**BY_COUNTRY, "route": [{"when": {"field": "country", "in_list": "watched"}, "to": "done"}]}
    acting(desk, commercial(steps=[listed]))
    with pytest.raises(ConflictError, match="flow care would feed commerce: it reads"):
        put(1, "aml")
    desk.publish(WORTH)
    acting(desk, asking("offer", purpose="commercial"))
    line = propose_policy(
        of, document([WORTH, {"id": "x", "when": {"level": "in_force", "equals": "high"}, "action": "block"}]), WHY, WHY
    )
    with pytest.raises(ConflictError, match="flow offer would feed commerce"):
        approve_policy(as_(desk, desk.ben), "payments", line.number, WHY)


def test_the_replay_that_was_there_is_kept_with_an_activation_or_that_there_was_none(desk: Desk) -> None:
    acting(desk, flow_document())
    made = committed(desk, flow_document(title="Two"))
    assert replays_of_version(as_(desk, desk.ben), "care", made.number) == (None, None)
    replays = [request_flow_replay(as_(desk, desk.ana), "care", ReplayAsked())[0].id]
    assert replays_of_version(as_(desk, desk.ben), "care", made.number) == (None, None), "it waits"
    assert run_next_job(desk.bank.engine, REPLAYS, desk.bank.now)
    replays.append(request_flow_replay(as_(desk, desk.ana), "care", ReplayAsked())[0].id)
    assert replays_of_version(as_(desk, desk.ben), "care", made.number) == (replays[0], replays[0])
    activate_flow(as_(desk, desk.ben), "care", made.number, WHY)
    switch_flow_off(as_(desk, desk.ana), "care", WHY)
    roll_back_flow(as_(desk, desk.ben), "care", 1, WHY)
    lines = [(line.kind, line.replay, line.warning) for line in list_flow_activations(as_(desk, desk.ana), "care")]
    assert lines == [
        ("rollback", None, None),
        ("off", None, None),
        ("active", replays[0], None),
        ("active", None, WITHOUT_REPLAY),
    ]
    first, second = (entry[3] for entry in audited(desk.bank.engine) if entry[1] == "flow.activated")
    assert (first["warning"], "replay" in first) == (WITHOUT_REPLAY, False)
    assert (second["replay"], len(second["replay_hash"]), "warning" in second) == (replays[0], 64, False)
    bind_unnamed(desk.bank.engine)
    assert verify(desk.bank.engine, pytest.fail).entries


def test_a_replay_beside_what_acts_no_more_or_alone_is_kept_with_no_activation(desk: Desk) -> None:
    acting(desk, flow_document())
    acting(desk, flow_document(title="Two"))
    three = committed(desk, flow_document(title="Three")).number
    for asked in (ReplayAsked(), ReplayAsked(alone=True)):
        request_flow_replay(as_(desk, desk.ana), "care", asked)
        assert run_next_job(desk.bank.engine, REPLAYS, desk.bank.now)
    beside_two, alone = 1, 2
    assert replays_of_version(as_(desk, desk.ben), "care", three) == (alone, beside_two)
    roll_back_flow(as_(desk, desk.ben), "care", 1, WHY)
    assert replays_of_version(as_(desk, desk.ben), "care", three) == (alone, None)
    activate_flow(as_(desk, desk.ben), "care", three, WHY)
    line = list_flow_activations(as_(desk, desk.ana), "care")[0]
    assert (line.kind, line.replay, line.warning) == ("active", None, WITHOUT_REPLAY)


def test_a_version_acts_in_place_of_the_one_that_was_seen_and_with_the_replay_that_was(desk: Desk) -> None:
    acting(desk, flow_document())
    acting(desk, flow_document(title="Two"))
    three = committed(desk, flow_document(title="Three")).number
    another = "version 3 of the flow care says something else now than what was looked at"
    for seen, message in (
        ((2, 0, "0" * 64), another),  # as where a restored database gave the number again
        ((1, None), "the version of the flow care that acts is 2 now; it was 1 when this was looked at"),
        ((0, None), "the version of the flow care that acts is 2 now; it was none when this was looked at"),
        ((2, 7), "the replay of version 3 of the flow care beside the one that acts is none now; it was 7"),
    ):
        with pytest.raises(ConflictError, match=message):
            activate_flow(as_(desk, desk.ben), "care", three, WHY, *seen)
    with pytest.raises(ConflictError, match="that acts is 2 now; it was 3"):
        roll_back_flow(as_(desk, desk.ben), "care", 1, WHY, 3)
    with pytest.raises(ConflictError, match="version 1 of the flow care says something else now"):
        roll_back_flow(as_(desk, desk.ben), "care", 1, WHY, 2, "0" * 64)
    assert stands(desk) == (2, None)
    of_three = read_flow_version(as_(desk, desk.ben), "care", three).content_hash
    activate_flow(as_(desk, desk.ben), "care", three, WHY, 2, 0, of_three)
    of_one = read_flow_version(as_(desk, desk.ben), "care", 1).content_hash
    roll_back_flow(as_(desk, desk.ben), "care", 1, WHY, 3, of_one)
    assert stands(desk) == (1, None)


def test_changes_of_what_acts_are_bound_to_the_log(desk: Desk) -> None:
    acting(desk, flow_document())
    assert [row["kind"] for row in rows_of(desk.bank.engine, FlowActivation)] == ["active"]
    (row,) = rows_of(desk.bank.engine, FlowRow)
    assert (row["active_version_id"], row["revision"]) == (1, 1)
    bind_unnamed(desk.bank.engine)
    told: list[Any] = []
    verify(desk.bank.engine, told.append)
    assert told == []
    with desk.bank.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE flows SET active_version_id = NULL")
    verify(desk.bank.engine, told.append)
    assert any("row of flows 1 was changed since" in str(each) for each in told)


BY_LEVEL_OF_RULES: Data = {
    "id": "by-rules",
    "title": "By what the rules say",
    "rationale": "They know.",
    "route": [{"when": {"step": "ruled", "output": "level", "equals": "high"}, "to": "done"}],
    "otherwise": "nothing",
    "on_unknown": "done",
}
RULED: Data = {
    "id": "ruled",
    "title": "What the rules say",
    "rationale": "Today.",
    "rules": {"ruleset": "retail"},
    "on_unknown": "done",
}
INNER: Data = {
    "id": "inner",
    "title": "What another flow comes to",
    "rationale": "It knows.",
    "flow": "inner",
    "on_unknown": "done",
}
BY_END: Data = {
    "id": "by-end",
    "title": "By where it ends",
    "rationale": "As there.",
    "route": [{"when": {"step": "inner", "output": "ends", "equals": "done"}, "to": "done"}],
    "otherwise": "nothing",
    "on_unknown": "done",
}


def ruled(name: str, **parts: Any) -> str:
    """A flow that asks the ruleset that decides."""
    examples = [
        {"name": "watched", "given": {"country": "IR"}, "ends": "done"},
        {"name": "home", "given": {"country": "NO"}, "ends": "nothing"},
    ]
    return flow_document(
        name, [RULED, BY_LEVEL_OF_RULES], **{"examples": examples, "fields": platforms.FIELDS, **parts}
    )


def outer(**parts: Any) -> str:
    """A flow that asks the flow `inner`."""
    examples = [
        {"name": "watched", "given": {"country": "IR"}, "ends": "done"},
        {"name": "home", "given": {"country": "NO"}, "ends": "nothing"},
    ]
    return flow_document("care", [INNER, BY_END], **{"examples": examples, "fields": platforms.FIELDS, **parts})


def test_rulesets_and_flows_that_are_asked_are_pinned_and_not_taken_away(desk: Desk) -> None:
    draft = save_flow_draft(as_(desk, desk.ana), outer())
    with pytest.raises(InvalidRulesetError, match="inner"):
        commit_flow(as_(desk, desk.ana), "care", draft.revision, WHY)
    inner = acting(desk, ruled("inner"))
    commit_flow(as_(desk, desk.ana), "care", draft.revision, WHY)
    pinned = read_flow_version(as_(desk, desk.ana), "care", 1).pinned
    assert pinned["flows"] == {"inner": {"version": 1, "content_hash": inner.content_hash}}
    assert [*pinned["rulesets"]] == ["retail"], "which the inner flow asks"
    activate_flow(as_(desk, desk.ben), "care", 1, WHY)
    with Session(desk.bank.engine) as session:
        now = standing_flow(session, desk.bank.of, "care")
        assert now.analysed.errors == ()
        assert {
            kind: {name: each.version for name, each in of.items()} for kind, of in now.dependency_versions.items()
        } == {
            "rulesets": {"retail": 1},
            "flows": {"inner": 1},
        }
        kept = flow_as_asked(session, now.version.id, {"rulesets": {"retail": 1}, "flows": {"inner": 1}})
        assert kept == now.analysed
    with pytest.raises(ConflictError, match="version 1 of the flow care could not run any more"):
        switch_flow_off(as_(desk, desk.ana), "inner", WHY)
    with pytest.raises(ConflictError, match="could not run any more"):
        switch_family(as_(desk, desk.ana), "retail", False, WHY)
    second = committed(desk, ruled("inner", title="Two"))
    activate_flow(as_(desk, desk.ben), "inner", second.number, WHY)
    with Session(desk.bank.engine) as session:
        assert standing_flow(session, desk.bank.of, "care").dependency_versions["flows"]["inner"].version == 2
    switch_flow_off(as_(desk, desk.ana), "care", WHY)
    switch_flow_off(as_(desk, desk.ana), "inner", WHY)
    switch_family(as_(desk, desk.ana), "retail", False, WHY)
    assert any("cannot run now" in each for each in what_stands_against_flow(as_(desk, desk.ben), "inner", 1))


def test_a_flow_that_is_asked_asks_not_back(desk: Desk) -> None:
    acting(desk, ruled("inner"))
    acting(desk, outer())
    back = json.loads(outer())
    back["flow"], back["steps"][0]["flow"] = "inner", "care"
    draft = save_flow_draft(as_(desk, desk.ana), json.dumps(back))
    with pytest.raises(InvalidRulesetError, match="inner"):
        commit_flow(as_(desk, desk.ana), "inner", draft.revision, WHY)


BY_AGENT = """
flow: {name}
title: By an agent
entity_type: customer
levels: [low, medium, high]
actions:
  - {{id: mark, title: Mark, tag: odd, lasts: 30 days}}
  - {{id: look, title: Look, review: 2 days}}
steps:
  - id: a
    title: Odd
    agent: {{question: "Is it odd?", facts: {{level: {{level: in_force}}}}, answers: [odd, plain]}}
    on_unknown: done
  - {{id: done, title: Done, end: [mark]}}
on_failure: [look]
"""


def test_flows_whose_text_is_refused_by_now_hold_up_no_change(engine: Engine) -> None:
    """They were committed by a release that allowed it: each is switched off, or replaced, whatever the others are."""
    bank = FlowBank(engine)
    for name in ("one", "two"):
        bank.add_flow(BY_AGENT.format(name=name))
    of = Actor(bank.of, "member:2")
    with Session(engine) as session:
        errors = [
            str(each.problem) for standing in standing_flows(session, bank.of) for each in standing.analysed.errors
        ]
    assert len(errors) == 2
    assert all("an agent could be the only reason" in each for each in errors), errors
    switch_flow_off(Context(engine, of), "one", WHY)
    switch_flow_off(Context(engine, of), "two", WHY)
    assert [line.active for line in list_flows(Context(engine, of))] == [None, None]
