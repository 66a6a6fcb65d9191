"""The columns of transactions in a request, checked by the value side's readers and converted to their stored form."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import chain
from math import isnan
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl
import pyarrow.compute as pc

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import PROBLEMS_LISTED, FileFormatError, InvalidDataError, Problem
from fivefold.domain.text import MISSPELT, UNFIT, nearest, wrong_in_name
from fivefold.features import schema as c
from fivefold.features.column_names import means
from fivefold.features.reading.columns import (
    ALLOWED_NUMBER,
    ALLOWED_TEXT,
    ALLOWED_TIME,
    ErrorCollector,
    Mask,
    read_identifiers,
    read_numbers,
    read_times,
    read_words,
    short_text,
)
from fivefold.features.reading.fast_columns import CodedWords
from fivefold.risk.facts.reading import read_field, words_of_cell
from fivefold.risk.language.fields import FieldType, ValueType, value_type_of
from fivefold.usecases.shared.entity_checks import MOST_CHARACTERS, RIGHT_NAME, allowed_values, storable

NEEDED = (c.TRANSACTION_ID, c.AMOUNT, c.CURRENCY, c.DATE)
OWNERS = (c.USER_ID, "entity_id")
"""The columns that name a transaction's entity; a row has one of them."""
KNOWN = (*NEEDED, c.STATE, c.BALANCE, c.CATEGORY, c.CREATED, *OWNERS)
"""The columns of any transaction, beside the fields that its entity type declares."""

OPTIONAL = (c.STATE, c.BALANCE, c.CATEGORY, c.CREATED)
"""The known columns that a transaction may lack. That changes its meaning: without a state it counts as settled."""

CORRECTION_COLUMNS = ("corrects", "reverses", "correction_reason", "correction_known_at")
"""The columns that make a row a correction or a reversal of a transaction. See `usecases.shared.correction_columns`."""

SENT_AS = {
    "at_us": c.DATE,
    "amount": c.AMOUNT,
    "currency": c.CURRENCY,
    "state": c.STATE,
    "balance": c.BALANCE,
    "category": c.CATEGORY,
    "account_created_us": c.CREATED,
}
"""The API's names of the table's columns."""

_CORRECTS, _REVERSES, _, _KNOWN_AT = CORRECTION_COLUMNS
_MONEY = {c.AMOUNT, c.BALANCE}
_TIMES = {c.DATE, c.CREATED, _KNOWN_AT}
_IDENTIFIERS = {c.TRANSACTION_ID, *OWNERS, _CORRECTS, _REVERSES}
_PLAIN = "text"
ALLOWED_IDENTIFIER = "text, or a whole number without a decimal point"

AHEAD_US = DAY_US
"""How far ahead of now a transaction may be dated, as clocks and zones differ. It counts from its own moment."""

_STATES = CodedWords({word: number for number, word in enumerate(c.STATES)})
_CATEGORIES = CodedWords(c.CATEGORIES)


def read_columns(
    frame: pl.DataFrame,
    own: Mapping[str, FieldType],
    now: int,
    *,
    text: bool,
    most_named: int | None = PROBLEMS_LISTED,
) -> pl.DataFrame:
    """Check transactions and convert them into the columns of the table; `external_id` names the entity of each.

    Args:
        frame: transactions as for `usecases.ingest.transactions.add_transactions`.
        own: the fields that the entity type declares for its transactions; stored as one JSON object.
        now: the current time.
        text: whether numbers may be written as text.
        most_named: how many problems of one kind are named; None for all of them.

    Raises:
        FileFormatError: a required column is missing.
        InvalidDataError: invalid rows, each named.
    """
    owner = _owner_among(frame.columns)
    columns = TransactionColumns(frame, text=text, most_named=most_named)
    series = {
        "transaction_id": columns.new_names(c.TRANSACTION_ID),
        "external_id": columns.names(owner),
        **columns.values(own, now + AHEAD_US),
    }
    columns.findings.raise_if_any()
    return pl.DataFrame(series)


