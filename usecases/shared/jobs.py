"""Jobs that a worker runs for a person, one by one: leased, stored at most once, with their progress.

If a job fails, the reason is stored with it. The next worker runs a job again whose worker died. After the number of
unfinished attempts that its kind allows a job is quarantined, as it probably kills its workers. A worker that lost the
database returns its job once the database answers; after `FREE_LOSSES` that counts as an attempt, as the job may be the
reason. It also returns the job if another transaction held a lock for too long, which never counts.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Event, Lock, Thread
from time import monotonic_ns
from typing import Annotated, Any, Final, cast
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import Engine, Table, case
from sqlalchemy.orm import Session

from fivefold.domain.clock import resolve_now
from fivefold.domain.errors import FivefoldError, LockedError, StoreError
from fivefold.domain.files import disk_error_behind
from fivefold.store.sql.database import raise_if_out_of_reach, reading, writing
from fivefold.store.sql.jobs import claim_job, job_waits, update_leased_job
from fivefold.store.sql.reasons import cause_text
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

log = structlog.get_logger("fivefold.jobs")

LEASE_US = 300_000_000
"""Five minutes. The lease is renewed while the job runs, so that it ends soon after its worker, however long a part is.
"""
HOLD_US = LEASE_US // 10
"""How often the lease is renewed, and how often `Lease.hold` stores the progress."""
LONGEST_PART_US = 12 * LEASE_US
"""A job without progress for this long counts as stuck, and its lease is no longer renewed."""
FREE_LOSSES = 2
"""The losses of the database during a job that do not count as attempts; further ones do, like a worker's own end."""
MOST_ATTEMPTS = 3
"""The unfinished attempts after which a job is quarantined, unless its kind has another number."""


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """A job with its progress.

    Attributes:
        state: queued, running, done, failed, or quarantined after `attempts` in which its worker ended or lost the
            database.
        done: how much of `total` (0 if unknown) is done, counted in what `part` names; both are 0 before it begins.
        error: why it failed or is quarantined.
    """

    id: int
    state: str
    attempts: int
    part: str | None
    done: int
    total: int
    requested_by: str
    requested_us: Annotated[Moment, shown_as("requested_at")]
    finished_us: Annotated[Moment | None, shown_as("finished_at")]
    error: str | None


def new_job(context: Context, now_us: int) -> dict[str, Any]:
    """Return the columns of a job that an actor requests now."""
    columns = {"organisation_id": context.organisation_id, "requested_by": context.actor.name, "requested_us": now_us}
    return {**columns, "state": "queued", "attempts": 0, "done": 0, "total": 0}


class _LeaseLostError(Exception):
    """Another worker has the job now, or it was cancelled."""


class _StoppedError(Exception):
    """The worker has to stop, and returns the job."""


def _do_nothing(_session: Session, _job: Any) -> None:
    """Do nothing, as most kinds store no intermediate results and record no end."""


@dataclass(frozen=True, kw_only=True)
class JobKind:
    """A kind of job.

    Attributes:
        name: its name in the log.
        rows: the class of its rows, with the columns that `store.sql.jobs` names and `requested_by`.
        begin: reads the request from a row, and returns the function that computes and stores the result.
        most_attempts: the number of attempts in which the worker ended, got stuck or lost the database after which a
            job is quarantined.
        discard: removes what an earlier attempt stored by `Lease.store`, by the job's number.
        record_end: records that a job is done, failed or quarantined, as the last step of that transaction.
        after_quarantine: what people can do about a quarantined job, in words.
    """

    name: str
    rows: type[Any]
    begin: Callable[[Any], Callable[["Lease"], None]]
    most_attempts: int = MOST_ATTEMPTS
    discard: Callable[[Session, int], None] = _do_nothing
    record_end: Callable[[Session, Any], None] = _do_nothing
    after_quarantine: str = "request it again once the reason is found"

    @property
    def table(self) -> Table:
        """The table of its rows."""
        return cast("Table", self.rows.__table__)


