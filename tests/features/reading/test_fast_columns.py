"""The quick look at a column never says anything that the slow readers would not say."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fivefold.features.reading import columns as values
from fivefold.features.reading.columns import ErrorCollector, read_numbers, read_times, read_words
from fivefold.features.reading.fast_columns import (
    CodedWords,
    StringColumn,
    as_arrow,
    coded_words,
    read_plain_numbers,
    read_plain_times,
    read_plain_words,
    string_column,
)
from fivefold.features.schema import LARGEST_MAGNITUDE, STATES

EARLIEST, LATEST = values.EARLIEST_US, values.LATEST_US
PLAIN_TIMES = [
    "2024-06-30",
    "2024-06-30T12:00",
    "2024-06-30 12:00:59",
    "2024-06-30T12:00:00.5",
    "2024-06-30T12:00:00.123456",
    "2024-06-30T12:00:00.123456789",
    "2024-06-30T12:00:00Z",
    "2024-06-30T12:00+02",
    "2024-06-30T12:00:00.25-0330",
    "2024-06-30T23:59:59.999999+05:45",
    "2024-02-29",
    "1900-03-01",
    "1969-12-31T23:59:59.999999",
    "2000-02-29T00:00:00-23:59",
    "9999-12-31",
]
ODD_TIMES = [
    "",
    "soon",
    "2023-02-29",
    "1900-02-29",
    "2024-13-01",
    "2024-00-10",
    "2024-06-31",
    "0000-01-01",
    "1899-12-31",
    "10000-01-01",
    "2024-06-30T",
    "2024-06-30T12",
    "2024-06-30T1200",
    "2024-06-30T24:00:00",
    "2024-06-30T12:60",
    "2024-06-30T12:00:60",
    "2024-06-30T12:00:00.",
    "2024-06-30T12:00:00.1234567890",
    "2024-06-30T12:00:00+24:00",
    "2024-06-30T12:00:00+02:60",
    "2024-06-30T12:00:00+2",
    "2024-06-30T12:00:00 Z",
    "2024-06-30Z",
    "2024-06-30t12:00:00z",
    " 2024-06-30",
    "2024-06-30T12:00:00+02:0",
    "2024/06/30",
    "2024-06-30T12.00",
    "\uff12\uff10\uff12\uff14-06-30",
]
_digit_or_sign = st.sampled_from("0123456789:-+.TZ ")


@st.composite
def changed_times(draw: st.DrawFn) -> str:
    """A plain time with one character changed, added or taken away."""
    text = draw(st.sampled_from(PLAIN_TIMES))
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(_digit_or_sign | st.just("")) + text[at + draw(st.integers(0, 1)) :]


moments = st.datetimes(datetime(1890, 1, 1), datetime(9999, 12, 31)).map(datetime.isoformat)  # noqa: DTZ001 (no zone means UTC)
TIMES = st.sampled_from([*PLAIN_TIMES, *ODD_TIMES]) | changed_times() | moments | st.none()


def texts(of: list[str | None]) -> StringColumn:
    """Texts as a scanned body has them."""
    spelled = [b"" if text is None else text.encode() for text in of]
    ends = np.cumsum([len(text) for text in spelled], dtype=np.int64)
    begins = np.array([end - len(text) for end, text in zip(ends.tolist(), spelled, strict=True)], dtype=np.int64)
    missing = np.array([text is None for text in of], dtype=np.bool_)
    return StringColumn(np.frombuffer(b"".join(spelled) or b" ", np.uint8), np.where(missing, -1, begins), ends)


def slowly(read: Callable[[ErrorCollector], np.ndarray], monkeypatch: pytest.MonkeyPatch) -> np.ndarray | None:
    """What a reader says without the quick look; None where it notes anything."""
    errors = ErrorCollector()
    with monkeypatch.context() as patch:
        for name in ("read_plain_times", "read_plain_words", "read_plain_numbers"):
            patch.setattr(values, name, lambda *_, **__: None)
        found = read(errors)
    return None if errors.count else found


def agree(quick: np.ndarray | None, slow: np.ndarray | None) -> None:
    if quick is not None:
        assert slow is not None
        assert quick.dtype == slow.dtype
        assert quick.tobytes() == slow.tobytes()


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 1_000])
def test_texts_of_rows_are_taken_as_they_are_and_many_by_the_compiled_loop(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"Zo\u00eb {number}" if number % 7 else "" for number in range(1_000)]
    at = np.random.default_rng(rows).permutation(1_000)[:rows]
    gathered = list[int]()
    whole = StringColumn.arrow
    monkeypatch.setattr(StringColumn, "arrow", lambda self: (gathered.append(len(self)), whole(self))[1])
    taken = texts(names).take(at)
    taken.validate(full=True)
    assert taken.equals(pa.array([names[row] for row in at], pa.string()))
    assert gathered == ([rows] if rows >= 64 else []), "a list of views takes milliseconds of many"


@given(st.lists(TIMES, min_size=1, max_size=3))
@example(times=["2024-06-30T12:00:00+02:00", "2024-06-30T12:00:00"])
def test_times_mean_what_the_slow_reader_says(times: list[str | None]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        column = pa.array(times, pa.string())
        slow = slowly(lambda errors: read_times(column, "time", errors), monkeypatch)
        for form in (column, texts(times), column.cast(pa.large_string())):
            agree(read_plain_times(form, EARLIEST, LATEST), slow)


@pytest.mark.parametrize("time", PLAIN_TIMES)
def test_times_as_systems_write_them_are_plain(time: str) -> None:
    (found,) = read_plain_times(texts([time]), EARLIEST, LATEST)
    told = datetime.fromisoformat(time[:26] if "." in time and len(time) == 29 else time)
    told = told if told.tzinfo else told.replace(tzinfo=UTC)
    finer = int("." in time and time[26:29].isdecimal() and int(time[26:29]) > 0)  # what is finer goes up
    assert found == (told - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) + finer


@pytest.mark.parametrize("time", ODD_TIMES)
def test_times_of_other_forms_are_left_to_the_slow_reader(time: str) -> None:
    assert read_plain_times(texts(["2024-06-30", time]), EARLIEST, LATEST) is None


words = st.sampled_from(
    ["", "PENDING", "pending", "Failed", "\u017fUCCEEDED", "failed ", "FAIL", "\u0131", "É", None, "COMPLETED"]
)


@given(st.lists(words, min_size=1, max_size=4), st.booleans(), st.sampled_from([None, 0, 2]))
def test_words_mean_what_the_slow_reader_says(of: list[str | None], any_case: bool, absent: int | None) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        column = pa.array(of, pa.string())
        options: dict[str, Any] = {"any_case": any_case, "absent": absent}
        slow = slowly(lambda errors: read_words(column, "word", errors, STATES, **options), monkeypatch)
        for form in (column, texts(of)):
            agree(read_plain_words(form, CodedWords(STATES), **options), slow)


def test_words_of_any_case_are_plain() -> None:
    found = read_plain_words(texts(["Pending", "", None, "FAILED"]), CodedWords(STATES), any_case=True, absent=0)
    assert found.tolist() == [1, 0, 0, 2]


@given(st.lists(st.floats() | st.sampled_from([-0.0, 1e15, 1.0000001e15, nan, inf]), max_size=4))
def test_numbers_mean_what_the_slow_reader_says(numbers: list[float]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        column = pa.array(numbers, pa.float64())
        slow = slowly(lambda errors: read_numbers(column, "number", errors, text=False), monkeypatch)
        for form in (column, np.array(numbers, dtype=np.float64)):
            quick = read_plain_numbers(form, LARGEST_MAGNITUDE)
            agree(quick, slow)
            assert (quick is None) == (slow is None)


@pytest.mark.parametrize("column", [pa.array([5]), pa.array(["a"]).dictionary_encode(), pa.array([1.5, None])])
def test_columns_of_other_types_are_left_to_the_slow_reader(column: pa.Array) -> None:
    assert read_plain_times(column, EARLIEST, LATEST) is None
    assert read_plain_words(column, CodedWords(STATES), any_case=True, absent=None) is None
    assert read_plain_numbers(column, LARGEST_MAGNITUDE) is None
    assert as_arrow(column) is column


def test_every_column_can_be_given_as_arrow() -> None:
    assert as_arrow(texts(["a", None])).to_pylist() == ["a", None]
    assert as_arrow(np.array([1.5, nan])).to_pylist()[0] == 1.5
    assert string_column(np.array([1.5])) is None


any_texts = st.lists(st.text(max_size=3) | st.none(), max_size=8)


@given(any_texts, st.integers(0, 3), st.sampled_from([pa.string(), pa.large_string()]))
def test_views_and_copies_give_the_texts_back(of: list[str | None], skipped: int, kind: pa.DataType) -> None:
    column = pa.array(of, kind)[skipped:]
    view = string_column(column)
    assert texts(of).arrow().to_pylist() == of
    if view is not None:
        assert len(view) == len(column)
        assert view.arrow().to_pylist() == column.to_pylist()
        known = np.flatnonzero(view.begins >= 0)
        assert view.take(known).to_pylist() == [text for text in column.to_pylist() if text is not None]


@given(any_texts)
def test_numbers_are_those_of_a_dictionary(of: list[str | None]) -> None:
    numbered = texts(of).numbered()
    if not all(of):
        assert numbered is None
        return
    assert numbered is not None
    wanted = list(dict.fromkeys(of))
    assert ([wanted[number] for number in numbered[0]], [of[row] for row in numbered[1]]) == (of, wanted)


def test_many_texts_are_numbered_too() -> None:
    of: list[str | None] = [f"user_{number % 7_919}" for number in range(40_000)]
    numbered = texts(of).numbered()
    assert numbered is not None
    assert numbered[0].tolist() == [number % 7_919 for number in range(40_000)]


@pytest.mark.parametrize("column", [pa.nulls(2), pa.array([], pa.string()), pa.array(["a"]).dictionary_encode(), [1]])
def test_what_is_no_column_of_texts_has_no_view(column: object) -> None:
    assert string_column(column) is None


def test_a_view_is_its_own() -> None:
    view = texts(["a"])
    assert string_column(view) is view


def test_words_are_spelled_as_bytes() -> None:
    words = coded_words(STATES)
    data, begins, ends, codes = words.table
    spelled = [bytes(data[begin:end]).decode() for begin, end in zip(begins, ends, strict=True)]
    assert dict(zip(spelled, codes.tolist(), strict=True)) == words == STATES
    assert coded_words(words) is words
    assert isinstance(words, CodedWords)