def _owner_among(names: Sequence[str]) -> str:
    """Return the name of the entities' column; FileFormatError if a required column is missing."""
    if missing := _missing(names, " or ".join(OWNERS)):
        raise FileFormatError(f"transactions have no {', '.join(missing)}; they have {', '.join(names) or 'none'}")
    return next(name for name in OWNERS if name in names)


def _missing(names: Collection[str], owner: str) -> list[str]:
    """Return the required columns that are missing; the entities' column, which has two names, as *owner*."""
    has_owner = any(name in names for name in OWNERS)
    return [name for name in NEEDED if name not in names] + ([] if has_owner else [owner])


class _FindingsOfGiven(ErrorCollector):
    """Collects errors, except of rows without the value, where only its stand-in can be wrong."""

    absent: Any = None

    def add(self, bad: Mask, field: str, describe: Callable[[int], str], allowed: str) -> None:
        """Record each row where *bad* is true and a value was sent."""
        super().add(bad if self.absent is None else bad & ~self.absent, field, describe, allowed)


class TransactionColumns:
    """The columns of a frame; their problems are collected in `findings`."""

    def __init__(self, frame: pl.DataFrame, *, text: bool, most_named: int | None) -> None:
        """Create it without reading; *text*: whether numbers may be written as text."""
        self.findings = _FindingsOfGiven(most_named=most_named)
        self._frame = frame
        self._text = text

    def values(self, own: Mapping[str, FieldType], latest: int, *, optional: bool = False) -> dict[str, pl.Series]:
        """Read the values of transactions; *optional*: all of them may be missing."""
        return {
            "at_us": self.times(c.DATE, latest, optional=optional),
            "amount": self.numbers(c.AMOUNT, optional=optional),
            "currency": self.currencies(c.CURRENCY, optional=optional),
            "state": self.words(c.STATE, _STATES, optional=True),
            "balance": self.numbers(c.BALANCE, optional=True),
            "category": self.words(c.CATEGORY, _CATEGORIES, optional=True),
            "account_created_us": self.times(c.CREATED, latest, optional=True),
            "content": self.json(own),
        }

    def names(self, name: str, most: int = MOST_CHARACTERS) -> pl.Series:
        """Read identifiers, or other text that is not empty."""
        names = read_identifiers(_arrow(self._frame[name]), name, self.findings)
        bad = pc.or_(pc.match_substring(names, "\0"), pc.greater(pc.utf8_length(names), most))
        right = f"{ALLOWED_TEXT}, at most {most} characters, none of them NUL"
        wrong = bad.fill_null(False).to_numpy(zero_copy_only=False)
        self.findings.add(wrong, name, lambda row: f"is {short_text(names[row].as_py())}", right)
        return pl.Series(names, dtype=pl.String)

    def new_names(self, name: str) -> pl.Series:
        """Read new identifiers; those that `wrong_in_name` refuses are problems."""
        names = self.names(name)
        bad = names.str.contains(UNFIT).fill_null(value=False).to_numpy()
        described = "is {}, {}"
        self.findings.add(
            bad, name, lambda row: described.format(short_text(names[row]), wrong_in_name(names[row])), RIGHT_NAME
        )
        return names

    def currencies(self, name: str, *, optional: bool = False) -> pl.Series:
        """Read currency codes; a code without a rate is valid, and amounts in it are unknown in the base currency."""
        if optional and self._nothing(name):
            return self._nulls(pl.String)
        column, nothing = self._with_stand_ins(name, optional=optional)
        codes = read_identifiers(_arrow(column), name, self.findings)
        wrong = pc.invert(pc.match_substring_regex(codes, "^[A-Z]{3}$")).fill_null(False)
        right = "three capital letters, ISO 4217, such as EUR"
        bad = wrong.to_numpy(zero_copy_only=False)
        self.findings.add(bad, name, lambda row: f"is {short_text(codes[row].as_py())}", right)
        return self._without(pl.Series(codes, dtype=pl.String), nothing)

    def times(self, name: str, latest: int, *, optional: bool = False) -> pl.Series:
        """Read moments up to *latest*, as microseconds."""
        if optional and self._nothing(name):
            return self._nulls(pl.Int64)
        column, nothing = self._with_stand_ins(name, optional=optional)
        times = read_times(_arrow(column), name, self.findings)
        self.findings.add(times > latest, name, lambda _: "is in the future", f"a time up to {day_text(latest)}")
        return self._without(pl.Series(times, dtype=pl.Int64), nothing)

    def numbers(self, name: str, *, optional: bool = False) -> pl.Series:
        """Read money."""
        if optional and self._nothing(name):
            return self._nulls(pl.Float64)
        column, nothing = self._with_stand_ins(name, optional=optional)
        return self._without(pl.Series(read_numbers(_arrow(column), name, self.findings, text=self._text)), nothing)

    def words(self, name: str, allowed: CodedWords, *, optional: bool = False) -> pl.Series:
        """Read words of a fixed list."""
        if optional and self._nothing(name):
            return self._nulls(pl.String)
        column, nothing = self._with_stand_ins(name, optional=optional)
        codes = read_words(_arrow(column), name, self.findings, allowed, any_case=name == c.STATE)
        return self._without(pl.Series(np.array([*allowed], dtype=object)[codes], dtype=pl.String), nothing)

    def json(self, own: Mapping[str, FieldType]) -> pl.Series:
        """Return a type's own fields as one JSON object, without empty ones; null if all are empty.

        So the content of a transaction does not depend on the other rows.
        """
        there = sorted(name for name in own if name in self._frame.columns)
        if not there:
            return pl.Series([None], dtype=pl.String).new_from_index(0, len(self._frame))
        frame = pl.DataFrame([self._own_field(name, own[name]) for name in there])
        problems = [
            pl.when(pl.col(name).is_not_null()).then(pl.struct(name).struct.json_encode().str.slice(1).str.head(-1))
            for name in there
        ]
        objects = pl.concat_str(problems, separator=",", ignore_nulls=True)
        anything = pl.any_horizontal(pl.col(there).is_not_null())
        whole = pl.when(anything).then(pl.format("{}{}{}", pl.lit("{"), objects, pl.lit("}")))
        contents = frame.select(whole).to_series()
        bad = contents.str.contains("\\u0000", literal=True).fill_null(False).to_numpy()
        self.findings.add(bad, ", ".join(there), lambda _: "has a NUL character", "text without NUL")
        return contents

    def _own_field(self, name: str, declared: FieldType) -> pl.Series:
        """Read a field as the engine does; moments keep their text, or are written in ISO form."""
        column = self._frame[name]
        values, wrong = read_field(column, declared)
        if wrong is not None:
            bad = wrong.is_not_null().to_numpy()
            self.findings.add(bad, name, lambda row: f"is {short_text(wrong[row])}", allowed_values(declared))
        if value_type_of(declared) is not ValueType.MOMENT:
            return values.alias(name)
        texts = column if column.dtype == pl.String else values.cast(pl.Datetime("us")).dt.to_string("iso:strict")
        return texts.alias(name)

    def _nothing(self, name: str) -> bool:
        """Return whether a column is missing or empty."""
        if name not in self._frame.columns:
            return True
        return self._frame[name].null_count() == len(self._frame)

    def _nulls(self, dtype: Any) -> pl.Series:
        return pl.Series([None], dtype=dtype).new_from_index(0, len(self._frame))

    def _with_stand_ins(self, name: str, *, optional: bool) -> tuple[pl.Series, pl.Series | None]:
        """Return a column with stand-ins for missing values, if these are allowed; and a mask of the missing values.

        Problems of rows with missing values are not recorded until `_without` is called.
        """
        column = self._frame[name]
        if not optional:
            return column, None
        empty = column.dtype == pl.String and (column == "").any()
        if not empty and not column.null_count():
            return column, None
        nothing = column.is_null() | (column == "") if empty else column.is_null()
        self.findings.absent = nothing.to_numpy()
        stand_in = column.filter(~nothing).head(1) if not nothing.all() else _STAND_INS[name]
        completed = column.set(nothing, stand_in[0]) if column.dtype == pl.String else column.fill_null(stand_in[0])
        return completed, nothing

    def _without(self, values: pl.Series, nothing: pl.Series | None) -> pl.Series:
        self.findings.absent = None
        return values if nothing is None else values.set(nothing, None)


