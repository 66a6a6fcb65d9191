"""Charges requests against their plans: in the event loop if the database is free, otherwise together in a thread."""

import asyncio
import queue
import threading
from contextlib import suppress
from enum import Enum, auto
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import Engine

from fivefold.domain.errors import StoreError
from fivefold.store.accounts.tokens import Charge, UsageTotals
from fivefold.store.sql.fast_statements import PreparedStatements
from fivefold.usecases.accounts.credentials import charge_all

MOST_TOGETHER = 64
"""Most charges in one commit: more would delay the first of them."""
STUCK_SECONDS = 5.0
"""A worker whose charges take longer is not ready."""
MOST_TOKENS = 10_000
"""Most tokens whose usage is cached."""
CHECKPOINT_COMMITS = 1_000
"""Commits after which the thread checkpoints SQLite's write-ahead log; a checkpoint waits for the disk."""

log = structlog.get_logger("fivefold.quota")


class _Waiting(asyncio.Future["bool | None"]):
    """The result that a request waits for. Its claim is taken once: by the charge, or by a caller that leaves.

    The future itself guards the claim against a cancellation: `asyncio.shield` takes a second future and two callbacks.
    """

    def __init__(self, cost: Charge, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.cost = cost
        self._claim = threading.Lock()

    def take_claim(self) -> bool:
        """Take the claim; return False if it is taken already."""
        return self._claim.acquire(blocking=False)

    def cancel(self, msg: Any = None) -> bool:
        """Let the caller leave, unless the claim is taken: then the cancellation comes with the result."""
        return self.take_claim() and super().cancel(msg)

    def resolve(self, result: bool | Exception | None) -> None:
        """Set the result or the error, from any thread, once the claim is taken."""
        loop = self.get_loop()
        if loop is _loop_here():
            self._set(result)
        else:
            with suppress(RuntimeError):  # its loop was closed, so nothing waits for the result
                loop.call_soon_threadsafe(self._set, result)

    def _set(self, result: bool | Exception | None) -> None:
        if isinstance(result, Exception):
            self.set_exception(result)
        else:
            self.set_result(result)


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _Control(Enum):
    """Commands to the thread."""

    END = auto()
    CHECKPOINT = auto()


class QuotaCharger:
    """Charges in the event loop if SQLite is free, which takes microseconds; otherwise in one thread per process.

    The database decides each charge, so any number of processes stay within a plan.
    """

    def __init__(self, engine: Engine) -> None:
        """Prepare the statements; `start` starts the thread."""
        self._queue: queue.SimpleQueue[_Waiting | _Control] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="quota", daemon=True)
        self._statements = PreparedStatements(engine)
        self.engine = engine
        self._quick = PreparedStatements(engine, quick=True) if engine.dialect.name == "sqlite" else None
        self._turn = threading.Lock()
        self._arrived: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        self._commits = 0
        self._busy = False
        self._since: float | None = None
        self._used: dict[tuple[int, str], UsageTotals] = {}

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Charge the waiting requests, then end."""
        self._queue.put(_Control.END)
        self._thread.join()
        if self._quick is not None:
            self._quick.close()

    def problem(self) -> str:
        """Return why requests cannot be charged now; empty if no reason is known."""
        since = self._since
        stuck = since is not None and monotonic() - since > STUCK_SECONDS
        return "charges wait for the database" if stuck else ""

    def used(self, cost: Charge) -> UsageTotals | None:
        """Return the usage of a token at its last charge in this process; None if there was none."""
        return self._used.get((cost.token_id, cost.month))

    def _note(self, cost: Charge, used: UsageTotals) -> None:
        if len(self._used) >= MOST_TOKENS:
            self._used.clear()
        self._used[cost.token_id, cost.month] = used

    async def charge(self, cost: Charge) -> bool | None:
        """Charge one request; return True, False if its plan refuses, None if the token was revoked meanwhile.

        A request that is cancelled before its commit begins is not charged; afterwards it is not cancelled.

        Raises:
            StoreError: the database is out of reach.
            UnknownOutcomeError: the connection was lost during the commit, so the request may be charged.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(cost, loop)
        if self._quick is None or self._busy:
            self._enqueue([waiting])
        else:
            together = self._arrived.setdefault(loop, [])
            together.append(waiting)
            if len(together) == 1:  # later in this turn of the loop: requests that arrived together share a commit
                loop.call_soon(self._charge_arrived, self._quick, loop)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.cancelled():
                raise
            return waiting.result()

    def _charge_arrived(self, statements: PreparedStatements, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._arrived.pop(loop)
        if not self._turn.acquire(blocking=False):
            self._enqueue(batch)
            return
        try:
            unsettled = self._settle(statements, batch)
        finally:
            self._turn.release()
        if unsettled:  # another process writes: the thread waits for it
            self._enqueue(unsettled)
        self._commits += 1
        if self._commits % CHECKPOINT_COMMITS == 0:
            self._queue.put(_Control.CHECKPOINT)

    def _enqueue(self, batch: list[_Waiting]) -> None:
        self._busy = True
        for waiting in batch:
            self._queue.put(waiting)

    def _write(self) -> None:
        runs = True
        while runs:
            batch = [self._queue.get()]
            while len(batch) < MOST_TOGETHER and not self._queue.empty():
                batch.append(self._queue.get())
            runs = _Control.END not in batch
            if waiting := [item for item in batch if isinstance(item, _Waiting)]:
                self._since = monotonic()
                self._settle(self._statements, waiting)
                self._since = None
            if _Control.CHECKPOINT in batch:
                self._checkpoint()
            self._busy = not self._queue.empty()

    def _settle(self, statements: PreparedStatements, batch: list[_Waiting]) -> list[_Waiting]:
        """Charge the requests that still wait; return those that need the thread."""
        claimed = [False] * len(batch)

        def is_wanted(number: int) -> bool:  # called once the locks are held, which may take longer than a request
            claimed[number] = batch[number].take_claim()
            return claimed[number]

        results: list[bool | None] | Exception
        try:
            results = charge_all(statements, [waiting.cost for waiting in batch], is_wanted, self._note)
        except Exception as error:  # noqa: BLE001 (each request gets the error; the thread must go on)
            if statements is self._quick and isinstance(error, StoreError) and not any(claimed):
                return batch
            results = error
        for number, waiting in enumerate(batch):
            if claimed[number] or (isinstance(results, Exception) and waiting.take_claim()):
                waiting.resolve(results if isinstance(results, Exception) else results[number])
        return []

    def _checkpoint(self) -> None:
        try:
            self._statements.checkpoint()
        except Exception as error:  # noqa: BLE001 (it is tried again later; the thread must go on)
            log.warning("write-ahead log not checkpointed", error=type(error).__name__)
