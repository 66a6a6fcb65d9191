"""Exact numbers: what is written is what counts, to the last digit."""

import calendar
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fivefold.domain.clock import from_microseconds, to_microseconds
from fivefold.risk.language.quantities import (
    MOST_DIGITS,
    Duration,
    DurationText,
    MomentText,
    Percent,
    Points,
    exact,
    json_number,
    parse_duration,
    point_units,
    text_of,
)
from tests.golden import compare
from tests.risk.conftest import Refusal

digits = st.integers(-(10**MOST_DIGITS) + 1, 10**MOST_DIGITS - 1)


@given(digits, st.integers(0, MOST_DIGITS))
def test_numbers_survive_json(whole: int, decimals: int) -> None:
    """A number of 15 digits comes back from JSON, which keeps it as a float, as it was."""
    number = Decimal(whole).scaleb(-decimals)
    again = json.loads(json.dumps(json_number(exact(number))), parse_float=Decimal)
    assert exact(again) == exact(float(number)) == exact(number) == number


def test_what_is_no_exact_number_is_refused() -> None:
    def refused(value: Any) -> str:
        with pytest.raises(ValueError, match=r".") as error:
            exact(value)
        return str(error.value)

    compare("number_errors", refused)


@pytest.mark.parametrize("value", [0, Decimal("-0.00"), Decimal("0E+999999"), 0.0, Decimal("0E-999999")])
def test_zero_is_zero_however_it_is_written(value: Any) -> None:
    assert str(exact(value)) == "0"


@pytest.mark.parametrize(("value", "fits"), [("1.23", 1), ("1.230", 1), ("1.234", 0), ("1E6", 1), ("1000000.01", 0)])
def test_points_have_two_decimals_and_a_bound(value: str, fits: int, refusal: Refusal) -> None:
    for sign in ("", "-"):
        if fits:
            assert TypeAdapter(Points).validate_python(Decimal(sign + value)) == Decimal(sign + value)
        else:
            with refusal(ValidationError):
                TypeAdapter(Points).validate_python(Decimal(sign + value))


@pytest.mark.parametrize(("value", "fits"), [(0, 1), (100, 1), ("33.33", 1), ("33.333", 0), ("100.01", 0), (-1, 0)])
def test_weights_are_percentages(value: Any, fits: int, refusal: Refusal) -> None:
    if fits:
        assert TypeAdapter(Percent).validate_python(Decimal(value)) == Decimal(value)
    else:
        with refusal(ValidationError):
            TypeAdapter(Percent).validate_python(Decimal(value))


@given(st.decimals(-(10**6), 10**6, places=2))
def test_points_are_whole_units(points: Decimal) -> None:
    units = point_units(points)
    assert Decimal(units) / 100 == points
    assert Decimal(text_of(units, 100)) == points
    assert "E" not in text_of(units, 100)


moments = st.integers(0, 7_258_032_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
durations = st.builds(Duration, st.integers(1, 60), st.sampled_from(["hour", "day", "month", "year"]))
written = TypeAdapter(MomentText)


def months_on(moment: datetime, months: int) -> datetime:
    """Count months on the calendar; a day that the month lacks is its last."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))


def moved(moment: datetime, duration: Duration, sign: int) -> datetime:
    if duration.unit in {"hour", "day"}:
        return moment + sign * timedelta(hours=duration.count * (24 if duration.unit == "day" else 1))
    return months_on(moment, sign * duration.count * (12 if duration.unit == "year" else 1))


@given(durations, moments)
def test_windows_are_counted_as_on_a_calendar(duration: Duration, moment: datetime) -> None:
    at = pl.lit(to_microseconds(moment), pl.Int64)
    found = pl.select(before=duration.before(at), after=duration.after(at)).row(0)
    assert found == (to_microseconds(moved(moment, duration, -1)), to_microseconds(moved(moment, duration, 1)))
    plain = to_microseconds(moment)
    assert (duration.moment_before(plain), duration.moment_after(plain)) == found


def test_a_moment_that_is_not_known_stays_unknown() -> None:
    assert pl.select(Duration(1, "month").before(pl.lit(None, pl.Int64))).item() is None


def test_the_longest_duration_can_be_counted() -> None:
    long = Duration(99_999, "year")
    assert long.moment_before(0) == pl.select(long.before(pl.lit(0, pl.Int64))).item() < 0
    assert long.moment_after(0) == pl.select(long.after(pl.lit(0, pl.Int64))).item() > 0


@given(durations)
def test_a_duration_is_read_as_it_is_written(duration: Duration) -> None:
    adapter = TypeAdapter(DurationText)
    assert adapter.validate_json(adapter.dump_json(duration)) == parse_duration(str(duration)) == duration


def test_weeks_are_days_and_the_same_content() -> None:
    assert parse_duration("2 weeks") == parse_duration("14 days") == Duration(14, "day")
    with pytest.raises(ValueError, match="longer than"):
        parse_duration("14286 weeks")  # more days than can be written


@pytest.mark.parametrize(
    ("text", "days"), [("48 hours", 2), ("1 day", 1), ("1 week", 7), ("2 months", 60.87375), ("1 year", 365.2425)]
)
def test_lengths_can_be_compared(text: str, days: float) -> None:
    assert parse_duration(text).days == pytest.approx(days)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "180",
        "180days",
        "0 days",
        "-1 days",
        "1.5 days",
        "6 fortnights",
        "100000 days",
        "1 Day",
        "٣ days",
        180,
        None,
        True,
    ],
)
def test_what_is_no_duration_is_refused(text: Any, refusal: Refusal) -> None:
    with refusal(ValueError):
        parse_duration(text)


@pytest.mark.parametrize("text", ["2024-07-01", "2024-07-01T00:00:00Z", "2024-07-01T02:00+02:00"])
def test_dates_are_midnights_in_utc(text: str) -> None:
    assert from_microseconds(written.validate_python(text)) == datetime(2024, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", "yesterday", "2024-13-01", True, None, 1.5])
def test_what_is_no_date_is_refused(value: Any, refusal: Refusal) -> None:
    with refusal(ValidationError):
        written.validate_python(value)


def test_a_bare_number_is_a_moment_to_the_program_and_none_in_a_file(refusal: Refusal) -> None:
    """20240701 in a file is meant as a date, and would be twenty seconds after 1970 began."""
    assert written.validate_python(20240701) == 20240701
    with refusal(ValidationError):
        written.validate_python(20240701, context={"written": True})


@given(moments)
def test_a_moment_is_written_as_it_is_read(moment: datetime) -> None:
    assert written.validate_json(written.dump_json(to_microseconds(moment))) == to_microseconds(moment)


def test_longer_than_a_thousand_years_is_refused_as_no_calendar_could_show_where_it_ends(refusal: Refusal) -> None:
    assert parse_duration("1000 years").count == 1000
    assert parse_duration("99999 days").count == 99999
    for text in ("1001 years", "99999 months"):
        with refusal(ValueError):
            parse_duration(text)
