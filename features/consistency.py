"""Consistency: how regular and steady a customer's payments are, from 0 to 1, by indicators that every model reads."""

from typing import Final

import numpy as np

from fivefold.features.histories import Floats

LEAST_DAYS: Final = 180
"""A shorter history has too little time before the last 90 days for a comparison."""
_RECENT_DAYS, _YEAR_DAYS = 90.0, 365.0

MEANING: Final = f"""\
`consistency` is not in the matrix: it follows from indicators, stands beside the score in files and explanations, and
the trees of no model read it. An interval is as wide as those of customers who are as consistent. It is the mean of two
numbers from 0 to 1. The one is `regularity_365d`, which is 1 where events come at equal distances. The other is the
steadiness of the sums, 1 − |a − b| ÷ (a + b), where a is what moved a day in the last 90 days (settled deposits and
withdrawals, by size), and b the same of the rest of the year, or of as much of it as there is history. It is undefined
with less than {LEAST_DAYS} days of history, fewer than three events in the year, or nothing that moved in it. Undefined
is not 0.
"""


def consistency(matrix: Floats, names: tuple[str, ...]) -> Floats:
    """Return the consistency of n customers, 0 to 1; NaN if it is undefined, see `MEANING`.

    Args:
        matrix: n x F indicators.
        names: the names of the F columns.
    """
    column = {name: matrix[:, number] for number, name in enumerate(names)}
    age = column["first_event_age"]
    recent = column["deposit_sum_90d"] + column["withdrawal_sum_90d"]
    year = column["deposit_sum_365d"] + column["withdrawal_sum_365d"]
    with np.errstate(invalid="ignore", divide="ignore"):
        now = recent / _RECENT_DAYS
        # Sums of the year are added in another order than those of 90 days: rounding may leave a little below 0.
        before = np.maximum(year - recent, 0.0) / (np.minimum(age, _YEAR_DAYS) - _RECENT_DAYS)
        steadiness = 1.0 - np.abs(now - before) / (now + before)
        both = (column["regularity_365d"] + steadiness) / 2.0
    return np.where(age >= LEAST_DAYS, both, np.nan)
