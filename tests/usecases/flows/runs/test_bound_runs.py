"""Runs of flows are what the audit log says: a changed run, answer, outcome or action is a finding that names it."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US
from fivefold.store.tables.flows import StepOutcome
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.runs import asking
from fivefold.usecases.flows.runs.answering import answer_run, take_back_action
from fivefold.usecases.flows.runs.reviews import finish_review
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.store.audits import bind_unnamed, findings_in, forged, unguarded
from tests.usecases.flows.documents import ASKS_SOURCE
from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank


def after(bank: FlowBank, *statements: str) -> list[str]:
    """What is wrong after statements by who owns the database; they are taken back."""
    with unguarded(bank.engine) as connection:
        for statement in statements:
            assert connection.execute(text(statement)).rowcount == 1
        return findings_in(connection)


def begun(engine: Engine) -> FlowBank:
    """One run ended, one waits for a person, one was left alone by whoever it waited for, and one was answered."""
    bank = FlowBank(engine, "abcd")
    bank.add_flow(LARGE)
    bind_unnamed(engine)
    for number, (name, amount) in enumerate({"a": 500, "b": 5000, "c": 5000, "d": 5000}.items(), 1):
        bank.post(number, amount, name)
    bank.work()
    person = Context(engine, Actor(bank.of, "member:2")).at(bank.now)
    answered = answer_run(person, Role.INVESTIGATOR, bank.runs()[2].id, "wrong", "Nobody knows the receiver.")
    take_back_action(person, Role.INVESTIGATOR, answered.taken[0].number, "It was right after all.")
    bank.now += 5 * HOUR_US
    bank.work()
    bank.post(9, 5000)
    bank.work()
    return bank


@pytest.mark.postgresql
def test_every_step_of_a_run_is_whole(engine: Engine) -> None:
    bank = begun(engine)
    assert [run.state for run in bank.runs()] == ["ended"] * 4 + ["waiting"]
    with engine.connect() as connection:
        assert findings_in(connection) == []


def test_a_changed_run_action_or_answer_is_named(engine: Engine) -> None:
    bank = begun(engine)
    ended, nobody, answered, _, waits = bank.runs()
    entity, action = ended.entity_id, bank.actions()[0].id
    (found,) = after(bank, f"UPDATE flow_runs SET stopped_at = 'nothing' WHERE id = {ended.id}")
    said = f"entry {entry_of(bank, ended.id)}: row of flow_runs {entity}.{ended.id} was changed since: content"
    assert found.endswith(said)
    for statement, said in (
        (f"UPDATE flow_runs SET answer = '{{}}' WHERE id = {waits.id}", f"flow_runs {waits.entity_id}.{waits.id} was"),
        (f"UPDATE flow_runs SET state = 'failed' WHERE id = {ended.id}", f"flow_runs {entity}.{ended.id} was changed"),
        (f"UPDATE flow_steps SET outcome = '{{}}' WHERE run_id = {answered.id}", f"ask.{answered.id} was changed"),
        (f"UPDATE flow_steps SET actor = 'member:2' WHERE run_id = {nobody.id}", f"ask.{nobody.id} was changed"),
        (f"UPDATE flow_actions SET taken_back_us = 1 WHERE id = {action}", f"flow_actions {entity}.{action} was"),
        (f"UPDATE flow_actions SET content = '{{}}' WHERE id = {action}", f"flow_actions {entity}.{action} was"),
        (f"DELETE FROM flow_actions WHERE id = {action}", f"flow_actions {entity}.{action} is missing"),
        (f"DELETE FROM flow_steps WHERE run_id = {answered.id}", f"ask.{answered.id} is missing"),
        (f"UPDATE flow_runs SET as_of_us = NULL WHERE id = {ended.id}", f"{entity}.{ended.id} is missing"),
    ):
        problems = after(bank, statement)
        assert len(problems) == 1, (statement, problems)
        assert said in problems[0], (statement, problems)


def entry_of(bank: FlowBank, run: int) -> int:
    """The last entry that names a run."""
    query = "SELECT max(number) FROM audit_values WHERE after LIKE :name"
    with bank.engine.connect() as connection:
        return int(connection.execute(text(query), {"name": f'%"flow_runs":%.{run}":%'}).scalar_one())


@pytest.mark.postgresql
def test_an_answer_that_was_changed_is_not_made_good_by_the_run_that_goes_on(engine: Engine) -> None:
    """A forged answer before the next worker comes: the worker binds where the run came to, and not the answer."""
    bank = FlowBank(engine, "a")
    bank.add_flow(LARGE)
    bind_unnamed(engine)
    bank.post(1, 5000)
    bank.work()
    bank.now += 5 * HOUR_US
    with forged(engine) as connection:
        nobody = StepOutcome(run_id=1, step="ask", entity_id=1, kind="person", at_us=bank.now, actor="member:2")
        row = {**{key: value for key, value in vars(nobody).items() if not key.startswith("_")}, "salt": "00" * 16}
        columns = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        insert = f'INSERT INTO flow_steps ({columns}, outcome) VALUES ({values}, \'{{"answer": "right"}}\')'
        connection.execute(text(insert), row)
    bank.work()
    assert bank.runs()[0].stopped_at == "nothing"
    with engine.connect() as connection:
        (found,) = findings_in(connection)
    assert "no entry says that row of flow_steps 1.ask.1 was written" in found


def test_what_came_from_outside_is_bound_by_an_entry_of_its_own(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine, "a")
    bank.add_flow(ASKS_SOURCE)
    bind_unnamed(engine)
    monkeypatch.setattr(asking, "ask_of", lambda _, clock: asking.failed_outcome("gone", "nothing", clock()))
    bank.post(1, 500)
    bank.work()
    assert bank.count("flow_steps") == 1
    assert bank.count("audit_entries WHERE action = 'flow.asked'") == 1
    with engine.connect() as connection:
        assert findings_in(connection) == []
    assert len(after(bank, "UPDATE flow_steps SET outcome = '{}'")) == 1


@pytest.mark.postgresql
def test_a_worker_that_dies_between_leaves_nothing_that_no_entry_names(engine: Engine) -> None:
    """Claimed, and never finished: the row has another lease and state, of which the log says nothing."""
    bank = FlowBank(engine, "a")
    bank.add_flow(LARGE)
    bind_unnamed(engine)
    bank.post(1, 5000)
    with engine.connect() as connection:
        assert findings_in(connection) == [], "it waits, and nothing is known of it yet"
    bank.work()
    with forged(engine) as connection:
        connection.execute(text("UPDATE flow_runs SET lease = 'dead', lease_until_us = 1, state = 'running'"))
    with engine.connect() as connection:
        assert findings_in(connection) == []


def test_erasure_takes_reasons_out_of_the_log_and_explains_that_runs_are_gone(engine: Engine, tmp_path: Path) -> None:
    bank = begun(engine)
    said = "audit_values WHERE after LIKE '%{}%'"
    assert bank.count(said.format("Nobody knows the receiver")) == 1
    assert bank.count(said.format("It was right after all")) == 1
    bank.now += 4_000 * DAY_US
    with forged(engine) as connection:
        connection.execute(text("UPDATE records SET closed_us = opened_us"))
    erase_entity(Context(engine, bank.actor).at(bank.now), "customer", "c", tmp_path / "e")
    assert bank.count(said.format("Nobody knows the receiver")) == 0
    assert bank.count(said.format("It was right after all")) == 0
    with engine.connect() as connection:
        found = [each for each in findings_in(connection) if "flow" in each]
    assert found == []


def test_a_review_that_was_done_is_bound(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE.replace("end: [flagged, note, open, tell, bound]", "end: [look]"))
    bind_unnamed(engine)
    bank.post(1, 500)
    bank.work()
    (action,) = bank.actions()
    finish_review(Context(engine, Actor(bank.of, "member:2")).at(bank.now), action.id, "Spoken to.")
    assert after(bank) == []
    (finding,) = after(bank, "UPDATE flow_actions SET done_by = 'member:3'")
    assert f"flow_actions {action.entity_id}.{action.id}" in finding
