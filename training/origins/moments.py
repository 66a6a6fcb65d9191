"""The origins of a run: the moments as of which its settings learn and are judged, checked before any is fitted."""

from dataclasses import replace

import numpy as np

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.text import count_text
from fivefold.features.histories import Integers
from fivefold.training.config import TrainingConfig
from fivefold.training.data import SourceSummary, TransactionSource
from fivefold.training.dates import Dates, dates_before
from fivefold.training.target import realised_values
from fivefold.training.windows import Windows


def origin_moments(config: TrainingConfig, test: int) -> tuple[int, ...]:
    """Return the origins of the settings, in microseconds: one horizon apart, the test as-of last.

    >>> [moment // DAY_US for moment in origin_moments(TrainingConfig(origins=3), 1000 * DAY_US)]
    [820, 910, 1000]
    """
    return tuple(test - number * config.horizon_days * DAY_US for number in reversed(range(config.origins)))


def origin_refusals(
    portfolio: TransactionSource, config: TrainingConfig, summary: SourceSummary, dates: Dates
) -> list[str]:
    """Return the reasons why the settings cannot be judged at every origin before the last; empty if they can.

    Args:
        portfolio: the transactions; they are read once more if there is an origin before the last.
        config: the settings.
        summary: the summary of the transactions.
        dates: the dates of the last origin, which the plan itself checks.
    """
    earlier = origin_moments(config, dates.test)[:-1]
    if not earlier:
        return []
    without = {
        moment: "no training date has a history before it and a window that ends by then"
        for moment in earlier
        if not len(dates_before(config, summary.period.first, moment).training)
    }
    there = [moment for moment in earlier if moment not in without]
    reasons = without | (_thin(portfolio, config, dates, there) if there else {})
    if not reasons:
        return []
    possible = sum(1 for moment in earlier if moment > max(reasons)) + 1
    named = [f"  {day_text(moment)}: {reasons[moment]}" for moment in sorted(reasons)]
    request = (
        f"{count_text(config.origins, 'origin')} were asked for, {config.horizon_days} days after each other, and "
        f"the data allow {possible}"
    )
    return ["\n".join([f"{request} (--origins {possible}, or origins: {possible}):", *named])]


def tuning_refusals(config: TrainingConfig, first: int, test: int) -> list[str]:
    """Return the reason why trees cannot be tuned as of the first origin; empty if they can.

    Candidates learn from values that were complete by the last training date, and are judged on that date.

    Args:
        config: the settings.
        first: the first moment of the data, microseconds.
        test: the last origin, microseconds.
    """
    origins = origin_moments(config, test)
    every = {moment: dates_before(config, first, moment) for moment in origins}
    possible = [moment for moment, dates in every.items() if len(dates.training) and len(dates.before_validation)]
    if origins[0] in possible or not len(every[origins[0]].training):  # an origin without dates is refused anyway
        return []
    days = [day_text(int(moment)) for moment in every[origins[0]].training]
    reason = (
        f"origin {day_text(origins[0])}: no trees can be searched for as of it (--tune). That needs two training dates "
        f"{config.horizon_days} days apart, and it has {days[0]}{f' to {days[-1]}' if len(days) > 1 else ' alone'}"
    )
    if possible:
        fewer = f"--origins {len(possible)}, or origins: {len(possible)}"
        return [f"{reason}: train without --tune, or from {day_text(possible[0])} on ({fewer})"]
    more = ", or with more dates (snapshots.most)" if len(days) == config.snapshots.most else ""
    return [f"{reason}: train without --tune{more}"]


def _thin(portfolio: TransactionSource, config: TrainingConfig, dates: Dates, moments: list[int]) -> dict[int, str]:
    """Return why moments (microseconds) have too few customers to be judged on, or nothing to learn, by moment."""
    counts, worth = _counts(portfolio, config, dates, np.array(moments, dtype=np.int64))
    checks = config.checks
    reasons = {}
    for number, moment in enumerate(moments):
        count, active = int(counts.known_customers[number]), int(counts.active[number])
        if count < checks.least_customers:
            reasons[moment] = (
                f"{count_text(count, 'known customer')}; it needs {checks.least_customers:,} (checks.least_customers)"
            )
        elif active < checks.least_active:
            reasons[moment] = (
                f"{count_text(active, 'known customer')} with a settled row in the window after it; it needs "
                f"{checks.least_active:,} (checks.least_active)"
            )
        elif not worth[number, 1]:
            reasons[moment] = "no customer is worth anything in the window after it"
        elif not worth[number, 0]:
            reasons[moment] = "no customer is worth anything in the window before it, so there is nothing to learn"
    return reasons


def _counts(
    portfolio: TransactionSource, config: TrainingConfig, dates: Dates, moments: Integers
) -> tuple[Windows, np.ndarray]:
    """Count customers and rows in the windows after k moments, in one pass.

    Returns also k x 2 marks: whether any known customer has value in the window before the moment, and after it.
    """
    counts = Windows.empty(replace(dates, training=moments[:-1], test=int(moments[-1])))
    starts = np.stack([moments - dates.horizon_us, moments], axis=1)
    worth = np.zeros(starts.shape, dtype=np.bool_)
    for part in portfolio.batches("counting at the origins"):
        counts.add(part, dates.lag_us)
        values = realised_values(part, starts.ravel(), dates.horizon_days, config.value)
        is_known = part.time[part.offsets[:-1]][:, None] <= starts.ravel() - dates.lag_us
        worth |= ((values > 0) & is_known).any(axis=0).reshape(starts.shape)
    return counts, worth
