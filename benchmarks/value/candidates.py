"""Candidates for the catalogue, as an operator's own indicators: `benchmarks.value.information` tries them.

The first word of a name is the group that is tried together. What was found is in docs/decisions/0058-information.md.
"""

from math import exp, log, nan

import numpy as np

from fivefold.features.own_indicators import (
    DEPOSIT,
    WITHDRAWAL,
    Floats,
    Integers,
    deviation_of,
    deviation_of_gaps,
    in_days,
    indicator,
    mean_gap,
    mean_of,
    ratio,
    shared,
)

DAY_US = 86_400_000_000
YEAR_DAYS = 365
SEASON_DAYS = 90
MONTH_DAYS = 30
YEAR_MEAN_DAYS = 365.2425
MONTHS = 12
LONGEST_RUN = 60

# BG/NBD as published for CDNOW (Fader, Hardie and Lee, 2005), in weeks. They are the same for every customer and set.
SHAPE = 0.243
SCALE_WEEKS = 4.414
DROPOUT_A = 0.793
DROPOUT_B = 2.426
WEEK_DAYS = 7.0
LARGEST_EXPONENT = 700.0


@shared
def median_of(values: Floats) -> float:
    """Give the median; undefined without values."""
    if len(values) == 0:
        return nan
    rising = np.sort(values)
    middle = len(values) // 2
    return rising[middle] if len(values) % 2 == 1 else (rising[middle - 1] + rising[middle]) / 2.0


@shared
def sizes_of(amount: Floats, kind: Integers, first_row: int, wanted: int) -> Floats:
    """Give the sizes of the settled rows of a kind from a row on."""
    sizes = np.zeros(len(kind) - first_row)
    count = 0
    for i in range(first_row, len(kind)):
        if kind[i] == wanted:
            sizes[count] = abs(amount[i])
            count += 1
    return sizes[:count]


@shared
def moments_of(time: Integers, kind: Integers, wanted: int) -> Integers:
    """Give the moments of the settled rows of a kind."""
    moments = np.zeros(len(time), dtype=np.int64)
    count = 0
    for i in range(len(time)):
        if kind[i] == wanted:
            moments[count] = time[i]
            count += 1
    return moments[:count]


@shared
def gaps_of(moments: Integers) -> Floats:
    """Give the days between neighbouring moments."""
    gaps = np.zeros(max(len(moments) - 1, 0))
    for i in range(1, len(moments)):
        gaps[i - 1] = in_days(moments[i] - moments[i - 1])
    return gaps


@shared
def sum_between(time: Integers, amount: Floats, kind: Integers, wanted: int, after: int, until: int) -> float:
    """Sum the sizes of the settled rows of a kind in (after, until]."""
    total = 0.0
    for i in range(len(time)):
        if kind[i] == wanted and after < time[i] <= until:
            total += abs(amount[i])
    return total


@shared
def balance_at(time: Integers, balance: Floats, moment: int) -> float:
    """Give the balance after the last row at a moment or before it."""
    balance_before = nan
    for i in range(len(time)):
        if time[i] > moment:
            break
        balance_before = balance[i]
    return balance_before


@shared
def alive_parts(time: Integers, kind: Integers, as_of: int) -> tuple[float, float, float]:
    """Give the later days with a deposit, the weeks from the first to the last, and to the as-of; -1 with none."""
    count = -1.0
    first = last = day_before = np.int64(0)
    for i in range(len(time)):
        if kind[i] == DEPOSIT:
            day = time[i] // DAY_US
            if count < 0.0:
                first = time[i]
                count = 0.0
            elif day != day_before:
                count += 1.0
            day_before = day
            last = time[i]
    if count < 0.0:
        return count, 0.0, 0.0
    return count, in_days(last - first) / WEEK_DAYS, in_days(as_of - first) / WEEK_DAYS


@shared
def chance_alive(count: float, last: float, age: float) -> float:
    """Give the chance of BG/NBD that a customer still buys, in closed form."""
    if count < 0.0:
        return nan
    if count == 0.0:
        return 1.0
    grown = (SHAPE + count) * log((SCALE_WEEKS + age) / (SCALE_WEEKS + last))
    return 1.0 / (1.0 + DROPOUT_A / (DROPOUT_B + count - 1.0) * exp(min(grown, LARGEST_EXPONENT)))


@indicator("regularity_event_gap_median", label="Median gap", unit="days", empty=nan, family="rhythm")
def event_gap_median(time: Integers) -> float:
    """Median days between neighbouring events."""
    return median_of(gaps_of(time))


