"""The as-of dates that a training run learns from and is judged on; no target overlaps the test window."""

from dataclasses import dataclass

import numpy as np

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import NotEnoughDataError
from fivefold.features.histories import Integers
from fivefold.training.config import TrainingConfig


@dataclass(frozen=True)
class DataPeriod:
    """The first and the last moment of the data, microseconds."""

    first: int
    last: int


@dataclass(frozen=True)
class Dates:
    """The as-of dates of a run, microseconds.

    Attributes:
        training: in rising order; every value window ends at the test as-of or before.
        test: the as-of of the test window; its customers are the reference portfolio.
        horizon_days: length of every value window.
        lag_days: the days before an as-of that indicators leave out, because rows may still arrive.
    """

    training: Integers
    test: int
    horizon_days: int
    lag_days: int = 0

    @property
    def horizon_us(self) -> int:
        """Length of a value window in microseconds."""
        return self.horizon_days * DAY_US

    @property
    def lag_us(self) -> int:
        """The time before an as-of that indicators leave out, in microseconds."""
        return self.lag_days * DAY_US

    @property
    def validation(self) -> int:
        """The last training date: rounds and parameters are chosen on it, by models that end before it."""
        return int(self.training[-1])

    @property
    def before_validation(self) -> Integers:
        """The training dates whose value windows end at the validation date or before."""
        return self.training[self.training + self.horizon_us <= self.validation]


def choose_test(
    config: TrainingConfig, period: DataPeriod, advice: str = "give an earlier test_as_of or a shorter horizon_days"
) -> int:
    """Choose the test as-of (microseconds): that of the settings, or the last whose window the data cover.

    NotEnoughDataError, with the *advice*, if the data do not cover its window.
    """
    horizon_us, lag_us = config.horizon_days * DAY_US, config.settlement_lag_days * DAY_US
    latest = (period.last - lag_us - horizon_us) // DAY_US * DAY_US
    test = config.test_as_of if config.test_as_of is not None else latest
    if not is_window_covered(config, period, test):
        late = f", the last {config.settlement_lag_days} of them incomplete (settlement_lag_days)" if lag_us else ""
        raise NotEnoughDataError(
            f"test as-of {day_text(test)} plus {config.horizon_days} days ends {day_text(test + horizon_us)}, but "
            f"the data cover {_covered(period)}{late}: {advice}"
        )
    return test


def until_known_us(horizon_days: int, settlement_lag_days: int) -> int:
    """Microseconds from an as-of until the value after it is known: the horizon, and how late its rows may arrive."""
    return (horizon_days + settlement_lag_days) * DAY_US


def is_window_covered(config: TrainingConfig, period: DataPeriod, as_of: int) -> bool:
    """Check whether the data cover the value window after an as-of (microseconds), and the settlement lag after it."""
    ends = as_of + until_known_us(config.horizon_days, config.settlement_lag_days)
    # A day's slack: daily data have their last rows at midnight and cover the day before it.
    return ends <= period.last + DAY_US


def choose_dates(config: TrainingConfig, period: DataPeriod) -> Dates:
    """Choose all dates; NotEnoughDataError if the data do not cover a test window and one training window."""
    test = choose_test(config, period)
    dates = dates_before(config, period.first, test)
    if not len(dates.training):
        raise NotEnoughDataError(
            f"nothing can be learnt before the test window: the data cover {_covered(period)}, and a training date "
            f"needs a history before it and {config.horizon_days} days up to the test as-of {day_text(test)}; give "
            f"over {2 * (config.horizon_days + config.settlement_lag_days)} days of data, or a shorter horizon_days"
        )
    return dates


def dates_before(config: TrainingConfig, first: int, test: int) -> Dates:
    """Return the dates of a run whose test as-of is *test*; *first* is the first moment of the data (microseconds).

    It has no training dates if the data begin too late.
    """
    spacing_us, lag_us = config.snapshots.spacing_days * DAY_US, config.settlement_lag_days * DAY_US
    every = np.arange(test - config.horizon_days * DAY_US, first + lag_us, -spacing_us, dtype=np.int64)
    training = every[: config.snapshots.most][::-1].copy()
    return Dates(training, test, config.horizon_days, config.settlement_lag_days)


def lack_of_intervals(config: TrainingConfig, first: int, dates: Dates) -> str:
    """Explain why nothing could be measured within the *dates* of a run; *first* is the first moment of the data.

    Intervals and tuning need a training date to measure on, another one at least a horizon earlier to learn from, and
    value at both.
    """
    if len(dates.before_validation):
        return (
            "no customer was known and worth anything as of the date to measure on, or of those to learn from before it"
        )
    snapshots, horizon = config.snapshots, config.horizon_days
    needed = 1 - -horizon // snapshots.spacing_days
    more = snapshots.model_copy(update={"most": needed})
    if len(dates_before(config.model_copy(update={"snapshots": more}), first, dates.test).before_validation):
        return (
            f"the {len(dates.training)} training dates span less than the horizon of {horizon} days; "
            f"snapshots.most is {snapshots.most}, and must be at least {needed} with snapshots.spacing_days "
            f"{snapshots.spacing_days}"
        )
    return (
        "the history is too short for a date to measure on, with a date to learn from a horizon of "
        f"{horizon} days before it"
    )


def _covered(period: DataPeriod) -> str:
    return f"{day_text(period.first)} to {day_text(period.last)}"
