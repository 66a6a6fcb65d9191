"""Plain loops over the customers of a draw, compiled by Numba: a draw of many customers needs no temporary arrays.

Customers are in predicted order, so those with equal predictions are adjacent: `starts` has the first place of each
such group, and the number of customers at the end.
"""

from typing import Any

import numpy as np

SIGNATURES = {
    "count_drawn": "void(uint32[::1], uint16[::1])",
    "gini_of_draw": "float64(uint16[::1], uint32[::1], uint32[::1], float64[::1])",
    "money_of_draw": (
        "void(uint16[::1], uint32[::1], uint32[:,::1], float64[::1], float64[::1], int64[::1], float64[:,::1])"
    ),
}
"""Counts and places have small types, so that those of very many customers fit in the processor's caches."""


def count_drawn(drawn: Any, times: Any) -> None:
    """Count in *times*, n zeros at first, how often each of n customers is among the m drawn positions."""
    for place in range(len(drawn)):
        times[drawn[place]] += 1


def gini_of_draw(times: Any, order: Any, starts: Any, realised: Any) -> Any:
    """Return the Gini, not yet normalised, of a draw; 0 if all drawn customers tie, or none is worth anything.

    Args:
        times: how often each of n customers was drawn.
        order: n positions of the customers, highest prediction first.
        starts: the first place of each group of equal predictions, and n.
        realised: n values in money, in this order.
    """
    customers = 0.0
    total = 0.0
    area = 0.0
    first = np.int64(0)
    for group in range(1, len(starts)):
        if first == len(order):  # without any customer
            break
        end = np.int64(starts[group])
        # Nearly every group is one customer, which needs no inner loop.
        drawn = np.float64(times[order[first]])
        value = drawn * realised[first]
        for place in range(first + 1, end):
            often = np.float64(times[order[place]])
            drawn += often
            value += often * realised[place]
        area += drawn * total + value * (drawn + 1.0) / 2.0
        customers += drawn
        total += value
        first = end
    # Nothing is realised, or all drawn customers are in one group: division would leave a rounding error.
    if total == 0.0 or area == total * (customers + 1.0) / 2.0:
        return 0.0
    return (area / total - (customers + 1.0) / 2.0) / customers


def money_of_draw(times: Any, order: Any, tied: Any, predicted: Any, realised: Any, bounds: Any, money: Any) -> None:
    """Fill 2 x k: the predicted and the realised money of k sets of places; equal predictions share realised money.

    Args:
        times: how often each of n customers was drawn.
        order: n positions of the customers, lowest prediction first.
        tied: m x 2: the first place of each group of two or more equal predictions, and the place after its last.
        predicted: n values in money, in this order.
        realised: n values in money, in this order.
        bounds: the first place of each set, and n.
        money: the array to fill.
    """
    group = 0
    for part in range(len(bounds) - 1):
        of_predicted = 0.0
        of_realised = 0.0
        place, last = bounds[part], bounds[part + 1]
        while place < last:
            first, end = last, last
            if group < len(tied):
                first, end = np.int64(tied[group, 0]), np.int64(tied[group, 1])
            # Nearly every customer has a prediction of their own, and shares nothing.
            for alone in range(place, min(first, last)):
                often = np.float64(times[order[alone]])
                of_predicted += often * predicted[alone]
                of_realised += often * realised[alone]
            place, stop = max(place, min(first, last)), min(end, last)
            if place < stop:
                shared = shared_value(times, order, realised, first, end)
                for equal in range(place, stop):
                    often = np.float64(times[order[equal]])
                    of_predicted += often * predicted[equal]
                    of_realised += often * shared
                place = stop
                group += stop == end
        money[0, part] = of_predicted
        money[1, part] = of_realised


def shared_value(times: Any, order: Any, realised: Any, first: Any, end: Any) -> Any:
    """Return the mean realised money of the drawn customers at some places."""
    drawn = 0.0
    value = 0.0
    for place in range(first, end):
        often = np.float64(times[order[place]])
        drawn += often
        value += often * realised[place]
    return value / max(drawn, 1.0)
