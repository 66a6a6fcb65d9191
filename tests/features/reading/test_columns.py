"""Single columns: what is read as a time or a number, and what is noted as wrong."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from math import inf, nan, nextafter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.features.reading.columns import ErrorCollector, read_numbers, read_times, short_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = "2024-06-30T12:00:00"
NOON_US = 1_719_748_800_000_000


def problems_of(errors: ErrorCollector) -> tuple[Problem, ...]:
    try:
        errors.raise_if_any()
    except InvalidDataError as error:
        return error.problems
    return ()


def times(column: pa.Array) -> tuple[list[int], list[int]]:
    """Read moments; give them, and the rows that are wrong."""
    errors = ErrorCollector()
    values = read_times(column, "transaction_date", errors)
    assert values.dtype == np.int64
    return values.tolist(), [problem.row for problem in problems_of(errors)]


def numbers(column: pa.Array, *, text: bool = False) -> tuple[list[float], list[int]]:
    errors = ErrorCollector()
    values = read_numbers(column, "user_balance", errors, text=text)
    assert values.dtype == np.float64
    return values.tolist(), [problem.row for problem in problems_of(errors)]


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        NOON,
        "2024-06-30 12:00:00",
        "2024-06-30T12:00",
        "2024-06-30T12:00:00Z",
        "2024-06-30 12:00:00Z",
        "2024-06-30T12:00:00+00:00",
        "2024-06-30T14:00:00+02:00",
        "2024-06-30T14:00:00+0200",
        "2024-06-30T14:00:00+02",
        "2024-06-30T07:00:00-05:00",
        "2024-06-30T17:45:00+05:45",
        "2024-07-01T01:00:00+13:00",
        "2024-06-30T12:00:00.000000",
        "2024-06-30T12:00:00.0",
        "2024-06-30T11:59:59.999999001Z",
        "2024-06-30T12:00:00.000000000",
    ],
)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_every_form_of_one_moment(text: str, kind: pa.DataType) -> None:
    assert times(pa.array([text], kind)) == ([NOON_US], [])
    assert times(pa.array([text, "2024-06-30", None], kind))[0][0] == NOON_US  # beside others, another path is taken


def test_a_bare_date_is_its_midnight_utc() -> None:
    midnight = microseconds(datetime(2024, 6, 30, tzinfo=UTC))
    assert times(pa.array(["2024-06-30"])) == ([midnight], [])
    assert times(pa.array(["2024-06-30", "2024-06-30T00:00:00Z", "2024-06-30T02:00+02:00"])) == ([midnight] * 3, [])
    assert times(pa.array([date(2024, 6, 30)], pa.date32())) == ([midnight], [])
    assert times(pa.array([date(2024, 6, 30)], pa.date64())) == ([midnight], [])


moments = st.datetimes(datetime(1900, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001 (zones are drawn beside it)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.lists(st.tuples(moments, st.none() | offsets, st.sampled_from(("T", " "))), min_size=1, max_size=8))
def test_text_is_read_as_python_reads_it(drawn: list[tuple[datetime, timezone | None, str]]) -> None:
    texts = [moment.replace(tzinfo=zone).isoformat(separator) for moment, zone, separator in drawn]
    wanted = [microseconds(moment.replace(tzinfo=zone or UTC)) for moment, zone, _ in drawn]
    assert times(pa.array(texts)) == (wanted, [])


@given(moments, st.text("0123456789", min_size=7, max_size=9), st.booleans())
def test_finer_than_a_microsecond_goes_up_to_the_next_one(moment: datetime, digits: str, zoned: bool) -> None:
    text = moment.replace(microsecond=0).isoformat() + f".{digits}" + ("Z" if zoned else "")
    wanted = microseconds(moment.replace(microsecond=int(digits[:6]), tzinfo=UTC)) + bool(int(digits[6:]))
    assert times(pa.array([text])) == ([wanted], [])
    assert times(pa.array([text, "30 June"])) == ([wanted, 0], [1])  # the slow reader says the same


@given(st.lists(st.integers(-(2**62), 2**62) | st.none(), max_size=5))
def test_nanoseconds_go_up_to_the_next_microsecond_also_before_1970(ticks: list[int | None]) -> None:
    found, bad = times(pa.array(ticks, pa.timestamp("ns")))
    earliest = microseconds(datetime(1900, 1, 1, tzinfo=UTC))
    wanted = [None if tick is None or -(-tick // 1000) < earliest else -(-tick // 1000) for tick in ticks]
    assert found == [tick or 0 for tick in wanted]
    assert bad == [row for row, tick in enumerate(wanted) if tick is None]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "America/New_York"])
def test_typed_times_of_every_unit_and_zone(unit: str, zone: str | None) -> None:
    ticks = NOON_US * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit] // 10**6
    assert times(pa.array([ticks, None], pa.timestamp(unit, zone))) == ([NOON_US, 0], [1])


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("ticks", [-(2**63), 2**63 - 1, -(10**17), 10**18])
def test_typed_times_far_outside_do_not_wrap_around(unit: str, ticks: int) -> None:
    assert times(pa.array([ticks], pa.timestamp(unit))) == ([0], [0])


@pytest.mark.parametrize(
    "text",
    [
        "1899-12-31",
        "1899-12-31T23:59:59.999999Z",
        "1900-01-01T00:00:00+00:01",
        "0001-01-01",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_years_outside_1900_to_9999_are_wrong(text: str) -> None:
    assert times(pa.array([text])) == ([0], [0])


@pytest.mark.parametrize("text", ["1900-01-01", "1899-12-31T23:59:59-00:01", "9999-12-31T23:59:59.999999"])
def test_the_first_and_last_moments_are_taken(text: str) -> None:
    assert times(pa.array([text]))[1] == []


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "today", "nan", "null", "1719748800", "30.06.2024", "2024-06-31", "2023-02-29", "2024-13-01"],
        *["2024-06-30T25:00:00", "2024-06-30T12:00:00+99:00", "2024-06-30T12:00:00 UTC", "2024-06-30T12:00:00[UTC]"],
        "10000-01-01",
    ],
)
def test_text_that_is_no_time_is_wrong_and_alone_in_that(text: str) -> None:
    assert times(pa.array([NOON, text, f"{NOON}Z"])) == ([NOON_US, 0, NOON_US], [1])


@pytest.mark.parametrize("column", [[1_719_748_800], [True], [1.5], [b"2024-06-30"], [timedelta(1)], [["2024-06-30"]]])
def test_another_type_is_no_time(column: list[object]) -> None:
    assert times(pa.array(column)) == ([0], [0])


@given(st.lists(st.floats(-1e15, 1e15), max_size=8))
def test_numbers_keep_every_bit(values: list[float]) -> None:
    found, bad = numbers(pa.array(values, pa.float64()))
    assert bad == []
    assert [value.hex() for value in found] == [(value + 0.0).hex() for value in values]  # but -0 is 0


@given(st.lists(st.floats(-1e15, 1e15), max_size=8))
def test_numbers_written_as_text_keep_every_bit(values: list[float]) -> None:
    found, bad = numbers(pa.array([repr(value) for value in values], pa.string()), text=True)
    assert bad == []
    assert [value.hex() for value in found] == [(value + 0.0).hex() for value in values]


@given(st.integers(-(10**15), 10**15), st.integers(0, 12))
def test_decimals_are_the_nearest_floats(digits: int, scale: int) -> None:
    """As the same number written in JSON or CSV; Arrow's own cast makes 0.35000000000000003 of 0.35."""
    amount = Decimal(digits).scaleb(-scale)
    assert numbers(pa.array([amount, None], pa.decimal128(38, scale))) == ([float(amount) + 0.0, 0.0], [1])


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        (pa.array([3, -4], pa.int8()), [3.0, -4.0]),
        (pa.array([10**15], pa.uint64()), [1e15]),
        (pa.array([1.5], pa.float32()), [1.5]),
        (pa.array([np.float16(0.5)], pa.float16()), [0.5]),
    ],
)
def test_numbers_of_any_type(column: pa.Array, wanted: list[float]) -> None:
    assert numbers(column) == (wanted, [])


