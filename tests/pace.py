"""How slow this machine is just now: limits of time in tests follow it, so that none fails for want of a quick one."""

import os
from functools import cache
from time import monotonic

QUICK_SECONDS = 0.12
"""What the loop below takes on a machine that the limits were written for."""
MOST = 20.0
KNOWN = "TESTS_SLOWNESS"
"""The variable that hands it on to processes of xdist."""


@cache
def slowness() -> float:
    """Give how many times longer things may take here than on a quick machine: 1 at least, 20 at most.

    It is measured by the process that starts the tests; the others have it from there.
    """
    if KNOWN not in os.environ:
        os.environ[KNOWN] = str(_measured())
    return float(os.environ[KNOWN])


def _measured() -> float:
    began = monotonic()
    total = 0
    for number in range(3_000_000):
        total += number
    alone = (monotonic() - began) / QUICK_SECONDS
    waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return min(max(1.0, alone, alone * waiting), MOST)
