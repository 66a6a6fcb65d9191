"""Inputs as people see them: what belongs to a ruleset is prepared once, and then said of any number of entities."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fivefold.risk.compiler.values import Column
from fivefold.risk.engine.explain.describe import input_words, value_words
from fivefold.risk.facts.portfolio import error_of
from fivefold.risk.language.base import Part
from fivefold.risk.language.expressions import subject_of, tests_in
from fivefold.risk.language.inputs import key_of
from fivefold.risk.language.ruleset import Rule

Cuts = Mapping[str, tuple[Decimal, ...]]
"""The numbers that inputs are compared with, by the inputs' keys."""


@dataclass(frozen=True)
class SeenInput:
    """An input, ready to be told.

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


def seen_inputs(
    made: Iterable[Part], columns: Mapping[str, Column], base: str, cuts: Cuts | None = None
) -> tuple[SeenInput, ...]:
    """Prepare inputs, each once.

    Args:
        made: the inputs.
        columns: of a program's inputs, by their keys.
        base: the currency that money is in, where an input names none.
        cuts: what they are compared with; nothing where it is not given.
    """
    return tuple(
        SeenInput(
            key,
            error_of(key),
            input_words(each),
            columns[key],
            getattr(each, "in_currency", None) or base,
            (cuts or {}).get(key, ()),
        )
        for key, each in {key_of(each): each for each in made}.items()
    )


def cuts_of(rule: Rule) -> Cuts:
    """Collect the numbers that a rule compares each of its inputs with."""
    return cuts_in([case.when for case in rule.cases], rule.input)


def cuts_in(conditions: Iterable[Any], own: Part | None = None) -> Cuts:
    """Collect the numbers that conditions compare each input with; *own* is that of comparisons without a name."""
    cuts: dict[str, tuple[Decimal, ...]] = {}
    for test in (test for condition in conditions for test in tests_in(condition)):
        subject = subject_of(test) or own
        for _, value in test.comparisons():
            numbers = [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Decimal)]
            if subject is not None and numbers:
                cuts[key_of(subject)] = (*cuts.get(key_of(subject), ()), *numbers)
    return cuts
