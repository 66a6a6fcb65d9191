"""A worker that dies or fails in a run: no action is lost or doubled, and no value is kept with an error."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from fivefold.usecases.flows.runs import actions
from fivefold.usecases.flows.runs.actions import event_name
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.flows.runs.execute import LEASE_US
from fivefold.usecases.flows.runs.reading import view_run
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from tests.usecases.flows.flowing import LARGE, FlowBank
from tests.usecases.platforms import actor


class DiedError(BaseException):
    """What stands for SIGKILL: nothing catches it, and what was not committed is undone."""


@contextmanager
def dying(engine: Engine, statement: int) -> Iterator[list[int]]:
    """Die before a statement or a commit, counted from 0; give how many there were."""
    count = [0]

    def step(*_: Any) -> None:
        count[0] += 1
        if count[0] == statement + 1:
            raise DiedError

    event.listen(engine, "before_cursor_execute", step)
    event.listen(engine, "commit", step)
    try:
        yield count
    finally:
        event.remove(engine, "before_cursor_execute", step)
        event.remove(engine, "commit", step)
        engine.dispose()  # what a dead process had begun is undone


FLAGGED = ("flagged", "note", "open", "tell", "bound")


def expect_once(bank: FlowBank, rounds: int) -> None:
    """Of each round one payment was flagged, and one asked about and stopped: all of it once, and reported once."""
    flagged = [(f"transaction:t{2 * number}", name) for number in range(rounds) for name in FLAGGED]
    stopped = [(f"transaction:t{2 * number + 1}", "blocked") for number in range(rounds)]
    assert sorted((each.cause, each.action) for each in bank.actions()) == sorted([*flagged, *stopped])
    with bank.engine.connect() as connection:
        events = connection.execute(text("SELECT event_id FROM outbox WHERE kind = 'flow.acted'")).scalars().all()
    assert sorted(events) == sorted(event_name(each.id, each.at_us) for each in bank.actions())
    assert bank.count("records") == rounds
    assert bank.count("tags WHERE tag = 'large' AND until_us > (SELECT max(begun_us) FROM flow_runs)") == 1
    assert {run.state for run in bank.runs()} == {"ended"}
    assert bank.count("flow_steps") == rounds


def work_and_answer(bank: FlowBank, asked: str) -> None:
    bank.work()
    (run,) = [run for run in bank.runs() if run.cause == asked]
    if run.state == "waiting":
        person = Context(bank.engine, actor(bank.of, "member:2"), lambda: bank.now)
        answer_run(person, Role.INVESTIGATOR, run.id, "wrong", "Known by telephone.")
    bank.work()


@pytest.mark.full
@pytest.mark.postgresql
def test_a_worker_may_die_before_every_statement(engine: Engine) -> None:
    """Each round a worker, or a person's request, dies one statement later; what is left is done after the lease."""
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    rounds = 0
    for statement in range(200):
        bank.post(2 * statement, 500)
        bank.post(2 * statement + 1, 5000, "b")
        asked, rounds = f"transaction:t{2 * statement + 1}", rounds + 1
        with dying(engine, statement) as count, suppress(DiedError, sqlite3.ProgrammingError):
            work_and_answer(bank, asked)
        if count[0] <= statement:
            break
        bank.now += LEASE_US
        work_and_answer(bank, asked)
    assert 20 < rounds < 200
    expect_once(bank, rounds)


_REFUSED = text("INSERT INTO tags (organisation_id, entity_id, tag, from_us, set_by) VALUES (1, 1, :tag, NULL, 'x')")


@pytest.mark.postgresql
def test_a_row_that_the_database_refuses_leaves_its_kind_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)

    def refused(session: Any, *_: Any) -> None:
        session.execute(_REFUSED, {"tag": "Ana Silva, 12 Main Street"})

    monkeypatch.setattr(actions, "set_tag_in", refused)
    assert bank.work() == 0
    run = bank.runs()[0]
    kind = "SQLITE_CONSTRAINT_NOTNULL" if engine.dialect.name == "sqlite" else "NotNullViolation"
    said = f"IntegrityError ({kind}) in usecases.flows.runs.actions._affect"
    assert (run.state, run.error) == ("queued", said)
    assert view_run(bank.context, run.id).error == said
