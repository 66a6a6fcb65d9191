"""Validations in the background: asked for by a person, made by a worker, which says how far it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.accounts.organisation import settings_row
from fivefold.store.monitoring.validation_jobs import job_numbered, open_job, open_jobs
from fivefold.store.tables.events import ValidationJob
from fivefold.usecases.monitoring.history import ValidationPeriod
from fivefold.usecases.monitoring.validate import checked_period, keep_validation, measured_levels
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason
from fivefold.usecases.shared.jobs import JobKind, Lease, run_next_job


@dataclass(frozen=True, kw_only=True)
class ValidationJobLine:
    """A validation that a worker makes.

    Attributes:
        state: queued, running, done, failed, or quarantined where it ended `attempts` workers.
        done: of `total`, in the words of `part`; both 0 before it begins.
        error: why it failed or is quarantined.
        validation: the number of what was found; None until it is done.
    """

    id: int
    from_us: int
    until_us: int
    reason: str
    state: str
    attempts: int
    part: str | None
    done: int
    total: int
    requested_by: str
    requested_us: int
    finished_us: int | None
    error: str | None
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
        job = ValidationJob(
            organisation_id=context.organisation_id,
            from_us=period.from_us,
            until_us=period.until_us,
            reason=why,
            state="queued",
            attempts=0,
            requested_by=context.actor.name,
            requested_us=now,
            done=0,
            total=0,
        )
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
    return ValidationJobLine(
        id=row.id,
        from_us=row.from_us,
        until_us=row.until_us,
        reason=row.reason,
        state=row.state,
        attempts=row.attempts,
        part=row.part,
        done=row.done,
        total=row.total,
        requested_by=row.requested_by,
        requested_us=row.requested_us,
        finished_us=row.finished_us,
        error=row.error,
        validation=row.validation_id,
    )


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


VALIDATION = JobKind("validation", ValidationJob, _begin)