@pytest.mark.parametrize("value", [1e15, -1e15, 0.0, 5e-324])
def test_magnitudes_up_to_the_largest_are_taken(value: float) -> None:
    assert numbers(pa.array([value])) == ([value], [])
    assert numbers(pa.array([repr(value)]), text=True) == ([value], [])


@pytest.mark.parametrize("value", [nextafter(1e15, inf), -nextafter(1e15, inf), inf, -inf, nan, 1e300])
def test_magnitudes_above_and_what_is_not_finite_are_wrong(value: float) -> None:
    assert numbers(pa.array([1.0, value, 2.0])) == ([1.0, 0.0, 2.0], [1])
    assert numbers(pa.array(["1", repr(value), "2"]), text=True) == ([1.0, 0.0, 2.0], [1])


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 10**15 + 1])
def test_whole_numbers_above_are_wrong(value: int) -> None:
    assert numbers(pa.array([value])) == ([0.0], [0])


@pytest.mark.parametrize(
    "text", ["", "abc", "1,5", "1.5 EUR", "0x10", "1_000", "--1", "1e", "1e400", "NaN", "Infinity", "٣"]
)
def test_text_that_is_no_number_is_wrong_and_alone_in_that(text: str) -> None:
    assert numbers(pa.array(["1", text, "2"]), text=True) == ([1.0, 0.0, 2.0], [1])


