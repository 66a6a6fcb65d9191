"""Lanes: threads that organisations share fairly, with bounded queues; and bounds on the memory of bodies."""

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fivefold.serving.responses import ApiError

Result = TypeVar("Result")
AGAIN_SECONDS = 2
"""Retry-After of a full lane: most of its running calls have ended by then."""
TOO_MANY = "Too many requests of your organisation wait already; send the next ones when those are answered"
SLOW = "Half of all connections wait for bodies of your token already; nothing was done"
STRANGERS_SLOW = "Too many forms of people who are not signed in are still arriving; nothing was done. Try again soon"
BUSY = "Too many requests wait already; nothing was done"


@dataclass
class _Item(Generic[Result]):
    """A call that waits for a thread, or runs in one."""

    organisation: int
    function: Callable[[], Result]
    future: "Future[Result]"

    def run(self) -> None:
        """Run the call, unless its future was cancelled."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function()
        except BaseException as error:  # noqa: BLE001 (the caller gets it, and the thread goes on)
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Lane:
    """A few threads; organisations take turns, so that many requests of one do not delay those of another.

    A running call is never interrupted: after a request's time limit it holds its thread until it ends.
    """

    def __init__(self, name: str, threads: int, *, each: int, waiting_each: int, waiting: int) -> None:
        """Set the bounds; threads start with the first calls.

        Args:
            name: prefix of the threads' names.
            threads: number of threads.
            each: most threads of one organisation at once.
            waiting_each: most waiting requests of one organisation; more are refused with 429.
            waiting: most waiting requests in all; more are refused with 503.
        """
        self._threads, self._each, self._waiting_each, self._most_waiting = threads, each, waiting_each, waiting
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._running: Counter[int] = Counter()
        self._queues: OrderedDict[int, deque[_Item[Any]]] = OrderedDict()
        """Waiting calls by organisation; the first organisation's turn is next."""

    async def run(self, organisation: int, function: Callable[[], Result], *, accepted: bool = False) -> Result:
        """Run a function in one of the threads; ApiError 429 or 503 if too many wait already.

        A later step of an *accepted* request waits however many others do, so that it is not refused halfway.
        """
        item: _Item[Result] = _Item(organisation, function, Future())
        self._enqueue(item, accepted)
        return await asyncio.wrap_future(item.future)

    def _enqueue(self, item: _Item[Any], accepted: bool) -> None:
        with self._lock:
            if self._may_run(item.organisation):
                self._running[item.organisation] += 1
                self._executor.submit(self._work, item)
                return
            queue = self._queues.setdefault(item.organisation, deque())
            full = len(queue) >= self._waiting_each
            if not accepted and (full or sum(map(len, self._queues.values())) >= self._most_waiting):
                if not queue:
                    del self._queues[item.organisation]
                raise ApiError(429 if full else 503, TOO_MANY if full else BUSY, headers=_later())
            queue.append(item)

    def _may_run(self, organisation: int) -> bool:
        return self._running.total() < self._threads and self._running[organisation] < self._each

    def _work(self, item: _Item[Any] | None) -> None:
        while item is not None:
            item.run()
            item = self._next_after(item.organisation)

    def _next_after(self, organisation: int) -> _Item[Any] | None:
        """Note the end of a call; return the next one that may run, or None."""
        with self._lock:
            self._running[organisation] -= 1
            if not self._running[organisation]:
                del self._running[organisation]
            for waiting, queue in self._queues.items():
                while queue and queue[0].future.cancelled():
                    queue.popleft()
                if queue and self._may_run(waiting):
                    break
            else:
                self._queues = OrderedDict((name, queue) for name, queue in self._queues.items() if queue)
                return None
            item = queue.popleft()
            del self._queues[waiting]
            if queue:
                self._queues[waiting] = queue  # behind all others
            self._running[waiting] += 1
            return item


class BodyMemory:
    """Bounds the bytes of large bodies that a worker holds at once, in all and of one organisation."""

    def __init__(self, most: int, most_each: int) -> None:
        """Allow *most* bytes in all, and *most_each* of one organisation."""
        self._most, self._most_each = most, most_each
        self._reserved: Counter[int] = Counter()
        self._lock = threading.Lock()

    def reserving_for(self, organisation: int) -> "_Reservation":
        """Return a context whose function reserves bytes until the block ends, and raises ApiError 429 or 503."""
        return _Reservation(self, organisation)

    def reserve(self, organisation: int, size: int) -> None:
        """Reserve bytes; ApiError 429 or 503 if there is not enough room."""
        with self._lock:
            full = self._reserved[organisation] + size > self._most_each
            if full or self._reserved.total() + size > self._most:
                raise ApiError(429 if full else 503, TOO_MANY if full else BUSY, headers=_later())
            self._reserved[organisation] += size

    def release(self, organisation: int, size: int) -> None:
        """Release reserved bytes."""
        with self._lock:
            self._reserved[organisation] -= size
            if not self._reserved[organisation]:
                del self._reserved[organisation]


class _Reservation:
    """The bytes that one request reserves. A generator would take three times as long at each request."""

    def __init__(self, memory: BodyMemory, organisation: int) -> None:
        self._memory, self._organisation, self._reserved = memory, organisation, 0

    def __enter__(self) -> Callable[[int], None]:
        return self._reserve

    def __exit__(self, *_: object) -> None:
        if self._reserved:
            self._memory.release(self._organisation, self._reserved)

    def _reserve(self, size: int) -> None:
        self._memory.reserve(self._organisation, size)
        self._reserved += size


class PendingBodies:
    """Counts bodies still being received: a slow one occupies its connection, however small it is."""

    def __init__(self, most_each: Callable[[], int], refusal: str = SLOW) -> None:
        """Allow as many bodies of one sender as *most_each* returns at the time; *refusal* is the text of a refusal."""
        self._most_each, self._refusal = most_each, refusal
        self._waiting: dict[int | str, int] = {}

    def awaited_from(self, sender: int | str) -> "_Awaited":
        """Count a body of a token or an address until the block ends; ApiError 503 if it has too many under way.

        For one event loop only.
        """
        return _Awaited(self, sender)

    def begin(self, sender: int | str) -> None:
        """Count a body; ApiError 503 if its sender has too many under way."""
        waiting = self._waiting.get(sender, 0)
        if waiting >= self._most_each():
            raise ApiError(503, self._refusal, headers=_later())
        self._waiting[sender] = waiting + 1

    def end(self, sender: int | str) -> None:
        """Subtract a body from the count of its sender."""
        waiting = self._waiting.pop(sender) - 1
        if waiting:
            self._waiting[sender] = waiting


class _Awaited:
    """One body under way. As for `_Reservation`, a generator would take longer."""

    def __init__(self, pending: PendingBodies, sender: int | str) -> None:
        self._pending, self._sender = pending, sender

    def __enter__(self) -> None:
        self._pending.begin(self._sender)

    def __exit__(self, *_: object) -> None:
        self._pending.end(self._sender)


def _later() -> dict[str, str]:
    return {"Retry-After": str(AGAIN_SECONDS)}
