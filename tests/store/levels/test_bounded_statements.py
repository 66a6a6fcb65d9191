"""What pages ask reads what they show, however many customers there are: by statements, and by SQLite's plans."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.store.erasure.old_rows import OldRow, delete_rows
from fivefold.store.ingest.entities import names_of_entities
from fivefold.store.levels.levels import assessments_named, emptied_assessments, level_groups
from fivefold.store.levels.markings import queue_depth
from fivefold.store.levels.overrides import count_with_level
from fivefold.store.sql.arrays import rows_among
from fivefold.store.tables.levels import Assessment, AssessmentInputs
from fivefold.store.tables.rulesets import BacktestMover
from tests.store.plans import plan_of, statements

NAMES = [(1, 1), (2, 1), (2, 3)]


@pytest.mark.parametrize(
    ("read", "has"),
    [
        (lambda session: assessments_named(session, 1, NAMES), r"SEARCH assessments .*\(entity_id=\?"),
        (lambda session: emptied_assessments(session, NAMES), r"SEARCH assessment_inputs .*\(entity_id=\?"),
        (lambda session: names_of_entities(session, 1, [1, 2]), r"SEARCH entities USING INTEGER PRIMARY KEY"),
        (lambda session: queue_depth(session, 1, 9), r"ix_due_marks_queue .*priority=\? AND due_us<\?"),
        (lambda session: level_groups(session, 1, 1), r"ix_standings_(level|assessed) \(organisation_id=\?"),
    ],
    ids=["named", "emptied", "names", "depth", "groups"],
)
def test_an_index_leads_to_what_is_shown(engine: Engine, read: Callable[[Session], Any], has: str) -> None:
    with statements(engine) as asked, Session(engine) as session:
        read(session)
    if engine.dialect.name != "sqlite":
        pytest.skip("asked without an error; its plan depends on the sizes of tables")
    plans = [plan_of(engine, each) for each in asked]
    assert any(re.search(has, plan) for plan in plans), plans
    assert not [plan for plan in plans if re.search(r"SCAN (assessment|standings|due_marks|entities)", plan)], plans


def test_who_has_a_level_is_added_up_and_not_counted_one_by_one(engine: Engine) -> None:
    with statements(engine) as asked, Session(engine) as session:
        assert count_with_level(session, 1) == 0
    assert ["FROM portfolio_counts" in statement and "standings" not in statement for statement, _ in asked] == [True]


@pytest.mark.parametrize("key", [(Assessment.entity_id, Assessment.number), (AssessmentInputs.number,)])
def test_rows_of_one_number_and_of_more_are_found(engine: Engine, key: Any) -> None:
    with statements(engine) as asked, Session(engine) as session:
        rows = [tuple(range(number, number + len(key))) for number in (1, 2, 2**40)]
        assert session.execute(select(*key).where(rows_among(session, key, rows))).all() == []
    assert len(asked) == 1


def test_old_rows_are_deleted_by_their_keys(engine: Engine) -> None:
    key = [BacktestMover.backtest_id, BacktestMover.entity_id]
    with Session(engine) as session, session.begin():
        assert delete_rows(session, BacktestMover, key, [OldRow((1, 2), 3), OldRow((2, 3), 3)]).rows == []
        if engine.dialect.name == "sqlite":
            condition = rows_among(session, key, [(1, 2), (2, 3)])
            compiled = select(BacktestMover.later).where(condition).compile(engine)
            plan = plan_of(engine, (str(compiled), tuple(compiled.params[name] for name in compiled.positiontup or ())))
            assert "SCAN backtest_movers" not in plan
            assert "SEARCH backtest_movers" in plan
