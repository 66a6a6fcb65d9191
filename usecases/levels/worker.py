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
"""Urgent work gets four fifths of a worker where both kinds wait, so it never holds up a portfolio for ever."""
BATCH_COST: Final = 100
"""The fixed cost of a batch, in entities: about a tenth of a second."""


def warm() -> None:
    """Load or compile the loops that read facts and find patterns: it takes seconds, so not while leases are held."""
    compile_loops(compiled_loops)
    compile_loops(loops)


class Turns:
    """Shares a worker's threads by weight between organisations, and between urgent and other work.

    Each queue, of one organisation and priority, has a virtual time that advances with the work done for it, the slower
    the greater its weight; the queue that is furthest behind is next. A queue that was idle starts at the present
    virtual time, so it is next, but gains no credit. (Start-time fair queueing; P. Goyal, H. Vin, H. Cheng, SIGCOMM
    1996.)

    Each worker remembers its own turns: where each worker is fair, all of them together are.
    """

    def __init__(self) -> None:
        """Begin with all queues equal."""
        self._now = 0.0
        self._ends: dict[tuple[int, int], float] = {}
        self._lock = Lock()

    def order(self, queues: Sequence[DueQueue]) -> list[DueQueue]:
        """Return queues in the order in which to try them."""
        with self._lock:
            return sorted(queues, key=lambda queue: (self._begins(queue.organisation_id, queue.priority), queue))

    def charge(self, batch: LeasedBatch) -> None:
        """Charge the queues of an organisation for the entities claimed from them."""
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
"""How long a call that assesses one entity waits for a worker that is assessing it; a batch takes about a second."""
LONGEST_WAIT_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.02
MAX_ATTEMPTS: Final = 6
FIRST_BACK_OFF_US: Final = 5 * SECOND_US
"""The wait after the first failure; each later one is four times as long: about half an hour until the last try."""
MAX_ABANDONED_LEASES: Final = 12
"""Consecutive abandoned leases before an entity is quarantined; the last attempts run it alone.
A database that goes away now and then stays below that."""
BATCH_SIZE: Final = 2500
"""Small batches cost more for each entity, as a batch has a fixed cost of about 0.1 s; large ones delay new events."""
MOST_ROWS: Final = 200_000
"""The most transactions that a batch reads, unless one entity alone has more: memory grows with them."""

PARALLEL_BATCHES: Final = 2
"""Batches that a worker runs at once on PostgreSQL: one computes while the other waits for the database."""


@dataclass(frozen=True)
class BatchResult:
    """The outcome of one batch: how many were assessed, how many failed, and how many of the assessed have a level.

    Attributes:
        levels: whether each entity has a level now; None where it failed, also where its status is failed.
        without_result: how many of the failed entities have no new assessment at all.
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

    It keeps one byte for each entity number, however many batches there are.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._outcomes = bytearray()

    def add(self, done: BatchResult) -> None:
        """Add the outcomes of a batch."""
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
    """Return how long to wait after a number of failures, in microseconds.

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
    """Assess up to *most* entities that are due; return None if none is due.

    *turns* order the queues; without them urgent queues are first, then the one that waits longest.
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
    """Return to the queue the entities of a batch with which it would read too many transactions.

    The entity that is due for longest stays, however many it has, so that each gets its turn.
    """
    if len(batch.claims) == 1:
        return batch
    ids = [claim.entity_id for claim in batch.claims]
    try:
        with reading(engine) as session:
            rows = rows_to_read(session, batch.organisation_id, batch.type_id, ids, now, valuer)
    except InvalidRulesetError:  # the same for all entities, and reported where they are assessed
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
    """Assess one entity at once, whether it is due or not; return None if it was erased.

    Another worker that is assessing the entity began before, and may know less: this call waits for it, and takes its
    lease after `WAIT_SECONDS`, as that worker may be dead, or have a batch of thousands. The call waits *busy_seconds*
    for another transaction before it begins; see `store.sql.database.writing`.

    What it stores does not mark a request's Idempotency-Key as used: the request stores its own part afterwards.

    Raises:
        ConflictError: others took the lease in turn, so that no result of this call was stored.
        LockedError: another transaction held a lock for longer than *busy_seconds*.
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

    *counts*: whether a failure delays the entity's next attempt, and quarantines it in the end; False for an assessment
    on request, which may be repeated at will. StoreError if the database is out of reach: that counts as a failure of
    none of the entities, and their leases end by themselves. After a LockedError the database answers, so the leases
    are returned.
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
    """The work on a batch, and what all of its entities share.

    Attributes:
        ahead: the entities not assessed because their last assessment is dated after now, with its moment.
    """

    engine: Engine
    batch: LeasedBatch
    now: int
    valuer: EntityScorer | None
    actor: str
    ahead: dict[int, int] = field(default_factory=dict)

    def on(self, reasons: Mapping[int, int]) -> tuple[StoredLevels, dict[int, str]]:
        """Assess and store entities together; if one of them makes that fail, each half alone, down to that one."""
        try:
            return self._all_of(reasons)
        except StoreError:
            raise
        except (InvalidRulesetError, ModelError) as error:  # the same for each entity
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
    """Return to the queue a batch that another transaction held up, behind others; that does not count as an attempt.

    Without *now* its entities are due as before.
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
    """Schedule failed entities for a later attempt; those *ahead* at their moment: none can succeed before it."""
    attempts = {claim.entity_id: claim.attempts + 1 for claim in batch.claims}
    later = {entity: now + back_off_us(attempts[entity]) for entity in errors} | dict(ahead)
    with writing(engine) as session:
        claims.fail(session, batch, errors, later, MAX_ATTEMPTS, ahead)