_STAND_INS = {
    c.CREATED: pl.Series(["1970-01-01"]),
    c.STATE: pl.Series([next(iter(c.STATES))]),
    c.CATEGORY: pl.Series([next(iter(c.CATEGORIES))]),
    c.BALANCE: pl.Series(["0"]),
}
"""The stand-ins of columns in which all values are missing."""


def _arrow(column: pl.Series) -> Any:
    return column.to_arrow(compat_level=pl.CompatLevel.oldest())


def transaction_frame(rows: Sequence[Mapping[str, Any]], own: Mapping[str, FieldType]) -> pl.DataFrame:
    """Make a frame of a request's rows. The meaning of a row does not depend on other rows.

    In a column of identifiers a whole number counts as its digits, NaN as missing, and other numbers are invalid. An
    undeclared field is left out. InvalidDataError if no row has a required field, for values that no column can hold,
    such as half a surrogate, which JSON can write, and for `misspelt_columns`.
    """
    if missing := _missing(frozenset(chain.from_iterable(rows)), OWNERS[0]):
        raise InvalidDataError(
            [Problem(row, name, "is missing", _allowed(name)) for row in range(len(rows)) for name in missing]
        )
    return plain_frame(rows, own, KNOWN)


def _allowed(name: str) -> str:
    """Return the allowed values of a known field, in words, if its column was not read."""
    if name in _IDENTIFIERS:
        return ALLOWED_IDENTIFIER
    return ALLOWED_NUMBER if name in _MONEY else ALLOWED_TIME if name in _TIMES else _PLAIN


