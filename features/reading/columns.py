"""One column of raw values in, one array of checked values out; errors are collected row by row."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fivefold.domain.clock import EARLIEST_YEAR, to_microseconds
from fivefold.domain.errors import PROBLEMS_LISTED, InvalidDataError, Problem, ProblemKind, problem_kind
from fivefold.domain.text import cut_text
from fivefold.features.histories import Floats, Integers
from fivefold.features.reading.fast_columns import (
    StringColumn,
    as_arrow,
    coded_words,
    read_plain_numbers,
    read_plain_times,
    read_plain_words,
)
from fivefold.features.schema import LARGEST_MAGNITUDE

Mask = npt.NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)
Column: TypeAlias = Any
"""A column of Arrow, which ships no types, or one of a request's body: a `StringColumn` or floats."""
Places = npt.NDArray[np.int32]
Codes = npt.NDArray[np.int16]


class WordList(NamedTuple):
    """The words that a column may hold, with their codes.

    Attributes:
        any_case: whether small letters are as good as capitals.
        absent: the code of a missing word; None if no word may be missing.
        default: the code of every row if the source lacks the column.
    """

    codes: Mapping[str, int]
    any_case: bool = False
    absent: int | None = None
    default: int = 0


ALLOWED_TIME = (
    "an ISO 8601 date or time such as 2024-06-30, 2024-06-30T12:00:00 or 2024-06-30T12:00:00+02:00, "
    f"years {EARLIEST_YEAR} to 9999"
)
ALLOWED_NUMBER = f"a finite number of at most {LARGEST_MAGNITUDE:g} either way"
ALLOWED_TEXT = "text that is not empty"

EARLIEST_US = to_microseconds(datetime(EARLIEST_YEAR, 1, 1))  # noqa: DTZ001 (no zone means UTC here)
LATEST_US = to_microseconds(datetime(9999, 12, 31, 23, 59, 59, 999_999))  # noqa: DTZ001 (as above)
_UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_ZONED = r"[T ]\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"
_FINER = r"\.\d{6}0*[1-9]"
_MOST_BITS = 32
"""Bits of a place in a dictionary that the loops read; a wider one might be cut to another existing place."""
MOST_NAMED_IN_FILES = 10_000
"""Problems of one kind whose rows are named for a file, so that equal problems share one line of the message."""


class ErrorCollector:
    """Collects the problems of the rows of one source; the first of each kind are kept with their rows.

    Attributes:
        count: number of all problems.
    """

    def __init__(
        self, first_row: int | Integers = 0, most_named: int | None = PROBLEMS_LISTED, shown_from: int = 0
    ) -> None:
        """Begin without problems.

        Args:
            first_row: the number of the first row, or the number of each row.
            most_named: how many problems of one kind are kept with their rows; None for all.
            shown_from: the number under which people see row 0.
        """
        self._first_row = first_row
        self._shown_from = shown_from
        self.most_named = most_named
        self.count = 0
        self._problems: list[Problem] = []
        self._beyond: Counter[ProblemKind] = Counter()
        self._bad: dict[str, Mask] = {}
        self._excused: dict[str, Mask] = {}

    def number(self, row: int) -> int:
        """Return the number in its source of a row of this table."""
        first = self._first_row
        return first + row if isinstance(first, int) else int(first[row])

    def shown(self, row: int) -> int:
        """Return the number that people see for a row of this table."""
        return self.number(row) + self._shown_from

    def excuse(self, rows: Mask, field: str) -> None:
        """Ignore problems with a field of the marked rows, which may lack it."""
        self._excused[field] = rows

    def add(self, bad: Mask, field: str, describe: Callable[[int], str], allowed: str) -> None:
        """Add a problem for each row in which *bad* is true; *describe* writes the problem of a row of this table.

        Only the first problem with a field of a row counts: later checks see the value that replaced the bad one.
        """
        if field in self._excused:
            bad = bad & ~self._excused[field]
        if not bad.any():
            return
        before = self._bad.get(field, np.zeros_like(bad))
        self._bad[field] = before | bad
        rows = np.flatnonzero(bad & ~before)
        self.count += len(rows)
        self._problems += [
            Problem(self.number(int(row)), field, describe(int(row)), allowed) for row in rows[: self.most_named]
        ]
        if self.most_named is not None and len(rows) > self.most_named:
            self._beyond[problem_kind(self._problems[-1])[0]] += len(rows) - self.most_named

    def rows_with_error(self, field: str, rows: int) -> Mask:
        """Mark which of *rows* rows have a problem in a field."""
        return self._bad.get(field, np.zeros(rows, dtype=np.bool_))

    def rows_with_any_error(self, rows: int) -> Mask:
        """Mark which of *rows* rows have any problem."""
        marked = np.zeros(rows, dtype=np.bool_)
        for bad in self._bad.values():
            marked |= bad
        return marked

    def raise_if_any(self, source: str = "") -> None:
        """Raise InvalidDataError with all problems, if there are any."""
        if self.count:
            raise InvalidDataError(self._problems, self.count, source, self._beyond)


