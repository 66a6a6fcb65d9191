"""Collections of evidence by workers, leased as described in `store.sql.jobs`. Nothing here begins a transaction."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.sql.jobs import OPEN
from fivefold.store.tables.events import EvidenceJob

_OPEN = EvidenceJob.state.in_(OPEN)


def open_job(session: Session, organisation_id: int, quarter: str) -> EvidenceJob | None:
    """Find the waiting or running collection for a quarter."""
    return session.scalar(
        select(EvidenceJob).where(EvidenceJob.organisation_id == organisation_id, EvidenceJob.quarter == quarter, _OPEN)
    )


def jobs_since(session: Session, organisation_id: int, since_us: int, most: int) -> Sequence[EvidenceJob]:
    """List the collections that wait, run, or were requested since a moment, the newest first."""
    statement = select(EvidenceJob).where(
        EvidenceJob.organisation_id == organisation_id, _OPEN | (EvidenceJob.requested_us >= since_us)
    )
    return session.scalars(statement.order_by(EvidenceJob.id.desc()).limit(most)).all()


def job_numbered(session: Session, organisation_id: int, number: int) -> EvidenceJob:
    """Find a requested collection; NotFoundError if the organisation has none of that number."""
    row = session.get(EvidenceJob, number)
    if row is None or row.organisation_id != organisation_id:
        raise NotFoundError(f"there is no requested evidence {number}")
    return row


def forget_archives(session: Session, until_us: int) -> int:
    """Delete the content of archives that were finished up to a moment; return how many."""
    expired = (EvidenceJob.finished_us <= until_us, EvidenceJob.content.is_not(None))
    result = session.execute(update(EvidenceJob).where(*expired).values(content=None))
    return int(result.rowcount)  # type: ignore[attr-defined]  # an update has one