def misspelt_columns(
    names: Iterable[str], own: Mapping[str, FieldType], allowed: Collection[str] = KNOWN
) -> dict[str, str]:
    """Return the unknown columns whose names differ from an optional field in case, signs or one letter.

    Columns that mean the same as a field, such as a status, are included.

    Args:
        names: the names of the columns.
        own: the fields that the entity type declares for its transactions.
        allowed: the columns that transactions have beside these.

    Returns:
        The field that is probably meant, by column.
    """
    right = {*allowed, *own, *CORRECTION_COLUMNS}
    strange = [name for name in names if name not in right]
    near = {name: nearest(name, (*OPTIONAL, *CORRECTION_COLUMNS, *own), MISSPELT) for name in strange}
    usual = {name: next((each for each in OPTIONAL if means(name, each)), None) for name in strange}
    return {name: meant for name in strange if (meant := near[name] or usual[name]) is not None}


def plain_frame(
    rows: Sequence[Mapping[str, Any]], own: Mapping[str, FieldType], allowed: Collection[str]
) -> pl.DataFrame:
    """Build a frame of the *allowed* and *own* columns, any of which may be missing; errors: `transaction_frame`."""
    names = dict.fromkeys(chain.from_iterable(rows))
    types = {name: _value_type(name, own) for name in names if name in allowed or name in own}
    columns = {name: _column(rows, name, value_type) for name, value_type in types.items()}
    problems = [
        Problem(number, name, f"is {short_text(value)}", allowed_values(own[name]) if name in own else _allowed(name))
        for name, values in columns.items()
        if not _all_plain(values, types[name])
        for number, value in enumerate(values)
        if not _is_plain(value, types[name])
    ]
    for strange, meant in misspelt_columns(names, own, allowed).items():
        right = f"{meant}, if that is meant, or a name that is less like it"
        problems += [
            Problem(number, strange, f"is not a field of a transaction; perhaps {meant} was meant", right)
            for number, row in enumerate(rows)
            if strange in row and row.get(meant) is None
        ]
    problems += [problem for name in columns.keys() & _MONEY for problem in _texts_among_numbers(name, columns[name])]
    for name in (name for name, value_type in types.items() if value_type is ValueType.TEXTS):
        words = [words_of_cell(value) if isinstance(value, str) else value for value in columns[name]]
        problems += [
            Problem(number, name, f"is {short_text(value)}", allowed_values(own[name]))
            for number, (value, read) in enumerate(zip(columns[name], words, strict=True))
            if isinstance(value, str) and read is None
        ]
        columns[name] = words
    if problems:
        raise InvalidDataError(problems)
    return pl.DataFrame([_series(name, values, types[name]) for name, values in columns.items()])


