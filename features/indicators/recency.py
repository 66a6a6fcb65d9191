"""Recency: how long ago something last happened."""

from math import nan

from fivefold.features.catalogue.indicator import indicator
from fivefold.features.catalogue.statistics import in_days
from fivefold.features.histories import Integers
from fivefold.features.schema import DEPOSIT, WITHDRAWAL


@indicator("deposit_recency", label="Days since last deposit", unit="days", empty=nan)
def deposit_recency(time: Integers, kind: Integers, as_of: int) -> float:
    """Days since the last settled deposit."""
    for i in range(len(time) - 1, -1, -1):
        if kind[i] == DEPOSIT:
            return in_days(as_of - time[i])
    return nan


@indicator("withdrawal_recency", label="Days since last withdrawal", unit="days", empty=nan)
def withdrawal_recency(time: Integers, kind: Integers, as_of: int) -> float:
    """Days since the last settled withdrawal."""
    for i in range(len(time) - 1, -1, -1):
        if kind[i] == WITHDRAWAL:
            return in_days(as_of - time[i])
    return nan


@indicator("event_recency", label="Days since last event", unit="days", empty=nan)
def event_recency(time: Integers, as_of: int) -> float:
    """Days since the last event of any kind and state."""
    return in_days(as_of - time[len(time) - 1]) if len(time) else nan
