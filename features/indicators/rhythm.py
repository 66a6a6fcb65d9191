"""Rhythm: how regularly events come, and at what time of the week and day (UTC)."""

from math import nan

import numpy as np

from fivefold.domain.clock import DAY_US
from fivefold.features.catalogue.indicator import indicator
from fivefold.features.catalogue.statistics import deviation_of_gaps, mean_gap, ratio
from fivefold.features.histories import Integers

_HOUR_US = DAY_US // 24
_MONDAY = 4  # 1970-01-01 was a Thursday: day 4 was the first Monday
_SATURDAY = 5  # counted from Monday
_NIGHT_ENDS_HOUR = 6


@indicator("gap_mean_{window}", label="Days between events, {window}", unit="days", empty=nan, windows=(365, None))
def gap_mean(time: Integers, first_row: int) -> float:
    """Mean time between neighbouring events {window}."""
    return mean_gap(time, first_row)


@indicator("gap_deviation_{window}", label="Gap variation, {window}", unit="days", empty=nan, windows=(365, None))
def gap_deviation(time: Integers, first_row: int) -> float:
    """Sample standard deviation of the time between neighbouring events {window}."""
    return deviation_of_gaps(time, first_row)


@indicator("regularity_{window}", label="Regularity, {window}", unit="ratio", empty=nan, windows=(365,))
def regularity(time: Integers, first_row: int) -> float:
    """1 where events come at equal distances, towards 0 the more the distances vary, {window}."""
    mean = mean_gap(time, first_row)
    return ratio(mean, mean + deviation_of_gaps(time, first_row))


@indicator("busiest_weekday_share_{window}", label="Busiest weekday, {window}", unit="share", empty=nan, windows=(365,))
def busiest_weekday_share(time: Integers, first_row: int) -> float:
    """Share of the events that fall on the customer's busiest day of the week {window}."""
    counts = np.zeros(7, dtype=np.int64)
    for i in range(first_row, len(time)):
        counts[(time[i] // DAY_US - _MONDAY) % 7] += 1
    most = 0
    for i in range(7):
        most = max(most, counts[i])
    return ratio(float(most), float(len(time) - first_row))


@indicator("weekend_share_{window}", label="Weekend share, {window}", unit="share", empty=nan, windows=(365,))
def weekend_share(time: Integers, first_row: int) -> float:
    """Share of the events on Saturdays and Sundays (UTC) {window}."""
    count = 0
    for i in range(first_row, len(time)):
        if (time[i] // DAY_US - _MONDAY) % 7 >= _SATURDAY:
            count += 1
    return ratio(float(count), float(len(time) - first_row))


@indicator("night_share_{window}", label="Night share, {window}", unit="share", empty=nan, windows=(365,))
def night_share(time: Integers, first_row: int) -> float:
    """Share of the events between midnight and 06:00 (UTC) {window}."""
    count = 0
    for i in range(first_row, len(time)):
        if time[i] % DAY_US < _NIGHT_ENDS_HOUR * _HOUR_US:
            count += 1
    return ratio(float(count), float(len(time) - first_row))
