"""The ledger: charges requests against their plans, at once where nobody is in the way, else together in a thread."""

import asyncio
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from time import monotonic

import structlog
from sqlalchemy import Engine

from fivefold.domain.errors import StoreError
from fivefold.store.accounts.tokens import Charge, Used
from fivefold.store.sql.fast_statements import Till
from fivefold.usecases.accounts.tokens import charge_all

MOST_TOGETHER = 64
"""Charges in one commit: more would keep the first of them waiting."""
STUCK_SECONDS = 5.0
"""Charges that take longer are a reason to send requests elsewhere."""
MOST_NOTED = 10_000
"""Tokens of which it is known what they have used up."""
CHECKPOINT_COMMITS = 1_000
"""So often the thread brings SQLite's write-ahead log back into the file, which waits for the disk."""

log = structlog.get_logger("fivefold.ledger")


@dataclass(slots=True)
class _Waiting:
    """A request that waits for its charge; whoever takes the claim decides whether it is charged or has left."""

    cost: Charge
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[bool | None]"
    claim: threading.Lock = field(default_factory=threading.Lock)

    def claimed(self) -> bool:
        """Claim it; False where it was claimed before."""
        return self.claim.acquire(blocking=False)

    def tell(self, result: bool | Exception | None) -> None:
        """Give it its result, from any thread."""
        if self.loop is _loop_here():
            self._tell(result)
        else:
            with suppress(RuntimeError):  # its loop was closed: nobody waits any more
                self.loop.call_soon_threadsafe(self._tell, result)

    def _tell(self, result: bool | Exception | None) -> None:
        if self.future.cancelled():
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _Word(Enum):
    """What else the thread is told."""

    END = auto()
    CHECKPOINT = auto()


class Ledger:
    """Charges in the event loop where SQLite is free, which takes microseconds; otherwise in one thread a process.

    Any number of processes share the database's own exactness.
    """

    def __init__(self, engine: Engine) -> None:
        """Start nothing yet."""
        self._queue: queue.SimpleQueue[_Waiting | _Word] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._till = Till(engine)
        self.engine = engine
        self._quick = Till(engine, quick=True) if engine.dialect.name == "sqlite" else None
        self._turn = threading.Lock()
        self._arrived: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        self._commits = 0
        self._busy = False
        self._since: float | None = None
        self._used: dict[tuple[int, str], Used] = {}

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, then end."""
        self._queue.put(_Word.END)
        self._thread.join()
        if self._quick is not None:
            self._quick.close()

    def problem(self) -> str:
        """Say why requests to score cannot be charged now; empty where they can, as far as is known."""
        since = self._since
        stuck = since is not None and monotonic() - since > STUCK_SECONDS
        return "charges wait for the database" if stuck else ""

    def used(self, cost: Charge) -> Used | None:
        """Tell what the token of a charge had used up when this process charged it last; None where that is unknown."""
        return self._used.get((cost.token_id, cost.month))

    def _note(self, cost: Charge, used: Used) -> None:
        if len(self._used) >= MOST_NOTED:
            self._used.clear()
        self._used[cost.token_id, cost.month] = used

    async def charge(self, cost: Charge) -> bool | None:
        """Charge one request: True charged, False refused by its plan, None where the token ended meanwhile.

        A request that is cancelled meanwhile is not charged; where its commit has begun, it is not cancelled.

        Raises:
            StoreError: the database is out of reach.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(cost, loop, loop.create_future())
        if self._quick is None or self._busy:
            self._hand_over([waiting])
        else:
            together = self._arrived.setdefault(loop, [])
            together.append(waiting)
            if len(together) == 1:  # after those that were read from the network with it: all of them share a commit
                loop.call_soon(self._charge_arrived, self._quick, loop)
        try:
            return await asyncio.shield(waiting.future)
        except asyncio.CancelledError:
            if waiting.claimed():
                raise
            return await waiting.future

    def _charge_arrived(self, till: Till, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._arrived.pop(loop)
        if not self._turn.acquire(blocking=False):
            self._hand_over(batch)
            return
        try:
            left = self._settle(till, batch)
        finally:
            self._turn.release()
        if left:  # another process writes: the thread waits for it
            self._hand_over(left)
        self._commits += 1
        if self._commits % CHECKPOINT_COMMITS == 0:
            self._queue.put(_Word.CHECKPOINT)

    def _hand_over(self, batch: list[_Waiting]) -> None:
        self._busy = True
        for waiting in batch:
            self._queue.put(waiting)

    def _write(self) -> None:
        going = True
        while going:
            batch = [self._queue.get()]
            while len(batch) < MOST_TOGETHER and not self._queue.empty():
                batch.append(self._queue.get())
            going = _Word.END not in batch
            if waiting := [one for one in batch if isinstance(one, _Waiting)]:
                self._since = monotonic()
                self._settle(self._till, waiting)
                self._since = None
            if _Word.CHECKPOINT in batch:
                self._bring_back()
            self._busy = not self._queue.empty()

    def _settle(self, till: Till, batch: list[_Waiting]) -> list[_Waiting]:
        """Charge those who still wait; give back those for whom a quick till could not."""
        claimed = [False] * len(batch)

        def wanted(number: int) -> bool:  # asked when the locks are had, which may have taken longer than a request
            claimed[number] = batch[number].claimed()
            return claimed[number]

        results: list[bool | None] | Exception
        try:
            results = charge_all(till, [waiting.cost for waiting in batch], wanted, self._note)
        except Exception as error:  # noqa: BLE001 (each request is told; the thread must live on)
            if till is self._quick and isinstance(error, StoreError) and not any(claimed):
                return batch
            results = error
        for number, waiting in enumerate(batch):
            if claimed[number] or (isinstance(results, Exception) and waiting.claimed()):
                waiting.tell(results if isinstance(results, Exception) else results[number])
        return []

    def _bring_back(self) -> None:
        try:
            self._till.bring_back_log()
        except Exception as error:  # noqa: BLE001 (it is tried again later; the thread must live on)
            log.warning("log not brought back", error=type(error).__name__)
