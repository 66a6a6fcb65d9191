"""What waits in an organisation, and the workers: each figure as of a moment, and null, not zero, if it is unknown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Lock
from typing import Annotated, Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from fivefold.domain.clock import DAY_US, SECOND_US, now_microseconds
from fivefold.domain.errors import StoreError
from fivefold.store.flows.run_search import run_counts
from fivefold.store.levels.markings import queue_depth
from fivefold.store.monitoring import operations as store
from fivefold.store.sql.database import writing
from fivefold.store.webhooks.endpoints import DeliveryCounts, counted_deliveries
from fivefold.usecases.audit.verify import ProofLine, read_proof
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context

MOST_WORKERS: Final = 50
RECENT_US: Final = DAY_US
"""How long after they were last seen workers are shown, whether they ended or not."""
NOTED_EVERY_SECONDS: Final = 30.0
MISSED_US: Final = 4 * int(NOTED_EVERY_SECONDS) * SECOND_US
"""After how long unseen a worker that did not end is missing: it hangs, was killed, or cannot reach the database."""
KEPT_US: Final = 30 * DAY_US


@schema("Assessing")
@dataclass(frozen=True, kw_only=True)
class AssessmentsWaiting:
    """What waits for workers: entities that are due, since when the first of them is, and those quarantined."""

    due: int
    oldest_us: Annotated[Moment | None, shown_as("oldest_at")]
    quarantined: int


@schema("Delivering")
@dataclass(frozen=True, kw_only=True)
class DeliveriesWaiting:
    """What waits for receivers: events, planned or not, when the first planned one is tried, and those given up."""

    waiting: int
    next_us: Annotated[Moment | None, shown_as("next_at")]
    dead: int


@schema("Backtesting")
@dataclass(frozen=True, kw_only=True)
class BacktestsWaiting:
    """Backtests that wait or run, and since when the first of these is asked for."""

    queued: int
    running: int
    oldest_us: Annotated[Moment | None, shown_as("oldest_at")]


@schema("Flowing")
@dataclass(frozen=True, kw_only=True)
class RunsWaiting:
    """Runs of flows: those that a worker is to look at now, since when the first is due, and those that ended badly.

    `failed` in the last 24 hours, without those of shadows; `quarantined` until a person has them tried again.
    """

    due: int
    oldest_us: Annotated[Moment | None, shown_as("oldest_at")]
    failed: int
    quarantined: int


@schema("Received")
@dataclass(frozen=True, kw_only=True)
class LastReceived:
    """When transactions were added last; null where there never were any. It shows a feed that stopped."""

    transactions_us: Annotated[Moment | None, shown_as("transactions_at")]


@schema("Worker")
@dataclass(frozen=True, kw_only=True)
class WorkerSeen:
    """A worker, which works for all organisations.

    Attributes:
        state: running, ended, or missing if it did not end and was not seen for two minutes.
    """

    id: int
    state: str
    started_us: Annotated[Moment, shown_as("started_at")]
    seen_us: Annotated[Moment, shown_as("seen_at")]


@schema("Figures")
@dataclass(frozen=True, kw_only=True)
class OperationsFigures:
    """What waits, and who works on it. A figure that could not be read is the one that was read last, or null.

    `as_of` says when each was read, by name; `stale` names those that could not be read now.

    Attributes:
        proof: the result of the last comparison of the audit log; None if there was none.
        as_of: when each figure was read, by name; without figures that were never read.
        stale: the names of figures that could not be read now.
    """

    assessments: AssessmentsWaiting | None
    deliveries: DeliveriesWaiting | None
    backtests: BacktestsWaiting | None
    flow_runs: RunsWaiting | None
    received: LastReceived | None
    workers: tuple[WorkerSeen, ...] | None
    proof: ProofLine | None
    as_of: dict[str, Moment]
    stale: tuple[str, ...]


class _LastKnown:
    """The figures read last, by database, organisation and name; in this process alone."""

    def __init__(self) -> None:
        self._cached_readings: WeakKeyDictionary[Engine, dict[tuple[int, str], tuple[Any, int]]] = WeakKeyDictionary()
        self._lock = Lock()

    def keep(self, context: Context, name: str, value: object, at_us: int) -> None:
        with self._lock:
            self._cached_readings.setdefault(context.engine, {})[context.organisation_id, name] = (value, at_us)

    def of(self, context: Context, name: str) -> tuple[Any, int] | None:
        with self._lock:
            return self._cached_readings.get(context.engine, {}).get((context.organisation_id, name))


_LAST_KNOWN = _LastKnown()


def read_figures(context: Context) -> OperationsFigures:
    """Read all figures, each by itself; one that cannot be read is returned as it was last known."""
    values: dict[str, Any] = {}
    as_of: dict[str, int] = {}
    stale: list[str] = []
    for name, read in _FIGURES.items():
        now = context.now()
        try:
            value = read(context)
        except (StoreError, SQLAlchemyError):
            stale.append(name)
        else:
            _LAST_KNOWN.keep(context, name, value, now)
        last_known = _LAST_KNOWN.of(context, name)
        values[name] = None if last_known is None else last_known[0]
        if last_known is not None:
            as_of[name] = last_known[1]
    return OperationsFigures(**values, as_of=as_of, stale=tuple(stale))


def _assessments(context: Context) -> AssessmentsWaiting:
    with context.reading() as session:
        depth = queue_depth(session, context.organisation_id, context.now())
    return AssessmentsWaiting(due=depth.due, oldest_us=depth.oldest_us, quarantined=depth.quarantined)


def _deliveries(context: Context) -> DeliveriesWaiting:
    with context.reading() as session:
        counts = counted_deliveries(session, context.organisation_id).get(context.organisation_id, DeliveryCounts())
    return DeliveriesWaiting(waiting=counts.waiting, next_us=counts.next_us, dead=counts.dead)


def _backtests(context: Context) -> BacktestsWaiting:
    with context.reading() as session:
        queued, running, oldest_us = store.waiting_backtests(session, context.organisation_id)
    return BacktestsWaiting(queued=queued, running=running, oldest_us=oldest_us)


def _flow_runs(context: Context) -> RunsWaiting:
    now = context.now()
    with context.reading() as session:
        rows = run_counts(session, now, now - DAY_US, context.organisation_id)
    if not rows:
        return RunsWaiting(due=0, oldest_us=None, failed=0, quarantined=0)
    (counts,) = rows
    return row_as(RunsWaiting, counts)


def _received(context: Context) -> LastReceived:
    with context.reading() as session:
        return LastReceived(transactions_us=store.last_added_us(session, context.organisation_id))


def _workers(context: Context) -> tuple[WorkerSeen, ...]:
    now = context.now()
    with context.reading() as session:
        return tuple(
            WorkerSeen(
                id=row.id,
                state=_state(row.ended_us, now - row.seen_us),
                started_us=row.started_us,
                seen_us=row.seen_us,
            )
            for row in store.workers_since(session, now - RECENT_US, MOST_WORKERS)
        )


def last_worker(context: Context) -> WorkerSeen | None:
    """Return a running worker, or else the one that was seen last; None if none was seen in the last day."""
    workers = _workers(context)
    return next((worker for worker in workers if worker.state == "running"), next(iter(workers), None))


def _state(ended_us: int | None, silent_us: int) -> str:
    if ended_us is not None:
        return "ended"
    return "running" if silent_us < MISSED_US else "missing"


_FIGURES: Final[dict[str, Callable[[Context], object]]] = {
    "assessments": _assessments,
    "deliveries": _deliveries,
    "backtests": _backtests,
    "flow_runs": _flow_runs,
    "received": _received,
    "workers": _workers,
    "proof": read_proof,
}


@contextmanager
def noted(engine: Engine, clock: Callable[[], int] = now_microseconds) -> Iterator[Callable[[Event], None]]:
    """Record that a worker runs until the block ends; yield a function that records it repeatedly until stopped.

    A database that is out of reach does not stop the worker: the record follows once the database can be reached.
    """
    number: int | None = None
    started = clock()

    def see(*, ended: bool = False) -> None:
        nonlocal number
        present, now = number, clock()
        with suppress(StoreError):
            with writing(engine) as session:
                if present is None or not store.see_worker(session, present, started, now, ended=ended):
                    present = store.add_worker(session, started, now, now - KEPT_US)
                    if ended:
                        store.see_worker(session, present, started, now, ended=True)
            number = present

    def keep_noting(stop: Event) -> None:
        while not stop.wait(NOTED_EVERY_SECONDS):
            see()

    see()
    try:
        yield keep_noting
    finally:
        see(ended=True)
