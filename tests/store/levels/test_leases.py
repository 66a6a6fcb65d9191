"""How many are due, and claims of marks whose worker did not come back; all else about claims is in `test_due`."""

import re
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels import leases as claims
from fivefold.store.levels.assessment_queue import Reason, Subject
from fivefold.store.levels.markings import QueueDepth, queue_depth
from fivefold.store.tables.levels import DueMark
from tests.store.levels.test_assessment_queue import MOST, NOW, claimed, entities, mark, numbers, row, subjects
from tests.usecases import platforms
from tests.usecases.planted import Planted, planted

__all__ = ["subjects"]


def test_those_who_were_left_are_taken_apart_from_others_and_fewer_each_time(engine: Engine) -> None:
    many = entities(engine, platforms.organisation(engine), 20)
    left, new = many[:16], many[16:]
    mark(engine, left, Reason.NEW)
    assert len(numbers(claimed(engine, "first", NOW, most=16))) == 16
    mark(engine, new, Reason.NEW, NOW + 1)
    assert len(numbers(claimed(engine, "second", NOW + 60, most=16))) == 2, "an eighth of those who were left"
    found = [numbers(claimed(engine, f"{number}", NOW + 60, most=64)) for number in range(3)]
    assert sorted(map(len, found)) == [4, 6, 8], "the others of them, and those who are new"
    assert [one.entity_id for one in new] in found


def test_who_was_left_too_often_is_quarantined(engine: Engine, subjects: list[Subject]) -> None:
    mark(engine, subjects[:1], Reason.NEW)
    for number in range(MOST):
        assert claimed(engine, str(number), NOW + 60 * number).claims[0].attempts == number
    mark(engine, subjects[1:2], Reason.NEW)
    assert numbers(claimed(engine, "last", NOW + 60 * MOST)) == [subjects[1].entity_id]
    found = row(engine, subjects[0])
    assert (found["quarantined"], found["attempts"], found["lease"]) == (True, MOST, None)
    assert "without an answer" in found["error"]
    mark(engine, subjects[:1], Reason.TAG)
    assert row(engine, subjects[0])["attempts"] == 0, "something new is another try"


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("analysed", [True, False])
def test_no_more_are_leased_than_are_asked_for_however_it_is_planned(
    engine: Engine, subjects: list[Subject], most: int, analysed: bool
) -> None:
    """PostgreSQL may look a condition up for each row, and each time it would skip those that it locked before."""
    mark(engine, subjects, Reason.NEW)
    if analysed:
        with engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    assert len(numbers(claimed(engine, "a", most=most))) == most


ASKED = {"now_us": NOW, "organisation": 1, "of_priority": 1, "of_type": 1, "of_attempts": 2, "most": 10}


MANY_MARKS = text(
    """INSERT INTO due_marks
    (entity_id, organisation_id, type_id, revision, due_us, priority, reasons, attempts, quarantined)
    SELECT -n, n % 20 + 1, 1, 1, :now_us + 1000000 * CAST(n AS bigint), n / 20 % 2, 1, 0, false
    FROM generate_series(1, 20000) AS n"""
)
"""Of 20 organisations, all in the future: of few rows, PostgreSQL takes any index, or none."""


def plan_of(engine: Engine, statement: Any) -> str:
    """How the database does it where there are many marks; no time is measured."""
    text_of = str(statement.compile(engine, compile_kwargs={"render_postcompile": True}))
    compiled = statement.compile(engine)
    given = {name: ASKED.get(name, value) for name, value in compiled.params.items()}
    with engine.connect() as connection, connection.begin() as transaction:
        if engine.dialect.name == "sqlite":
            values = tuple(given[name] for name in compiled.positiontup)
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text_of}", values)
            return "\n".join(row.detail for row in rows)
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # the marks have no entities
        connection.execute(MANY_MARKS, {"now_us": NOW})
        connection.exec_driver_sql("ANALYZE due_marks")
        plan = "\n".join(connection.execute(text("EXPLAIN " + with_names(compiled)), given).scalars())
        transaction.rollback()
    return plan


def with_names(compiled: Any) -> str:
    """The statement as SQLAlchemy takes it."""
    return re.sub(r"%\((\w+)\)s(::\w+)?", r"CAST(:\1 AS bigint)", str(compiled))


@pytest.mark.parametrize(
    ("statement", "index", "columns"),
    [
        (claims.FIRST, "ix_due_marks_waiting", "quarantined priority"),
        (claims.QUEUES, "ix_due_marks_queue", "quarantined organisation_id priority"),
        (claims.HEAD, "ix_due_marks_queue", "quarantined organisation_id priority due_us"),
        (claims.FREE_OF_QUEUE[False], "ix_due_marks_queue", "quarantined organisation_id priority due_us"),
        (claims.FREE_OF_QUEUE[True], "ix_due_marks_queue", "quarantined organisation_id priority due_us"),
    ],
)
def test_an_index_leads_to_those_who_are_due_and_nothing_is_sorted(
    engine: Engine, subjects: list[Subject], statement: Any, index: str, columns: str
) -> None:
    """However many marks lie in the future: with a million it took up to 163 ms to find that nobody is due."""
    mark(engine, subjects, Reason.NEW)
    lines = plan_of(engine, statement).splitlines()
    of_marks = [line for line in lines if index in line]
    assert of_marks, lines
    assert not [line for line in lines if "Sort" in line or "TEMP B-TREE" in line], lines
    said = [line for line in lines if "Index Cond" in line] if engine.dialect.name == "postgresql" else of_marks
    for line in said:
        assert all(column in line for column in columns.split()), lines


@pytest.fixture
def bank(engine: Engine) -> Planted:
    return planted(engine)


def test_what_waits_is_counted_for_one_organisation(bank: Planted) -> None:
    of, other = bank.actor.organisation_id, planted(bank.engine, "other")
    ids = bank.add_all([[] for _ in range(4)])
    theirs = other.add()
    with Session(bank.engine) as session, session.begin():
        for number, moment in zip(ids, (5, 9, 10, 3), strict=True):
            due.mark(session, [Subject(number, of, bank.type_id)], Reason.NEW, moment)
        due.mark(session, [Subject(theirs, other.actor.organisation_id, other.type_id)], Reason.NEW, 1)
        session.get_one(DueMark, ids[3]).quarantined = True
    with Session(bank.engine) as session:
        assert queue_depth(session, of, 9) == QueueDepth(2, 5, 1)
        assert queue_depth(session, of, 4) == QueueDepth(0, None, 1)
        assert queue_depth(session, 99, 9) == QueueDepth(0, None, 0)
