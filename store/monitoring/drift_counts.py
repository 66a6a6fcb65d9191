"""The service's drift counts. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.accounts import DriftCount


def store_counts(session: Session, worker: str, model: str, version: int, day: str, counts: list[int]) -> None:
    """Set a worker's counts of a day."""
    key = {"worker": worker, "model": model, "version": version, "day": day}
    row = INSERTS[session.get_bind().dialect.name](DriftCount).values(**key, counts=counts)
    session.execute(row.on_conflict_do_update(index_elements=list(key), set_={"counts": counts}))


def counts_since(session: Session, model: str, version: int, day: str) -> Sequence[list[int]]:
    """Return all workers' counts for a version since a day."""
    of_version = select(DriftCount.counts).where(
        DriftCount.model == model, DriftCount.version == version, DriftCount.day >= day
    )
    return session.scalars(of_version).all()
