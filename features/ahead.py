"""Threads that work ahead of their caller, a bounded number of steps: results keep the order of the items."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the same items; a second thread makes the next item while the caller works on the present one.

    >>> list(read_ahead(range(3)))
    [0, 1, 2]
    """
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(next, iterator, end)
        while (item := pending.result()) is not end:
            pending = pool.submit(next, iterator, end)
            yield item  # type: ignore[misc]  # the end is not an item


def work_ahead(work: Callable[[Item], Made], items: Iterable[Item], threads: int = 0) -> Iterator[Made]:
    """Yield the result of the work on each item; threads work on the next items while the caller works on a result.

    At most one item more than there are threads (by default one for each processor) is pending, which bounds the
    memory. The caller's own thread takes the items.

    >>> list(work_ahead(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    count = threads or os.cpu_count() or 1
    pool = ThreadPoolExecutor(count)
    pending: deque[Future[Made]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
