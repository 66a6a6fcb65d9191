"""Inputs as people see them: what belongs to a ruleset is prepared once, and then said of any number of entities."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fivefold.risk.compiler.values import Column
from fivefold.risk.engine.explain.describe import input_words, value_words
from fivefold.risk.facts.portfolio import error_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import input_of_test, tests_in
from fivefold.risk.language.inputs import input_key
from fivefold.risk.language.ruleset import Rule

Cuts = Mapping[str, tuple[Decimal, ...]]
"""The numbers that inputs are compared with, by the inputs' keys."""


@dataclass(frozen=True)
class InputDescription:
    """An input, ready to be described.

    Attributes:
        key: the column of its values.
        error: the column of what could not be read; it is there only where there is some.
        name: the input in plain words.
        column: what its values are.
        currency: that money is in.
        cuts: the numbers that it is compared with: no value is shown rounded across one.
    """

    key: str
    error: str
    name: str
    column: Column
    currency: str
    cuts: tuple[Decimal, ...]

    def words(self, value: Any, problem: str | None) -> str:
        """Say what the input was: its value, or as it was met where it could not be read."""
        return f"{self.name} is {problem or value_words(value, self.column, self.currency, self.cuts)}"


def describe_inputs(
    inputs: Iterable[LanguageModel], columns: Mapping[str, Column], base: str, cuts: Cuts | None = None
) -> tuple[InputDescription, ...]:
    """Prepare inputs, each once.

    Args:
        inputs: the inputs.
        columns: of a program's inputs, by their keys.
        base: the currency that money is in, where an input names none.
        cuts: what they are compared with; nothing where it is not given.
    """
    return tuple(
        InputDescription(
            key,
            error_of(key),
            input_words(each),
            columns[key],
            getattr(each, "in_currency", None) or base,
            (cuts or {}).get(key, ()),
        )
        for key, each in {input_key(each): each for each in inputs}.items()
    )


def numbers_compared(rule: Rule) -> Cuts:
    """Collect the numbers that a rule compares each of its inputs with."""
    return numbers_in([case.when for case in rule.cases], rule.input)


def numbers_in(conditions: Iterable[Any], own: LanguageModel | None = None) -> Cuts:
    """Collect the numbers that conditions compare each input with; *own* is that of comparisons without a name."""
    cuts: dict[str, tuple[Decimal, ...]] = {}
    for test in (test for condition in conditions for test in tests_in(condition)):
        subject = input_of_test(test) or own
        for _, value in test.comparisons():
            numbers = [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Decimal)]
            if subject is not None and numbers:
                cuts[input_key(subject)] = (*cuts.get(input_key(subject), ()), *numbers)
    return cuts
