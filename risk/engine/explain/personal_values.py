"""Values in words for the person whom they are about, with the names of inputs from `personal`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fivefold.domain.clock import day_text
from fivefold.domain.money import minor_units
from fivefold.risk.compiler.value_types import Vocabulary
from fivefold.risk.engine.explain.describe import (
    Cuts,
    InputDescription,
    Pairs,
    describe_inputs,
    uncrossed,
    value_words,
)
from fivefold.risk.engine.explain.formulas import number_words
from fivefold.risk.engine.explain.personal import (
    MARKS,
    NOT_KNOWN,
    PersonalWording,
    labels_and_units,
    part_of_whole,
    person_name,
)
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import (
    CalculationInput,
    Count,
    Distinct,
    FieldInput,
    IndicatorInput,
    New,
    Ratio,
    Share,
    ValueInput,
    distinct,
    input_key,
)
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.patterns import (
    DormantThenActive,
    Fan,
    PassThrough,
    PurposeDeviation,
    Structuring,
    Velocity,
    VolumeDeviation,
)
from fivefold.risk.language.peers import PeerPercentile, TimesPeerMedian

_UNITS: Mapping[type, str] = {
    Share: "share",
    PeerPercentile: "percent",
    PurposeDeviation: "percent",
    TimesPeerMedian: "times",
    VolumeDeviation: "times",
}
_SUFFIXES: Mapping[str, str] = {"share": " %", "percent": " %", "times": " times", "days": " days"}
_MOST_PLACES = 15
_WHOLE: Mapping[ValueType, Callable[[Any], str]] = {
    ValueType.FLAG: lambda flag: "yes" if flag else "no",
    ValueType.MOMENT: lambda moment: day_text(moment).replace("T", " ").replace("Z", " UTC"),
}
"""The kinds of values that are never rounded, and whose words differ from those for investigators."""


@dataclass(frozen=True)
class PersonalInput:
    """An input, ready to be described to the person whom it is about.

    Attributes:
        rule_input: the input.
        description: the description of its values and comparisons.
        names: the declared names.
        wording: the currency and list titles.
    """

    rule_input: Any
    description: InputDescription
    names: Vocabulary
    wording: PersonalWording

    @property
    def name(self) -> str:
        """The input in words for the person."""
        return person_name(self.rule_input, self.wording)

    def known_words(self, row: Mapping[str, Any]) -> str:
        """Write what is known: the value, or a field's raw value if it could not be read; *row* has their columns.

        Why a number could not be computed is for operators: to the person it is not known.
        """
        problem = row.get(self.description.error)
        if problem:
            return str(problem) if self.description.field is not None else NOT_KNOWN
        value = row[self.description.key]
        if value == 0 and self._is_count:
            return "none"
        return self.value(value, self._middles(row))

    def value(self, value: Any, beside: Sequence[Decimal] = ()) -> str:
        """Write a value, never rounded across a number that it is compared with, nor across one of *beside*."""
        column, cuts = self.description.column, (*self.description.cuts, *beside)
        if value is None:
            return NOT_KNOWN
        if column.kind in _WHOLE:
            return _WHOLE[column.kind](value)
        if column.kind is ValueType.MARK:
            return MARKS.get(type(self.rule_input), ("no", "yes"))[bool(value)]
        if column.kind not in {ValueType.NUMBER, ValueType.FINDING} or isinstance(self.rule_input, FieldInput):
            return value_words(value, column, self.description.currency, cuts)
        if column.is_age:
            return f"{value_words(value, column, '', cuts)}{' days' if self._lacks_days else ''}"
        return self._figure(Decimal(str(value)), cuts)

    def _figure(self, exact: Decimal, cuts: Sequence[Decimal]) -> str:
        unit = self._unit
        if not exact and isinstance(self.rule_input, VolumeDeviation | PurposeDeviation):
            return f"below {self._least_found}"
        if unit == "share":
            exact, cuts = exact * 100, [cut * 100 for cut in cuts]
        if unit == "money":
            digits = len(str(minor_units(self.wording.currency))) - 1
            return f"{uncrossed(exact, cuts, (digits, digits + 2, digits + 4, digits + 8)):,f} {self.wording.currency}"
        places = (1, 2, 4, 6, 9, 12) if unit in {"share", "percent"} else (2, 3, 4, 6, 9, 12)
        number = uncrossed(exact, cuts, places)
        text = f"{number.normalize():,f}" if not number or abs(number.adjusted()) <= _MOST_PLACES else str(number)
        suffix = "" if unit == "days" and not self._lacks_days else _SUFFIXES.get(unit, "")
        return f"{text}{suffix}"

    def _middles(self, row: Mapping[str, Any]) -> list[Decimal]:
        """Return the middles between the value and others that it is compared with, to keep their shown order."""
        value, others = row[self.description.key], [row[key] for key, _ in self.description.others]
        return [(Decimal(str(value)) + Decimal(str(each))) / 2 for each in others if None not in (value, each)]

    @property
    def _least_found(self) -> str:
        """The least deviation that is found; below it the number is 0."""
        each = self.rule_input
        least = each.factor if isinstance(each, VolumeDeviation) else each.share
        return f"{number_words(least)}{_SUFFIXES[self._unit]}"

    @property
    def _is_count(self) -> bool:
        counts = Count | Distinct | New | Structuring | Velocity | PassThrough | DormantThenActive | Fan
        return isinstance(self.rule_input, counts)

    @property
    def _lacks_days(self) -> bool:
        return "days" not in self.name.lower().split(",")[0]

    @property
    def _unit(self) -> str:
        """The unit of a number: share (of 1), percent, times, money, days; anything else for a plain number."""
        each = self.rule_input
        if isinstance(each, IndicatorInput):
            return labels_and_units().get(each.indicator, ("", ""))[1]
        if isinstance(each, CalculationInput):
            return str(self.names.calculations[each.calculation].unit)
        if isinstance(each, ValueInput):
            return "money" if each.value.startswith("expected") else ""
        if isinstance(each, Ratio):
            return "" if part_of_whole(each) is None else "share"
        return _UNITS.get(type(each), "")


def describe_for_person(
    inputs: Iterable[LanguageModel], names: Vocabulary, wording: PersonalWording, cuts: Cuts, pairs: Pairs
) -> Mapping[str, PersonalInput]:
    """Prepare inputs, each once, by their keys; *names*, *cuts* and *pairs* are as in `describe_inputs`."""
    each_once = distinct(inputs)
    descriptions = describe_inputs(each_once, names, wording.currency, cuts, pairs)
    return {
        input_key(each): PersonalInput(each, description, names, wording)
        for each, description in zip(each_once, descriptions, strict=True)
    }
