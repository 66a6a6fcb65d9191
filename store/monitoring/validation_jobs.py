"""Validations that workers make: leased as `store.sql.jobs` says. Nothing here begins or ends a transaction."""

from typing import Any, cast

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.sql.jobs import claim_job, job_waits, update_leased_job
from fivefold.store.tables.events import ValidationJob

_JOBS = cast("Table", ValidationJob.__table__)


def open_job(session: Session, organisation_id: int, from_us: int, until_us: int) -> ValidationJob | None:
    """Find the validation of a time that waits or runs."""
    statement = select(ValidationJob).where(
        ValidationJob.organisation_id == organisation_id,
        ValidationJob.from_us == from_us,
        ValidationJob.until_us == until_us,
        ValidationJob.state.in_(("queued", "running")),
    )
    return session.scalar(statement)


def open_jobs(session: Session, organisation_id: int) -> list[ValidationJob]:
    """List the validations of an organisation that wait or run, the first asked for comes first."""
    statement = select(ValidationJob).where(
        ValidationJob.organisation_id == organisation_id, ValidationJob.state.in_(("queued", "running"))
    )
    return list(session.scalars(statement.order_by(ValidationJob.id)))


def job_numbered(session: Session, organisation_id: int, number: int) -> ValidationJob:
    """Find a validation that a worker makes; NotFoundError where the organisation has none of that number."""
    row = session.get(ValidationJob, number)
    if row is None or row.organisation_id != organisation_id:
        raise NotFoundError(f"there is no validation {number} that was asked for")
    return row


def claim_validation(session: Session, now_us: int, until_us: int) -> tuple[int, int] | None:
    """Lease the validation that waits longest, or whose lease expired: its number, and the attempt, from 1; or None."""
    return claim_job(session, _JOBS, now_us, until_us)


def update_leased(session: Session, number: int, held_us: int, **values: Any) -> bool:
    """Update a validation whose lease runs until *held_us*; False, with nothing changed, if it no longer does."""
    return update_leased_job(session, _JOBS, number, held_us, **values)


def is_waiting(session: Session, now_us: int) -> bool:
    """Tell whether a validation waits for a worker."""
    return job_waits(session, _JOBS, now_us)
