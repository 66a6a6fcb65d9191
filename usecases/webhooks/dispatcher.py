"""The dispatcher: it sends what is due to all endpoints at once, and never keeps one waiting for another.

Everything that waits for the world outside is on one event loop; the database is asked in threads of their own.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, TypeVar

import httpx
import structlog
from sqlalchemy import Engine

from fivefold.domain.clock import now_microseconds
from fivefold.store.webhooks.deliveries import LeasedDelivery
from fivefold.usecases.shared.connections import open_transport
from fivefold.usecases.webhooks.plan import (
    Batch,
    DeliveryAttempt,
    claim_deliveries,
    endpoints_to_serve,
    plan_deliveries,
    prune_deliveries,
    record_attempts,
)
from fivefold.usecases.webhooks.send import LIMIT_SECONDS, Destination, Found, look_up, send

SENT_AT_ONCE = 16
"""Webhooks on their way to one endpoint, each of another entity."""
POLL_SECONDS = 1.0
PRUNED_SECONDS = 3600
"""Between two times that old deliveries are deleted."""
LOOKUP_THREADS = 64
"""One for each endpoint whose host is being looked up: a name server that hangs holds up its own endpoint alone."""
DATABASE_THREADS = 4

Clock = Callable[[], int]
Answer = TypeVar("Answer")
log = structlog.get_logger("fivefold.webhooks")


def deliver_due(engine: Engine, now_us: int | None = None) -> int:
    """Plan, and send what may be sent now and what follows it; tell how many attempts that were."""
    clock = now_microseconds if now_us is None else lambda: now_us

    async def deliver() -> int:
        dispatcher = _Dispatcher(engine, clock, threading.Event())
        with dispatcher.threads:
            await dispatcher.ask(plan_deliveries, engine, clock())
            endpoint_ids = await dispatcher.ask(endpoints_to_serve, engine, clock())
            return sum(await asyncio.gather(*map(dispatcher.serve, endpoint_ids)))

    return asyncio.run(deliver())


def keep_delivering(engine: Engine, stop: threading.Event) -> None:
    """Plan and send until *stop* is set; what is being sent then is finished.

    A database that is out of reach is asked again, and a fault of one endpoint stops no other.
    """

    async def keep() -> None:
        dispatcher = _Dispatcher(engine, now_microseconds, stop)
        with dispatcher.threads:
            serving: dict[int, asyncio.Task[int]] = {}
            pruned_at = float(-PRUNED_SECONDS)
            while not stop.is_set():
                serving = await dispatcher.look_after(serving)
                if monotonic() - pruned_at >= PRUNED_SECONDS:
                    pruned_at = monotonic()
                    await dispatcher.prune()
                await asyncio.sleep(POLL_SECONDS)
            await asyncio.gather(*serving.values(), return_exceptions=True)

    asyncio.run(keep())


class _Dispatcher:
    """Serves endpoints, all at once, on the event loop that it is made on."""

    def __init__(self, engine: Engine, clock: Clock, stop: threading.Event) -> None:
        self._engine = engine
        self._clock = clock
        self._stop = stop
        self.threads = ThreadPoolExecutor(DATABASE_THREADS, "webhooks-database")
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(LOOKUP_THREADS, "webhooks-lookup"))

    async def ask(self, question: Callable[..., Answer], *arguments: Any) -> Answer:
        """Ask the database, without keeping other endpoints waiting."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, question, *arguments)

    async def look_after(self, serving: dict[int, asyncio.Task[int]]) -> dict[int, asyncio.Task[int]]:
        """Plan, and begin to serve each endpoint that has work and is not being served."""
        for endpoint_id, task in serving.items():
            if task.done() and (error := task.exception()) is not None:
                log.warning("endpoint not served", endpoint=endpoint_id, error=_error_text(error))
        going_on = {endpoint_id: task for endpoint_id, task in serving.items() if not task.done()}
        try:
            await self.ask(plan_deliveries, self._engine, self._clock())
            endpoint_ids = await self.ask(endpoints_to_serve, self._engine, self._clock())
        except Exception as error:  # noqa: BLE001 (it is logged, and tried again)
            log.warning("deliveries not planned", error=_error_text(error))
            return going_on
        begun = {number: asyncio.create_task(self.serve(number)) for number in endpoint_ids if number not in going_on}
        return going_on | begun

    async def prune(self) -> None:
        """Delete what arrived long ago; where that fails it is tried again an hour later."""
        try:
            await self.ask(prune_deliveries, self._engine, self._clock())
        except Exception as error:  # noqa: BLE001 (no other endpoint waits for it)
            log.warning("deliveries not pruned", error=_error_text(error))

    async def serve(self, endpoint_id: int) -> int:
        """Send what an endpoint may be sent, and what follows that, until nothing is left; tell how many attempts."""
        count = 0
        flying: set[asyncio.Task[DeliveryAttempt | None]] = set()
        async with open_transport() as transport:
            lookups = _Lookups()
            try:
                while True:
                    batch = await self._claim(endpoint_id, SENT_AT_ONCE - len(flying))
                    flying |= self._begin(transport, lookups, batch)
                    if not flying:
                        return count
                    done, flying = await asyncio.wait(flying, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                    attempts = [attempt for task in done if (attempt := task.result()) is not None]
                    await self.ask(record_attempts, self._engine, attempts, self._clock())
                    count += len(attempts)
            finally:
                await _end([*flying, *lookups.going_on])

    async def _claim(self, endpoint_id: int, most: int) -> Batch | None:
        if self._stop.is_set() or most == 0:
            return None
        return await self.ask(claim_deliveries, self._engine, endpoint_id, self._clock(), most)

    def _begin(
        self, transport: httpx.AsyncBaseTransport, lookups: "_Lookups", batch: Batch | None
    ) -> set[asyncio.Task[DeliveryAttempt | None]]:
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
        looked_up: asyncio.Task[Found],
        claim: LeasedDelivery,
    ) -> DeliveryAttempt | None:
        """Send, and give the outcome; None where the lease ends so soon that another worker may send too."""
        now = self._clock()
        if now + LIMIT_SECONDS * 1_000_000 >= claim.lease_until_us:
            return None
        error = await send(transport, destination, looked_up, claim, now // 1_000_000)
        if error is not None:
            log.info("webhook failed", endpoint=claim.endpoint_id, sequence=claim.event_number, error=error)
        return DeliveryAttempt(claim, error)


class _Lookups:
    """Looks up the host of one endpoint for each batch; where that hangs, the next ones wait for the same answer."""

    def __init__(self) -> None:
        self.going_on: list[asyncio.Task[Found]] = []

    def begin(self, destination: Destination) -> asyncio.Task[Found]:
        """Return the lookup that is going on, or begin one."""
        if not self.going_on or self.going_on[0].done():
            self.going_on = [asyncio.create_task(look_up(destination))]
        return self.going_on[0]


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks; the leases of what they were sending end by themselves."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


def _error_text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
