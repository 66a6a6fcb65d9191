"""What a file of an operator's own indicators imports: the decorator, the codes of rows, and loops to build on.

    from fivefold.features.own_indicators import DEPOSIT, Floats, Integers, indicator

A function that several indicators call is marked with `shared`. `docs/own-indicators.md` has a whole example.
"""

from numba.extending import register_jitable as shared

from fivefold.features.catalogue.indicator import indicator
from fivefold.features.catalogue.statistics import (
    deviation_of,
    deviation_of_gaps,
    held_days,
    held_from,
    in_days,
    mean_gap,
    mean_of,
    power,
    ratio,
    rows_until,
)
from fivefold.features.histories import Floats, Integers
from fivefold.features.schema import DEPOSIT, FAILED_ROW, NOTHING, PENDING_ROW, WITHDRAWAL

__all__ = [
    "DEPOSIT",
    "FAILED_ROW",
    "NOTHING",
    "PENDING_ROW",
    "WITHDRAWAL",
    "Floats",
    "Integers",
    "deviation_of",
    "deviation_of_gaps",
    "held_days",
    "held_from",
    "in_days",
    "indicator",
    "mean_gap",
    "mean_of",
    "power",
    "ratio",
    "rows_until",
    "shared",
]