class GatheredProblems:
    """The problems of a source that is read in parts: the first are kept with their rows, the others counted."""

    def __init__(self) -> None:
        """Begin without problems."""
        self.count = 0
        self._problems: list[Problem] = []
        self._beyond: Counter[ProblemKind] = Counter()

    def add(self, problems: Sequence[Problem], count: int, beyond: Mapping[ProblemKind, int]) -> None:
        """Add the problems of a part, as InvalidDataError has them."""
        room = max(0, MOST_NAMED_IN_FILES - len(self._problems))
        self._problems += problems[:room]
        self._beyond.update(problem_kind(problem)[0] for problem in problems[room:])
        self._beyond.update(beyond)
        self.count += count

    def raise_if_any(self, source: str) -> None:
        """Raise InvalidDataError with all problems, if there are any."""
        if self.count:
            raise InvalidDataError(self._problems, self.count, source, self._beyond)


def short_text(value: object) -> str:
    """Write any value in at most 40 characters, for an error message: dates and times as ISO 8601, others as Python.

    >>> short_text("x" * 60)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."
    >>> short_text(datetime(1899, 12, 31, 23, 59))
    '1899-12-31T23:59:00'
    """
    return cut_text(value.isoformat() if isinstance(value, date | time) else repr(value))


def read_numbers(column: Column, field: str, errors: ErrorCollector, *, text: bool) -> Floats:
    """Read money; with *text* numbers may be written as text, as in files, with spaces around them.

    Bad rows are collected and get the value 0, so that later checks pass them.
    """
    plain = read_plain_numbers(column, LARGEST_MAGNITUDE)
    if plain is not None:
        return plain
    column = as_arrow(column)
    missing = _nulls(column)
    errors.add(missing, field, lambda _: "is missing", ALLOWED_NUMBER)
    kind = column.type
    if pa.types.is_decimal(kind):  # by way of text: Arrow's own cast misses the nearest float (0.35 by one bit)
        numbers, unread = column.cast(pa.string()).cast(pa.float64()), np.zeros(len(column), dtype=np.bool_)
    elif is_text(kind) and text:
        numbers, unread = numbers_of_text(column)
    elif kind == pa.float64():
        numbers, unread = column, np.zeros(len(column), dtype=np.bool_)
    elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
        numbers, unread = column.cast(pa.float64(), safe=False), np.zeros(len(column), dtype=np.bool_)
    else:
        numbers, unread = pa.nulls(len(column), pa.float64()), ~missing
    allowed = f"{ALLOWED_NUMBER}, and not text" if is_text(kind) and not text else ALLOWED_NUMBER
    errors.add(unread, field, lambda row: f"is {short_text(column[row].as_py())}", allowed)
    values = _plain(_filled(numbers, 0.0), np.float64)
    bad = ~(np.abs(values) <= LARGEST_MAGNITUDE)
    if bad.any():
        errors.add(bad, field, lambda row: f"is {column[row].as_py()}", ALLOWED_NUMBER)
        values = np.where(bad, 0.0, values)
    return values + 0.0  # -0.0 becomes 0.0, so that equal rows have equal bits


def numbers_of_text(texts: pa.Array) -> tuple[pa.Array, Mask]:
    """Read numbers that files write as text, perhaps with spaces around them; also mark texts that are not numbers."""
    return _cast_each(pc.utf8_trim_whitespace(texts), pa.float64())


def read_times(column: Column, field: str, errors: ErrorCollector) -> Integers:
    """Read moments as microseconds since 1970 UTC; bad rows are collected and get the value 0."""
    plain = read_plain_times(column, EARLIEST_US, LATEST_US)
    if plain is not None:
        return plain
    column = as_arrow(column)
    missing = _nulls(column)
    errors.add(missing, field, lambda _: "is missing", ALLOWED_TIME)
    times, unread = _as_microseconds(column, missing)
    errors.add(unread, field, lambda row: f"is {short_text(_python(column, row))}", ALLOWED_TIME)
    values = _plain(_filled(times, 0), np.int64)
    bad = (values < EARLIEST_US) | (values > LATEST_US)
    if bad.any():
        errors.add(bad, field, lambda row: f"is {short_text(_python(column, row))}", ALLOWED_TIME)
        values = np.where(bad, 0, values)
    return values