def test_text_is_no_number_where_columns_have_types() -> None:
    assert numbers(pa.array(["1.5"])) == ([0.0], [0])


@pytest.mark.parametrize("column", [[True], [b"1"], [date(2024, 6, 30)], [[1.5]], [{"amount": 1}]])
def test_another_type_is_no_number(column: list[object]) -> None:
    assert numbers(pa.array(column)) == ([0.0], [0])


@pytest.mark.parametrize("kind", [pa.null(), pa.float64(), pa.string(), pa.int64()])
def test_a_missing_number_is_wrong(kind: pa.DataType) -> None:
    assert numbers(pa.nulls(2, kind), text=True) == ([0.0, 0.0], [0, 1])


def test_findings_list_the_first_hundred_rows_and_count_all() -> None:
    errors = ErrorCollector(first_row=1000)
    errors.add(np.arange(500) % 2 == 1, "b", lambda row: f"is {row}", "even")
    errors.add(np.arange(500) >= 0, "a", lambda row: f"is {row}", "nothing")
    with pytest.raises(InvalidDataError) as caught:
        errors.raise_if_any("file.csv")
    assert caught.value.count == errors.count == 750
    listed = [(problem.row, problem.field) for problem in caught.value.problems]
    assert len(listed) == 100
    assert listed[:5] == [(1000, "a"), (1001, "b"), (1001, "a"), (1002, "a"), (1003, "b")]
    assert [row for row, _ in listed] == sorted(row for row, _ in listed)


def test_findings_hold_one_problem_for_a_field_of_a_row() -> None:
    errors = ErrorCollector()
    errors.add(np.array([True, False]), "a", lambda _: "is missing", "text")
    errors.add(np.array([True, True]), "a", lambda _: "is empty", "text")
    assert [str(problem) for problem in problems_of(errors)] == [
        "row 0: a is missing; allowed: text",
        "row 1: a is empty; allowed: text",
    ]
    assert errors.rows_with_any_error(2).tolist() == [True, True]


@given(st.text(max_size=200) | st.lists(st.integers()) | st.floats() | st.binary())
def test_whatever_is_shown_is_short_and_printable(value: object) -> None:
    text = short_text(value)
    assert len(text) <= 42
    assert text.isprintable()


def test_a_number_that_a_frame_has_as_text_is_said_to_be_text() -> None:
    """In CSV all numbers are text; of a frame the value alone would not show what is wrong."""
    errors = ErrorCollector()
    read_numbers(pa.array(["993.12"]), "transaction_amount", errors, text=False)
    (problem,) = problems_of(errors)
    assert problem.problem == "is '993.12'"
    assert problem.allowed.endswith("either way, and not text")
