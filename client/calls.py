"""A call of the API as data: its route, its parameters and its answer. A test compares each with OpenAPI."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
from numbers import Integral, Real
from string import Formatter
from sys import float_info
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote
from uuid import UUID

from pydantic import TypeAdapter

from fivefold.client.errors import NotSentError

Moment = date | datetime | str
"""A moment: UTC unless it has a zone; a date is its midnight."""

Answer = TypeVar("Answer")


class Repeat(Enum):
    """Whether a call may be sent again after it had no answer.

    ALWAYS: it changes nothing, or has the same result however often it is carried out.
    BY_KEY: it changes something, and has an `Idempotency-Key`, so the service carries it out once.
    UNDONE: only if it was certainly not carried out: it is charged for, and has no key.
    """

    ALWAYS = "always"
    BY_KEY = "by key"
    UNDONE = "undone"


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """A route of the API.

    Attributes:
        method: the HTTP method.
        path: the path, with its variable parts in braces.
        gives: the type of the answer; for a list with pages, the type of one row.
        query: the parameters that are sent.
        body: the fields that are sent; `rows` for an array of any form.
        repeat: when it may be sent again.
        has_pages: whether it is a list that is read page by page.
    """

    method: str
    path: str
    gives: Any
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    repeat: Repeat = Repeat.ALWAYS
    has_pages: bool = False
    form: TypeAdapter[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        row: Any = self.gives
        form: TypeAdapter[Any] = TypeAdapter(tuple[row, ...] if self.has_pages else row)
        object.__setattr__(self, "form", form)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the variable parts of the path."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.path) if name)

    def path_of(self, parts: Mapping[str, object]) -> str:
        """Write the path; NotSentError for a part that no path can hold.

        >>> Call("GET", "/v1/entities/{type}/{external_id}", str).path_of({"type": "customer", "external_id": "a/b"})
        '/v1/entities/customer/a%2Fb'
        """
        return self.path.format(**{name: _part(name, parts[name]) for name in self.parts})


def _part(name: str, value: object) -> str:
    """Quote one variable part of a path; NotSentError if it is missing, empty or not encodable.

    A missing value has a text too: that of None would be the identifier of a customer "None".
    """
    if isinstance(value, bool) or not isinstance(value, str | Integral | UUID):
        problem = f"{name} is {str(value)[:_SHOWN]!r} of the type {type(value).__name__}"
        raise NotSentError(f"{problem}; allowed: text, or a whole number without a decimal point")
    text = str(value)
    if not text:
        raise NotSentError(f"{name} is empty; a path needs a value for it")
    try:
        quoted = quote(text, safe="")
    except UnicodeEncodeError:
        raise NotSentError(f"{name} is {text!r}, which UTF-8 cannot encode") from None
    # HTTP clients resolve `.` and `..` in paths, so their dots are escaped.
    return quoted.replace(".", "%2E") if text in {".", ".."} else quoted


def query_of(parameters: Mapping[str, object]) -> dict[str, str]:
    """Write query parameters: None and what has no values is left out, several values are joined by commas.

    A text is one value, not its characters. An empty one is sent as it is: the service says whether it takes one.

    >>> query_of({"level": ["high", "medium"], "to": "high", "since": date(2026, 1, 2), "until": None, "explain": True})
    {'level': 'high,medium', 'to': 'high', 'since': '2026-01-02', 'explain': 'true'}
    """
    written = {name: _parameter(value) for name, value in parameters.items() if value is not None}
    return {name: text for name, text in written.items() if text is not None}


def _parameter(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value)
    texts = [str(each) for each in value]
    return ",".join(texts) if texts else None


_KNOWN: Final = "numbers (also those of NumPy), text, flags, moments, Decimals, and lists and dicts of them"
_NO_MOMENT: Final = "NaT"
"""The text of a missing moment of pandas, which Python takes for a date."""
_ROWS_ALLOWED: Final = (
    'allowed: a dict for each row, such as df.to_dict("records") of pandas or df.to_dicts() of Polars gives'
)
_SHOWN: Final = 40
"""Characters of a value that an error repeats."""


def body_of(body: object) -> bytes:
    """Write a body as JSON.

    Raises:
        NotSentError: a value that JSON cannot represent, such as NaN, or a Decimal with more digits than its numbers
            keep.
    """
    try:
        return json.dumps(body, default=_plain, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotSentError(f"this cannot be sent: {error}") from error


def rows_of(rows: object) -> list[dict[str, object]]:
    """Copy rows; NotSentError for anything that iterates over other things, as a table does over its columns.

    >>> rows_of([{"user_id": "a"}])
    [{'user_id': 'a'}]
    >>> rows_of([{"user_id": "a", "amount": float("nan")}])
    Traceback (most recent call last):
    fivefold.client.errors.NotSentError: amount of row 0 is nan, which JSON cannot say; a missing value is None
    """
    if not isinstance(rows, Iterable):
        raise NotSentError(f"rows are {str(rows)[:_SHOWN]!r} of the type {type(rows).__name__}; {_ROWS_ALLOWED}")
    copied = []
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            row_text = f"row {number} is {str(row)[:_SHOWN]!r} of the type {type(row).__name__}"
            raise NotSentError(f"{row_text}; {_ROWS_ALLOWED}")
        for key, value in row.items():
            is_missing = str(value) == _NO_MOMENT if isinstance(value, date) else False
            try:
                is_finite = not isinstance(value, Real) or isfinite(value)
            except OverflowError:
                problem = f"{key} of row {number} is larger than any number that a service reads"
                raise NotSentError(f"{problem}; allowed: up to {float_info.max:.2g}") from None
            if is_missing or not is_finite:
                raise NotSentError(f"{key} of row {number} is {value}, which JSON cannot say; a missing value is None")
        copied.append(dict(row))
    return copied


def _plain(value: object) -> object:
    """Convert a type that JSON lacks; amounts never lose a digit."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        if not value.is_finite() or Decimal(repr(float(value))) != value:
            raise ValueError(f"{value} has more digits than a JSON number keeps")
        return float(value)
    if isinstance(value, Integral):
        return int(value)
    if str(getattr(value, "dtype", "")) == "bool" and getattr(value, "ndim", 1) == 0:  # a flag of NumPy
        return bool(value)
    if isinstance(value, Real):
        if isfinite(number := float(value)) and number != value:
            raise ValueError(f"{value} has more digits than a JSON number keeps")
        return number
    if isinstance(value, (Mapping, tuple, set, frozenset)):
        return dict(value) if isinstance(value, Mapping) else list(value)
    raise TypeError(f"{value!r} has an unsupported type; allowed: {_KNOWN}")
