"""The dates of a run: no target overlaps the test window, whatever is asked."""

from datetime import date, datetime

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import NotEnoughDataError
from fivefold.training.config import SnapshotSettings, TrainingConfig
from fivefold.training.dates import DataPeriod, Dates, choose_dates, lack_of_intervals


def day(year: int, month: int, number: int) -> int:
    return to_microseconds(date(year, month, number))


moments = st.integers(to_microseconds(date(1990, 1, 1)), to_microseconds(date(2030, 1, 1)))
configs = st.builds(
    TrainingConfig,
    horizon_days=st.integers(1, 400),
    test_as_of=st.none() | moments,
    snapshots=st.builds(SnapshotSettings, spacing_days=st.integers(1, 400), most=st.integers(1, 40)),
)
periods = st.tuples(moments, moments).map(lambda ends: DataPeriod(min(ends), max(ends)))


def chosen(config: TrainingConfig, period: DataPeriod) -> Dates:
    try:
        return choose_dates(config, period)
    except NotEnoughDataError:
        assume(False)
        raise


@given(configs, periods)
def test_no_target_overlaps_the_test_window(config: TrainingConfig, period: DataPeriod) -> None:
    dates = chosen(config, period)
    assert (dates.training + dates.horizon_us <= dates.test).all()
    assert dates.training[-1] + dates.horizon_us == dates.test


@given(configs, periods)
def test_every_date_has_a_history_before_it_and_the_window_is_covered(
    config: TrainingConfig, period: DataPeriod
) -> None:
    dates = chosen(config, period)
    assert (dates.training > period.first).all()
    assert dates.test + dates.horizon_us <= period.last + DAY_US
    assert dates.test == (config.test_as_of if config.test_as_of is not None else dates.test)


@given(configs, periods)
def test_dates_are_evenly_spaced_and_the_latest_ones(config: TrainingConfig, period: DataPeriod) -> None:
    dates = chosen(config, period)
    spacing = config.snapshots.spacing_days * DAY_US
    assert 1 <= len(dates.training) <= config.snapshots.most
    assert (np.diff(dates.training) == spacing).all()
    if len(dates.training) < config.snapshots.most:
        assert dates.training[0] - spacing <= period.first


@given(configs, periods)
def test_no_target_of_what_validates_overlaps_what_it_learns_from(config: TrainingConfig, period: DataPeriod) -> None:
    dates = chosen(config, period)
    assert dates.validation == dates.training[-1]
    assert (dates.before_validation + dates.horizon_us <= dates.validation).all()
    left_out = set(dates.training.tolist()) - set(dates.before_validation.tolist())
    assert all(one + dates.horizon_us > dates.validation for one in left_out)


@given(st.builds(TrainingConfig, horizon_days=st.integers(1, 400)), periods)
def test_the_default_is_the_latest_midnight_whose_window_the_data_cover(
    config: TrainingConfig, period: DataPeriod
) -> None:
    dates = chosen(config, period)
    assert dates.test % DAY_US == 0
    assert dates.test + dates.horizon_us <= period.last < dates.test + dates.horizon_us + DAY_US


def test_the_dates_of_berka() -> None:
    config = TrainingConfig(test_as_of=day(1998, 10, 2))
    dates = choose_dates(config, DataPeriod(day(1993, 1, 1), day(1998, 12, 31)))
    assert dates.test == day(1998, 10, 2)
    assert dates.validation == day(1998, 7, 4)
    assert len(dates.training) == 24
    assert dates.training[-2] == day(1998, 6, 4)
    assert dates.before_validation[-1] == day(1998, 4, 5)


def test_a_window_may_end_at_midnight_after_the_last_day_but_not_later() -> None:
    period = DataPeriod(day(2024, 1, 1), day(2024, 12, 31))  # rows by the day: the last ones are at midnight
    ends_with_the_year = TrainingConfig(horizon_days=31, test_as_of=day(2024, 12, 1))
    assert choose_dates(ends_with_the_year, period).test == day(2024, 12, 1)
    with pytest.raises(NotEnoughDataError, match="give an earlier test_as_of or a shorter horizon_days"):
        choose_dates(TrainingConfig(horizon_days=31, test_as_of=day(2024, 12, 2)), period)


def test_data_that_do_not_reach_through_the_window_are_refused_with_both_dates() -> None:
    with pytest.raises(NotEnoughDataError) as caught:
        choose_dates(TrainingConfig(test_as_of=day(2024, 12, 1)), DataPeriod(day(2023, 1, 1), day(2024, 12, 31)))
    assert "test as-of 2024-12-01 plus 90 days ends 2025-03-01" in str(caught.value)
    assert "the data cover 2023-01-01 to 2024-12-31" in str(caught.value)


@pytest.mark.parametrize("days", [0, 1, 60, 89, 90, 91, 179, 180])
def test_data_shorter_than_two_horizons_are_refused(days: int) -> None:
    first = day(2024, 1, 1)
    with pytest.raises(NotEnoughDataError, match=r"nothing can be learnt before the test window|ends"):
        choose_dates(TrainingConfig(), DataPeriod(first, first + days * DAY_US))


def test_two_horizons_and_a_day_are_enough() -> None:
    first = day(2024, 1, 1)
    dates = choose_dates(TrainingConfig(), DataPeriod(first, first + 181 * DAY_US))
    assert dates.training.tolist() == [first + DAY_US]
    assert len(dates.before_validation) == 0


def test_a_test_as_of_before_the_data_is_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="nothing can be learnt"):
        choose_dates(TrainingConfig(test_as_of=day(2020, 1, 1)), DataPeriod(day(2023, 1, 1), day(2024, 12, 31)))


def test_a_test_as_of_within_a_day_is_kept_to_the_microsecond() -> None:
    moment = to_microseconds(datetime(2024, 7, 1, 17, 4, 31, 5))  # noqa: DTZ001 (no zone means UTC)
    dates = choose_dates(TrainingConfig(test_as_of=moment), DataPeriod(day(2023, 1, 1), day(2024, 12, 31)))
    assert dates.test == moment
    assert ((dates.training - moment) % DAY_US == 0).all()


TOO_FEW = (
    "the 3 training dates span less than the horizon of 90 days; snapshots.most is 3, and must be at least 4 with "
    "snapshots.spacing_days 30"
)


@pytest.mark.parametrize(
    ("most", "first", "why"),
    [
        (3, day(2022, 1, 1), TOO_FEW),
        (24, day(2024, 5, 1), "the history is too short"),
        (3, day(2024, 5, 1), "the history is too short"),
        (4, day(2022, 1, 1), "no customer was known and worth anything"),
    ],
)
def test_it_is_said_why_there_is_no_interval(most: int, first: int, why: str) -> None:
    config = TrainingConfig(horizon_days=90, snapshots=SnapshotSettings(spacing_days=30, most=most))
    dates = choose_dates(config, DataPeriod(first, day(2024, 12, 1)))
    assert lack_of_intervals(config, first, dates).startswith(why)