@indicator("regularity_event_variation", label="Gap variation ratio", unit="ratio", empty=nan, family="rhythm")
def event_variation(time: Integers) -> float:
    """Deviation of the gaps between events over their mean."""
    return ratio(deviation_of_gaps(time, 0), mean_gap(time, 0))


@indicator("regularity_event_overdue", label="Recency over median gap", unit="ratio", empty=nan, family="rhythm")
def event_overdue(time: Integers, as_of: int) -> float:
    """Days since the last event over the median gap."""
    if len(time) == 0:
        return nan
    return ratio(in_days(as_of - time[len(time) - 1]), median_of(gaps_of(time)))


@indicator("regularity_deposit_gap_median", label="Median deposit gap", unit="days", empty=nan, family="rhythm")
def deposit_gap_median(time: Integers, kind: Integers) -> float:
    """Median days between neighbouring settled deposits."""
    return median_of(gaps_of(moments_of(time, kind, DEPOSIT)))


@indicator("regularity_deposit_variation", label="Deposit gap variation", unit="ratio", empty=nan, family="rhythm")
def deposit_variation(time: Integers, kind: Integers) -> float:
    """Deviation of the gaps between settled deposits over their mean."""
    moments = moments_of(time, kind, DEPOSIT)
    return ratio(deviation_of_gaps(moments, 0), mean_gap(moments, 0))


@indicator("regularity_deposit_overdue", label="Deposit recency over gap", unit="ratio", empty=nan, family="rhythm")
def deposit_overdue(time: Integers, kind: Integers, as_of: int) -> float:
    """Days since the last settled deposit over the median gap of deposits."""
    moments = moments_of(time, kind, DEPOSIT)
    if len(moments) == 0:
        return nan
    return ratio(in_days(as_of - moments[len(moments) - 1]), median_of(gaps_of(moments)))


@indicator("regularity_deposit_alive", label="Chance of being alive", unit="share", empty=nan, family="rhythm")
def deposit_alive(time: Integers, kind: Integers, as_of: int) -> float:
    """Chance of BG/NBD that the customer still deposits."""
    count, last, age = alive_parts(time, kind, as_of)
    return chance_alive(count, last, age)


@indicator("regularity_deposit_expected_sum", label="Deposits expected", unit="money", empty=nan, family="rhythm")
def deposit_expected_sum(time: Integers, amount: Floats, kind: Integers, as_of: int) -> float:
    """Chance of being alive, times the rate of deposits given so many, over 90 days, times the mean deposit."""
    count, last, age = alive_parts(time, kind, as_of)
    weekly = (SHAPE + count) / (SCALE_WEEKS + age)
    mean = mean_of(sizes_of(amount, kind, 0, DEPOSIT), 0)
    return chance_alive(count, last, age) * weekly * (SEASON_DAYS / WEEK_DAYS) * mean


@indicator("season_deposit_30d", label="Deposits a year before, 30 d", unit="money", empty=0.0, family="trend")
def season_deposit_30d(time: Integers, amount: Floats, kind: Integers, as_of: int) -> float:
    """Settled deposits in the 30 days that began a year before as-of."""
    start = as_of - YEAR_DAYS * DAY_US
    return sum_between(time, amount, kind, DEPOSIT, start, start + MONTH_DAYS * DAY_US)


@indicator("season_withdrawal_30d", label="Withdrawals a year ago, 30 d", unit="money", empty=0.0, family="trend")
def season_withdrawal_30d(time: Integers, amount: Floats, kind: Integers, as_of: int) -> float:
    """Settled withdrawals, by size, in the 30 days that began a year before as-of."""
    start = as_of - YEAR_DAYS * DAY_US
    return sum_between(time, amount, kind, WITHDRAWAL, start, start + MONTH_DAYS * DAY_US)


@indicator("season_deposit_growth", label="Deposits on the year", unit="ratio", empty=nan, family="trend")
def season_deposit_growth(time: Integers, amount: Floats, kind: Integers, as_of: int) -> float:
    """Settled deposits of the last 90 days over those of the same 90 days a year before."""
    start, length = as_of - YEAR_DAYS * DAY_US, SEASON_DAYS * DAY_US
    before = sum_between(time, amount, kind, DEPOSIT, start - length, start)
    return ratio(sum_between(time, amount, kind, DEPOSIT, as_of - length, as_of), before)


