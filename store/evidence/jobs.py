"""Evidence that workers collect: leased as `store.sql.jobs` says. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.sql.jobs import OPEN
from fivefold.store.tables.events import EvidenceJob

_OPEN = EvidenceJob.state.in_(OPEN)


def open_job(session: Session, organisation_id: int, quarter: str) -> EvidenceJob | None:
    """Find the evidence of a quarter that waits or is collected."""
    return session.scalar(
        select(EvidenceJob).where(EvidenceJob.organisation_id == organisation_id, EvidenceJob.quarter == quarter, _OPEN)
    )


def jobs_since(session: Session, organisation_id: int, since_us: int, most: int) -> Sequence[EvidenceJob]:
    """List what waits, is collected, or was asked for since a moment, the newest first."""
    statement = select(EvidenceJob).where(
        EvidenceJob.organisation_id == organisation_id, _OPEN | (EvidenceJob.requested_us >= since_us)
    )
    return session.scalars(statement.order_by(EvidenceJob.id.desc()).limit(most)).all()


def job_numbered(session: Session, organisation_id: int, number: int) -> EvidenceJob:
    """Find evidence that was asked for; NotFoundError where the organisation has none of that number."""
    row = session.get(EvidenceJob, number)
    if row is None or row.organisation_id != organisation_id:
        raise NotFoundError(f"there is no evidence {number} that was asked for")
    return row


def forget_archives(session: Session, until_us: int) -> int:
    """Forget the archives that were finished up to a moment; tell how many."""
    kept = (EvidenceJob.finished_us <= until_us, EvidenceJob.content.is_not(None))
    result = session.execute(update(EvidenceJob).where(*kept).values(content=None))
    return int(result.rowcount)  # type: ignore[attr-defined]  # an update has one
