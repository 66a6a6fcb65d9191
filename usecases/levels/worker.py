"""The worker: claims due entities, assesses them together and stores the results. Any number may run; any may die."""

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Lock
from time import monotonic, sleep
from typing import Final, Self

import structlog
from sqlalchemy import Engine

from fivefold.domain.clock import SECOND_US, now_microseconds
from fivefold.domain.errors import ConflictError, InvalidRulesetError, LockedError, ModelError, StoreError
from fivefold.features.numba_cache import compile_loops
from fivefold.features.reading import compiled_loops
from fivefold.risk.facts.patterns import loops
from fivefold.store.accounts.idempotency import attempting
from fivefold.store.levels import leases as claims
from fivefold.store.levels.assessment_queue import BULK, EVENT, Subject
from fivefold.store.levels.leases import DueQueue, LeasedBatch
from fivefold.store.sql.clocks import ahead_message
from fivefold.store.sql.database import reading, writing
from fivefold.store.sql.reasons import failure_text
from fivefold.usecases.levels.assess import assess_entities, rows_to_read
from fivefold.usecases.levels.persist import StoredLevels, store_result
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

WEIGHTS: Final = {EVENT: 4.0, BULK: 1.0}
"""Urgent work gets four fifths where both wait, so urgent work never holds up a portfolio for ever."""
BATCH_COST: Final = 100
"""The fixed cost of a batch, in entities: about a tenth of a second."""


def warm() -> None:
    """Load what reads facts and finds patterns, or compile it: seconds once a machine, so not while leases are held."""
    compile_loops(compiled_loops)
    compile_loops(loops)


class Turns:
    """Shares one worker by weight between organisations, and between urgent and other work; its threads share it.

    Each queue, of one organisation and priority, has a virtual time that advances with the work done for it, the slower
    the greater its weight; the queue that is furthest behind is next. A queue that was idle starts where the others
    are: it is next, and saves nothing up. (Start-time fair queueing; P. Goyal, H. Vin, H. Cheng, SIGCOMM 1996.)

    Each worker remembers its own turns: where each worker is fair, all of them together are.
    """

    def __init__(self) -> None:
        """Begin with all queues equal."""
        self._now = 0.0
        self._ends: dict[tuple[int, int], float] = {}
        self._lock = Lock()

    def order(self, queues: Sequence[DueQueue]) -> list[DueQueue]:
        """Put queues in the order in which they are to be tried."""
        with self._lock:
            return sorted(queues, key=lambda queue: (self._begins(queue.organisation_id, queue.priority), queue))

    def charge(self, batch: LeasedBatch) -> None:
        """Charge the queues of an organisation with what was claimed of them."""
        if batch.queue is None:
            return
        organisation_id, priority = batch.organisation_id, batch.queue.priority
        other = BULK if priority == EVENT else EVENT
        with self._lock:
            self._now = max(self._now, self._begins(organisation_id, priority))
            self._add(organisation_id, priority, batch.of_queue + BATCH_COST)
            self._add(organisation_id, other, len(batch.claims) - batch.of_queue)
            self._ends = {key: ends for key, ends in self._ends.items() if ends > self._now}

    def _begins(self, organisation_id: int, priority: int) -> float:
        return max(self._ends.get((organisation_id, priority), 0.0), self._now)

    def _add(self, organisation_id: int, priority: int, cost: int) -> None:
        self._ends[organisation_id, priority] = self._begins(organisation_id, priority) + cost / WEIGHTS[priority]


log = structlog.get_logger("fivefold.worker")

LEASE_US: Final = 60 * SECOND_US
"""How long a batch may take before another worker takes it over; a batch takes seconds."""
WAIT_SECONDS: Final = 2.0
"""So long a call that assesses one entity waits for a worker that does so; a batch takes about a second."""
LONGEST_WAIT_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.02
MAX_ATTEMPTS: Final = 6
FIRST_BACK_OFF_US: Final = 5 * SECOND_US
"""After the first failure; each later one waits four times as long: about half an hour until the last."""
MAX_ABANDONED_LEASES: Final = 12
"""Consecutive abandoned leases before an entity is quarantined; the last attempts run it alone.
A database that goes away now and then stays below that."""
BATCH_SIZE: Final = 2500
"""Fewer cost more each: about 0.1 s of a batch is the same however many there are. More hold up what just happened."""
MOST_ROWS: Final = 200_000
"""A batch reads no more transactions than these unless one entity alone has more: memory grows with them."""

PARALLEL_BATCHES: Final = 2
"""Batches that a worker is at on PostgreSQL: one computes while the other waits for the database."""


@dataclass(frozen=True)
class BatchResult:
    """The outcome of one batch: how many were assessed, how many failed, and how many of the assessed have a level.

    Attributes:
        levels: of each entity whether it has a level now; None where it failed, also where its status is failed.
        without_result: how many of those that failed have no new assessment at all.
    """

    assessed: int
    failed: int
    with_level: int
    levels: Mapping[int, bool | None] = field(default_factory=dict, compare=False)
    without_result: int = field(default=0, compare=False)

    @classmethod
    def of(cls, stored: StoredLevels, errors: Collection[int]) -> Self:
        """Count the stored levels, and the entities for which nothing was stored."""
        levels = {**stored.levels, **dict.fromkeys([*errors, *stored.failed])}
        counts = Counter(levels.values())
        return cls(counts[True] + counts[False], counts[None], counts[True], levels, len(errors))


