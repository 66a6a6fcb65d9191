"""Failures in words: the place where something could not be read, the value, and what would be right."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fivefold.risk.compiler.formulas import simple_parts
from fivefold.risk.compiler.value_types import Vocabulary, inputs_of
from fivefold.risk.engine.explain.describe import InputDescription, describe_inputs, field_of, input_words
from fivefold.risk.engine.program import Program
from fivefold.risk.engine.totals import WEIGHTS_USED
from fivefold.risk.facts.portfolio import NOT_KNOWN, error_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import FieldInput, distinct, input_key
from fivefold.risk.language.fields import FieldType, OneOf
from fivefold.risk.language.ruleset import WeightedScore

PREDICATE = "whom the ruleset applies to"
CHOICE = "the choice of weights"
"""The places where an assessment can fail apart from its rules."""

_WRONG = {
    "number": "no finite number",
    "text": "no text",
    "flag": "neither true nor false",
    "date": "no date such as 2024-07-01",
    "country": "no country such as NO (two capital letters, ISO 3166 alpha-2)",
}
"""What a value is, after `which is`. Breakdowns and statements have these words, and keep their bytes."""


@dataclass(frozen=True)
class Misfit:
    """The words for an input that could not be read.

    Attributes:
        error: the column of the values that could not be read.
        before: the words before such a value.
        after: the words after it: what would have been right.
        sides: the misfits of both sides of a ratio, or of the parts of a calculation.
    """

    error: str
    before: str
    after: str = ""
    sides: tuple["Misfit", ...] = ()


def misfits_of(inputs: Iterable[LanguageModel], names: Vocabulary) -> tuple[Misfit, ...]:
    """Prepare the words for inputs that could not be read."""
    return tuple(_misfit(each, names) for each in distinct(inputs))


def _misfit(rule_input: LanguageModel, names: Vocabulary) -> Misfit:
    error, field = error_of(input_key(rule_input)), field_of(rule_input)
    if field is None:
        parts = simple_parts(rule_input, names)
        sides = () if parts == [rule_input] else misfits_of(parts, names)
        return Misfit(error, f"{input_words(rule_input)}: ", sides=sides)
    name = input_words(FieldInput(field=field))
    return Misfit(error, f"{name} is ", f", which is {_wrong(names.entity[field])}")


def _wrong(declared: FieldType) -> str:
    if isinstance(declared, OneOf):
        return f"not one of {', '.join(declared.one_of)}"
    return _WRONG[declared] if isinstance(declared, str) else "no list of text such as a; b"


def misfit_words(misfits: Iterable[Misfit], errors: Mapping[str, Any]) -> tuple[str, ...]:
    """Name every value that could not be read, and what would have been right, each once.

    Args:
        misfits: the words.
        errors: one entity's values in the columns of errors.
    """
    return tuple(dict.fromkeys(words for misfit in misfits for words in _words_of(misfit, errors)))


def _words_of(misfit: Misfit, errors: Mapping[str, Any]) -> Iterator[str]:
    parts = misfit.sides if any(errors.get(side.error) is not None for side in misfit.sides) else (misfit,)
    for one in parts:
        problem = errors.get(one.error)
        if problem is not None:
            yield f"{one.before}{problem}{'' if problem.startswith(NOT_KNOWN) else one.after}"


@dataclass(frozen=True)
class EntityFailures:
    """The words for failures apart from the rules.

    Attributes:
        predicate: the misfits of the inputs of the predicate.
        choice: the misfits of the inputs that choose the weights.
        descriptions: the descriptions of these inputs; empty if there are no weights to choose.
    """

    predicate: tuple[Misfit, ...]
    choice: tuple[Misfit, ...]
    descriptions: tuple[InputDescription, ...]

    def words(self, inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield each place that failed, and the value there; *inputs* are one entity's, with its column of weights."""
        predicate = misfit_words(self.predicate, inputs)
        if predicate:
            yield PREDICATE, " and ".join(predicate)
        choice = misfit_words(self.choice, inputs)
        if choice:
            yield CHOICE, " and ".join(choice)
        elif WEIGHTS_USED in inputs and inputs[WEIGHTS_USED] is None:
            yield CHOICE, f"there is no column where {values_text(self.descriptions, inputs)}"


def entity_failures(program: Program, base: str) -> EntityFailures:
    """Prepare the words for failures apart from the rules; *base* is the currency of money."""
    ruleset, names, choice_inputs = program.ruleset, program.analysed.names, []
    if isinstance(ruleset.score, WeightedScore):
        conditions = [choice.when for choice in ruleset.score.weighted.weights_by if choice.when is not None]
        choice_inputs = [part for condition in conditions for part in inputs_of(condition)]
    predicate = misfits_of(inputs_of(ruleset.applies_to), names)
    return EntityFailures(predicate, misfits_of(choice_inputs, names), describe_inputs(choice_inputs, names, base))


def values_text(descriptions: Iterable[InputDescription], inputs: Mapping[str, Any]) -> str:
    """Write the values of one entity's inputs."""
    return ", ".join(one.words(inputs) for one in descriptions)
