"""Moments as 64-bit integers of microseconds."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, day_text, from_microseconds, now_microseconds, parse_moment, to_microseconds
from fivefold.domain.errors import ConfigError

NOON_US = 1_719_748_800_000_000
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.none() | offsets)  # noqa: DTZ001 (drawn)


@given(moments)
def test_microseconds_there_and_back(moment: datetime) -> None:
    wanted = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    assert from_microseconds(to_microseconds(moment)) == wanted
    assert from_microseconds(to_microseconds(moment)).tzinfo is UTC


@given(moments)
def test_text_is_parsed_as_written(moment: datetime) -> None:
    assert parse_moment(moment.isoformat()) == to_microseconds(moment)
    assert parse_moment(f" {moment.isoformat(' ')} ") == to_microseconds(moment)


@given(st.dates())
def test_a_date_is_its_midnight_utc(day: date) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert to_microseconds(day) == to_microseconds(midnight) == parse_moment(day.isoformat())
    assert to_microseconds(day) % DAY_US == 0


@pytest.mark.parametrize(
    "text",
    [
        "2024-06-30T12:00:00",
        "2024-06-30 12:00:00",
        "2024-06-30T12:00Z",
        "2024-06-30T14:00+02:00",
        "2024-06-30T07:00:00-0500",
        "2024-06-30T12:00:00.000000999",
        "2024-06-30T12:00:00.000000999Z",
    ],
)
def test_every_form_of_one_moment(text: str) -> None:
    assert parse_moment(text) == NOON_US


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "30.06.2024", "2024-06-31", "2024-13-01", "1719748800.5", "2024-06-30T25:00"),
        *("2024-W26-7", "2024-W26", "20240630", "20240630T120000"),
        *("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:00"),  # in UTC another year than calendars have
    ],
)
def test_text_that_is_no_moment_is_refused_by_name(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"as-of is .*; it must be an ISO 8601 date or time such as 2024-07-01"
    ) as caught:
        parse_moment(text, "as-of")
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("time_us", "text"),
    [
        (0, "1970-01-01"),
        (-DAY_US, "1969-12-31"),
        (NOON_US, "2024-06-30T12:00:00Z"),
        (NOON_US + 1, "2024-06-30T12:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_a_moment_is_written_for_people_and_can_be_read_again(time_us: int, text: str) -> None:
    assert day_text(time_us) == text
    assert parse_moment(text) == time_us


def test_now_is_now() -> None:
    before = datetime.now(UTC)
    now = from_microseconds(now_microseconds())
    assert before <= now <= datetime.now(UTC)
