"""Runs of flows: begun by what happens, carried on by any worker, and what they do is done once."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text, update

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.risk.engine.explain.stored import WORDS
from fivefold.store.flows.runs import claim
from fivefold.store.sql.database import writing
from fivefold.store.tables.entities import ValueScore
from fivefold.store.tables.flows import FlowRow, FlowRun
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.asked_files import flow_text
from fivefold.usecases.flows.runs import actions
from fivefold.usecases.flows.runs.execute import LEASE_US, carry_on, run_flows
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.ingest.facts import RecordGiven, put_record, set_tag
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.worker import MAX_ATTEMPTS
from tests.store.audits import forged
from tests.usecases import banks
from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank
from tests.usecases.flows.live.valued import give_value
from tests.usecases.governed import audited
from tests.usecases.platforms import transaction


@pytest.mark.postgresql
def test_a_transaction_runs_a_flow_once_and_all_actions_follow(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)
    bank.post(1, 500)
    assert bank.states() == [("transaction:t1", "queued", None)]
    assert bank.work() == 1
    assert bank.states() == [("transaction:t1", "ended", "flag")]
    taken = bank.actions()
    assert [action.action for action in taken] == ["flagged", "note", "open", "tell", "bound"]
    assert taken[-1].content["amount_minor"] == 10_000
    assert bank.count("tags WHERE tag = 'large' AND until_us IS NOT NULL") == 1
    assert bank.count("records WHERE kind = 'case'") == 1
    with engine.connect() as connection:
        events = connection.execute(text("SELECT event_id, body FROM outbox ORDER BY id")).all()
    assert [event.event_id for event in events] == [actions.event_name(action.id, bank.now) for action in taken]
    assert json.loads(events[3].body)["content"] == {"event": "large-payment"}
    bank.post(1, 500)
    assert bank.work() == 0
    assert len(bank.actions()) == 5


def test_a_small_payment_ends_with_no_action(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 5)
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "nothing")]
    assert not bank.actions()


def test_two_payments_of_one_customer_are_two_runs(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)
    bank.post(2, 5)
    bank.post(3, 500, "b")
    assert bank.work() == 3
    assert [step for _, _, step in bank.states()] == ["flag", "nothing", "flag"]


def test_a_run_of_a_batch_sees_what_an_older_one_of_its_customer_did(engine: Engine) -> None:
    bank = FlowBank(engine)
    document = LEVELS_MOVE.replace("{level: in_force, equals: high}", "{tag: risen, is: present}")
    bank.add_flow(document.replace("{on: level, direction: up, to: [medium, high]}", "{on: transaction}"))
    bank.post(1, 5)
    bank.post(2, 5)
    assert run_flows(engine, clock=lambda: bank.now) == 2
    assert bank.states() == [("transaction:t1", "ended", "one"), ("transaction:t2", "ended", "both")]


def test_the_audit_log_says_that_a_batch_acted_where_one_of_its_runs_did(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    second = bank.add_flow(LARGE.replace("above: 100}", "above: 400}"), shadow=True)
    bank.post(1, 500)
    bank.work()
    bank.post(2, 500)
    with writing(engine) as session:
        session.execute(update(FlowRow).values(active_version_id=second, shadow_version_id=None))
    bank.post(3, 500, "b")
    bank.work()
    batches = [
        (details["ended"], details["acting"]) for _, action, _, details in audited(engine) if action == "flow.ran"
    ]
    assert batches == [(1, True), (1, False), (1, True), (2, True)], "the last one ran a shadow beside a run that acts"


def test_nobody_comes_and_the_run_goes_on(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 5000)
    bank.work()
    assert bank.states() == [("transaction:t1", "waiting", "ask")]
    bank.now += 4 * HOUR_US - 1
    assert bank.work() == 0
    bank.now += 1
    assert bank.work() == 1
    assert bank.states() == [("transaction:t1", "ended", "flag")]
    assert bank.count("flow_steps WHERE outcome LIKE '%nobody%'") == 1


LEVELS_MOVE = """
flow: escalate
title: Escalate
entity_type: customer
levels: [low, medium, high]
fields: {country: country}
triggers: [{on: level, direction: up, to: [medium, high]}]
actions:
  - {id: escalated, title: Escalate, status: escalated}
  - {id: mark, title: Mark, tag: risen}
steps:
  - id: which
    title: Which level
    route: [{when: {level: in_force, equals: high}, to: both}]
    otherwise: one
  - {id: both, title: High, end: [escalated, mark]}
  - {id: one, title: Not high, end: [mark]}
