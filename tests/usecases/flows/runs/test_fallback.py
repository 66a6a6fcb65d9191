"""Stories of runs that were given up: what the flow declares for a failure is done once, and all of it is in sight."""

import sqlite3
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, StoreError
from fivefold.store.flows.runs import claim
from fivefold.store.sql.database import writing
from fivefold.store.tables.flows import FlowRow, FlowRun
from fivefold.usecases.flows.runs import actions, asking, execute, fallback
from fivefold.usecases.flows.runs.actions import event_name
from fivefold.usecases.flows.runs.answering import answer_run, retry_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.execute import LEASE_US
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.reading import view_run
from fivefold.usecases.levels.worker import MAX_ABANDONED_LEASES, MAX_ATTEMPTS
from fivefold.usecases.shared.actors import Role
from tests.store.audits import bind_unnamed, findings_in
from tests.usecases.flows.documents import ASKS_SOURCE
from tests.usecases.flows.flowing import LARGE, FlowBank
from tests.usecases.flows.runs.test_calls import WHY, events_of, payment, person, stands
from tests.usecases.flows.runs.test_killed import FLAGGED, DiedError, dying
from tests.usecases.flows.runs.test_retried import broken, taken, tried

HOLDS = LARGE.replace("  - {id: note,", "  - {id: hold, title: Hold, status: escalated}\n  - {id: note,").replace(
    "on_failure: [look]", "on_failure: [hold, look, bound]"
)
"""It holds whom it could not decide about, bounds what goes out, and has a person look."""


def given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch, document: str = HOLDS) -> FlowBank:
    """A run whose tag cannot be given, by a fault of the machine that stays."""
    bank = FlowBank(engine)
    bank.add_flow(document)
    bind_unnamed(engine)
    monkeypatch.setattr(actions, "set_tag_in", broken)
    bank.post(1, 500)
    tried(bank)
    assert view_run(bank.context, 1).state == "quarantined"
    return bank


def expect_whole(engine: Engine) -> None:
    with engine.connect() as connection:
        assert findings_in(connection) == []


@pytest.mark.postgresql
def test_a_run_that_is_given_up_ends_in_sight_with_what_the_flow_declares(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = given_up(engine, monkeypatch)
    run = view_run(bank.context, 1)
    assert run.error == "RuntimeError in tests.usecases.flows.runs.test_retried.broken" or "RuntimeError" in (
        run.error or ""
    )
    assert replace(run, error="ConfigError: reads the list pep").error_in_short == "ConfigError", "for programs"
    assert [each.action for each in run.taken] == ["hold", "look", "bound"]
    assert stands(bank) == ("escalated", {"daily": 10_000})
    told = events_of(bank)
    assert [(each["action"], each["run"], each["version"]) for each in told] == [
        ("hold", "f:1", 1),
        ("look", "f:1", 1),
        ("bound", "f:1", 1),
    ]
    assert told[2]["content"] == {"limit": "daily", "amount_minor": 10_000, "sets": "daily 100.00 EUR"}
    assert bank.runs()[0].does == "hold, look, bound 100 EUR"
    assert bank.count("audit_entries WHERE action = 'flow.quarantined' AND actor = 'flow:large'") == 1
    bank.wait(1)
    assert bank.work() == 0
    assert taken(bank) == ["hold", "look", "bound"]
    expect_whole(engine)


@pytest.mark.postgresql
def test_what_a_run_comes_to_once_it_is_mended_takes_the_place_of_the_fallback(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = given_up(engine, monkeypatch)
    monkeypatch.undo()
    retry_run(person(bank), 1)
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "flag")]
    assert taken(bank) == ["hold", "look", "bound", *(each for each in FLAGGED if each != "bound")]
    assert stands(bank) == ("flagged", {"daily": 10_000}), "a limit that was set under this cause is not set twice"
    assert events_of(bank)[3]["stands"]["status"] == "flagged"
    assert [each.kind for each in bank.actions() if each.action == "look"] == ["review"], "a person looks all the same"
    assert replay_record(bank.context, "f:1").same
    expect_whole(engine)


def test_what_a_person_took_back_before_a_run_is_tried_again_stays_taken_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = given_up(engine, monkeypatch)
    take_back_action(person(bank), Role.INVESTIGATOR, bank.actions()[0].id, WHY)
    retry_run(person(bank), 1)
    assert tried(bank) == MAX_ATTEMPTS
    assert taken(bank) == ["hold", "look", "bound"]
    assert stands(bank)[0] is None


