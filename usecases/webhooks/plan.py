"""Planning of deliveries from the outbox, claims of those to send, and records of their outcomes.

A claim is committed before anything is sent, so only later events for the same endpoint and entity wait for a receiver.
A process that dies while sending leaves a lease behind; once it ends, another sends again.
`usecases.webhooks.dispatcher` does the sending.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import httpx
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, SECOND_US
from fivefold.store.erasure.old_rows import ResumePoint
from fivefold.store.erasure.retention import prune_arrived
from fivefold.store.sql.clocks import clock_of, require_right_to_ask
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.events import Endpoint
from fivefold.store.webhooks import deliveries, outbox
from fivefold.store.webhooks.deliveries import DeliveryFailure, LeasedDelivery, PlanningBacklog
from fivefold.usecases.unexpected import do_each
from fivefold.usecases.webhooks.send import Destination
from fivefold.usecases.webhooks.signing import live_secrets, read_secrets

PLANNED_AT_ONCE = 5_000
"""Events in one transaction of the planner."""
KEPT_DAYS = 30
"""How long arrived deliveries are kept, to be replayed by their numbers."""
PRUNED_AT_ONCE = 500
LEASE_SECONDS = 60
FIRST_WAIT_SECONDS = 30
MOST_WAIT_SECONDS = 12 * 3600
MOST_ATTEMPTS = 14
JITTER_PERCENT = 20
"""A wait may be shorter by up to this share, so that deliveries that failed together are not retried together."""


def wait_us(event_id: str, attempts: int) -> int:
    """Return the wait after a number of failed attempts: 30 s, then twice as long each time, up to 12 hours.

    It is shorter by up to a fifth, at random but depending only on event and attempt.

    >>> [round(wait_us("event", attempts) / 1e6) for attempts in (1, 2, 3, 13)]
    [29, 51, 116, 39476]
    """
    full_us = min(FIRST_WAIT_SECONDS << min(attempts - 1, 30), MOST_WAIT_SECONDS) * SECOND_US
    chance = int.from_bytes(sha256(f"{event_id}\n{attempts}".encode()).digest()[:4])
    return full_us - full_us * JITTER_PERCENT * chance // (100 << 32)


def number_from_now(engine: Engine) -> None:
    """Let the numbers of events go on from the present moment, see `store.webhooks.outbox.number_from_now`.

    Services and workers call it at start: after a restore no event gets a number under which another one was sent.
    They call it again before they store anything on another server, which a failover may have made the database.
    """
    number_from_first_write(engine)
    with writing(engine):
        pass


def number_from_first_write(engine: Engine) -> None:
    """Call `number_from_now` before the first transaction of this engine that stores something.

    A service starts before anything can be stored, for example while the clock of a machine that just booted is wrong.
    """
    clock = clock_of(engine)
    clock.at_first_write, clock.done_on = outbox.number_from_now, None


def require_right_to_number(engine: Engine) -> None:
    """Raise StoreError if the right that `number_from_now` needs is missing: nothing could be stored."""
    with reading(engine) as session:
        require_right_to_ask(session.connection())
        outbox.require_right_to_number(session.connection())


def plan_deliveries(engine: Engine, now_us: int) -> int:
    """Make a delivery of every event in the outbox for each endpoint that receives it, enabled or not; return how many.

    Those of a disabled endpoint wait until it is enabled again.
    """
    with reading(engine) as session:
        settled = outbox.settled_number(session)
    count = 0
    while backlogs := _next_backlogs(engine, settled):
        count += sum(do_each(backlogs, lambda behind: _plan(engine, behind, now_us)))
    return count


def _plan(engine: Engine, backlog: PlanningBacklog, now: int) -> int:
    with writing(engine) as session:
        return deliveries.plan(session, backlog, now)


def prune_deliveries(engine: Engine, now_us: int) -> int:
    """Delete deliveries that arrived more than `KEPT_DAYS` ago, some in each transaction; return how many.

    Those of an entity of which nothing may be removed stay.
    """
    before = now_us - KEPT_DAYS * DAY_US
    pruned = 0
    position: ResumePoint = None
    while True:
        with writing(engine) as session:
            part, position = prune_arrived(session, before, now_us, position, PRUNED_AT_ONCE)
        pruned += part
        if position is None:
            return pruned


def _next_backlogs(engine: Engine, settled: int) -> list[PlanningBacklog]:
    with reading(engine) as session:
        return deliveries.planning_backlogs(session, settled, PLANNED_AT_ONCE)


@dataclass(frozen=True)
class DeliveryBatch:
    """Deliveries to one endpoint that may be sent at once, each of another entity."""

    destination: Destination
    claims: tuple[LeasedDelivery, ...]


def endpoints_to_serve(engine: Engine, now_us: int) -> Sequence[int]:
    """List endpoints, of all organisations, that may have something to be sent now."""
    with reading(engine) as session:
        return deliveries.endpoints_with_work(session, now_us)


def failing_count(engine: Engine) -> int:
    """Count the deliveries, of all organisations, that failed and are tried again later."""
    with reading(engine) as session:
        return deliveries.count_failing(session)


def claim_deliveries(engine: Engine, endpoint_id: int, clock: Callable[[], int], most: int) -> DeliveryBatch | None:
    """Lease up to *most* deliveries that may be sent now; None if there are none."""
    with writing(engine) as session:
        now_us = clock()  # only now: the transaction's beginning compared this machine's clock with the database's
        lease, until_us = uuid.uuid4().hex, now_us + LEASE_SECONDS * SECOND_US
        claims = deliveries.claim(session, endpoint_id, lease, now_us, until_us, most)
        endpoint = session.get(Endpoint, endpoint_id) if claims else None
        if endpoint is None:
            return None
        secrets = live_secrets(read_secrets(endpoint.secrets), now_us)
        return DeliveryBatch(Destination(httpx.URL(endpoint.url), endpoint.private_allowed, secrets), tuple(claims))


@dataclass(frozen=True)
class DeliveryAttempt:
    """An attempted delivery: it arrived, or *error* says why not."""

    claim: LeasedDelivery
    error: str | None


def record_attempts(engine: Engine, attempts: Sequence[DeliveryAttempt], now_us: int) -> None:
    """Record the outcome of attempts: arrived, to be tried again after a while, or dead after the last one."""
    by_number = sorted(attempts, key=lambda attempt: attempt.claim.event_number)
    failures = [_failure(attempt.claim, attempt.error, now_us) for attempt in by_number if attempt.error is not None]
    if by_number:
        with writing(engine) as session:
            deliveries.record_delivered(
                session, [attempt.claim for attempt in by_number if attempt.error is None], now_us
            )
            deliveries.record_failed(session, failures, now_us)


def _failure(claim: LeasedDelivery, error: str, now_us: int) -> DeliveryFailure:
    attempts = claim.attempts + 1
    return DeliveryFailure(
        claim, error, None if attempts >= MOST_ATTEMPTS else now_us + wait_us(claim.event_id, attempts)
    )