on_failure: [mark]
"""


def test_a_level_that_rises_runs_a_flow_and_one_that_falls_does_not(engine: Engine) -> None:
    bank = FlowBank(engine, "a")
    bank.add_flow(LEVELS_MOVE)
    bank.activate(banks.document({"country": banks.COUNTRY}, cooldown="1 day"))
    for country in ("NO", "RU", "IR", "NO", "NO"):
        bank.put("a", country=country)
        bank.settle()
        bank.work()
        bank.wait(1)
    assert [step for _, _, step in bank.states()] == ["one", "both"]
    assert [action.action for action in bank.actions()] == ["mark", "escalated", "mark"]


def test_the_escalation_that_ships_runs_where_a_level_jumps(engine: Engine) -> None:
    bank = FlowBank(engine, "a")
    bank.add_flow(flow_text("escalation"))
    bank.activate(banks.document({"country": banks.COUNTRY}, cooldown="1 day"))
    for country in ("NO", "RU", "IR", "NO"):
        bank.put("a", country=country)
        bank.settle()
        bank.work()
        bank.wait(1)
    assert [(state, step) for _, state, step in bank.states()] == [("ended", "flagged")], "medium is no such level"
    assert [action.action for action in bank.actions()] == ["flag", "review"]


def test_a_segment_that_moves_runs_a_flow(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FlowBank(engine, "a")
    give_value(bank, monkeypatch)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.add_flow(LEVELS_MOVE.replace("{on: level, direction: up, to: [medium, high]}", "{on: segment, to: [top]}"))
    moments = []
    for number in range(1, 4):  # top, medium, and top again
        bank.wait(1)
        bank.pay(number)
        bank.settle()
        moments.append(bank.now)
    assert [cause for cause, *_ in bank.states()] == [f"segment:{moments[0]}", f"segment:{moments[2]}"]
    assert bank.runs()[1].about == {"kind": "segment", "from": "medium", "to": "top"}
    assert bank.work() == 2


def test_a_flow_that_gives_the_tag_to_which_it_listens_ends(engine: Engine) -> None:
    bank = FlowBank(engine, "a")
    tagged = """
