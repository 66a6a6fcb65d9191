"""The ledger: charges requests against their plans, those that come together in one commit."""

import asyncio
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Engine

from store.accounts import Charge
from usecases.tokens import charge_all

MOST_TOGETHER = 64
"""Charges in one commit: more would keep the first of them waiting."""


@dataclass(frozen=True)
class _Waiting:
    cost: Charge
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[bool | None]"


class Ledger:
    """One writer thread a process; any number of processes share the database's own exactness."""

    def __init__(self, engine: Engine) -> None:
        """Start nothing yet."""
        self._engine = engine
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, then end."""
        self._queue.put(None)
        self._thread.join()

    async def charge(self, cost: Charge) -> bool | None:
        """Charge one request: True charged, False refused by its plan, None where the token ended meanwhile."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(cost, loop, loop.create_future())
        self._queue.put(waiting)
        return await waiting.future

    def _write(self) -> None:
        going = True
        while going:
            batch = [self._queue.get()]
            while len(batch) < MOST_TOGETHER and not self._queue.empty():
                batch.append(self._queue.get())
            going = None not in batch
            # Whose request has ended since, by the time limit or because the caller left, is not charged.
            self._settle([waiting for waiting in batch if waiting is not None and not waiting.future.cancelled()])

    def _settle(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        results: list[bool | None] | Exception
        try:
            results = charge_all(self._engine, [waiting.cost for waiting in batch])
        except Exception as error:  # noqa: BLE001 (each request is told; the thread must live on)
            results = error
        for number, waiting in enumerate(batch):
            result = results if isinstance(results, Exception) else results[number]
            with suppress(RuntimeError):  # its loop was closed: nobody waits any more
                waiting.loop.call_soon_threadsafe(_tell, waiting.future, result)


def _tell(future: "asyncio.Future[bool | None]", result: bool | Exception | None) -> None:
    if future.cancelled():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
