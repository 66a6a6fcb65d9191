"""Queries about what the service counted. None of them begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fivefold.store.tables.accounts import Counted


def store_counts(session: Session, worker: str, model: str, version: int, day: str, counts: str) -> None:
    """Set what a worker counted on a day."""
    key = {"worker": worker, "model": model, "version": version, "day": day}
    upsert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = upsert(Counted).values(**key, counts=counts)
    session.execute(row.on_conflict_do_update(index_elements=list(key), set_={"counts": counts}))


def counts_since(session: Session, model: str, version: int, day: str) -> Sequence[str]:
    """Give everything that workers counted for a version since a day."""
    of_version = select(Counted.counts).where(Counted.model == model, Counted.version == version, Counted.day >= day)
    return session.scalars(of_version).all()
