"""Validations in the background: asked for by a person, made by a worker, which says how far it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.accounts.organisation import settings_row
from fivefold.store.monitoring.validation import job_numbered, open_job, open_jobs
from fivefold.store.tables.events import ValidationJob
from fivefold.usecases.monitoring.history import ValidationPeriod
from fivefold.usecases.monitoring.validate import checked_period, keep_validation, measured_levels
from fivefold.usecases.shared.api_fields import row_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason
from fivefold.usecases.shared.jobs import JobKind, JobLine, Lease, new_job, run_next_job


@dataclass(frozen=True, kw_only=True)
class ValidationJobLine(JobLine):
    """A validation that a worker makes; `validation` is the number of what was found, None until it is done."""

    from_us: int
    until_us: int
    reason: str
    validation: int | None


def request_validation(context: Context, from_us: int, until_us: int, reason: str) -> tuple[ValidationJobLine, bool]:
    """Ask for a validation of a time; give it, and whether it is new: of a time there is one at once.

    Raises:
        ConfigError: the time is empty or not over, or there is no reason.
        ConflictError: the organisation has not chosen its levels yet.
    """
    now = context.now()
    period, why = checked_period(from_us, until_us, now), checked_reason(reason)
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        present = open_job(session, context.organisation_id, period.from_us, period.until_us)
        if present is not None:
            return _line(present), False
        wanted = {"from_us": period.from_us, "until_us": period.until_us, "reason": why}
        job = ValidationJob(**new_job(context, now), **wanted)
        session.add(job)
        session.flush()
        return _line(job), True


def read_validation_job(context: Context, number: int) -> ValidationJobLine:
    """Show how far a validation is; NotFoundError where none of that number was asked for."""
    with context.reading() as session:
        return _line(job_numbered(session, context.organisation_id, number))


def list_open_validations(context: Context) -> list[ValidationJobLine]:
    """List the validations that wait or run."""
    with context.reading() as session:
        return [_line(row) for row in open_jobs(session, context.organisation_id)]


def _line(row: ValidationJob) -> ValidationJobLine:
    return row_as(ValidationJobLine, row, validation=row.validation_id)


def run_next_validation(
    engine: Engine, now_us: int | None = None, *, stopping: Callable[[], bool] = lambda: False
) -> bool:
    """Make the validation that waits longest, as `run_next_job` says; it is in the audit log once, when it is kept."""
    return run_next_job(engine, VALIDATION, now_us, stopping=stopping)


def _begin(job: ValidationJob) -> Callable[[Lease], None]:
    period, reason = ValidationPeriod(job.from_us, job.until_us), job.reason

    def make(lease: Lease) -> None:
        report = measured_levels(lease.who, period, lease.began_us, progress=lease.progress)

        def write(session: Session) -> dict[str, Any]:
            return {"validation_id": keep_validation(session, lease.who, reason, report).id}

        lease.keep(write)

    return make


VALIDATION = JobKind(name="validation", rows=ValidationJob, begin=_begin)