@indicator("season_deposit_lift", label="Deposits after over before", unit="ratio", empty=nan, family="trend")
def season_deposit_lift(time: Integers, amount: Floats, kind: Integers, as_of: int) -> float:
    """A year ago: settled deposits of the 90 days after that day over those of the 90 days before it."""
    start, length = as_of - YEAR_DAYS * DAY_US, SEASON_DAYS * DAY_US
    before = sum_between(time, amount, kind, DEPOSIT, start - length, start)
    return ratio(sum_between(time, amount, kind, DEPOSIT, start, start + length), before)


@indicator("season_balance_change", label="Balance change a year ago", unit="money", empty=nan, family="trend")
def season_balance_change(time: Integers, balance: Floats, as_of: int) -> float:
    """Change of the balance over the 90 days that began a year before as-of."""
    start = as_of - YEAR_DAYS * DAY_US
    return balance_at(time, balance, start + SEASON_DAYS * DAY_US) - balance_at(time, balance, start)


@indicator("calendar_month", label="Month of as-of", unit="count", empty=0.0, family="trend")
def calendar_month(time: Integers, as_of: int) -> float:
    """Month of the year of the as-of, of twelve equal ones, January first."""
    if len(time) == 0:
        return 0.0
    return float(int(in_days(as_of) % YEAR_MEAN_DAYS / YEAR_MEAN_DAYS * MONTHS))


@indicator("cohort_month", label="Month of acquisition", unit="count", empty=0.0, family="tenure")
def cohort_month(time: Integers) -> float:
    """Month of the year of the first event, of twelve equal ones, January first."""
    if len(time) == 0:
        return 0.0
    return float(int(in_days(time[0]) % YEAR_MEAN_DAYS / YEAR_MEAN_DAYS * MONTHS))


@indicator("cohort_day", label="Day of acquisition", unit="count", empty=0.0, family="tenure")
def cohort_day(time: Integers) -> float:
    """Day of the first event, counted from 1970, so that each cohort stays what it is as time goes on."""
    return max(in_days(time[0]), 0.0) if len(time) else 0.0


@indicator("cohort_first_deposit", label="First deposit", unit="money", empty=nan, family="tenure")
def cohort_first_deposit(amount: Floats, kind: Integers) -> float:
    """Size of the first settled deposit."""
    sizes = sizes_of(amount, kind, 0, DEPOSIT)
    return sizes[0] if len(sizes) else nan


@indicator("cohort_start_deposits", label="Deposits, first 90 days", unit="money", empty=0.0, family="tenure")
def cohort_start_deposits(time: Integers, amount: Floats, kind: Integers) -> float:
    """Settled deposits in the 90 days from the first event."""
    if len(time) == 0:
        return 0.0
    return sum_between(time, amount, kind, DEPOSIT, time[0] - 1, time[0] + SEASON_DAYS * DAY_US)


@indicator("basket_deposit_median", label="Median deposit", unit="money", empty=nan, windows=(365,), family="volume")
def basket_deposit_median(amount: Floats, kind: Integers, first_row: int) -> float:
    """Median settled deposit {window}."""
    return median_of(sizes_of(amount, kind, first_row, DEPOSIT))


@indicator("basket_deposit_median_all", label="Median deposit, all time", unit="money", empty=nan, family="volume")
def basket_deposit_median_all(amount: Floats, kind: Integers) -> float:
    """Median settled deposit."""
    return median_of(sizes_of(amount, kind, 0, DEPOSIT))


@indicator("basket_deposit_mean_all", label="Mean deposit, all time", unit="money", empty=nan, family="volume")
def basket_deposit_mean_all(amount: Floats, kind: Integers) -> float:
    """Mean settled deposit."""
    return mean_of(sizes_of(amount, kind, 0, DEPOSIT), 0)


@indicator("basket_deposit_last", label="Size of last deposit", unit="money", empty=nan, family="volume")
def basket_deposit_last(amount: Floats, kind: Integers) -> float:
    """Size of the last settled deposit."""
    sizes = sizes_of(amount, kind, 0, DEPOSIT)
    return sizes[len(sizes) - 1] if len(sizes) else nan


@indicator("basket_deposit_last_ratio", label="Last deposit over median", unit="ratio", empty=nan, family="volume")
def basket_deposit_last_ratio(amount: Floats, kind: Integers) -> float:
    """Size of the last settled deposit over the median one."""
    sizes = sizes_of(amount, kind, 0, DEPOSIT)
    return ratio(sizes[len(sizes) - 1], median_of(sizes)) if len(sizes) else nan