def _value_type(name: str, own: Mapping[str, FieldType]) -> ValueType:
    if name in own:
        return value_type_of(own[name])
    return ValueType.NUMBER if name in _MONEY else ValueType.MOMENT if name in _TIMES else ValueType.TEXT


def _column(rows: Sequence[Mapping[str, Any]], name: str, value_type: ValueType) -> list[Any]:
    """Return the values of one column, in half the time if all rows have it; NaN is missing, except among numbers."""
    try:
        values = list(map(itemgetter(name), rows))
    except KeyError:
        values = [row.get(name) for row in rows]
    if value_type is ValueType.NUMBER or float not in set(map(type, values)):
        return values
    return [None if isinstance(value, float) and isnan(value) else value for value in values]


def _series(name: str, values: Sequence[Any], value_type: ValueType) -> pl.Series:
    """Make a column of plain values; except numbers and lists, each is written as text, regardless of the others."""
    if value_type in {ValueType.NUMBER, ValueType.TEXTS}:
        return pl.Series(name, values, strict=False)
    return pl.Series(name, [*map(_written, values)] if set(map(type, values)) - {str} else values, dtype=pl.String)


def _written(value: Any) -> str | None:
    """Return a plain value as text: a whole number as its digits, a date in ISO form."""
    if value is None or isinstance(value, str):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


def _texts_among_numbers(name: str, values: Sequence[Any]) -> list[Problem]:
    """Return the problems of texts among numbers, as they would turn the numbers into texts."""
    kinds = set(map(type, values))
    if str not in kinds or not {int, float} & kinds:
        return []
    return [
        Problem(number, name, f"is {short_text(value)}", ALLOWED_NUMBER)
        for number, value in enumerate(values)
        if isinstance(value, str)
    ]


def _all_plain(values: Sequence[Any], value_type: ValueType) -> bool:
    """Return whether a whole column is obviously plain, as is usual; False means that each value must be checked."""
    kinds = set(map(type, values)) - {type(None)}
    are_numbers = value_type is ValueType.NUMBER and kinds <= {float}
    return are_numbers or (kinds == {str} and "".join(filter(None, values)).isascii())


def _is_plain(value: Any, value_type: ValueType) -> bool:
    """Return whether a column can hold a value beside any others; a NUL is checked later, with its field."""
    if value is None:
        return True
    if isinstance(value, str):
        return value.isascii() or storable(value.replace("\0", ""))
    if isinstance(value, bool):
        return value_type is ValueType.FLAG
    if isinstance(value, int) and abs(value) >= 2**63:
        return False
    if value_type is ValueType.TEXTS and isinstance(value, list | tuple):
        return all(isinstance(word, str) and _is_plain(word, ValueType.TEXT) for word in value)
    return isinstance(value, _PLAIN_TYPES[value_type])


_PLAIN_TYPES: dict[ValueType, tuple[type, ...]] = {
    ValueType.NUMBER: (int, float, Decimal),
    ValueType.TEXT: (int,),
    ValueType.FLAG: (int,),
    ValueType.MOMENT: (date,),
    ValueType.TEXTS: (),
}
"""The types that a column may hold apart from text, booleans and lists."""
