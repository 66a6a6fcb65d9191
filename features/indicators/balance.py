"""Balance: what the customer holds. A balance is held from its row to the next one."""

from math import nan

from fivefold.features.catalogue.indicator import indicator
from fivefold.features.catalogue.statistics import deviation_of, held_days, held_from, mean_of, ratio
from fivefold.features.histories import Floats, Integers


@indicator("balance_last", label="Last balance", unit="money", empty=nan)
def balance_last(balance: Floats) -> float:
    """Balance after the last event."""
    return balance[len(balance) - 1] if len(balance) else nan


@indicator("balance_min_{window}", label="Lowest balance, {window}", unit="money", empty=nan, windows=(90,))
def balance_min(time: Integers, balance: Floats, first_row: int, window_start: int) -> float:
    """Lowest balance held {window}, the one carried in included."""
    lowest = nan
    for i in range(held_from(time, first_row, window_start), len(balance)):
        if not balance[i] >= lowest:
            lowest = balance[i]
    return lowest


@indicator("balance_max_{window}", label="Highest balance, {window}", unit="money", empty=nan, windows=(90, 365))
def balance_max(time: Integers, balance: Floats, first_row: int, window_start: int) -> float:
    """Highest balance held {window}, the one carried in included."""
    highest = nan
    for i in range(held_from(time, first_row, window_start), len(balance)):
        if not balance[i] <= highest:
            highest = balance[i]
    return highest


@indicator("balance_mean_{window}", label="Mean balance, {window}", unit="money", empty=nan, windows=(90,))
def balance_mean(balance: Floats, first_row: int) -> float:
    """Mean of the balances after each event {window}."""
    return mean_of(balance, first_row)


@indicator("balance_deviation_{window}", label="Balance variation, {window}", unit="money", empty=nan, windows=(90,))
def balance_deviation(balance: Floats, first_row: int) -> float:
    """Sample standard deviation of the balances after each event {window}."""
    return deviation_of(balance, first_row)


@indicator("balance_held_{window}", label="Balance held, {window}", unit="money", empty=nan, windows=(30, 90, 365))
def balance_held(time: Integers, balance: Floats, first_row: int, window_start: int, as_of: int) -> float:
    """Mean balance {window}, each weighted by how long it was held."""
    weighted = 0.0
    days = 0.0
    for i in range(held_from(time, first_row, window_start), len(balance)):
        days_held = held_days(time, i, window_start, as_of)
        weighted += balance[i] * days_held
        days += days_held
    if days == 0.0 and len(balance) > 0:
        return float(balance[len(balance) - 1])
    return ratio(weighted, days)


@indicator("balance_empty_days_{window}", label="Days without money, {window}", unit="days", empty=0.0, windows=(365,))
def balance_empty_days(time: Integers, balance: Floats, first_row: int, window_start: int, as_of: int) -> float:
    """Days with a balance at or below zero {window}."""
    days = 0.0
    for i in range(held_from(time, first_row, window_start), len(balance)):
        if balance[i] <= 0.0:
            days += held_days(time, i, window_start, as_of)
    return days
