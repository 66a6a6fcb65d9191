"""Figures for operators: workers, imports, proofs of the audit log, and open backtests. Begins no transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.audit.history_reading import ADDED
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.operations import AuditProof, ImportRow, WorkerRow
from fivefold.store.tables.rulesets import Backtest


def add_worker(session: Session, started_us: int, now_us: int, before_us: int) -> int:
    """Record that a worker runs since a moment, and delete those last seen before another; return its number."""
    session.execute(delete(WorkerRow).where(WorkerRow.seen_us < before_us))
    row = WorkerRow(started_us=started_us, seen_us=now_us)
    session.add(row)
    session.flush()
    return row.id


def see_worker(session: Session, number: int, started_us: int, now_us: int, *, ended: bool) -> bool:
    """Record that a worker runs, or that it ends; False if its row no longer exists.

    Its start distinguishes it from another worker, to which the database gave the number of a deleted row.
    """
    values = {"seen_us": now_us, **({"ended_us": now_us} if ended else {})}
    its = (WorkerRow.id == number, WorkerRow.started_us == started_us)
    result: Any = session.connection().execute(update(WorkerRow).where(*its).values(**values))
    return bool(result.rowcount)


def workers_since(session: Session, since_us: int, most: int) -> Sequence[WorkerRow]:
    """List the workers seen since a moment, the last seen first."""
    query = select(WorkerRow).where(or_(WorkerRow.seen_us >= since_us, WorkerRow.ended_us.is_(None)))
    return session.scalars(query.order_by(WorkerRow.seen_us.desc(), WorkerRow.id.desc()).limit(most)).all()


def unfinished_import(session: Session, organisation_id: int, source: str) -> ImportRow | None:
    """Find the unfinished import of a source; the last if there are several."""
    of = (ImportRow.organisation_id == organisation_id, ImportRow.source == source, ImportRow.finished_us.is_(None))
    return session.scalar(select(ImportRow).where(*of).order_by(ImportRow.id.desc()).limit(1))


def locked_import(session: Session, number: int, started_us: int) -> ImportRow | None:
    """Read an import, and lock it until the transaction ends; None if a restored database does not have it.

    After a failover that lost it, another import may have its number; the moment of its start tells them apart.
    """
    its = (ImportRow.id == number, ImportRow.started_us == started_us)
    return session.scalars(select(ImportRow).where(*its).with_for_update()).one_or_none()


def imports_of(session: Session, organisation_id: int, part: Part) -> Page[ImportRow]:
    """List an organisation's imports, the newest first."""
    statement = select(ImportRow).where(ImportRow.organisation_id == organisation_id)
    return scalars_of(session, statement, (ImportRow.id,), part, descending=True)


def proof_of(session: Session, organisation_id: int) -> AuditProof | None:
    """Return the last proof of an organisation's log; None if there was none."""
    return session.get(AuditProof, organisation_id)


def last_added_us(session: Session, organisation_id: int) -> int | None:
    """Return when transactions were last added, according to the audit log; None if none ever were."""
    of = (AuditEntry.organisation_id == organisation_id, AuditEntry.action == ADDED)
    return session.scalar(select(func.max(AuditEntry.at_us)).where(*of))


def waiting_backtests(session: Session, organisation_id: int) -> tuple[int, int, int | None]:
    """Count an organisation's open backtests: how many wait and how many run, and when the first was requested."""
    open_ = Backtest.state.in_(("queued", "running"))
    row = session.execute(
        select(
            func.count().filter(Backtest.state == "queued"),
            func.count().filter(Backtest.state == "running"),
            func.min(Backtest.requested_us),
        ).where(Backtest.organisation_id == organisation_id, open_)
    ).one()
    return row[0], row[1], row[2]
