"""How slow this machine is just now: limits of time in tests follow it, so that none fails for want of a quick one."""

import asyncio
import os
from collections.abc import Callable
from functools import cache
from time import monotonic, sleep

QUICK_SECONDS = 0.12
"""What the loop below takes on a machine that the limits were written for."""
LEAST, MOST = 3.0, 20.0
"""At least so much, for others may begin to work after it was measured, and a limit that is long costs nothing."""
LOOK_AGAIN_SECONDS = 0.01
KNOWN = "TESTS_SLOWNESS"
"""The variable that hands it on to processes of xdist."""


@cache
def slowness() -> float:
    """Give how many times longer things may take here than on a quick machine: `LEAST` to `MOST`.

    It is measured by the process that starts the tests; the others have it from there.
    """
    if KNOWN not in os.environ:
        os.environ[KNOWN] = str(_measured())
    return float(os.environ[KNOWN])


def until(is_true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what a test asserts of another thread or process.

    Args:
        seconds: time limit on a quick machine.

    Raises:
        AssertionError: it did not become true.
    """
    end = monotonic() + seconds * slowness()
    while not is_true():
        assert monotonic() < end, "it did not become true in time"
        sleep(LOOK_AGAIN_SECONDS)


async def until_in_loop(is_true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait, as `until` does, for what happens on the event loop of this thread."""
    end = monotonic() + seconds * slowness()
    while not is_true():
        assert monotonic() < end, "it did not become true in time"
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _measured() -> float:
    began = monotonic()
    total = 0
    for number in range(3_000_000):
        total += number
    alone = (monotonic() - began) / QUICK_SECONDS
    waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return min(max(LEAST, alone, alone * waiting), MOST)
