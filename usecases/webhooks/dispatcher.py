"""The dispatcher: it sends due deliveries to all endpoints at once, and no endpoint waits for another.

Everything that waits for the network is on one event loop; the database is queried in threads.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, TypeVar

import httpx
import structlog
from sqlalchemy import Engine

from fivefold.domain.clock import SECOND_US
from fivefold.domain.errors import StoreError
from fivefold.store.sql.clocks import clock_of
from fivefold.store.sql.reasons import cause_text
from fivefold.store.webhooks.deliveries import LeasedDelivery
from fivefold.usecases.shared.connections import open_transport
from fivefold.usecases.webhooks.plan import (
    LEASE_SECONDS,
    DeliveryAttempt,
    DeliveryBatch,
    claim_deliveries,
    endpoints_to_serve,
    plan_deliveries,
    prune_deliveries,
    record_attempts,
)
from fivefold.usecases.webhooks.send import LIMIT_SECONDS, Destination, LookUp, look_up, send

SENT_AT_ONCE = 16
"""The most webhooks on their way to one endpoint, each about another entity."""
POLL_SECONDS = 1.0
PRUNED_SECONDS = 3600
"""The time between two deletions of old deliveries."""
DATABASE_THREADS = 4

Clock = Callable[[], int]
Report = Callable[[str | None], None]
Answer = TypeVar("Answer")
log = structlog.get_logger("fivefold.webhooks")


def deliver_due(engine: Engine, now_us: int | None = None) -> int:
    """Plan, and send what may be sent now and what follows it; return the number of attempts."""
    clock = clock_of(engine).now_us if now_us is None else lambda: now_us

    async def deliver() -> int:
        dispatcher = _Dispatcher(engine, clock, threading.Event())
        with dispatcher.threads:
            await dispatcher.query(plan_deliveries, engine, clock())
            endpoint_ids = await dispatcher.query(endpoints_to_serve, engine, clock())
            results = await asyncio.gather(*map(dispatcher.serve, endpoint_ids), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result  # only now: the others have been served
        return sum(result for result in results if not isinstance(result, BaseException))

    return asyncio.run(deliver())


def keep_delivering(engine: Engine, stop: threading.Event, report: Report = lambda _: None) -> None:
    """Plan and send until *stop* is set; deliveries under way are finished.

    A database that is out of reach is retried, and a fault of one endpoint does not stop others. *report* is called
    after each round, with what went wrong last in planning or in serving an endpoint, or None; a receiver that fails
    is tried again, and is not reported.
    """

    async def keep() -> None:
        dispatcher = _Dispatcher(engine, clock_of(engine).now_us, stop)
        with dispatcher.threads:
            serving: dict[int, asyncio.Task[int]] = {}
            pruned_at = float(-PRUNED_SECONDS)
            while not stop.is_set():
                serving = await dispatcher.reconcile(serving)
                report(dispatcher.fault())
                if monotonic() - pruned_at >= PRUNED_SECONDS:
                    pruned_at = monotonic()
                    await dispatcher.prune()
                await asyncio.sleep(POLL_SECONDS)
            await asyncio.gather(*serving.values(), return_exceptions=True)

    asyncio.run(keep())


class _Dispatcher:
    """Serves endpoints, all at once, on the event loop on which it was made."""

    def __init__(self, engine: Engine, clock: Clock, stop: threading.Event) -> None:
        self._engine = engine
        self._clock = clock
        self._stop = stop
        self._unplanned: str | None = None
        self._unserved: dict[int, str] = {}
        self.threads = ThreadPoolExecutor(DATABASE_THREADS, "webhooks-database")

    async def query(self, question: Callable[..., Answer], *arguments: Any) -> Answer:
        """Query the database without delaying other endpoints."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, question, *arguments)

    async def reconcile(self, serving: dict[int, asyncio.Task[int]]) -> dict[int, asyncio.Task[int]]:
        """Plan, and begin to serve each endpoint that has work and is not being served."""
        for endpoint_id, task in serving.items():
            if task.done():
                self._unserved.pop(endpoint_id, None)
                if (error := task.exception()) is not None:
                    self._unserved[endpoint_id] = cause_text(error)
                    log.warning("endpoint not served", endpoint=endpoint_id, error=cause_text(error))
        going_on = {endpoint_id: task for endpoint_id, task in serving.items() if not task.done()}
        try:
            await self.query(plan_deliveries, self._engine, self._clock())
            endpoint_ids = await self.query(endpoints_to_serve, self._engine, self._clock())
        except Exception as error:  # noqa: BLE001 (it is logged, and tried again)
            self._unplanned = cause_text(error)
            log.warning("deliveries not planned", error=self._unplanned)
            return going_on
        self._unplanned = None
        of_work = {*endpoint_ids, *going_on}
        self._unserved = {number: error for number, error in self._unserved.items() if number in of_work}
        started = {number: asyncio.create_task(self.serve(number)) for number in endpoint_ids if number not in going_on}
        return going_on | started

    def fault(self) -> str | None:
        """Return the last fault in planning, or in serving the endpoints that have work; None for none."""
        if self._unplanned is not None:
            return self._unplanned
        return "; ".join(f"endpoint {number}: {error}" for number, error in sorted(self._unserved.items())) or None

    async def prune(self) -> None:
        """Delete old deliveries; after a failure it is tried again an hour later."""
        try:
            await self.query(prune_deliveries, self._engine, self._clock())
        except Exception as error:  # noqa: BLE001 (no other endpoint may wait for it)
            log.warning("deliveries not pruned", error=cause_text(error))

    async def serve(self, endpoint_id: int) -> int:
        """Send an endpoint's deliveries and what follows them, until nothing is left; return the number of attempts."""
        count = 0
        flying: set[asyncio.Task[DeliveryAttempt | None]] = set()
        async with open_transport() as transport:
            lookups = _Lookups()
            try:
                while True:
                    batch = await self._claim(endpoint_id, flying)
                    flying |= self._begin(transport, lookups, batch)
                    if not flying:
                        return count
                    finished, flying = await asyncio.wait(
                        flying, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    attempts = [attempt for task in finished if (attempt := task.result()) is not None]
                    await self._record(attempts)
                    count += len(attempts)
            finally:
                await _end([*flying, *lookups.going_on])

    async def _claim(self, endpoint_id: int, flying: Collection[object]) -> DeliveryBatch | None:
        """Claim what may be sent beside what is *flying*; if the database refuses, those under way go on."""
        most = SENT_AT_ONCE - len(flying)
        if self._stop.is_set() or most == 0:
            return None
        try:
            return await self.query(claim_deliveries, self._engine, endpoint_id, self._clock, most)
        except StoreError:
            if not flying:
                raise
            return None

    async def _record(self, attempts: Sequence[DeliveryAttempt]) -> None:
        """Record outcomes; it is tried again if the database refuses, as what is not recorded is sent a second time.

        It gives up once the leases have ended, so that others may send, or when the worker is to stop.
        """
        gives_up_at = monotonic() + LEASE_SECONDS
        while True:
            try:
                return await self.query(record_attempts, self._engine, attempts, self._clock())
            except StoreError as error:
                if self._stop.is_set() or monotonic() >= gives_up_at:
                    raise
                log.warning("attempts not recorded yet", attempts=len(attempts), error=str(error))
            await asyncio.sleep(POLL_SECONDS)

    def _begin(
        self, transport: httpx.AsyncBaseTransport, lookups: "_Lookups", batch: DeliveryBatch | None
    ) -> set[asyncio.Task[DeliveryAttempt | None]]:
        """Start an attempt for each delivery of a batch."""
        if batch is None:
            return set()
        looked_up = lookups.begin(batch.destination)
        return {
            asyncio.create_task(self._attempt(transport, batch.destination, looked_up, claim)) for claim in batch.claims
        }

    async def _attempt(
        self,
        transport: httpx.AsyncBaseTransport,
        destination: Destination,
        looked_up: asyncio.Task[LookUp],
        claim: LeasedDelivery,
    ) -> DeliveryAttempt | None:
        """Send, and return the outcome; None if the lease ends so soon that another worker may send too."""
        now = self._clock()
        if now + LIMIT_SECONDS * SECOND_US >= claim.lease_until_us:
            return None
        error = await send(transport, destination, looked_up, claim, now // SECOND_US)
        if error is not None:
            log.info("webhook failed", endpoint=claim.endpoint_id, sequence=claim.event_number, error=error)
        return DeliveryAttempt(claim, error)


class _Lookups:
    """Looks up the host of one endpoint for each batch; while that hangs, later batches wait for the same answer."""

    def __init__(self) -> None:
        self.going_on: list[asyncio.Task[LookUp]] = []

    def begin(self, destination: Destination) -> asyncio.Task[LookUp]:
        """Return the lookup under way, or begin one."""
        if not self.going_on or self.going_on[0].done():
            self.going_on = [asyncio.create_task(look_up(destination))]
        return self.going_on[0]


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks; the leases of their deliveries end by themselves."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