class WorkerTally:
    """The latest outcome of each entity over many batches: one that is assessed twice counts once.

    It keeps a byte for each number of an entity, whatever many batches there are.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._outcomes = bytearray()

    def add(self, done: BatchResult) -> None:
        """Count a batch."""
        highest = max(done.levels, default=-1)
        self._outcomes.extend(bytes(max(0, highest + 1 - len(self._outcomes))))
        for entity, level in done.levels.items():
            self._outcomes[entity] = _FAILED if level is None else _WITH_LEVEL if level else _WITHOUT_LEVEL

    @property
    def assessed(self) -> int:
        """Entities that were assessed."""
        return self._outcomes.count(_WITHOUT_LEVEL) + self.with_level

    @property
    def with_level(self) -> int:
        """Assessed entities that have a level."""
        return self._outcomes.count(_WITH_LEVEL)

    @property
    def failed(self) -> int:
        """Entities that could not be assessed, and those whose status is failed."""
        return self._outcomes.count(_FAILED)


_WITHOUT_LEVEL, _WITH_LEVEL, _FAILED = 1, 2, 3


def back_off_us(attempts: int) -> int:
    """Tell how long to wait after that many failures.

    >>> [back_off_us(attempts) // SECOND_US for attempts in (1, 2, 5, 500)]
    [5, 20, 1280, 5120]
    """
    return FIRST_BACK_OFF_US << 2 * (min(attempts, MAX_ATTEMPTS) - 1)


def run_batch(
    engine: Engine,
    *,
    clock: Callable[[], int] = now_microseconds,
    most: int = BATCH_SIZE,
    valuer: EntityScorer | None = None,
    turns: Turns | None = None,
) -> BatchResult | None:
    """Assess up to *most* entities that are due; None where none is.

    *turns* order the queues; without them the urgent one, and then the one that waits longest, is first.
    """
    order = sorted if turns is None else turns.order
    with writing(engine) as session:
        now = clock()
        batch = claims.claim(session, new_lease(), now, now + LEASE_US, most, MAX_ABANDONED_LEASES, order)
    if batch is None:
        return None
    batch = _bounded(engine, batch, now, valuer)
    if turns is not None:
        turns.charge(batch)
    begun = monotonic()
    done = process_batch(engine, batch, clock=clock, valuer=valuer)
    log.info(
        "batch",
        organisation=batch.organisation_id,
        type=batch.type_id,
        urgent=batch.queue is not None and batch.queue.priority == EVENT,
        assessed=done.assessed,
        failed=done.failed,
        seconds=round(monotonic() - begun, 3),
    )
    return done


def _bounded(engine: Engine, batch: LeasedBatch, now: int, valuer: EntityScorer | None) -> LeasedBatch:
    """Leave out of a batch, and return to the queue, those with whom it would read too many transactions.

    Who is due for longest stays in it, whatever that one has: so everybody's turn comes.
    """
    if len(batch.claims) == 1:
        return batch
    ids = [claim.entity_id for claim in batch.claims]
    try:
        with reading(engine) as session:
            rows = rows_to_read(session, batch.organisation_id, batch.type_id, ids, now, valuer)
    except InvalidRulesetError:  # the same for all of them, and reported where they are assessed
        return batch
    if sum(rows.values()) <= MOST_ROWS:
        return batch
    fit, total = set[int](), 0
    for claim in sorted(batch.claims, key=lambda each: (each.due_us or 0, each.entity_id)):
        of_entity = rows.get(claim.entity_id, 0)
        if not fit or total + of_entity <= MOST_ROWS:
            fit.add(claim.entity_id)
            total += of_entity
    with writing(engine) as session:
        claims.put_back(session, batch, set(ids) - fit)
    remaining = tuple(claim for claim in batch.claims if claim.entity_id in fit)
    return replace(batch, claims=remaining, of_queue=min(batch.of_queue, len(remaining)))


def new_lease() -> str:
    """Make a unique name for a lease."""
    return secrets.token_hex(16)


@attempting(None)
def assess_now(
    engine: Engine,
    subject: Subject,
    *,
    clock: Callable[[], int] = now_microseconds,
    valuer: EntityScorer | None = None,
    actor: str = "system",
    busy_seconds: float | None = None,
) -> BatchResult | None:
    """Assess one entity at once, whether it is due or not; None where it cannot be assessed, as it was erased.

    What another worker computes of it began before, and may know less: it is waited for, and after `WAIT_SECONDS`
    its lease is taken, as that worker may be dead, or have a batch of thousands. It waits *busy_seconds* for another
    transaction before it begins; see `store.sql.database.writing`.

    What it stores does not mark a request's Idempotency-Key: such a request is about something else, stored afterwards.

    Raises:
        ConflictError: others took the lease in turn, so that no result of this call was stored.
        LockedError: another transaction held what is needed for longer than that.
    """
    start = monotonic()
    while (waited := monotonic() - start) < LONGEST_WAIT_SECONDS:
        with writing(engine, busy_seconds) as session:
            now = clock()
            takes_over = waited >= WAIT_SECONDS
            batch = claims.claim_one(session, subject, new_lease(), now, now + LEASE_US, takes_over=takes_over)
            if batch is None and not claims.has_mark(session, subject.entity_id):
                return None
        if batch is not None:
            result = process_batch(engine, batch, clock=clock, valuer=valuer, actor=actor, counts=False)
            if result.assessed or result.failed:
                return result
        sleep(_POLL_SECONDS)
    raise ConflictError(
        "the entity is being assessed by others all the time, so that its level could not be computed now; ask again"
    )


def process_batch(
    engine: Engine,
    batch: LeasedBatch,
    *,
    clock: Callable[[], int],
    valuer: EntityScorer | None = None,
    actor: str = "system",
    counts: bool = True,
) -> BatchResult:
    """Assess a claimed batch; an entity that cannot be assessed or stored does not hold up the others.

    *counts*: a failure delays the entity's next attempt, and quarantines it in the end. It is False for an assessment
    on request, which may be repeated at will. StoreError where the database is out of reach: that is no entity's
    failure, and the leases end by themselves. After a LockedError the database answers, so they are returned.
    """
    reasons = {claim.entity_id: claim.reasons for claim in batch.claims}
    work = _BatchWork(engine=engine, batch=batch, now=clock(), valuer=valuer, actor=actor)
    try:
        stored, errors = work.on(reasons)
    except LockedError as error:
        with suppress(StoreError):  # or the leases end by themselves
            _put_off(engine, batch, error, clock() if counts else None)
        raise
    if errors and counts:
        _reschedule(engine, batch, errors, clock(), work.ahead)
    elif errors:
        with writing(engine) as session:
            claims.return_leases(session, batch, errors)
    return BatchResult.of(stored, errors)


@dataclass(frozen=True, kw_only=True)
class _BatchWork:
    """What is the same for all of a batch.

    Attributes:
        ahead: the entities that could not be assessed as their last assessment is dated after now, with its moment.
    """

    engine: Engine
    batch: LeasedBatch
    now: int
    valuer: EntityScorer | None
    actor: str
    ahead: dict[int, int] = field(default_factory=dict)

    def on(self, reasons: Mapping[int, int]) -> tuple[StoredLevels, dict[int, str]]:
        """Assess and store entities together; where that fails by one of them, each half alone, down to the one."""
        try:
            return self._all_of(reasons)
        except StoreError:
            raise
        except (InvalidRulesetError, ModelError) as error:  # the same for each of them
            return StoredLevels({}), dict.fromkeys(reasons, failure_text(error))
        except UNEXPECTED_ERRORS as error:  # it must not hold up the others; it is kept and shown
            if len(reasons) == 1:
                log.warning("entity not assessed", error=type(error).__name__)
                return StoredLevels({}), dict.fromkeys(reasons, failure_text(error))
        ids = sorted(reasons)
        stored, errors = StoredLevels({}), dict[int, str]()
        for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
            part, failed = self.on({entity: reasons[entity] for entity in half})
            stored = StoredLevels({**stored.levels, **part.levels}, stored.failed | part.failed)
            errors |= failed
        return stored, errors

    def _all_of(self, reasons: Mapping[int, int]) -> tuple[StoredLevels, dict[int, str]]:
        of = (self.batch.organisation_id, self.batch.type_id)
        with reading(self.engine) as session:
            result = assess_entities(session, *of, reasons, self.now, self.valuer)
        self.ahead.update(result.ahead)
        if result.ahead:
            log.error("assessments dated after now", entities=len(result.ahead), repair="fivefold clock repair")
        with writing(self.engine) as session:
            errors = {entity: ahead_message(at) for entity, at in result.ahead.items()}
            return store_result(session, self.batch, result, self.actor), errors


def _put_off(engine: Engine, batch: LeasedBatch, error: LockedError, now: int | None) -> None:
    """Return a batch that another transaction held up: no attempt of its entities, and others are due before them.

    Without a *now* they are due as before.
    """
    ids = [claim.entity_id for claim in batch.claims]
    with writing(engine) as session:
        if now is None:
            claims.put_back(session, batch, ids)
        else:
            again, errors = dict.fromkeys(ids, now + FIRST_BACK_OFF_US), dict.fromkeys(ids, failure_text(error))
            claims.fail(session, batch, errors, again, MAX_ABANDONED_LEASES, waiting=ids)


def _reschedule(
    engine: Engine, batch: LeasedBatch, errors: Mapping[int, str], now: int, ahead: Mapping[int, int]
) -> None:
    """Let who failed be tried again later, and who is *ahead* at that moment: until then no attempt can succeed."""
    attempts = {claim.entity_id: claim.attempts + 1 for claim in batch.claims}
    later = {entity: now + back_off_us(attempts[entity]) for entity in errors} | dict(ahead)
    with writing(engine) as session:
        claims.fail(session, batch, errors, later, MAX_ATTEMPTS, ahead)
