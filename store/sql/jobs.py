"""Jobs that workers take one by one: leased, and restarted once a lease ends.

Nothing here begins or ends a transaction. A table of jobs has the columns id, state, attempts, requested_us,
lease_until_us, done and total. A worker leases a job until `lease_until_us`, and extends the lease as it goes; that
moment also identifies its lease.
"""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, and_, or_, select, update
from sqlalchemy.orm import Session

from fivefold.store.sql.clocks import lease_is_over

OPEN: Final = ("queued", "running")
"""The states of a job that has not ended."""


def claim_job(session: Session, table: Table, now_us: int, until_us: int) -> tuple[int, int] | None:
    """Lease the job that has waited longest, or whose lease expired: its number, and the attempt, from 1; or None."""
    first = (
        select(table.c.id)
        .where(_is_waiting(table, now_us))
        .order_by(table.c.requested_us, table.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(table)
        .where(table.c.id == first.scalar_subquery())  # looked up once, and locks one row
        .values(state="running", lease_until_us=until_us, done=0, total=0, attempts=table.c.attempts + 1)
        .returning(table.c.id, table.c.attempts)
    )
    row = session.execute(statement).one_or_none()
    return None if row is None else (row.id, row.attempts)


def update_leased_job(session: Session, table: Table, number: int, held_us: Collection[int], **values: Any) -> bool:
    """Update a job whose lease runs until one of *held_us*; False, without a change, if the lease was lost."""
    mine = (table.c.id == number, table.c.state == "running", table.c.lease_until_us.in_(held_us))
    result: Any = session.execute(update(table).where(*mine).values(**values))
    return bool(result.rowcount)


def job_waits(session: Session, table: Table, now_us: int) -> bool:
    """Return whether a job waits for a worker."""
    return session.scalar(select(table.c.id).where(_is_waiting(table, now_us)).limit(1)) is not None


def _is_waiting(table: Table, now_us: int) -> ColumnElement[bool]:
    is_expired = and_(table.c.state == "running", lease_is_over(table.c.lease_until_us, now_us))
    return or_(table.c.state == "queued", is_expired)
