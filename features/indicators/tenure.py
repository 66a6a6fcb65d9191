"""Tenure: how long the customer is here, and on how many days active."""

from math import nan

from numba.extending import register_jitable

from fivefold.domain.clock import DAY_US
from fivefold.features.catalogue.indicator import indicator
from fivefold.features.catalogue.statistics import in_days
from fivefold.features.histories import Integers


@register_jitable
def _active_days(time: Integers, first_row: int) -> float:
    days = 0
    for i in range(first_row, len(time)):
        if i == first_row or time[i] // DAY_US != time[i - 1] // DAY_US:
            days += 1
    return float(days)


@indicator("account_age", label="Account age", unit="days", empty=nan)
def account_age(created: Integers, as_of: int) -> float:
    """Days since the earliest stated creation of the account, never below 0."""
    if len(created) == 0:
        return nan
    earliest = created[0]
    for i in range(1, len(created)):
        earliest = min(earliest, created[i])
    return max(in_days(as_of - earliest), 0.0)


@indicator("first_event_age", label="Days since first event", unit="days", empty=nan)
def first_event_age(time: Integers, as_of: int) -> float:
    """Days since the first event of any kind and state."""
    return in_days(as_of - time[0]) if len(time) else nan


@indicator("active_days_{window}", label="Active days, {window}", unit="days", empty=0.0, windows=(90, 365))
def active_days(time: Integers, first_row: int) -> float:
    """Calendar days (UTC) with at least one event {window}."""
    return _active_days(time, first_row)


@indicator("active_day_share_{window}", label="Share of active days", unit="share", empty=nan)
def active_day_share(time: Integers, as_of: int) -> float:
    """Share of the calendar days (UTC) from the first event to as-of that had an event."""
    if len(time) == 0:
        return nan
    return _active_days(time, 0) / float(as_of // DAY_US - time[0] // DAY_US + 1)
