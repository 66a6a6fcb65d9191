"""Counts for an operator: each organisation's own, deliveries by partial indexes, and what the service counted."""

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import BULK, Reason, Subject
from fivefold.store.monitoring import drift_counts as watching
from fivefold.store.monitoring import statistics as figures
from fivefold.store.monitoring.statistics import LevelCount
from fivefold.store.tables.accounts import DriftCount
from fivefold.store.tables.events import MaterialChange, ValidationRun
from fivefold.store.tables.levels import DueMark
from tests.usecases.planted import Planted, Step, day, planted

NOW = day(50)


@pytest.fixture
def both(engine: Engine) -> tuple[Planted, Planted]:
    return planted(engine), planted(engine, "other")


def test_who_stands_where(both: tuple[Planted, Planted]) -> None:
    bank, other = both
    bank.add_all([[Step(day(1), 1, level, level)] for level in (1, 1, 3)] + [[Step(day(1), None, None, None)]])
    other.add(Step(day(1), 1, 2, 2))
    with Session(bank.engine) as session:
        found = figures.level_counts(session)
        assert [number for number, _ in figures.organisations_with_levels(session)] == [1, 2]
    assert sorted(found, key=str) == sorted(
        [
            LevelCount(1, "customer", None, 1), LevelCount(1, "customer", 1, 2), LevelCount(1, "customer", 3, 1),
            LevelCount(2, "customer", 2, 1),
        ],
        key=str,
    )  # fmt: skip


def test_who_waits(both: tuple[Planted, Planted]) -> None:
    bank, other = both
    ids = bank.add_all([[] for _ in range(4)])
    theirs = other.add()
    with Session(bank.engine) as session, session.begin():
        for number, moment, priority in zip(ids, (NOW, NOW - 5, NOW + 1, 3), (0, BULK, 0, 0), strict=True):
            due.mark(session, [Subject(number, 1, bank.type_id)], Reason.NEW, moment, priority)
        due.mark(session, [Subject(theirs, 2, other.type_id)], Reason.NEW, 7)
        session.get_one(DueMark, ids[3]).quarantined = True
    with Session(bank.engine) as session:
        assert sorted(figures.due_counts(session, NOW)) == [(1, 2, NOW - 5), (2, 1, 7)]
        assert figures.quarantined_counts(session) == [(1, 1)]


def test_overrides_that_hold(both: tuple[Planted, Planted]) -> None:
    bank, other = both
    bank.add_all([[Step(day(1), 1, 2, 2)] for _ in range(5)])
    entity = other.add(Step(day(1), 1, 3, 3))
    bank.override(1, 1, day(2))
    bank.override(2, 3, day(2), until_us=NOW + 1)
    bank.override(3, 1, day(2), until_us=NOW)
    bank.override(4, 1, day(2), state="revoked", revoked_us=day(3))
    bank.override(5, 1, day(2), state="requested", decided_us=None)
    other.override(entity, 1, day(2))
    with Session(bank.engine) as session:
        assert sorted(figures.override_counts(session, NOW)) == [(1, 2, 1), (2, 1, 1)]


def test_changes_and_validations(both: tuple[Planted, Planted]) -> None:
    with Session(both[0].engine) as session, session.begin():
        for of, until_us in ((1, 5), (1, 9), (1, 7), (2, 3)):
            session.add(
                ValidationRun(organisation_id=of, trigger="", from_us=0, until_us=until_us, made_us=1, report={})
            )
            session.flush()
        for of, signed_us in ((1, None), (1, 5), (2, None), (2, None)):
            session.add(
                MaterialChange(
                    organisation_id=of, kind="product", description="d", registered_by="a", registered_us=1,
                    signed_us=signed_us,
                )
            )  # fmt: skip
    with Session(both[0].engine) as session:
        assert figures.latest_runs(session) == {1: (2, 1), 2: (4, 1)}
        assert sorted(run.id for run in figures.runs(session, [2, 4])) == [2, 4]
        assert sorted(figures.open_change_counts(session)) == [(1, 1), (2, 2)]


def test_who_is_due_is_found_by_the_index(both: tuple[Planted, Planted]) -> None:
    """On SQLite, which says plainly what it does: with few due of many it must not go through all."""
    engine = both[0].engine
    if engine.dialect.name != "sqlite":
        pytest.skip("asked of SQLite")
    from sqlalchemy import event

    asked: list[tuple[str, object]] = []
    event.listen(engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
    with Session(engine) as session:
        figures.due_counts(session, NOW)
        statement, values = [each for each in asked if "due_marks" in each[0]][-1]
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()  # type: ignore[arg-type]  # as it was asked
    assert "ix_due_marks_waiting" in str(plan[0]), text(str(plan))


def keep(engine: Engine, worker: str, version: int, day: str, counts: list[int], model: str = "value") -> None:
    with Session(engine) as session, session.begin():
        watching.store_counts(session, worker, model, version, day, counts)


def test_what_is_kept_again_replaces_what_was_kept(engine: Engine) -> None:
    for counts in ([1], [2]):
        keep(engine, "w", 1, "2026-11-20", counts)
    with Session(engine) as session:
        assert list(watching.counts_since(session, "value", 1, "2026-11-20")) == [[2]]
        assert session.scalar(select(func.count()).select_from(DriftCount)) == 1


def test_workers_versions_models_and_days_are_kept_apart(engine: Engine) -> None:
    keep(engine, "w", 1, "2026-11-20", [1])
    keep(engine, "x", 1, "2026-11-20", [3])
    keep(engine, "w", 1, "2026-12-01", [2])
    keep(engine, "w", 2, "2026-11-20", [4])
    keep(engine, "w", 1, "2026-11-20", [5], model="another")
    with Session(engine) as session:
        assert sorted(watching.counts_since(session, "value", 1, "2026-11-20")) == [
            [1],
            [2],
            [3],
        ]
        assert list(watching.counts_since(session, "value", 1, "2026-11-21")) == [[2]]
        assert list(watching.counts_since(session, "value", 1, "2026-12-02")) == []
        assert list(watching.counts_since(session, "value", 2, "2026-01-01")) == [[4]]