class Lease:
    """Holds a running job, and releases it once.

    Attributes: who: the context of the person who requested the job, and in whose name it is recorded, with the
    worker's time. attempt: the number of the attempt, from 1. began_us: when the attempt began.
    """

    def __init__(
        self,
        who: Context,
        kind: JobKind,
        number: int,
        attempt: int,
        began_us: int,
        stopping: Callable[[], bool],
    ) -> None:
        """Hold the job of a kind and number; *stopping* returns whether the worker has to stop."""
        self.who, self.number, self.began_us = replace(who, clock=self._now_us), number, began_us
        self.attempt = attempt
        self._kind, self._stopping = kind, stopping
        self._ends_us = {began_us + LEASE_US}  # after a commit without an answer either end may be stored
        self._start_ns = monotonic_ns()
        self._progress_us = began_us
        self._turn, self._is_released = Lock(), Event()

    def progress(
        self, done: int, total: int, part: str, write: Callable[[Session], dict[str, Any]] | None = None
    ) -> None:
        """Store the progress: *part* names what is counted, if anything; a *total* of 0 is unknown.

        *write* stores intermediate results in the same transaction, and returns the values of the job's own columns: a
        worker that takes the job over continues from there. Without *write*, progress that meets a lock is stored the
        next time.
        """
        if self._stopping():
            raise _StoppedError
        self._progress_us = self._now_us()
        try:
            self._renew({"done": done, "total": total, "part": part or None}, write)
        except LockedError:
            if write is not None:
                raise

    def hold(self, done: int, total: int, part: str) -> None:
        """Call `progress` if that was not called for a while, or the worker has to stop; cheap to call often."""
        if self._stopping() or self._now_us() - self._progress_us > HOLD_US:
            self.progress(done, total, part)

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the lease regularly within this context, unless it is lost or the job is stuck."""
        thread = Thread(target=self._renew_until_released, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_released.set()
            thread.join()

    def _renew_until_released(self) -> None:
        while not self._is_released.wait(HOLD_US / 1e6):
            if self._now_us() - self._progress_us > LONGEST_PART_US:
                log.error("job stands still", kind=self._kind.name, job=self.number)
                return
            try:
                self._renew({})
            except _LeaseLostError:
                return  # the job's function learns of it when it next stores anything
            except UNEXPECTED_ERRORS as error:  # the next renewal may be in time
                log.warning("lease not renewed", kind=self._kind.name, job=self.number, error=cause_text(error))

    def _renew(self, values: Mapping[str, Any], write: Callable[[Session], dict[str, Any]] | None = None) -> None:
        with self._turn:
            until = self._now_us() + LEASE_US
            self._ends_us.add(until)
            with self.who.writing() as session:
                self._set(session, **values, lease_until_us=until)
                self._write(session, write)
            self._ends_us = {until}

    def store(self, write: Callable[[Session], None]) -> None:
        """Store an intermediate result, if the lease is still held; another attempt begins without it (`discard`)."""
        with self._turn, self.who.writing() as session:
            self._set(session, attempts=self.attempt)  # unchanged: this only checks that the lease is held
            write(session)

    def keep(self, write: Callable[[Session], dict[str, Any]]) -> None:
        """Store the result, in one transaction with the end of the job, if the lease is still held.

        *write* stores results in other tables, and returns the values of the job's own columns.
        """
        with self._turn, self.who.writing() as session:
            job = self._kind.table.c
            done = case((job.total > job.done, job.total), else_=job.done)  # the last part was not counted yet
            self._set(session, state="done", done=done, finished_us=self._now_us(), lease_until_us=None)
            self._write(session, write)
            self._record_end(session)

    def _write(self, session: Session, write: Callable[[Session], dict[str, Any]] | None) -> None:
        job = None if write is None else session.get_one(self._kind.rows, self.number)
        for name, value in ({} if write is None else write(session)).items():
            setattr(job, name, value)

    def give_back(self) -> None:
        """Return the job to the queue for another worker; this attempt does not count."""
        with self.who.writing() as session:
            self._return(session, self.attempt - 1)

    def fail(self, why: str) -> None:
        """End the job without a result."""
        with suppress(_LeaseLostError), self.who.writing() as session:
            self._set(session, state="failed", error=why, finished_us=self._now_us(), lease_until_us=None)
            self._record_end(session)

    def take_back(self, *, counts: bool) -> None:
        """Return the job to the queue after this worker lost the database; *counts*: whether that is an attempt."""
        with suppress(_LeaseLostError), self.who.writing() as session:
            self._return(session, self.attempt - (not counts))

    def _return(self, session: Session, attempts: int) -> None:
        self._set(session, state="queued", attempts=attempts, done=0, total=0, lease_until_us=None)
        self._kind.discard(session, self.number)

    def _record_end(self, session: Session) -> None:
        self._kind.record_end(session, session.get_one(self._kind.rows, self.number))

    def _now_us(self) -> int:
        return self.began_us + (monotonic_ns() - self._start_ns) // 1000

    def _set(self, session: Session, **values: Any) -> None:
        if not update_leased_job(session, self._kind.table, self.number, self._ends_us, **values):
            raise _LeaseLostError


@dataclass
class _LostJobs:
    """The jobs of one kind and database during which this process lost the database.

    Attributes: leases: the leases to take back, each with whether that counts as an attempt. losses: their number, by
    job.
    """

    leases: list[tuple[Lease, bool]] = field(default_factory=list)
    losses: Counter[int] = field(default_factory=Counter)

    def add(self, lease: Lease, error: StoreError) -> None:
        """Note a loss, to take its lease back later. A lock held by others never counts."""
        is_locked = isinstance(error, LockedError)
        self.losses[lease.number] += not is_locked
        self.leases.append((lease, not is_locked and self.losses[lease.number] > FREE_LOSSES))

    def take_back(self) -> None:
        """Take the leases back that are still held; StoreError while the database does not answer."""
        while self.leases:
            lease, counts = self.leases[-1]
            lease.take_back(counts=counts)
            self.leases.pop()


_LOST: Final[WeakKeyDictionary[Engine, dict[str, _LostJobs]]] = WeakKeyDictionary()
"""Lost jobs by database and kind; each kind has one task in a worker, so threads do not share them."""


def run_next_job(
    engine: Engine, kind: JobKind, now_us: int | None = None, *, stopping: Callable[[], bool] = lambda: False
) -> bool:
    """Run the job that has waited longest; return False if none waits.

    If *stopping* says that the worker has to stop, the job waits for the next worker.
    """
    now = resolve_now(now_us)
    lost = _LOST.setdefault(engine, {}).setdefault(kind.name, _LostJobs())
    lost.take_back()
    with reading(engine) as session:
        if not job_waits(session, kind.table, now):
            return False
    lease: Lease | None = None
    try:
        with writing(engine) as session:
            claimed = claim_job(session, kind.table, now, now + LEASE_US)
            if claimed is None:
                return False
            number, attempt = claimed
            job = session.get_one(kind.rows, number)
            if attempt > 1:
                kind.discard(session, number)
            if attempt > kind.most_attempts:
                _quarantine(session, kind, job, now)
                return True
            who = Context(engine, Actor(job.organisation_id, job.requested_by))
            lease = Lease(who, kind, number, attempt, now, stopping)
            make = kind.begin(job)
        _run(kind, lease, make)
    except StoreError as error:
        if lease is not None:
            lost.add(lease, error)
        raise
    lost.losses.pop(number, None)
    return True


def _quarantine(session: Session, kind: JobKind, job: Any, now_us: int) -> None:
    job.state, job.attempts = "quarantined", kind.most_attempts
    job.error = (
        f"its worker ended, stood still, or lost the database, at least {kind.most_attempts} times while it ran"
        f"{f', the last time at {job.part}' if job.part else ''}; {kind.after_quarantine}"
    )
    job.lease_until_us, job.finished_us = None, now_us
    log.warning("job quarantined", kind=kind.name, job=job.id)
    kind.record_end(session, job)


def _run(kind: JobKind, lease: Lease, make: Callable[[Lease], None]) -> None:
    """Run a job, or store why it failed; StoreError if the database is out of reach."""
    try:
        with lease.renewed():
            make(lease)
    except _LeaseLostError:
        log.warning("job taken over or cancelled", kind=kind.name, job=lease.number)
    except _StoppedError:
        with suppress(_LeaseLostError):
            lease.give_back()
    except StoreError:
        raise  # the job is returned once the database answers again
    except FivefoldError as error:
        lease.fail(str(error))
    except UNEXPECTED_ERRORS as error:  # it must be logged, and must not stop the worker
        raise_if_out_of_reach(error, lease.who.engine)
        log.warning("job not made", kind=kind.name, job=lease.number, error=type(error).__name__)
        disk = disk_error_behind(error)
        if disk is None:
            lease.fail(f"it broke off: {type(error).__name__}")
        else:
            lease.fail(f"a disk of the worker's machine failed: {disk.strerror}; request it again once that is mended")
