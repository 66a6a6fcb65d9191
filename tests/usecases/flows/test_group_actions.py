"""Flows that put customers into named groups which flows keep: in, out, told once, and never for what may not be."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, InvalidRulesetError
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.audit.verify import AuditFinding, verify
from fivefold.usecases.flows.activate import switch_flow_off
from fivefold.usecases.flows.runs import actions
from fivefold.usecases.flows.runs.answering import answer_run, retry_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.groups.versions import approve_group, propose_group, retire_group
from fivefold.usecases.ingest.facts import end_tag, set_tag
from fivefold.usecases.levels.worker import MAX_ATTEMPTS
from fivefold.usecases.shared.actors import Role
from tests.store.filling import filled_once
from tests.usecases import banks, platforms
from tests.usecases.decisions.deciding import Desk, opened
from tests.usecases.flows.documents import BY_COUNTRY, WHY, acting, as_, committed, flow_document
from tests.usecases.flows.flowing import HOUR_US, FlowBank
from tests.usecases.flows.test_tags_given import routed
from tests.usecases.flows.triggers.test_chains import came_about, settle
from tests.usecases.flows.triggers.test_group_triggers import flow as giving_tag
from tests.usecases.groups.grouped import WORTH, Circle
from tests.usecases.groups.grouped import document as group_with_condition

TAG = "group:watched"
GO: list[dict[str, Any]] = [{"on": "tag", "tag": "go"}]
WATCHED = {"id": "mark", "title": "Watch them", "group": "watched"}


def kept(name: str = "watched", **parts: Any) -> str:
    """A group that flows keep."""
    whole = {
        "group": name,
        "title": "Whom flows watch",
        "entity_type": "customer",
        "rationale": "Because.",
        "levels": platforms.LEVELS,
        "kept_by": "flows",
    }
    return json.dumps({**whole, **parts}, indent=1)


def putting(name: str = "first", lasts: str | None = "10 days", **parts: Any) -> str:
    """A flow that puts whom it runs for into the group."""
    action = {**WATCHED, **({"lasts": lasts} if lasts else {})}
    return json.dumps({**json.loads(giving_tag(name, GO)), "actions": [action], **parts})


def published(circle: Circle, document: str = "") -> None:
    made = propose_group(circle.context(), document or kept(), WHY, WHY)
    approve_group(circle.context(2), made.name, made.number, WHY)


@pytest.fixture
@filled_once
def bank(engine: Engine) -> FlowBank:
    """One customer, ada, a group that flows keep, and one that puts into it whoever is given the tag `go`."""
    bank = FlowBank(engine, "")
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("ada", country="NO")
    bank.settle()
    published(Circle(bank))
    settle(bank)
    bank.add_flow(putting())
    bank.add_flow(giving_tag("second", [{"on": "group", "group": "watched", "change": "entered"}]))
    bank.add_flow(giving_tag("third", [{"on": "group", "group": "watched", "change": "left"}], tag="gone"))
    return bank


def go(bank: FlowBank) -> None:
    set_tag(bank.context, "customer", "ada", "go")
    settle(bank)


@pytest.mark.postgresql
def test_who_is_put_there_enters_once_and_leaves_when_the_time_is_over(bank: FlowBank) -> None:
    circle = Circle(bank)
    assert circle.members() == set()
    go(bank)
    assert circle.members() == {"ada"}
    assert circle.events() == [("entered", "ada")]
    assert came_about(bank) == [(1, []), (2, [1])]
    action = bank.actions()[0]
    assert (action.kind, action.subject, action.content["group"], action.content["tag"]) == (
        "group",
        f"tag {TAG}",
        "watched",
        TAG,
    )
    bank.mark("ada")
    settle(bank)
    assert circle.events() == [("entered", "ada")]
    due = bank.next_us("ada")
    assert due == action.content["until_us"], "looked at when the time is over"
    bank.wait(microseconds=due - bank.now)
    settle(bank)
    assert circle.members() == set()
    assert circle.events() == [("entered", "ada"), ("left", "ada")]
    assert came_about(bank)[2:] == [(3, [])], "time alone took her out"


def test_a_second_cause_stays_one_entry_and_makes_it_last_longer(bank: FlowBank) -> None:
    circle = Circle(bank)
    go(bank)
    bank.wait(6)
    end_tag(bank.context, "customer", "ada", "go")
    settle(bank)
    bank.wait(1)
    go(bank)
    bank.wait(5)
    settle(bank)
    assert circle.members() == {"ada"}, "12 days after the first, 5 after the second"
    assert circle.events() == [("entered", "ada")]
    bank.wait(5)
    settle(bank)
    assert circle.events() == [("entered", "ada"), ("left", "ada")]


def test_a_call_that_is_made_again_puts_nobody_in_twice(bank: FlowBank) -> None:
    circle = Circle(bank)
    runs = [call_flow(bank.context, "first", "customer", "ada", run_key="k") for _ in range(2)]
    assert runs[0].number == runs[1].number
    settle(bank)
    assert circle.events() == [("entered", "ada")]
    assert len([each for each in bank.actions() if each.kind == "group"]) == 1


def test_taking_the_action_back_takes_out_and_the_listener_hears_it(bank: FlowBank) -> None:
    circle = Circle(bank)
    go(bank)
    bank.wait(1)
    take_back_action(circle.context(2), Role.INVESTIGATOR, bank.actions()[0].id, WHY)
    settle(bank)
    assert circle.members() == set()
    assert circle.events() == [("entered", "ada"), ("left", "ada")]
    assert came_about(bank)[2:] == [(3, [])], "a person took her out"


def test_who_was_put_there_stays_when_the_flow_is_off_and_nobody_enters_any_more(bank: FlowBank) -> None:
    bank.put("bo", country="NO")
    bank.settle()
    go(bank)
    switch_flow_off(Circle(bank).context(2), "first", WHY)
    set_tag(bank.context, "customer", "bo", "go")
    settle(bank)
    assert Circle(bank).members() == {"ada"}
    bank.wait(10)
    settle(bank)
    assert Circle(bank).members() == set()


def test_a_person_puts_in_and_takes_out_by_the_tag_of_the_group(bank: FlowBank) -> None:
    circle = Circle(bank)
    set_tag(bank.context, "customer", "ada", TAG)
    settle(bank)
    assert circle.members() == {"ada"}
    bank.wait(1)
    go(bank)
    bank.wait(11)
    settle(bank)
    assert circle.members() == {"ada"}, "what a person gave is not shortened by a flow"
    end_tag(bank.context, "customer", "ada", TAG)
    settle(bank)
    assert circle.members() == set()


def test_a_shadow_puts_nobody_in(bank: FlowBank) -> None:
    switch_flow_off(Circle(bank).context(2), "first", WHY)
    bank.add_flow(putting("beside"), shadow=True)
    go(bank)
    assert [run.state for run in bank.runs()] == ["ended"]
    assert Circle(bank).members() == set()


def test_a_group_that_flows_put_into_ends_after_them_and_its_members_leave(bank: FlowBank) -> None:
    circle = Circle(bank)
    go(bank)
    with pytest.raises(ConflictError, match="version 1 of the flow first could not run any more"):
        circle.retire()
    for name in ("first", "second", "third"):
        switch_flow_off(circle.context(2), name, WHY)
    circle.retire()
    settle(bank)
    assert circle.members() == set()
    assert circle.events() == [("entered", "ada"), ("left", "ada")]
    bank.wait(1)
    published(circle)
    settle(bank)
    assert circle.members() == {"ada"}, "her tag lasts still"


ASKS = {
    "question": "Shall we watch them?",
    "role": "investigator",
    "within": "4 hours",
    "answers": {"yes": "done", "no": "nothing"},
    "otherwise": "nothing",
}


def asking() -> str:
    """A flow that puts into the group once a person has said yes."""
    done, nothing = ({"id": name, "title": name, "end": end} for name, end in (("done", ["mark"]), ("nothing", [])))
    return putting(steps=[{"id": "ask", "title": "Ask", "person": ASKS}, done, nothing])


def test_a_group_is_there_until_runs_of_a_replaced_version_that_may_put_into_it_have_ended(bank: FlowBank) -> None:
    circle = Circle(bank)
    for name in ("second", "third"):
        switch_flow_off(circle.context(2), name, WHY)
    bank.add_flow(asking())
    run = call_flow(bank.context, "first", "customer", "ada", run_key="k").number
    bank.add_flow(giving_tag("first", GO))
    propose_group(circle.context(), group_with_condition(WORTH), WHY, WHY)
    refused = r"runs of version 2 of the flow first, which was replaced, have not ended: it puts into the group watched"
    with pytest.raises(ConflictError, match=refused):
        circle.retire()
    with pytest.raises(ConflictError, match=refused):
        approve_group(circle.context(2), "watched", 2, WHY)
    answer_run(circle.context(2), Role.INVESTIGATOR, run, "yes", WHY)
    settle(bank)
    assert circle.members() == {"ada"}
    circle.retire()
    settle(bank)
    assert circle.members() == set()


def test_a_quarantined_run_that_is_tried_again_does_not_put_into_a_group_that_was_retired(
    bank: FlowBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    circle = Circle(bank)
    for name in ("second", "third"):
        switch_flow_off(circle.context(2), name, WHY)
    bank.add_flow(asking())
    run = call_flow(bank.context, "first", "customer", "ada", run_key="k").number

    def broken(*_: Any) -> None:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(actions, "set_tag_in", broken)
        answer_run(circle.context(2), Role.INVESTIGATOR, run, "yes", WHY)
        quarantined(bank)
    bank.add_flow(giving_tag("first", GO))
    circle.retire()
    retry_run(circle.context(), run)
    quarantined(bank)
    assert "flows put into the group watched no more: it was retired" in (bank.runs()[0].error or "")
    assert bank.actions() == []
    published(circle, group_with_condition(WORTH))
    retry_run(circle.context(), run)
    quarantined(bank)
    assert "the group watched no more: it has a condition of its own now" in (bank.runs()[0].error or "")
    published(circle)
    retry_run(circle.context(), run)
    settle(bank)
    assert circle.members() == {"ada"}


def quarantined(bank: FlowBank) -> None:
    """Carry the only run on until it is quarantined; once more for what it does on failure."""
    for _ in range(MAX_ATTEMPTS + 1):
        bank.work()
        bank.wait(1)
    assert [run.state for run in bank.runs()] == ["quarantined"]


def test_runs_of_a_flow_that_is_off_hold_no_group(bank: FlowBank) -> None:
    circle = Circle(bank)
    bank.add_flow(asking())
    run = call_flow(bank.context, "first", "customer", "ada", run_key="k").number
    for name in ("first", "second", "third"):
        switch_flow_off(circle.context(2), name, WHY)
    circle.retire()
    with pytest.raises(ConflictError, match="asks nobody while its flow is switched off"):
        answer_run(circle.context(2), Role.INVESTIGATOR, run, "yes", WHY)
    bank.wait(5)
    settle(bank)
    assert (bank.states()[-1][1], bank.actions(), circle.members()) == ("failed", [], set())


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return opened(engine)


def published_at(desk: Desk, document: str) -> None:
    made = propose_group(as_(desk, desk.ana), document, WHY, WHY)
    approve_group(as_(desk, desk.ben), made.name, made.number, WHY)


def test_a_flow_puts_into_no_group_that_is_not_there_is_of_others_or_has_a_condition(desk: Desk) -> None:
    published_at(desk, kept())
    published_at(desk, group_with_condition(WORTH, "worth"))
    define_type(as_(desk, desk.ana), "company", {})
    published_at(desk, kept("firms", entity_type="company"))
    parts: dict[str, Any] = {"on_failure": ["mark"], "examples": None}
    end = {"id": "done", "title": "Done", "end": ["mark"]}
    for name, problem in (
        ("wached", r"puts into the group wached; of the type customer .* perhaps watched was meant"),
        ("firms", "puts into the group firms; of the type customer there are in force watched, worth"),
        ("worth", "puts into the group worth, which has a condition of its own; .* kept_by: flows"),
    ):
        document = flow_document(name=f"bad-{name}", actions=[{**WATCHED, "group": name}], **parts)
        with pytest.raises(InvalidRulesetError, match=problem):
            committed(desk, json.dumps({**json.loads(document), "steps": [end]}))
    good = flow_document(name="good", actions=[WATCHED], **parts)
    acting(desk, json.dumps({**json.loads(good), "steps": [end]}))
    propose_group(as_(desk, desk.ana), group_with_condition(WORTH), WHY, WHY)
    with pytest.raises(ConflictError, match="version 1 of the flow good could not run any more"):
        approve_group(as_(desk, desk.ben), "watched", 2, WHY)
    with pytest.raises(ConflictError, match="version 1 of the flow good could not run any more"):
        retire_group(as_(desk, desk.ana), "watched", 1, WHY)


def by_level(name: str = "risky", **action: Any) -> str:
    return routed(
        name,
        {"level": "in_force", "equals": "high"},
        {"level": "high"},
        {"level": "low"},
        actions=[{"id": "look", "title": "Put them there", **action}],
    )


def test_a_group_for_commerce_is_kept_by_no_flow_that_reads_a_level(desk: Desk) -> None:
    published_at(desk, kept(purpose="commercial"))
    for name, action in (("one", {"group": "watched"}), ("other", {"tag": TAG})):
        with pytest.raises(InvalidRulesetError) as refused:
            committed(desk, by_level(name, **action))
        assert "the group watched, into which the action look puts, is for commerce" in str(refused.value)
        assert f"flow {name} → step choice → level in_force" in str(refused.value)
    define_type(as_(desk, desk.ana), "customer", {}, purposes={"fields": {"country": "both"}})
    care = flow_document("care", actions=[{**WATCHED, "id": "look"}], purposes={"fields": {"country": "both"}})
    acting(desk, care)
    with pytest.raises(ConflictError, match="flow care would feed commerce"):
        define_type(as_(desk, desk.ana), "customer", {}, purposes={"fields": {"country": "aml"}})


def test_who_got_the_tag_because_of_a_level_is_in_no_group_for_commerce_that_comes_later(desk: Desk) -> None:
    acting(desk, by_level(tag=TAG))
    switch_flow_off(as_(desk, desk.ana), "risky", WHY)
    propose_group(as_(desk, desk.ana), kept(purpose="commercial"), WHY, WHY)
    with pytest.raises(ConflictError, match=r"version 1 of the flow risky gave a tag that would feed commerce.*level"):
        approve_group(as_(desk, desk.ben), "watched", 1, WHY)


def test_a_group_against_money_laundering_may_be_kept_by_a_flow_that_reads_a_level(desk: Desk) -> None:
    published_at(desk, kept())
    acting(desk, by_level(group="watched"))
    with pytest.raises(ConflictError, match="would feed commerce"):
        define_type(as_(desk, desk.ana), "customer", {}, purposes={"tags": {TAG: "commercial"}})


def test_an_end_puts_into_a_group_and_gives_its_tag_in_one_way(desk: Desk) -> None:
    published_at(desk, kept())
    both = [{**WATCHED, "id": "look"}, {"id": "other", "title": "The same", "tag": TAG}]
    document = json.loads(flow_document("care", [BY_COUNTRY], actions=both))
    document["steps"][-2]["end"] = ["look", "other"]
    with pytest.raises(InvalidRulesetError, match=r"both set the tag group:watched; one of them can be taken"):
        committed(desk, json.dumps(document))


def back(bank: FlowBank, place: int) -> None:
    """Take one of the entries into the group back, by its place among them."""
    entries = [each for each in bank.actions() if each.kind == "group"]
    take_back_action(Circle(bank).context(2), Role.INVESTIGATOR, entries[place].id, WHY)
    settle(bank)


def put_in(bank: FlowBank, key: str) -> None:
    call_flow(bank.context, "first", "customer", "ada", run_key=key)
    settle(bank)


@pytest.mark.postgresql
@pytest.mark.parametrize("ended", ["by the clock", "by a person"])
def test_who_is_put_there_again_and_taken_out_is_not_held_by_what_was_over_before(bank: FlowBank, ended: str) -> None:
    circle = Circle(bank)
    put_in(bank, "k1")
    bank.wait(11 if ended == "by the clock" else 2)
    if ended == "by a person":
        end_tag(bank.context, "customer", "ada", TAG)
    settle(bank)
    bank.wait(1)
    put_in(bank, "k2")
    assert circle.members() == {"ada"}
    bank.wait(1)
    back(bank, 1)
    assert circle.members() == set()
    assert circle.events() == [("entered", "ada"), ("left", "ada")] * 2


@pytest.mark.postgresql
def test_who_stays_by_another_cause_stays_as_long_as_that_says(bank: FlowBank) -> None:
    circle = Circle(bank)
    put_in(bank, "k1")
    first = bank.now
    bank.wait(4)
    put_in(bank, "k2")
    bank.wait(1)
    runs = len(bank.runs())
    back(bank, 1)
    assert circle.members() == {"ada"}
    assert len(bank.runs()) == runs, "the tag was not given anew"
    bank.wait(microseconds=first + 10 * DAY_US - bank.now)
    settle(bank)
    assert circle.members() == set()
    findings: list[AuditFinding] = []
    verify(bank.engine, findings.append)
    assert [each for each in findings if "tags" in each.problem] == []


def test_who_is_taken_out_by_the_earlier_cause_stays_by_the_later_one(bank: FlowBank) -> None:
    circle = Circle(bank)
    put_in(bank, "k1")
    bank.wait(4)
    put_in(bank, "k2")
    back(bank, 0)
    bank.wait(9)
    settle(bank)
    assert circle.members() == {"ada"}
    back(bank, 1)
    assert circle.members() == set()


def test_an_entry_that_a_clock_ahead_dated_is_taken_back_and_never_begins(bank: FlowBank) -> None:
    circle = Circle(bank)
    bank.now += 2 * HOUR_US
    call_flow(bank.context, "first", "customer", "ada", run_key="k1")
    bank.now -= 2 * HOUR_US
    back(bank, 0)
    assert bank.actions()[0].taken_back_us == bank.now
    bank.now += 2 * HOUR_US
    settle(bank)
    assert circle.members() == set()
