"""One transaction of a request, read in plain Python, with the same result as `transaction_columns`.

A value in an unusual form is left to `transaction_columns`, which reads it or names its problem. So nothing is refused
here, and no problem is reported twice.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any, Final

from fivefold.domain.clock import EARLIEST_YEAR, to_microseconds
from fivefold.features import schema as c
from fivefold.risk.language.fields import COUNTRIES, FieldType, OneOf, ValueType, value_type_of
from fivefold.usecases.shared.entity_checks import MOST_CHARACTERS
from fivefold.usecases.shared.transaction_columns import AHEAD_US, KNOWN

_CURRENCY = re.compile("[A-Z]{3}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{6})?(Z|\+00:00)?)?", re.ASCII)
_COUNTRIES = frozenset(COUNTRIES)
_LEAST_WRITTEN, _MOST_WRITTEN = 1e-4, 1e15
"""The range in which every writer writes a number without an exponent."""


class _LeftToColumnsError(ValueError):
    """A value is not in the usual form."""


def read_single(
    transaction: Mapping[str, Any], declared: Mapping[str, FieldType], now_us: int
) -> dict[str, Any] | None:
    """Read a transaction as `transaction_columns.read_columns` does, with numbers that are not text.

    Args:
        transaction: the transaction, with its number, owner and moment, and without empty fields.
        declared: the fields that its entity type declares.
        now_us: the current time.

    Returns:
        The columns of the table except the owner, and the declared fields in their order, with moments as they were
        written. None if `transaction_columns` must read it.
    """
    if not declared.keys().isdisjoint(KNOWN) or not transaction.keys() <= {*KNOWN, *declared}:
        return None
    latest = now_us + AHEAD_US
    try:
        row = {
            "transaction_id": _name(transaction[c.TRANSACTION_ID]),
            "at_us": _time(transaction[c.DATE], latest),
            "amount": _money(transaction[c.AMOUNT]),
            "currency": _matching(_CURRENCY, transaction[c.CURRENCY]),
            "state": _one_of(c.STATES, _text(transaction[c.STATE]).upper()) if c.STATE in transaction else None,
            "balance": _money(transaction[c.BALANCE]) if c.BALANCE in transaction else None,
            "category": _one_of(c.CATEGORIES, _text(transaction[c.CATEGORY])) if c.CATEGORY in transaction else None,
            "account_created_us": _time(transaction[c.CREATED], latest) if c.CREATED in transaction else None,
        }
        own = {name: _own(transaction.get(name), form) for name, form in declared.items()}
    except (_LeftToColumnsError, KeyError):
        return None
    own_fields = {name: own[name] for name in sorted(own) if own[name] is not None}
    content = json.dumps(own_fields, ensure_ascii=False, separators=(",", ":")) if own_fields else None
    return {**row, "content": content, **own}


def _own(value: Any, declared: FieldType) -> Any:
    """Read a field that the type declares, in the form in which it is stored as JSON; None if it is empty."""
    return None if value is None else _OWN[value_type_of(declared)](value, declared)


def _own_text(value: Any, declared: FieldType) -> str | None:
    text = _text(value)
    if isinstance(declared, OneOf):
        return _one_of(declared.one_of, text)
    if declared == "country":
        return _one_of(_COUNTRIES, text)
    return text if text.strip(" ") else None


def _own_number(value: Any, _: FieldType) -> float:
    number = _number(value)
    if number != 0 and not _LEAST_WRITTEN <= abs(number) < _MOST_WRITTEN:
        raise _LeftToColumnsError
    return number


def _own_flag(value: Any, _: FieldType) -> bool:
    if not isinstance(value, bool):
        raise _LeftToColumnsError
    return value


def _own_moment(value: Any, _: FieldType) -> str:
    _moment(value)
    return str(value)


def _own_texts(value: Any, _: FieldType) -> list[str]:
    if not isinstance(value, list) or not value:
        raise _LeftToColumnsError
    return [_text(word) for word in value]


_OWN: Final[Mapping[ValueType, Callable[[Any, Any], Any]]] = {
    ValueType.TEXT: _own_text,
    ValueType.NUMBER: _own_number,
    ValueType.FLAG: _own_flag,
    ValueType.MOMENT: _own_moment,
    ValueType.TEXTS: _own_texts,
}


def _text(value: Any) -> str:
    """Return text of visible characters and spaces, which JSON, columns and databases write alike."""
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise _LeftToColumnsError
    return value


def _name(value: Any) -> str:
    if len(_text(value)) > MOST_CHARACTERS:
        raise _LeftToColumnsError
    return str(value)


def _one_of(words: Any, word: str) -> str:
    if word not in words:
        raise _LeftToColumnsError
    return word


def _matching(form: re.Pattern[str], value: Any) -> str:
    if form.fullmatch(_text(value)) is None:
        raise _LeftToColumnsError
    return str(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _LeftToColumnsError
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond the range of floats
        raise _LeftToColumnsError from None
    if not isfinite(number):
        raise _LeftToColumnsError
    return number


def _money(value: Any) -> float:
    number = _number(value)
    if abs(number) > c.LARGEST_MAGNITUDE:
        raise _LeftToColumnsError
    return number + 0.0  # -0.0 becomes 0.0, as in columns


def _time(value: Any, latest: int) -> int:
    moment = _moment(value)
    if moment > latest:
        raise _LeftToColumnsError
    return moment


def _moment(value: Any) -> int:
    try:
        moment = datetime.fromisoformat(_matching(_MOMENT, value))
    except ValueError:
        raise _LeftToColumnsError from None
    if moment.year < EARLIEST_YEAR:
        raise _LeftToColumnsError
    return to_microseconds(moment)
