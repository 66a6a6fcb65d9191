"""Trend: where things are heading, and how the same season went a year before."""

from math import nan

from numba.extending import register_jitable

from fivefold.domain.clock import DAY_US
from fivefold.features.catalogue.indicator import indicator
from fivefold.features.catalogue.statistics import in_days, power, ratio
from fivefold.features.histories import Floats, Integers
from fivefold.features.schema import DEPOSIT, WITHDRAWAL

_RECENT_DAYS = 30
_BEFORE_DAYS = 90
_YEAR_DAYS = 365
_SEASON_DAYS = 90

# `decay` halves every 360 days: its 24th, 8th and 3rd power halve every 15, 45 and 120.
_HALF_LIVES = tuple({"half_life_days": days, "exponent": 360 // days} for days in (15, 45, 120))


@register_jitable
def _recent_against_before(recent: float, before: float) -> float:
    return ratio(recent, before / (_BEFORE_DAYS / _RECENT_DAYS))


@register_jitable
def _flow_trend(time: Integers, amount: Floats, kind: Integers, first_row: int, as_of: int, wanted: int) -> float:
    recent = 0.0
    before = 0.0
    for i in range(first_row, len(time)):
        if kind[i] == wanted:
            if time[i] > as_of - _RECENT_DAYS * DAY_US:
                recent += abs(amount[i])
            else:
                before += abs(amount[i])
    return _recent_against_before(recent, before)


@register_jitable
def _season_sum(time: Integers, amount: Floats, kind: Integers, first_row: int, as_of: int, wanted: int) -> float:
    total = 0.0
    for i in range(first_row, len(time)):
        if time[i] > as_of - (_YEAR_DAYS - _SEASON_DAYS) * DAY_US:
            break
        if kind[i] == wanted:
            total += amount[i]
    return total


@register_jitable
def _decayed_sum(amount: Floats, kind: Integers, decay: Floats, exponent: int, wanted: int) -> float:
    total = 0.0
    for i in range(len(amount)):
        if kind[i] == wanted:
            total += amount[i] * power(decay[i], exponent)
    return total


@indicator(
    "balance_slope_{window}", label="Balance slope, {window}", unit="money per day", empty=nan, windows=(90, 365)
)
def balance_slope(time: Integers, balance: Floats, first_row: int) -> float:
    """Least-squares slope of the balances after each event {window}."""
    count = len(time) - first_row
    if count < 2 or time[first_row] == time[len(time) - 1]:
        return nan
    mean_day = 0.0
    mean_balance = 0.0
    for i in range(first_row, len(time)):
        mean_day += in_days(time[i] - time[first_row])
        mean_balance += balance[i]
    mean_day /= count
    mean_balance /= count
    joint = 0.0
    spread = 0.0
    for i in range(first_row, len(time)):
        day = in_days(time[i] - time[first_row]) - mean_day
        joint += day * (balance[i] - mean_balance)
        spread += day * day
    return ratio(joint, spread)


@indicator(
    "deposit_trend", label="Deposit trend, 30 days", unit="ratio", empty=nan, windows=(_RECENT_DAYS + _BEFORE_DAYS,)
)
def deposit_trend(time: Integers, amount: Floats, kind: Integers, first_row: int, as_of: int) -> float:
    """Settled deposits of the last 30 days against the mean of 30 days in the 90 before."""
    return _flow_trend(time, amount, kind, first_row, as_of, DEPOSIT)


@indicator(
    "withdrawal_trend",
    label="Withdrawal trend, 30 days",
    unit="ratio",
    empty=nan,
    windows=(_RECENT_DAYS + _BEFORE_DAYS,),
)
def withdrawal_trend(time: Integers, amount: Floats, kind: Integers, first_row: int, as_of: int) -> float:
    """Settled withdrawals of the last 30 days against the mean of 30 days in the 90 before."""
    return _flow_trend(time, amount, kind, first_row, as_of, WITHDRAWAL)


@indicator(
    "activity_trend", label="Activity trend, 30 days", unit="ratio", empty=nan, windows=(_RECENT_DAYS + _BEFORE_DAYS,)
)
def activity_trend(time: Integers, first_row: int, as_of: int) -> float:
    """Number of events of the last 30 days against the mean of 30 days in the 90 before."""
    recent = 0
    for i in range(first_row, len(time)):
        if time[i] > as_of - _RECENT_DAYS * DAY_US:
            recent += 1
    return _recent_against_before(float(recent), float(len(time) - first_row - recent))


@indicator(
    "deposit_decayed_{half_life_days}d",
    label="Deposits, half-life {half_life_days} days",
    unit="money",
    empty=0.0,
    variants=_HALF_LIVES,
)
def deposit_decayed(amount: Floats, kind: Integers, decay: Floats, exponent: int) -> float:
    """Settled deposits fading by half every {half_life_days} days, summed over all history."""
    return _decayed_sum(amount, kind, decay, exponent, DEPOSIT)


@indicator(
    "withdrawal_decayed_{half_life_days}d",
    label="Withdrawals, half-life {half_life_days} days",
    unit="money",
    empty=0.0,
    variants=_HALF_LIVES,
)
def withdrawal_decayed(amount: Floats, kind: Integers, decay: Floats, exponent: int) -> float:
    """Settled withdrawals fading by half every {half_life_days} days, summed by size over all history."""
    return 0.0 - _decayed_sum(amount, kind, decay, exponent, WITHDRAWAL)


@indicator(
    "balance_decayed_{half_life_days}d",
    label="Balance, half-life {half_life_days} days",
    unit="money",
    empty=nan,
    variants=_HALF_LIVES,
)
def balance_decayed(balance: Floats, decay: Floats, exponent: int) -> float:
    """Balance fading by half every {half_life_days} days, as the mean of the balances after each event."""
    total = 0.0
    weights = 0.0
    for i in range(len(balance)):
        weight = power(decay[i], exponent)
        total += balance[i] * weight
        weights += weight
    return ratio(total, weights)


@indicator("deposit_year_ago", label="Deposits a year before", unit="money", empty=0.0, windows=(_YEAR_DAYS,))
def deposit_year_ago(time: Integers, amount: Floats, kind: Integers, first_row: int, as_of: int) -> float:
    """Settled deposits in the 90 days that began a year before as-of."""
    return _season_sum(time, amount, kind, first_row, as_of, DEPOSIT)


@indicator("withdrawal_year_ago", label="Withdrawals a year before", unit="money", empty=0.0, windows=(_YEAR_DAYS,))
def withdrawal_year_ago(time: Integers, amount: Floats, kind: Integers, first_row: int, as_of: int) -> float:
    """Settled withdrawals, by size, in the 90 days that began a year before as-of."""
    return 0.0 - _season_sum(time, amount, kind, first_row, as_of, WITHDRAWAL)


@indicator("balance_year_ago", label="Balance a year before", unit="money", empty=nan, windows=(_YEAR_DAYS,))
def balance_year_ago(time: Integers, balance: Floats, first_row: int, as_of: int) -> float:
    """Mean of the balances after each event in the 90 days that began a year before as-of."""
    total = 0.0
    count = 0
    for i in range(first_row, len(time)):
        if time[i] > as_of - (_YEAR_DAYS - _SEASON_DAYS) * DAY_US:
            break
        total += balance[i]
        count += 1
    return ratio(total, float(count))