def test_a_fallback_is_no_decision_of_a_person_though_one_answered_before(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(
        HOLDS.replace("title: Flag, status: flagged", "title: Flag, status: approved").replace(
            "{right: nothing, wrong: stop}", "{right: flag, wrong: stop}"
        )
    )
    first, second = (call_flow(bank.context, "large", "customer", "a", payment(5000), key).number for key in "kl")
    answer_run(person(bank), Role.INVESTIGATOR, first, "right", WHY)
    assert stands(bank)[0] == "approved"
    with monkeypatch.context() as patched:
        patched.setattr(actions, "_content", broken_unless("hold", "look", "bound"))
        answer_run(person(bank), Role.INVESTIGATOR, second, "wrong", WHY)
        bank.wait(1)
        tried(bank, second)
    assert view_run(bank.context, second).state == "quarantined"
    (held,) = [each for each in bank.actions() if each.action == "hold"]
    assert "by_person" not in held.content
    assert stands(bank)[0] == "escalated", "the approval and the fallback both stand, and the more severe one counts"
    take_back_action(person(bank, "member:4"), Role.INVESTIGATOR, held.id, WHY)
    assert stands(bank)[0] == "approved"
    retry_run(person(bank, "member:4"), second)
    bank.work()
    assert stands(bank)[0] == "blocked"


@pytest.mark.postgresql
def test_what_a_person_decided_stands_though_the_fallback_did_the_same_before(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    approves = LARGE.replace("title: Flag, status: flagged", "title: Flag, status: approved")
    bank.add_flow(approves.replace("on_failure: [look]", "on_failure: [blocked, look]"))
    bind_unnamed(engine)
    number = call_flow(bank.context, "large", "customer", "a", payment(5000), "k").number
    real = actions._content

    def broken_for_people(doing: Any, *rest: Any) -> Any:
        return broken() if doing.by_person else real(doing, *rest)

    monkeypatch.setattr(actions, "_content", broken_for_people)
    answer_run(person(bank), Role.INVESTIGATOR, number, "wrong", WHY)
    bank.wait(1)
    tried(bank, number)
    monkeypatch.undo()
    assert (view_run(bank.context, number).state, stands(bank)[0]) == ("quarantined", "blocked")
    retry_run(person(bank, "member:4"), number)
    bank.work()
    stops = [each for each in bank.actions() if each.action == "blocked"]
    assert [(each.cause.endswith(", decided"), each.content.get("by_person")) for each in stops] == [
        (False, None),
        (True, True),
    ]
    bank.post(1, 500)
    bank.work()
    assert stands(bank)[0] == "blocked", "a run that nobody answered replaces no decision"
    expect_whole(engine)


def broken_unless(*names: str) -> Any:
    """Break what is done by any other action."""
    real = actions._content

    def content(doing: Any, run: Any, taken: Any) -> Any:
        if taken.action not in names:
            raise RuntimeError("a fault")
        return real(doing, run, taken)

    return content


def test_a_run_that_has_its_facts_is_made_again_to_the_byte_after_the_fallback(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE)
    bank.post(1, 500)
    monkeypatch.setattr(asking, "ask_of", broken)
    tried(bank)
    run = view_run(bank.context, 1)
    assert (run.state, run.at, [each.action for each in run.taken]) == ("quarantined", "register", ["look"])
    assert replay_record(bank.context, "f:1").same


def test_a_fallback_that_is_broken_too_leaves_the_run_given_up_with_both_errors(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = given_up(engine, monkeypatch, LARGE.replace("on_failure: [look]", "on_failure: [look, note]"))
    run = view_run(bank.context, 1)
    assert (run.taken, bank.actions(), events_of(bank)) == ((), [], []), "all of it, or nothing"
    assert bank.runs()[0].attempts == MAX_ATTEMPTS + 1, "it was tried once more"
    first, _, second = (run.error or "").partition("; the actions of on_failure could not be taken: ")
    assert ("RuntimeError" in first, "RuntimeError" in second) == (True, True)


def test_a_flow_that_was_switched_off_does_nothing_for_a_run_that_is_given_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(HOLDS)
    bank.post(1, 500)
    monkeypatch.setattr(execute, "begin_of", broken)
    with Session(engine) as session, session.begin():
        session.query(FlowRow).update({FlowRow.active_version_id: None})
    tried(bank)
    assert (view_run(bank.context, 1).state, bank.actions()) == ("quarantined", [])


def test_a_shadow_that_is_given_up_does_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FlowBank(engine)
    bank.add_flow(HOLDS, shadow=True)
    bank.post(1, 500)
    monkeypatch.setattr(execute, "begin_of", broken)
    tried(bank)
    assert (view_run(bank.context, 1).state, bank.actions(), events_of(bank)) == ("quarantined", [], [])


def test_a_fallback_that_a_passing_fault_hinders_is_taken_seconds_later(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(HOLDS)
    bank.post(1, 500)
    on_the_last_try(bank)
    monkeypatch.setattr(execute, "begin_of", broken)
    with monkeypatch.context() as patched:
        patched.setattr(fallback, "add_events", broken)
        bank.work()
    run = view_run(bank.context, 1)
    assert (run.state, run.due_us, bank.actions()) == ("queued", bank.now + 5_000_000, [])
    bank.now += 5_000_000
    bank.work()
    assert (view_run(bank.context, 1).state, taken(bank)) == ("quarantined", ["hold", "look", "bound"])


@pytest.mark.postgresql
def test_a_run_that_ends_every_worker_is_given_up_by_one_that_does_not_try_it(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(HOLDS)
    bank.post(1, 500)
    for _ in range(MAX_ABANDONED_LEASES):
        die_with_it(bank)
    bank.work()
    run = view_run(bank.context, 1)
    assert (run.state, run.at, [each.action for each in run.taken]) == ("quarantined", None, ["hold", "look", "bound"])
    assert run.error == "the worker that tried it did not come back, 12 times"
    assert bank.runs()[0].inputs is None, "nothing of it was tried"
    with pytest.raises(ConflictError):
        replay_record(bank.context, "f:1")


def test_a_run_that_ends_the_worker_that_gives_it_up_holds_up_no_other(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(HOLDS)
    bank.post(1, 500)
    for _ in range(MAX_ABANDONED_LEASES + 1):
        die_with_it(bank)
    bank.post(2, 500, "b")
    bank.work()
    given, ended = (view_run(bank.context, number) for number in (1, 2))
    assert (given.state, given.taken, ended.state) == ("quarantined", (), "ended")
    assert given.error == "the worker that tried it did not come back, 12 times, nor did the one that was to give it up"


def die_with_it(bank: FlowBank) -> None:
    """Claim what is due, as a worker that dies then."""
    with writing(bank.engine) as session:
        batch = claim(session, "dead", bank.now, bank.now + LEASE_US, 500, MAX_ABANDONED_LEASES)
    assert batch is not None
    bank.now += LEASE_US


def test_a_database_that_is_away_gives_no_run_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no fault of the run: nothing can be stored, and once the lease ended the run is given up then."""
    bank = FlowBank(engine)
    bank.add_flow(HOLDS)
    bank.post(1, 500)
    on_the_last_try(bank)
    monkeypatch.setattr(execute, "begin_of", broken)

    def away(*_: Any) -> None:
        raise StoreError("the database is out of reach")

    with monkeypatch.context() as patched:
        patched.setattr(fallback, "lock_entities", away)
        with pytest.raises(StoreError):
            bank.work()
    assert (view_run(bank.context, 1).state, bank.actions()) == ("running", [])
    bank.now += LEASE_US
    bank.work()
    assert (view_run(bank.context, 1).state, taken(bank)) == ("quarantined", ["hold", "look", "bound"])


def on_the_last_try(bank: FlowBank) -> None:
    """Let every run that is queued have failed as often as it may, but once."""
    with Session(bank.engine) as session, session.begin():
        session.query(FlowRun).filter_by(state="queued").update({"attempts": MAX_ATTEMPTS - 1})


@pytest.mark.full
@pytest.mark.postgresql
def test_a_worker_may_die_before_every_statement_while_it_gives_a_run_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round it dies one statement later; once its lease ended, another does what was not done, and no more."""
    bank = FlowBank(engine, "a")
    bank.add_flow(HOLDS)
    monkeypatch.setattr(actions, "set_tag_in", broken)
    rounds = 0
    for statement in range(200):
        bank.post(statement, 500)
        on_the_last_try(bank)
        rounds += 1
        with dying(engine, statement) as count, suppress(DiedError, sqlite3.ProgrammingError):
            bank.work()
        if count[0] <= statement:
            break
        bank.now += LEASE_US
        bank.work()
    assert 15 < rounds < 200
    assert {run.state for run in bank.runs()} == {"quarantined"}
    expected = [(f"transaction:t{number}", name) for number in range(rounds) for name in ("bound", "hold", "look")]
    assert sorted((each.cause, each.action) for each in bank.actions()) == sorted(expected)
    with engine.connect() as connection:
        events = connection.execute(text("SELECT event_id FROM outbox WHERE kind = 'flow.acted'")).scalars().all()
    assert sorted(events) == sorted(event_name(each.id, each.at_us) for each in bank.actions())
    assert bank.count("audit_entries WHERE action = 'flow.quarantined'") == rounds