def read_words(
    column: Column,
    field: str,
    errors: ErrorCollector,
    codes: Mapping[str, int],
    *,
    any_case: bool = False,
    absent: int | None = None,
) -> Codes:
    """Read words of a fixed list as their codes; *absent* is the code of a missing word, if that is allowed."""
    plain = read_plain_words(column, coded_words(codes), any_case=any_case, absent=absent)
    if plain is not None:
        return plain
    column = as_arrow(column)
    if absent is None and column.null_count:
        errors.add(_mask(column.is_null()), field, lambda _: "is missing", _words_allowed(codes, any_case, absent))
    missing_code = 0 if absent is None else absent
    if not is_text(column.type.value_type if pa.types.is_dictionary(column.type) else column.type):
        wrong, allowed = _mask(column.is_valid()), _words_allowed(codes, any_case, absent)
        errors.add(wrong, field, lambda row: f"is {short_text(column[row].as_py())}", allowed)
        return np.full(len(column), missing_code, dtype=np.int16)
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    values = _word_codes(encoded, WordList(codes, any_case, absent))[_indices(encoded, len(encoded.dictionary))]
    bad = values < 0
    if bad.any():
        allowed = _words_allowed(codes, any_case, absent)
        errors.add(bad, field, lambda row: f"is {short_text(column[row].as_py())}", allowed)
        values[bad] = 0
    return values


def lacking_words(column: Column) -> Mask | None:
    """Mark the rows whose word is missing or empty; None where every row has one, which is nearly free to find."""
    if isinstance(column, StringColumn):
        lacking = (column.begins < 0) | (column.begins == column.ends)
    elif pa.types.is_dictionary(column.type):
        words = [not word for word in column.dictionary.to_pylist()]
        lacking = np.array([*words, True])[_indices(column, len(words))] if any(words) else _nulls(column)
    else:
        column = as_arrow(column)
        lacking = _nulls(column) | _empty(column) if is_text(column.type) else _nulls(column)
    return lacking if lacking.any() else None


def read_identifiers(column: Column, field: str, errors: ErrorCollector, *, required: bool = True) -> pa.Array:
    """Read identifiers as text; whole numbers in a typed column become their digits.

    If identifiers are not *required*, empty text is a missing identifier.
    """
    column = as_arrow(column)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    nothing = np.zeros(len(column), dtype=np.bool_)
    if is_text(kind) or pa.types.is_integer(kind):
        texts, unread = column if is_text(kind) else column.cast(pa.string()), nothing
    else:
        texts, unread = pa.nulls(len(column), pa.string()), ~_mask(column.is_null())
    if required:
        errors.add(_nulls(column), field, lambda _: "is missing", ALLOWED_TEXT)
        errors.add(_empty(texts), field, lambda _: "is empty", ALLOWED_TEXT)
    errors.add(unread, field, lambda row: f"is {short_text(column[row].as_py())}", ALLOWED_TEXT)
    return texts if required else pc.if_else(pc.equal(texts, ""), None, texts)


def _words_allowed(codes: Mapping[str, int], any_case: bool, absent: int | None) -> str:
    return ", ".join(codes) + (" (any case)" if any_case else "") + (" or nothing" if absent is not None else "")


def view_words(column: Column, words: WordList) -> tuple[Places, Codes] | None:
    """View a dictionary of words without reading its rows: the place of each row, and the code of each place.

    A word that is not in the list has a code below 0. None if the column is not a dictionary of text.
    """
    if not isinstance(column, pa.DictionaryArray) or not is_text(column.type.value_type):
        return None
    places = view_places(column)
    return None if places is None else (places, _word_codes(column, words))


def view_places(encoded: pa.DictionaryArray) -> Places | None:
    """View the places of rows in a dictionary; a missing one is after the last word. None if they have 64 bits."""
    places = encoded.indices
    if places.type.bit_width > _MOST_BITS:
        return None
    if places.null_count:  # wide enough for one place more
        places = places.cast(pa.int64()).fill_null(len(encoded.dictionary))
    return _plain(places, np.int32)


def _word_codes(encoded: pa.DictionaryArray, words: WordList) -> Codes:
    """Return the code of each word of a dictionary, and that of a missing word last."""
    missing = -1 if words.absent is None else words.absent
    return np.array([*(_code(word, words) for word in encoded.dictionary.to_pylist()), missing], dtype=np.int16)