@indicator("basket_deposit_upper", label="Upper tenth of deposits", unit="money", empty=nan, family="volume")
def basket_deposit_upper(amount: Floats, kind: Integers) -> float:
    """Settled deposit above which a tenth of them lies, by the nearest rank."""
    sizes = sizes_of(amount, kind, 0, DEPOSIT)
    if len(sizes) == 0:
        return nan
    return float(np.sort(sizes)[min(len(sizes) * 9 // 10, len(sizes) - 1)])


@indicator("basket_deposit_deviation", label="Deposit variation", unit="ratio", empty=nan, family="volume")
def basket_deposit_deviation(amount: Floats, kind: Integers) -> float:
    """Deviation of the sizes of settled deposits over their mean."""
    sizes = sizes_of(amount, kind, 0, DEPOSIT)
    return ratio(deviation_of(sizes, 0), mean_of(sizes, 0))


@indicator("basket_withdrawal_median", label="Median withdrawal", unit="money", empty=nan, family="volume")
def basket_withdrawal_median(amount: Floats, kind: Integers) -> float:
    """Median settled withdrawal, by size."""
    return median_of(sizes_of(amount, kind, 0, WITHDRAWAL))


@shared
def month_sums(time: Integers, amount: Floats, kind: Integers, as_of: int) -> Floats:
    """Sum deposits in periods of 30 days back from the as-of, the latest first; as many as there is history."""
    if len(time) == 0:
        return np.zeros(0)
    sums = np.zeros(min((as_of - time[0]) // (MONTH_DAYS * DAY_US) + 1, LONGEST_RUN))
    for i in range(len(time)):
        period = (as_of - time[i]) // (MONTH_DAYS * DAY_US)
        if kind[i] == DEPOSIT and period < len(sums):
            sums[period] += amount[i]
    return sums


@indicator("runs_active", label="Months in a row, now", unit="count", empty=0.0, family="rhythm")
def runs_active(time: Integers, amount: Floats, kind: Integers, as_of: int) -> float:
    """Periods of 30 days with a deposit in a row, back from the as-of."""
    sums = month_sums(time, amount, kind, as_of)
    for i in range(len(sums)):
        if sums[i] == 0.0:
            return float(i)
    return float(len(sums))


@indicator("runs_longest", label="Months in a row, longest", unit="count", empty=0.0, family="rhythm")
def runs_longest(time: Integers, amount: Floats, kind: Integers, as_of: int) -> float:
    """The most periods of 30 days with a deposit in a row."""
    sums = month_sums(time, amount, kind, as_of)
    longest = run = 0
    for i in range(len(sums)):
        run = run + 1 if sums[i] > 0.0 else 0
        longest = max(longest, run)
    return float(longest)


@indicator("runs_share", label="Share of active months", unit="share", empty=nan, family="rhythm")
def runs_share(time: Integers, amount: Floats, kind: Integers, as_of: int) -> float:
    """Share of the last twelve periods of 30 days that had a deposit."""
    sums = month_sums(time, amount, kind, as_of)
    count = 0
    for i in range(min(len(sums), MONTHS)):
        if sums[i] > 0.0:
            count += 1
    return ratio(float(count), float(min(len(sums), MONTHS)))


@indicator("runs_rising", label="Months of rising deposits", unit="count", empty=0.0, family="trend")
def runs_rising(time: Integers, amount: Floats, kind: Integers, as_of: int) -> float:
    """Periods of 30 days in a row, back from the as-of, with more deposits than the one before."""
    sums = month_sums(time, amount, kind, as_of)
    for i in range(len(sums) - 1):
        if sums[i] <= sums[i + 1]:
            return float(i)
    return float(max(len(sums) - 1, 0))


@indicator("runs_silence", label="Longest silence", unit="days", empty=nan, family="rhythm")
def runs_silence(time: Integers, as_of: int) -> float:
    """The most days without an event so far, those up to the as-of included."""
    if len(time) == 0:
        return nan
    longest = in_days(as_of - time[len(time) - 1])
    for i in range(1, len(time)):
        longest = max(longest, in_days(time[i] - time[i - 1]))
    return longest


@indicator("runs_silence_share", label="Silence over the longest", unit="share", empty=nan, family="rhythm")
def runs_silence_share(time: Integers, as_of: int) -> float:
    """Days since the last event over the longest silence so far, that one included."""
    if len(time) == 0:
        return nan
    now = in_days(as_of - time[len(time) - 1])
    longest = now
    for i in range(1, len(time)):
        longest = max(longest, in_days(time[i] - time[i - 1]))
    return ratio(now, longest)
