"""What the service counted, kept by worker, version and day."""

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fivefold.store.monitoring import drift_counts as watching
from fivefold.store.tables.accounts import DriftCount


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
