"""What a rule looks at: a field, an aggregate, a ratio, an indicator, a tag, a screening, a pattern."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, StringConstraints, Tag

from fivefold.risk.language.base import LanguageModel, Name
from fivefold.risk.language.durations import DurationText
from fivefold.risk.language.patterns import Pattern

if TYPE_CHECKING:
    from fivefold.risk.language.expressions import Condition

Source = Literal["transactions", "cases", "alerts"]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=80)]


class FieldInput(LanguageModel):
    """A field of the entity; inside `where`, a field of the transaction, case or alert."""

    field: Name


class Window(LanguageModel):
    """Which linked facts an aggregate is over: those in (as-of − over, as-of] for which `where` is true.

    Attributes:
        where: a condition on their fields; facts of which it is unknown do not count. Transactions are settled ones
            unless it speaks of their state.
        over: the length of the window; everything up to as-of where it is not given.
        in_currency: only transactions in that currency, in its own amounts; otherwise all, in the base currency.
    """

    where: "Condition | None" = None
    over: DurationText | None = None
    in_currency: Currency | None = None


class Count(Window):
    """How many there are; 0 where there is none."""

    count: Source


class Sum(Window):
    """The sum of a field of transactions; 0 where there is none."""

    sum: Name


class Mean(Window):
    """The mean of a field of transactions; unknown where there is none."""

    mean: Name


class Least(Window):
    """The least value of a field of transactions; unknown where there is none."""

    min: Name


class Most(Window):
    """The greatest value of a field of transactions; unknown where there is none."""

    max: Name


class Distinct(Window):
    """How many different values a field of transactions has; 0 where there is none."""

    distinct: Name


class DaysSince(Window):
    """Days (with fractions) since the latest fact, or since a date field; unknown where there is none."""

    days_since: Name


class Ratio(LanguageModel):
    """The first number over the second; unknown where the second is 0 or one of them unknown."""

    ratio: tuple["NumberInput", "NumberInput"]


class IndicatorInput(LanguageModel):
    """An indicator of the catalogue, as of the assessment."""

    indicator: Name


class ValueInput(LanguageModel):
    """What the value model says."""

    value: Literal["score", "segment", "expected_value"]


class TagInput(LanguageModel):
    """A tag that people gave; absent where it was not given, never unknown."""

    tag: Label


class ScreeningInput(LanguageModel):
    """A screening's result: present where it found something, absent where not, unknown where never screened."""

    screening: Label


PLAIN_INPUTS: dict[str, type[LanguageModel]] = {
    "field": FieldInput,
    "count": Count,
    "sum": Sum,
    "mean": Mean,
    "min": Least,
    "max": Most,
    "distinct": Distinct,
    "days_since": DaysSince,
    "ratio": Ratio,
    "indicator": IndicatorInput,
    "value": ValueInput,
    "tag": TagInput,
    "screening": ScreeningInput,
}
"""The word that names each input, and its form; a pattern is known by its own name."""


def word_of(value: Any, words: Iterable[str]) -> str | None:
    """Find which of *words* names a mapping, or a part already made; None where none does."""
    names = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, LanguageModel) else ()
    return next((word for word in words if word in names), None)


def _choice(words: tuple[str, ...], what: str) -> Discriminator:
    return Discriminator(
        lambda value: word_of(value, words),
        custom_error_type="input",
        custom_error_message=f"is no {what}; it must have one of the words {', '.join(words)}",
    )


Aggregate = Count | Sum | Mean | Least | Most | Distinct | DaysSince
"""Inputs over linked facts."""

NUMERIC_WORDS = ("count", "sum", "mean", "min", "max", "distinct", "days_since", "indicator", "value", "field")
_Numeric = (
    Annotated[FieldInput, Tag("field")]
    | Annotated[Count, Tag("count")]
    | Annotated[Sum, Tag("sum")]
    | Annotated[Mean, Tag("mean")]
    | Annotated[Least, Tag("min")]
    | Annotated[Most, Tag("max")]
    | Annotated[Distinct, Tag("distinct")]
    | Annotated[DaysSince, Tag("days_since")]
    | Annotated[IndicatorInput, Tag("indicator")]
    | Annotated[ValueInput, Tag("value")]
)
NumberInput = Annotated[_Numeric, _choice(NUMERIC_WORDS, "number")]
"""An input that can be a number."""

Input = Annotated[
    _Numeric
    | Annotated[Ratio, Tag("ratio")]
    | Annotated[TagInput, Tag("tag")]
    | Annotated[ScreeningInput, Tag("screening")]
    | Annotated[Pattern, Tag("pattern")],
    _choice((*PLAIN_INPUTS, "pattern"), "input"),
]
"""Any input of a rule."""


def input_key(rule_input: LanguageModel) -> str:
    """Name an input: the same text for the same input, wherever in a ruleset it stands.

    >>> input_key(FieldInput(field="country"))
    '{"field":"country"}'
    """
    return json.dumps(
        rule_input.model_dump(mode="json", by_alias=True, exclude_none=True), sort_keys=True, separators=(",", ":")
    )
