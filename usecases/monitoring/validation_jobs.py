"""Validations in the background: asked for by a person, made by a worker, which says how far it is."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import resolve_now
from fivefold.domain.errors import FivefoldError, StoreError
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.monitoring.validation_jobs import (
    claim_validation,
    is_waiting,
    job_numbered,
    open_job,
    open_jobs,
    update_leased,
)
from fivefold.store.sql.database import raise_if_out_of_reach, reading, writing
from fivefold.store.tables.events import ValidationJob
from fivefold.usecases.monitoring.history import ValidationPeriod
from fivefold.usecases.monitoring.validate import checked_period, keep_validation, measured_levels
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason

log = structlog.get_logger("fivefold.validations")

LEASE_US = 300_000_000
"""Five minutes, set anew with every part; a part takes seconds."""
MOST_ATTEMPTS = 3
"""After so many workers that ended while they made it, a validation is quarantined."""


class _LeaseLostError(Exception):
    """Another worker has the validation now."""


class _StoppedError(Exception):
    """The worker is asked to end, and gives the validation back."""


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
    """Make the validation that waits longest, as of now; False where none waits.

    Where it cannot be made, why is kept with it. One whose worker died is made again by the next that asks; one that
    ended `MOST_ATTEMPTS` workers is quarantined. Where *stopping* says that the worker is to end, it waits for the next
    one. It is in the audit log once, by who asked for it, when it is kept.
    """
    now = resolve_now(now_us)
    with reading(engine) as session:
        if not is_waiting(session, now):
            return False
    with writing(engine) as session:
        claimed = claim_validation(session, now, now + LEASE_US)
        if claimed is None:
            return False
        number, attempt = claimed
        job = session.get_one(ValidationJob, number)
        if attempt > MOST_ATTEMPTS:
            _quarantine(job, now)
            return True
        who = Context(engine, Actor(job.organisation_id, job.requested_by))
        period, reason = ValidationPeriod(job.from_us, job.until_us), job.reason
    _run(_Lease(who, number, attempt, now, stopping), period, reason)
    return True


def _quarantine(job: ValidationJob, now_us: int) -> None:
    job.state, job.attempts = "quarantined", MOST_ATTEMPTS
    job.error = f"its worker ended {MOST_ATTEMPTS} times while it was made; ask for it again once the reason is found"
    job.lease_until_us, job.finished_us = None, now_us
    log.warning("validation quarantined", validation_job=job.id)


class _Lease:
    """Holds a validation that is made, and lets it go once."""

    def __init__(self, who: Context, number: int, attempt: int, now_us: int, stopping: Callable[[], bool]) -> None:
        self.who, self.number, self.began_us = who, number, now_us
        self._attempt, self._stopping = attempt, stopping
        self._until_us = now_us + LEASE_US
        self._start_ns = monotonic_ns()

    def progress(self, done: int, total: int, part: str) -> None:
        if self._stopping():
            raise _StoppedError
        until = self._now_us() + LEASE_US
        with self.who.writing() as session:
            self._set(session, done=done, total=total, part=part, lease_until_us=until)
        self._until_us = until

    def give_back(self) -> None:
        with self.who.writing() as session:
            self._set(session, state="queued", attempts=self._attempt - 1, done=0, total=0, lease_until_us=None)

    def keep(self, reason: str, report: dict[str, Any]) -> None:
        """Keep what was found, if the lease is still held: of two workers one keeps it."""
        with self.who.writing() as session:
            self._set(session, state="done", finished_us=self._now_us(), lease_until_us=None)
            job = session.get_one(ValidationJob, self.number)
            job.validation_id = keep_validation(session, self.who, reason, report).id

    def fail(self, why: str) -> None:
        with self.who.writing() as session:
            self._set(session, state="failed", error=why, finished_us=self._now_us(), lease_until_us=None)

    def _now_us(self) -> int:
        return self.began_us + (monotonic_ns() - self._start_ns) // 1000

    def _set(self, session: Session, **values: Any) -> None:
        if not update_leased(session, self.number, self._until_us, **values):
            raise _LeaseLostError


def _run(lease: _Lease, period: ValidationPeriod, reason: str) -> None:
    try:
        report = measured_levels(lease.who, period, lease.began_us, progress=lease.progress)
        lease.keep(reason, report)
    except _LeaseLostError:
        log.warning("validation taken over", validation_job=lease.number)
    except _StoppedError:
        with suppress(_LeaseLostError):
            lease.give_back()
    except StoreError:
        raise  # it is begun again once the database is back
    except FivefoldError as error:
        _fail(lease, str(error))
    except Exception as error:  # noqa: BLE001 (any error must be logged, and must not stop the worker)
        raise_if_out_of_reach(error)
        log.warning("validation not made", validation_job=lease.number, error=type(error).__name__)
        _fail(lease, f"it broke off: {type(error).__name__}")


def _fail(lease: _Lease, why: str) -> None:
    with suppress(_LeaseLostError):
        lease.fail(why)