flow: {name}
title: Tags
entity_type: customer
levels: [low, medium, high]
triggers: [{{on: tag, tag: {heard}}}]
actions: [{{id: mark, title: Mark, tag: {given}}}]
steps: [{{id: done, title: Done, end: [mark]}}]
on_failure: [mark]
"""
    bank.add_flow(tagged.format(name="same", heard="one", given="one"))
    bank.add_flow(tagged.format(name="there", heard="one", given="two"))
    bank.add_flow(tagged.format(name="back", heard="two", given="one"))
    set_tag(bank.context, "customer", "a", "one")
    assert bank.work() == 3
    assert [(run.flow_id, run.about.get("through", [])) for run in bank.runs()] == [(1, []), (2, []), (3, [2])]


def test_a_case_runs_a_flow(engine: Engine) -> None:
    bank = FlowBank(engine, "a")
    bank.add_flow(LEVELS_MOVE.replace("{on: level, direction: up, to: [medium, high]}", "{on: case}"))
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("a", country="NO")
    bank.settle()
    put_record(bank.context, "customer", "a", "case", RecordGiven(external_id="c1", opened_us=bank.now))
    assert bank.work() == 1
    assert bank.states()[0][1:] == ("ended", "one")


def test_history_from_a_file_runs_flows_once_for_each_customer(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.add_flow(LEVELS_MOVE.replace("{on: level, direction: up, to: [medium, high]}", "{on: import}"))
    rows = [transaction(number, "ab"[number % 2]) for number in range(6)]
    add_transactions(bank.context, rows, from_file=True)
    add_transactions(bank.context, rows, from_file=True)
    causes = [cause for cause, _, _ in bank.states()]
    assert len(causes) == 2
    assert all(cause.startswith("import:") for cause in causes)


def test_a_shadow_comes_to_its_end_and_does_nothing(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.add_flow(LARGE.replace("above: 100}", "above: 400}"), shadow=True)
    bank.post(1, 300)
    bank.post(2, 5000)
    bank.work()
    ends = [(run.acting, run.cause[-2:], run.state, run.stopped_at) for run in bank.runs()]
    assert ends == [
        (True, "t1", "ended", "flag"),
        (False, "t1", "ended", "nothing"),
        (True, "t2", "waiting", "ask"),
        (False, "t2", "waiting", "ask"),
    ]
    assert len(bank.actions()) == 5
    bank.wait(1)
    bank.work()  # nobody came, and the shadow goes on by that too
    assert [run.state for run in bank.runs()] == ["ended"] * 4
    assert {action.run_id for action in bank.actions()} == {run.id for run in bank.runs() if run.acting}


def test_what_is_unknown_fails_the_run_and_the_fallback_follows(engine: Engine) -> None:
    """The value is there on the first day, gone on the second, and cannot be computed on the third."""
    bank, fault = FlowBank(engine, "a"), "bank.py: indicator twelve ended with ValueError"
    bank.add_flow(LARGE.replace("{transaction: amount, above: 1000}", "{value: score, above: 4}"))
    with writing(engine) as session:
        session.add(value_score(bank.now, 4.5))
    bank.post(1, 50)
    bank.work()
    bank.wait(1)
    with writing(engine) as session:
        session.add(value_score(bank.now, None))
    bank.post(2, 50)
    bank.work()
    bank.wait(1)
    with writing(engine) as session:
        session.add(value_score(bank.now, None, fault))
    bank.post(3, 50)
    bank.work()
    assert [(run.state, run.stopped_at) for run in bank.runs()] == [("ended", "flag"), *[("failed", "size")] * 2]
    assert [action.action for action in bank.actions() if action.run_id > 1] == ["look"] * 2
    assert f"value score cannot be read: {fault}" in (bank.runs()[-1].answer or "")


def value_score(as_of_us: int, score: float | None, failure: str | None = None) -> ValueScore:
    return ValueScore(
        entity_id=1,
        as_of_us=as_of_us,
        score=score,
        segment=None if score is None else "top",
        expected_value=score,
        currency="EUR",
        model="m",
        model_version=1,
        fingerprint="f",
        failure=failure,
    )


def test_a_fault_of_the_machine_is_tried_again_and_holds_up_nobody(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)
    bank.post(2, 500, "b")
    given, broken = actions.set_tag_in, [True]

    def set_tag_in(session: Any, context: Any, entity: Any, *rest: Any) -> None:
        if entity.external_id == "a" and broken[0]:
            raise RuntimeError("a fault")
        given(session, context, entity, *rest)

    monkeypatch.setattr(actions, "set_tag_in", set_tag_in)
    assert bank.work() == 1
    assert [(run.state, run.error) for run in bank.runs()] == [
        ("queued", "RuntimeError in usecases.flows.runs.actions._affect"),
        ("ended", None),
    ]
    assert {action.entity_id for action in bank.actions()} == {2}
    broken[0] = False
    bank.wait(1)
    bank.work()
    assert [run.state for run in bank.runs()] == ["ended", "ended"]
    assert len(bank.actions()) == 10


def test_a_fault_that_stays_quarantines_the_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)

    def broken(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(actions, "set_tag_in", broken)
    for _ in range(MAX_ATTEMPTS):
        assert bank.runs()[0].state == "queued"
        bank.work()
        bank.wait(1)
    assert bank.runs()[0].state == "quarantined"
    assert bank.work() == 0
    assert [action.action for action in bank.actions()] == ["look"], "what the flow declares for a failure"


@pytest.mark.postgresql
def test_another_worker_takes_over_what_a_dead_one_held(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)
    with writing(engine) as session:
        batch = claim(session, "dead", bank.now, bank.now + LEASE_US, 10, 12)
    assert batch is not None
    assert bank.work() == 0
    bank.now += LEASE_US
    assert bank.work() == 1
    assert carry_on(engine, batch, lambda: bank.now) == 1, "the dead one comes back, and finds nothing that it holds"
    assert len(bank.actions()) == 5


def test_a_version_that_was_rolled_back_goes_on_with_its_runs(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 5000)
    bank.work()
    bank.add_flow(LARGE.replace("otherwise: flag", "otherwise: nothing"))
    bank.wait(1)
    bank.post(2, 5000)
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "flag"), ("transaction:t2", "waiting", "ask")]


def test_an_entity_that_is_erased_has_no_run_any_more(engine: Engine, tmp_path: Path) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 5000)
    bank.work()
    bank.now += 6 * 366 * DAY_US
    erase_entity(bank.context, "customer", "a", tmp_path / "register")
    assert bank.work() == 0
    assert bank.runs() == []


@pytest.mark.parametrize("amount", [5, 500, 5000])
def test_a_run_in_other_words_is_the_same_but_for_these(engine: Engine, amount: float) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, amount)
    bank.work()
    answer = json.loads(bank.runs()[0].answer or "")
    assert answer["words"] == WORDS
    assert not replay_record(bank.context, "f:1").in_other_words
    steps = [{**step, "seen": "money", "outcome": "so", "sentence": "So."} for step in answer["steps"]]
    older = {**answer, "line": "So.", "steps": steps}
    del older["words"]
    for changed, same in (({}, True), ({"at": "elsewhere"}, False), ({"steps": steps[:-1]}, False)):
        with forged(engine) as connection:
            connection.execute(update(FlowRun).values(answer=canonical_json({**older, **changed})))
        replayed = replay_record(bank.context, "f:1")
        assert (replayed.same, replayed.in_other_words) == (same, True), changed


@pytest.mark.parametrize("amount", [5, 500, 5000])
def test_a_run_is_made_again_to_the_byte(engine: Engine, amount: float) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, amount)
    with pytest.raises(ConflictError):
        replay_record(bank.context, "f:1")
    bank.work()
    assert replay_record(bank.context, "f:1").same
    bank.wait(1)
    bank.work()
    bank.post(2, amount)
    replayed = replay_record(bank.context, "f:1")
    assert replayed.same
    assert json.loads(replayed.breakdown_now)["cause"] == "transaction:t1"
    with pytest.raises(NotFoundError):
        replay_record(bank.context, "f:99")
