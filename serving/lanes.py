"""Lanes: threads that organisations share fairly, with an end to how much may wait; and room for bodies."""

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fivefold.serving.responses import Refusal

Result = TypeVar("Result")
AGAIN_SECONDS = 2
"""After so long it is worth to ask again where a lane was full: most of what runs there has ended by then."""
TOO_MANY = "Too many requests of your organisation wait already; send the next ones when those are answered"
SLOW = "Half of all connections wait for bodies of your token already; nothing was done"
BUSY = "Too many requests wait already; nothing was done"


@dataclass
class _Item(Generic[Result]):
    """Something that waits for a thread, or runs in one."""

    organisation: int
    function: Callable[[], Result]
    future: "Future[Result]"

    def run(self) -> None:
        """Run it, unless its caller has left."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function()
        except BaseException as error:  # noqa: BLE001 (the caller is told, and the thread goes on)
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Lane:
    """A few threads; organisations take turns, so that nobody's many requests keep another's one waiting.

    What runs is never given up: a request that is answered for its time limit holds its thread until it ends.
    """

    def __init__(self, name: str, threads: int, *, each: int, waiting_each: int, waiting: int) -> None:
        """Start nothing yet.

        Args:
            name: of the threads.
            threads: how many there are.
            each: how many of them one organisation may have at once.
            waiting_each: how many of its requests may wait; more are refused with 429.
            waiting: how many may wait in all; more are refused with 503.
        """
        self._threads, self._each, self._waiting_each, self._most_waiting = threads, each, waiting_each, waiting
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._running: Counter[int] = Counter()
        self._queues: OrderedDict[int, deque[_Item[Any]]] = OrderedDict()
        """Those who wait, by organisation; the first organisation's turn is next."""

    async def run(self, organisation: int, function: Callable[[], Result]) -> Result:
        """Run a function in one of the threads; Refusal 429 or 503 where too much waits already."""
        item: _Item[Result] = _Item(organisation, function, Future())
        self._take(item)
        return await asyncio.wrap_future(item.future)

    def _take(self, item: _Item[Any]) -> None:
        with self._lock:
            if self._may_run(item.organisation):
                self._running[item.organisation] += 1
                self._executor.submit(self._work, item)
                return
            queue = self._queues.setdefault(item.organisation, deque())
            full = len(queue) >= self._waiting_each
            if full or sum(map(len, self._queues.values())) >= self._most_waiting:
                if not queue:
                    del self._queues[item.organisation]
                raise Refusal(429 if full else 503, TOO_MANY if full else BUSY, headers=_later())
            queue.append(item)

    def _may_run(self, organisation: int) -> bool:
        return self._running.total() < self._threads and self._running[organisation] < self._each

    def _work(self, item: _Item[Any] | None) -> None:
        while item is not None:
            item.run()
            item = self._next_after(item.organisation)

    def _next_after(self, organisation: int) -> _Item[Any] | None:
        """End one, and give whose turn it is; None where nobody waits who may run."""
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


class Room:
    """Bytes of large bodies that a worker holds at once: what is sent to it must not be more than it has memory for."""

    def __init__(self, most: int, most_each: int) -> None:
        """Hold nothing yet; at most *most* bytes in all, and *most_each* of one organisation."""
        self._most, self._most_each = most, most_each
        self._held: Counter[int] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def held_by(self, organisation: int) -> Iterator[Callable[[int], None]]:
        """Give what takes room for so many bytes more, until the block ends; it raises Refusal 429 or 503."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            with self._lock:
                full = self._held[organisation] + size > self._most_each
                if full or self._held.total() + size > self._most:
                    raise Refusal(429 if full else 503, TOO_MANY if full else BUSY, headers=_later())
                self._held[organisation] += size
                taken += size

        try:
            yield take
        finally:
            if taken:
                self._give_back(organisation, taken)

    def _give_back(self, organisation: int, size: int) -> None:
        with self._lock:
            self._held[organisation] -= size
            if not self._held[organisation]:
                del self._held[organisation]


class Bodies:
    """Bodies that are on their way, of which none takes much room: a slow one keeps its connection all the same."""

    def __init__(self, most_each: Callable[[], int]) -> None:
        """Wait for none yet; for at most so many of one token, as *most_each* gives it then."""
        self._most_each = most_each
        self._waiting: Counter[int] = Counter()

    @contextmanager
    def awaited_from(self, token: int) -> Iterator[None]:
        """Count a body of a token until the block ends; Refusal 503 where too many are on their way. One loop alone."""
        if self._waiting[token] >= self._most_each():
            raise Refusal(503, SLOW, headers=_later())
        self._waiting[token] += 1
        try:
            yield
        finally:
            self._waiting[token] -= 1
            if not self._waiting[token]:
                del self._waiting[token]


def _later() -> dict[str, str]:
    return {"Retry-After": str(AGAIN_SECONDS)}
