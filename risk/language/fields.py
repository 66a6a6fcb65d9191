"""Typed fields: what is known of an entity or a transaction, so that lint finds a wrong name or comparison."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from fivefold.risk.language.base import LanguageModel


class ValueType(StrEnum):
    """What a value is to a condition.

    MONEY is kept in whole minor units, MOMENT in microseconds, LEVEL as its number from 1 (lowest). A MARK is there or
    not, as a tag is; a FINDING is a number that is above 0 where the pattern was found. `present` asks of these two
    whether they are there, of all others whether the value is known.
    """

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    FLAG = "flag"
    MOMENT = "date"
    TEXTS = "list of text"
    MARK = "tag"
    FINDING = "pattern"
    LEVEL = "level"


class OneOf(LanguageModel):
    """Text that can only be one of these."""

    one_of: Annotated[tuple[str, ...], Field(min_length=1)]


def _form(value: Any) -> str:
    if isinstance(value, str):
        return "word"
    return "list" if isinstance(value, list | tuple) else "one_of"


_WORDS = r"^(text|number|flag|date|country)$"
FieldType = Annotated[
    Annotated[Annotated[str, Field(pattern=_WORDS)], Tag("word")]
    | Annotated[tuple[Annotated[str, Field(pattern=r"^text$")]], Tag("list")]
    | Annotated[OneOf, Tag("one_of")],
    Discriminator(
        _form,
        custom_error_type="field_type",
        custom_error_message="a field's type is text, number, flag, date, country, [text], or {one_of: [a, b]}",
    ),
]
"""text, number, flag (true or false), date, country (ISO 3166 alpha-2), [text], or {one_of: [a, b]}."""

_KINDS = {
    "text": ValueType.TEXT,
    "number": ValueType.NUMBER,
    "flag": ValueType.FLAG,
    "date": ValueType.MOMENT,
    "country": ValueType.TEXT,
}


def value_type_of(declared: FieldType) -> ValueType:
    """Tell what a field of that type is to a condition.

    >>> value_type_of("country").value, value_type_of(("text",)).value
    ('text', 'list of text')
    """
    if isinstance(declared, OneOf):
        return ValueType.TEXT
    return _KINDS[declared] if isinstance(declared, str) else ValueType.TEXTS


TRANSACTION_FIELDS: dict[str, FieldType] = {
    "transaction_id": "text",
    "amount": "number",
    "signed_amount": "number",
    "direction": OneOf(one_of=("deposit", "withdrawal")),
    "currency": "text",
    "state": OneOf(one_of=("settled", "pending", "failed")),
    "time": "date",
}
"""What every transaction has. `amount` is its size, `signed_amount` has the sign (+ deposit, − withdrawal)."""

MONEY_FIELDS = ("amount", "signed_amount")
"""Fields of a transaction that are money, in whole minor units."""

CASE_FIELDS: dict[str, FieldType] = {"outcome": "text", "time": "date", "closed": "date", "status": "text"}
"""What every case or alert has; others may be declared."""