def _code(word: str | None, words: WordList) -> int:
    if not word:
        return -1 if words.absent is None else words.absent
    return words.codes.get(word.upper() if words.any_case else word, -1)


def is_text(kind: pa.DataType) -> bool:
    """Check whether a column of this type holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _mask(column: pa.Array) -> Mask:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _nulls(column: pa.Array) -> Mask:
    """Mark missing values; skips Arrow's mask if its count of nulls is 0."""
    return _mask(column.is_null()) if column.null_count else np.zeros(len(column), dtype=np.bool_)


def _filled(column: pa.Array, value: float) -> pa.Array:
    return column.fill_null(value) if column.null_count else column


def _indices(encoded: pa.DictionaryArray, missing: int) -> npt.NDArray[np.int64]:
    """Positions in the dictionary; *missing* where there is no value."""
    indices = encoded.indices
    return _plain(indices.cast(pa.int64()).fill_null(missing) if indices.null_count else indices, np.int64)


def _empty(texts: pa.Array) -> Mask:
    if not pa.types.is_dictionary(texts.type):
        return _mask(_filled(pc.equal(texts, ""), False))
    empties: Sequence[int] = np.flatnonzero(_mask(pc.equal(texts.dictionary, "").fill_null(False))).tolist()
    return np.isin(_indices(texts, -1), empties)


def _plain(column: pa.Array, kind: type[Scalar]) -> npt.NDArray[Scalar]:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=kind)


def _python(column: pa.Array, row: int) -> object:
    try:
        return column[row].as_py()
    except (OverflowError, ValueError):  # beyond the years that datetime knows
        return str(column[row].cast(pa.int64(), safe=False))


def _cast_each(texts: pa.Array, kind: pa.DataType) -> tuple[pa.Array, Mask]:
    """Cast text; if some values cannot be cast, cast one by one and mark these."""
    try:
        return texts.cast(kind), np.zeros(len(texts), dtype=np.bool_)
    except pa.ArrowInvalid:
        uniques = texts.dictionary_encode()
        values = pa.chunked_array([_cast_one(text, kind) for text in uniques.dictionary], kind).combine_chunks()
        cast = values.take(uniques.indices)
        return cast, _mask(cast.is_null()) & ~_mask(texts.is_null())


def _cast_one(text: pa.Scalar, kind: pa.DataType) -> pa.Array:
    try:
        return pa.array([text.cast(kind)], kind)
    except pa.ArrowInvalid:
        return pa.nulls(1, kind)


def _as_microseconds(column: pa.Array, missing: Mask) -> tuple[pa.Array, Mask]:
    kind = column.type
    if is_text(kind):
        return _parse_times(column)
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("s"))
        kind = column.type
    if not pa.types.is_timestamp(kind):
        return pa.nulls(len(column), pa.int64()), ~missing
    per_second = _UNITS_PER_SECOND[kind.unit]
    ticks = column.cast(pa.int64())
    if per_second > 1_000_000:  # rounded up to microseconds: a nanosecond after as-of is after it
        values = -(-_plain(ticks.fill_null(0), np.int64) // (per_second // 1_000_000))
        return pa.array(values), np.zeros(len(column), dtype=np.bool_)
    limit = LATEST_US // (1_000_000 // per_second)
    outside = _mask(pc.or_(pc.greater(ticks, limit), pc.less(ticks, -limit)).fill_null(False))
    ticks = pc.if_else(pa.array(outside), None, ticks) if outside.any() else ticks
    return pc.multiply(ticks, 1_000_000 // per_second), outside


def _parse_times(texts: pa.Array) -> tuple[pa.Array, Mask]:
    try:  # the common case: no value has a zone
        return texts.cast(pa.timestamp("us")).cast(pa.int64()), np.zeros(len(texts), dtype=np.bool_)
    except pa.ArrowInvalid:
        pass
    # Some systems write nanoseconds; a fraction of a microsecond is rounded up.
    finer = _mask(pc.match_substring_regex(texts, _FINER).fill_null(False))
    cut = pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")
    zoned = pc.match_substring_regex(cut, _ZONED)
    with_zone, bad_with = _cast_each(pc.if_else(zoned, cut, None), pa.timestamp("us", "UTC"))
    without, bad_without = _cast_each(pc.if_else(zoned, None, cut), pa.timestamp("us"))
    times = pc.coalesce(with_zone.cast(pa.int64()), without.cast(pa.int64()))
    return pc.add(times, pa.array(finer.astype(np.int64))), bad_with | bad_without
