"""Validations by workers, leased as described in `store.sql.jobs`. Nothing here begins or ends a transaction."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.sql.jobs import OPEN
from fivefold.store.tables.events import ValidationJob


def open_job(session: Session, organisation_id: int, from_us: int, until_us: int) -> ValidationJob | None:
    """Find the waiting or running validation of a period."""
    statement = select(ValidationJob).where(
        ValidationJob.organisation_id == organisation_id,
        ValidationJob.from_us == from_us,
        ValidationJob.until_us == until_us,
        ValidationJob.state.in_(OPEN),
    )
    return session.scalar(statement)


def open_jobs(session: Session, organisation_id: int) -> list[ValidationJob]:
    """List the waiting and running validations of an organisation, in the order of their requests."""
    statement = select(ValidationJob).where(
        ValidationJob.organisation_id == organisation_id, ValidationJob.state.in_(OPEN)
    )
    return list(session.scalars(statement.order_by(ValidationJob.id)))


def job_numbered(session: Session, organisation_id: int, number: int) -> ValidationJob:
    """Find a validation that a worker makes; NotFoundError if the organisation has none of that number."""
    row = session.get(ValidationJob, number)
    if row is None or row.organisation_id != organisation_id:
        raise NotFoundError(f"there is no requested validation {number}")
    return row
