"""Loops over transactions in order of row and time, for patterns that depend on the sequence; compiled once a machine.

Row i of the entities with transactions is at offsets[i]:offsets[i + 1]. The module imports nothing of fivefold: the
compiled functions depend on its own text alone.
"""

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

_READ = "Array(int64,1,'C',True)"
SIGNATURES = {
    "busiest": f"void({_READ}, {_READ}, {_READ}, int64, int64, int64, "
    "int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])",
    "pass_on": f"void({_READ}, {_READ}, {_READ}, {_READ}, {_READ}, int64[::1], int64[::1])",
}


def busiest(  # noqa: C901 (one loop, as it is compiled)
    offsets: Integers,
    time: Integers,
    counterparty: Integers,
    span: int,
    more_than: int,
    least: int,
    counters: Integers,
    most: Integers,
    latest: Integers,
    begun: Integers,
    lacking: Integers,
) -> None:
    """Find the largest count above *more_than* in any (t - span, t] that has *least* counterparties, and the last t.

    It is enough to try t at the transactions' times: any other window holds at most what the window at its last
    transaction holds; so does one with only the first of several transactions at one time. *counterparty* is a number,
    -1 if unknown; *counters*, all 0 before and after, has a place for each. *most* stays 0 if there is no such window.
    *begun* is the time of the first transaction in the last window with the largest count. If there is no such window,
    but one may have *least* counterparties because some are unknown, *lacking* and *begun* are of the last window that
    may: the number of its unknown counterparties, and the time of its first transaction.
    """
    for row in range(len(offsets) - 1):
        begin, end, different, unknown = offsets[row], offsets[row + 1], 0, 0
        for at in range(begin, end):
            who = counterparty[at]
            if who >= 0:
                different += 1 if counters[who] == 0 else 0
                counters[who] += 1
            unknown += 1 if who < 0 else 0
            while time[begin] <= time[at] - span:
                who = counterparty[begin]
                if who >= 0:
                    counters[who] -= 1
                    different -= 1 if counters[who] == 0 else 0
                unknown -= 1 if who < 0 else 0
                begin += 1
            count = at + 1 - begin
            if count > more_than and different >= least:
                if count >= most[row]:
                    most[row], begun[row] = count, time[begin]
                latest[row], lacking[row] = time[at], 0
            elif count > more_than and most[row] == 0 and different + unknown >= least:
                lacking[row], begun[row] = unknown, time[begin]
        for at in range(begin, end):
            if counterparty[at] >= 0:
                counters[counterparty[at]] -= 1


def pass_on(
    offsets: Integers,
    time: Integers,
    amount: Integers,
    needed: Integers,
    deadline: Integers,
    passed: Integers,
    latest: Integers,
) -> None:
    """Allocate each withdrawal to the earliest deposit that still has money and time left, and the rest to the next.

    A row with *needed* above 0 is a deposit, every other a withdrawal; at one moment deposits come first. *passed* is
    the part of each deposit that went out again by its *deadline*, *latest* the time of the last withdrawal of it.
    """
    for row in range(len(offsets) - 1):
        first = offsets[row]
        for at in range(offsets[row], offsets[row + 1]):
            if needed[at] > 0:
                continue
            remaining = amount[at]
            while first < at and (needed[first] == 0 or passed[first] == amount[first] or deadline[first] < time[at]):
                first += 1
            for deposit in range(first, at):
                if remaining == 0:
                    break
                if needed[deposit] == 0 or deadline[deposit] < time[at] or passed[deposit] == amount[deposit]:
                    continue
                part = min(remaining, amount[deposit] - passed[deposit])
                passed[deposit] += part
                remaining -= part
                latest[deposit] = time[at]
