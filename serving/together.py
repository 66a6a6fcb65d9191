"""Answers small requests of one organisation together if they wait for each other: they share the fixed cost of one.

None waits for others to come: requests that came while earlier ones were answered are taken together.
"""

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from fivefold.serving.lanes import AGAIN_SECONDS, BUSY, TOO_MANY
from fivefold.serving.responses import ApiError

Item = TypeVar("Item")
Result = TypeVar("Result")


class SharedLane(Generic[Item, Result]):
    """A few threads, each of which answers many requests of one organisation at once; organisations take turns."""

    def __init__(
        self,
        name: str,
        threads: int,
        answer_all: Callable[[Sequence[Item]], Iterator[tuple[int, Result | BaseException]]],
        *,
        most: int,
        waiting_each: int,
        waiting: int,
    ) -> None:
        """Set the bounds; threads start with the first requests.

        Args:
            name: prefix of the threads' names.
            threads: number of threads; an organisation has one at a time.
            answer_all: yields the place of each request with its result or its error, as soon as that is known.
            most: most requests that are answered together.
            waiting_each: most waiting requests of one organisation; more are refused with 429.
            waiting: most waiting requests in all; more are refused with 503.
        """
        self._answer_all, self._most = answer_all, most
        self._waiting_each, self._most_waiting = waiting_each, waiting
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._queues: defaultdict[int, deque[tuple[Item, Future[Result]]]] = defaultdict(deque)
        """Waiting requests of organisations that have a thread, or wait for one."""

    async def run(self, organisation: int, item: Item) -> Result:
        """Queue a request and return its result; ApiError 429 or 503 if too many wait already."""
        future: Future[Result] = Future()
        with self._lock:
            is_idle = organisation not in self._queues
            queue = self._queues[organisation]
            full = len(queue) >= self._waiting_each
            if full or sum(map(len, self._queues.values())) >= self._most_waiting:
                if is_idle:
                    del self._queues[organisation]
                refusal = (429, TOO_MANY) if full else (503, BUSY)
                raise ApiError(*refusal, headers={"Retry-After": str(AGAIN_SECONDS)})
            queue.append((item, future))
            if is_idle:
                self._executor.submit(self._work, organisation)
        return await asyncio.wrap_future(future)

    def _work(self, organisation: int) -> None:
        """Answer an organisation's waiting requests, up to a number; then other organisations come first."""
        with self._lock:
            queue = self._queues[organisation]
            entries = [queue.popleft() for _ in range(min(self._most, len(queue)))]
        wanted = [(item, future) for item, future in entries if future.set_running_or_notify_cancel()]
        if wanted:
            self._answer(wanted)
        with self._lock:
            if queue:
                self._executor.submit(self._work, organisation)
            else:
                del self._queues[organisation]

    def _answer(self, wanted: Sequence[tuple[Item, "Future[Result]"]]) -> None:
        waiting = dict(enumerate(future for _, future in wanted))
        try:
            for place, result in self._answer_all([item for item, _ in wanted]):
                if isinstance(result, BaseException):
                    waiting.pop(place).set_exception(result)
                else:
                    waiting.pop(place).set_result(result)
        except BaseException as error:  # noqa: BLE001 (those without an answer get it, and the thread goes on)
            for future in waiting.values():
                future.set_exception(error)
