"""Stories of runs that stood in quarantine: a person lets one be tried again, once its cause is mended."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.flows.outside.outcomes import failed_outcome
from fivefold.store.tables.flows import FlowRow
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.runs import actions, asking
from fivefold.usecases.flows.runs.answering import answer_run, retry_run
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.reading import view_run
from fivefold.usecases.levels.worker import MAX_ATTEMPTS
from fivefold.usecases.shared.actors import Role
from tests.store.audits import bind_unnamed, findings_in
from tests.usecases.flows.documents import ASKS_SOURCE
from tests.usecases.flows.flowing import LARGE, FlowBank
from tests.usecases.flows.runs.test_calls import WHY, person
from tests.usecases.flows.runs.test_killed import FLAGGED


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a fault")


def taken(bank: FlowBank) -> list[str]:
    return [each.action for each in bank.actions()]


def tried(bank: FlowBank, number: int = 1) -> int:
    """Let workers try until they try no more; tell how often they did."""
    attempts = 0
    while view_run(bank.context, number).state == "queued":
        bank.work()
        bank.wait(1)
        attempts += 1
    return attempts


def quarantined(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> FlowBank:
    """A run whose tag cannot be given, by a fault of the machine."""
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bind_unnamed(engine)
    monkeypatch.setattr(actions, "set_tag_in", broken)
    bank.post(1, 500)
    assert tried(bank) == MAX_ATTEMPTS
    assert view_run(bank.context, 1).state == "quarantined"
    return bank


@pytest.mark.postgresql
def test_a_run_is_tried_again_once_its_fault_is_mended_and_acts_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = quarantined(engine, monkeypatch)
    monkeypatch.undo()
    view = retry_run(person(bank), 1)
    assert (view.state, view.error) == ("queued", None)
    with pytest.raises(ConflictError, match="run f:1 is not quarantined: it is queued"):
        retry_run(person(bank, "member:3"), 1)
    assert taken(bank) == ["look"], "the worker does it, and not who lets it be tried"
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "flag")]
    assert taken(bank) == ["look", *FLAGGED]
    with pytest.raises(ConflictError, match="it is ended"):
        retry_run(person(bank), 1)
    bank.post(1, 500)
    assert bank.work() == 0, "the same cause is the same run"
    assert bank.count("audit_entries WHERE action = 'flow.retried' AND actor = 'member:2'") == 1
    with engine.connect() as connection:
        assert findings_in(connection) == []
    assert replay_record(bank.context, "f:1").same


def test_a_fault_that_is_still_there_takes_as_many_attempts_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = quarantined(engine, monkeypatch)
    retry_run(person(bank), 1)
    assert tried(bank) == MAX_ATTEMPTS
    run = view_run(bank.context, 1)
    assert (run.state, run.error is None) == ("quarantined", False)
    assert taken(bank) == ["look"], "what followed before does not follow twice"
    assert retry_run(person(bank), 1).state == "queued", "what failed again may be tried again"


def test_a_run_goes_on_by_its_own_version_that_was_rolled_back(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = quarantined(engine, monkeypatch)
    bank.add_flow(LARGE.replace("end: [flagged, note, open, tell, bound]", "end: []"))
    monkeypatch.undo()
    retry_run(person(bank), 1)
    bank.work()
    assert view_run(bank.context, 1).version == 1
    assert taken(bank) == ["look", *FLAGGED]


def test_a_run_of_a_flow_that_is_off_by_now_fails_and_does_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = quarantined(engine, monkeypatch)
    with Session(engine) as session, session.begin():
        session.query(FlowRow).update({FlowRow.active_version_id: None})
    monkeypatch.undo()
    retry_run(person(bank), 1)
    bank.work()
    run = view_run(bank.context, 1)
    assert (run.state, "switched off" in (run.error or "")) == ("failed", True)
    assert taken(bank) == ["look"]


def test_a_run_of_an_erased_customer_is_not_there(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bank = quarantined(engine, monkeypatch)
    bank.now += 6 * 366 * DAY_US
    erase_entity(bank.context, "customer", "a", tmp_path / "register")
    with pytest.raises(NotFoundError, match="there is no run f:1"):
        retry_run(person(bank), 1)


def test_a_source_that_answers_now_is_asked_with_the_facts_of_then(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE)
    monkeypatch.setattr(asking, "ask_of", broken)
    bank.post(1, 500)
    tried(bank)
    (run,) = bank.runs()
    assert (run.state, run.stopped_at) == ("quarantined", "register")
    asked = list[int]()

    def answers(question: Any, clock: Any) -> Any:
        asked.append(question.run_id)
        return failed_outcome("not known there", "nothing", clock())

    monkeypatch.setattr(asking, "ask_of", answers)
    retry_run(person(bank), 1)
    bank.work()
    assert asked == [1]
    (done,) = bank.runs()
    assert (done.state, done.stopped_at, done.inputs) == ("ended", "unknown", run.inputs)


def test_what_a_person_answered_before_the_fault_counts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE.replace("end: [blocked]", "end: [blocked, note]"))
    bank.post(1, 5000)
    bank.work()
    monkeypatch.setattr(actions, "set_tag_in", broken)
    answer_run(person(bank), Role.INVESTIGATOR, 1, "wrong", WHY)
    bank.wait(1)
    tried(bank)
    assert view_run(bank.context, 1).state == "quarantined"
    monkeypatch.undo()
    retry_run(person(bank, "member:4"), 1)
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "stop")]
    assert taken(bank) == ["look", "blocked", "note"]


def test_a_run_that_waits_for_a_person_is_not_tried_again(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 5000)
    bank.work()
    with pytest.raises(ConflictError, match="it is waiting"):
        retry_run(person(bank), 1)
    assert view_run(bank.context, 1).question is not None
