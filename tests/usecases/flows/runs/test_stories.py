"""Stories that went wrong: runs of flows that are off, that are asked about again, and whose tags others hold."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError
from fivefold.store.flows.runs import claim_one
from fivefold.store.sql.database import writing
from fivefold.store.tables.entities import Record
from fivefold.store.tables.flows import FlowRow
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.outside import OutsideAccess
from fivefold.usecases.flows.runs import asking, execute, outcomes
from fivefold.usecases.flows.runs.answering import answer_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.execute import LEASE_US, run_flows
from fivefold.usecases.flows.runs.outcomes import replay_run
from fivefold.usecases.flows.runs.reading import view_run
from fivefold.usecases.ingest.facts import RecordGiven, end_tag, put_record, set_tag
from fivefold.usecases.ingest.together import PostedTransactions, add_transactions_together
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.shared.actors import Role
from tests.usecases.flows.documents import ASKS_SOURCE
from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank
from tests.usecases.flows.runs.test_calls import STATUSES, WHY, payment, person
from tests.usecases.platforms import transaction


def off(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.query(FlowRow).update({FlowRow.active_version_id: None})


@pytest.mark.postgresql
def test_a_flow_that_is_off_acts_on_nobody_who_was_queued(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)
    off(engine)
    bank.work()
    assert bank.actions() == []
    (run,) = bank.runs()
    assert (run.state, run.stopped_at, run.due_us) == ("failed", "flag", None)
    assert "switched off" in (run.error or "")


def test_a_flow_that_is_off_acts_on_nobody_for_whom_time_was_up(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 5000)
    bank.work()
    off(engine)
    bank.now += 4 * HOUR_US
    bank.work()
    assert bank.actions() == []


def test_nobody_answers_a_flow_that_is_off_and_its_question_is_there_once_it_is_on_again(engine: Engine) -> None:
    """The answer was taken, did nothing, and ended the run."""
    bank = FlowBank(engine)
    version = bank.add_flow(LARGE)
    bank.post(1, 5000)
    bank.work()
    off(engine)
    with pytest.raises(ConflictError, match="asks nobody while its flow is switched off"):
        answer_run(person(bank), Role.INVESTIGATOR, 1, "wrong", WHY)
    with Session(engine) as session, session.begin():
        session.query(FlowRow).update({FlowRow.active_version_id: version})
    assert answer_run(person(bank), Role.INVESTIGATOR, 1, "wrong", WHY).at == "stop"
    assert [action.action for action in bank.actions()] == ["blocked"]


def test_a_person_may_still_answer_after_a_call_died_that_asked_again(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    run = call_flow(bank.context, "large", "customer", "a", payment(5000), "k")
    with writing(engine) as session:  # the program calls again, and its process dies
        assert claim_one(session, run.number, "dead", bank.now, bank.now + LEASE_US) is None
    bank.now += 2 * LEASE_US
    bank.work()
    assert view_run(bank.context, run.number).question is not None
    assert answer_run(person(bank), Role.INVESTIGATOR, run.number, "wrong", WHY).at == "stop"


def test_a_fault_while_a_call_asks_again_takes_no_time_from_the_person(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    run = call_flow(bank.context, "large", "customer", "a", payment(5000), "k")

    def broken(*_: Any) -> None:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(execute, "outcome_kept", broken)
        call_flow(bank.context, "large", "customer", "a", payment(5000), "k")
    bank.now += HOUR_US
    bank.work()
    assert bank.states() == [("call:k", "waiting", "ask")]
    assert view_run(bank.context, run.number).due_us == run.due_us


def test_a_run_that_stopped_at_a_source_can_be_read_after_a_fault(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE)
    bank.post(1, 500)
    assert run_flows(engine, clock=lambda: bank.now) == 1

    def broken(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(execute, "outcome_kept", broken)
    assert run_flows(engine, clock=lambda: bank.now) == 0
    view = view_run(bank.context, 1)
    assert (view.state, view.question) == ("queued", None)
    with pytest.raises(ConflictError):
        answer_run(person(bank), Role.INVESTIGATOR, 1, "right", WHY)


def test_a_fault_while_a_source_is_asked_holds_up_no_other_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE)
    bank.post(1, 500)
    bank.post(2, 500, "b")
    assert run_flows(engine, clock=lambda: bank.now) == 2
    real = asking.ask_of

    def broken(question: Any, clock: Any) -> Any:
        if question.run_id == 1:
            raise RuntimeError("a fault")
        return real(question, clock)

    monkeypatch.setattr(asking, "ask_of", broken)
    bank.work()
    assert [run.state for run in bank.runs()] == ["queued", "ended"]


def test_a_customer_who_is_erased_while_a_source_is_asked_holds_up_no_other_run(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE)
    bank.post(1, 500)
    bank.post(2, 500, "b")
    assert run_flows(engine, clock=lambda: bank.now) == 2
    bank.now += 6 * 366 * DAY_US
    real = asking.ask_of

    def erased(question: Any, clock: Any) -> Any:
        if question.run_id == 1:
            erase_entity(bank.context, "customer", "a", tmp_path / "register")
        return real(question, clock)

    monkeypatch.setattr(asking, "ask_of", erased)
    bank.work()
    assert bank.states() == [("transaction:t2", "ended", "unknown")]
    assert bank.count("flow_steps") == 1


def test_what_is_done_after_an_erasure_is_told_under_another_name(engine: Engine, tmp_path: Path) -> None:
    """The numbers of rows that were deleted are given again on SQLite."""
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500, "b")
    bank.work()
    with Session(engine) as session, session.begin():
        session.query(Record).update({Record.closed_us: bank.now})
    bank.now += 6 * 366 * DAY_US
    erase_entity(bank.context, "customer", "b", tmp_path / "register")
    assert bank.actions() == []
    bank.post(2, 500)
    bank.work()
    assert len(bank.actions()) == 5
    assert bank.count("outbox WHERE kind = 'flow.acted'") == 10


def test_a_shadow_asks_nobody_outside(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE, shadow=True)
    asked = list[str]()

    def outside(name: str) -> OutsideAccess:
        asked.append(name)
        return OutsideAccess(organisation=name, sources={})

    monkeypatch.setattr(asking, "_outside", outside)
    bank.post(1, 500)
    bank.work()
    assert asked == []


def test_a_flow_shortens_no_tag_that_a_person_gave_for_good(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    set_tag(person(bank), "customer", "a", "large")
    bank.now += 1
    bank.post(1, 500)
    bank.work()
    assert bank.count("tags WHERE tag = 'large' AND until_us IS NULL") == 1


def test_taking_back_what_a_flow_did_ends_no_tag_of_a_person(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(STATUSES)
    number = call_flow(bank.context, "statuses", "customer", "a", payment(5)).taken[0].number
    bank.now += 1
    end_tag(person(bank, "member:4"), "customer", "a", "watch")
    bank.now += 1
    set_tag(person(bank, "member:4"), "customer", "a", "watch")
    bank.now += 1
    take_back_action(person(bank), Role.INVESTIGATOR, number, WHY)
    assert bank.count("tags WHERE tag = 'watch' AND until_us IS NULL") == 1


def test_two_flows_gave_one_tag_and_one_of_them_is_taken_back(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(STATUSES)
    bank.add_flow(STATUSES.replace("flow: statuses", "flow: others"))
    number = call_flow(bank.context, "statuses", "customer", "a", payment(5)).taken[0].number
    bank.now += 1
    call_flow(bank.context, "others", "customer", "a", payment(5))
    bank.now += 1
    take_back_action(person(bank), Role.INVESTIGATOR, number, WHY)
    assert bank.count("tags WHERE tag = 'watch' AND until_us IS NULL") == 1


@pytest.mark.parametrize("whose", ["a", "b"])
def test_a_case_of_the_number_that_a_flow_would_open_stays_as_it_is(engine: Engine, whose: str) -> None:
    """Cases of another database of the bank came with a file, in which flows had opened some."""
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    closed = {"opened_us": bank.now - DAY_US, "closed_us": bank.now, "outcome": "confirmed"}
    put_record(bank.context, "customer", whose, "case", RecordGiven(external_id="flow-1-open", **closed))
    bank.post(1, 500.0)
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "flag")]
    with Session(engine) as session:
        cases = session.scalars(select(Record).order_by(Record.id)).all()
        there = [(case.external_id, case.entity_id, case.outcome) for case in cases]
    assert there == [("flow-1-open", bank.id_of(whose), "confirmed"), ("flow-1-open-2", bank.id_of("a"), None)]
    [opened] = [action.content["case"] for action in bank.actions() if action.kind == "case"]
    assert opened == "flow-1-open-2"


def test_one_key_for_two_customers_is_two_calls(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    runs = [call_flow(bank.context, "large", "customer", name, payment(500), "k") for name in "ab"]
    assert len({run.number for run in runs}) == 2
    with pytest.raises(ConflictError):
        call_flow(bank.context, "large", "customer", "b", payment(501), "k")


TAGGED = LARGE.replace("{on: transaction}", "{on: tag, tag: ask}")


def test_who_caused_a_run_by_a_tag_does_not_answer_it(engine: Engine) -> None:
    bank = FlowBank(engine)
    asks = TAGGED.replace("{transaction: amount, above: 1000}", "{tag: ask, is: present}")
    bank.add_flow(asks.replace("      - {when: {transaction: amount, above: 100}, to: flag}\n", ""))
    set_tag(person(bank), "customer", "a", "ask")
    bank.work()
    assert bank.runs()[0].state == "waiting"
    with pytest.raises(ConflictError, match="member:2 called or caused run f:1; another person must answer it"):
        answer_run(person(bank), Role.INVESTIGATOR, 1, "right", WHY)
    assert answer_run(person(bank, "member:4"), Role.INVESTIGATOR, 1, "right", WHY).at == "nothing"


GIVES_ASK = LARGE.replace("flow: large", "flow: before").replace("tag: large, lasts: 30 days", "tag: ask")


@pytest.mark.parametrize("together", [False, True])
def test_who_sent_the_transaction_that_a_run_asks_about_does_not_answer_it(engine: Engine, together: bool) -> None:
    """An admin may send transactions, and may answer."""
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    admin, row = person(bank, "member:1"), transaction(1, "a", transaction_amount=5000.0)
    if together:
        add_transactions_together(admin, [PostedTransactions(admin.actor, "customer", [row])])
    else:
        add_transactions(admin, [row])
    bank.work()
    with pytest.raises(ConflictError, match="called or caused"):
        answer_run(person(bank, "member:1"), Role.ADMIN, 1, "right", WHY)
    assert answer_run(person(bank, "member:2"), Role.ADMIN, 1, "right", WHY).state == "ended"


def test_who_called_the_flow_whose_tag_caused_a_run_does_not_answer_it(engine: Engine) -> None:
    """Member 2 calls a flow; by what it does another one runs, and asks: member 2 is behind both."""
    bank = FlowBank(engine)
    bank.add_flow(GIVES_ASK)
    asks = TAGGED.replace("{transaction: amount, above: 1000}", "{tag: ask, is: present}")
    bank.add_flow(asks.replace("      - {when: {transaction: amount, above: 100}, to: flag}\n", ""))
    call_flow(person(bank), "before", "customer", "a", payment(500))
    bank.work()
    asked = bank.runs()[1]
    assert (asked.state, asked.about["by"], asked.about["people"]) == ("waiting", "flow:before", ["member:2"])
    with pytest.raises(ConflictError, match="member:2 called or caused run f:2"):
        answer_run(person(bank), Role.INVESTIGATOR, 2, "right", WHY)
    assert answer_run(person(bank, "member:4"), Role.INVESTIGATOR, 2, "right", WHY).at == "nothing"


@pytest.mark.postgresql
@pytest.mark.parametrize("sole", [False, True])
def test_steps_that_ask_two_roles_are_answered_by_two_people(engine: Engine, sole: bool) -> None:
    bank = FlowBank(engine)
    second = """  - id: sure
    title: Another looks
    person:
      question: Really?
      role: publisher
      within: 1 hour
      answers: {yes: stop, no: nothing}
      otherwise: flag
  - {id: nothing,"""
    document = LARGE.replace("wrong: stop}", "wrong: sure}").replace("  - {id: nothing,", second)
    bank.add_flow(document.replace("status: blocked}", "status: blocked, agreed_by: publisher}"))
    if sole:
        with engine.begin() as connection:
            connection.execute(text("UPDATE organisation_settings SET sole_operator_us = 1"))
    call_flow(bank.context, "large", "customer", "a", payment(5000))
    assert answer_run(person(bank), Role.ADMIN, 1, "wrong", WHY).at == "sure"
    if sole:
        assert answer_run(person(bank), Role.ADMIN, 1, "yes", WHY).at == "stop"
        return
    with pytest.raises(ConflictError, match="member:2 answered 'A person looks' of run f:1, which asks a mem"):
        answer_run(person(bank), Role.ADMIN, 1, "yes", WHY)
    assert bank.actions() == []
    assert answer_run(person(bank, "member:4"), Role.ADMIN, 1, "yes", WHY).at == "stop"


@pytest.mark.postgresql
def test_an_answer_from_outside_that_comes_after_the_run_is_over_changes_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source is so slow that the lease ends; meanwhile the flow is switched off, and another worker ends the run."""
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE)

    def slow(_: Any, clock: Any) -> Any:
        bank.now += LEASE_US + 1
        with engine.begin() as connection:
            connection.execute(text("UPDATE flows SET active_version_id = NULL"))
        assert run_flows(engine, clock=lambda: bank.now) == 1
        return asking.failed_outcome("gone", "nothing", clock())

    monkeypatch.setattr(asking, "ask_of", slow)
    bank.post(1, 500)
    bank.work()
    (run,) = bank.runs()
    assert (run.state, run.error) == ("failed", outcomes.OFF)
    assert bank.count("flow_steps") == 0
    assert replay_run(bank.context, run.id).same


@pytest.mark.postgresql
def test_a_run_that_would_ask_the_outside_ends_once_its_flow_is_off(engine: Engine) -> None:
    """It stopped there in one round of a worker; before the next one the flow is switched off, so nobody is asked."""
    bank = FlowBank(engine)
    bank.add_flow(ASKS_SOURCE)
    bank.post(1, 500)
    assert run_flows(engine, clock=lambda: bank.now) == 1
    assert bank.states() == [("transaction:t1", "queued", "register")]
    with engine.begin() as connection:
        connection.execute(text("UPDATE flows SET active_version_id = NULL"))
    bank.work()
    (run,) = bank.runs()
    assert (run.state, run.error, bank.count("flow_steps")) == ("failed", outcomes.OFF, 0)
    assert replay_run(bank.context, run.id).same
