"""What could not be assessed, in words: where, the value that was met there, and what would have been right."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from risk.columns.kinds import SOURCES, inputs_of
from risk.engine.program import Program
from risk.engine.totals import WEIGHTS_USED
from risk.engine.words import input_words, value_words
from risk.facts.portfolio import error_of
from risk.language.base import Part
from risk.language.fields import FieldType, OneOf
from risk.language.inputs import DaysSince, FieldInput, Ratio, key_of
from risk.language.scoring import WeightedScore

PREDICATE = "whom the ruleset applies to"
CHOICE = "the choice of weights"
"""Where an assessment can fail beside its rules."""

_WRONG = {
    "number": "no finite number",
    "text": "no text",
    "flag": "neither true nor false",
    "date": "no date such as 2024-07-01",
    "country": "no country such as NO (two capital letters, ISO 3166 alpha-2)",
}


def misfits(made: Iterable[Part], program: Program, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """Name every value of some inputs that could not be read, and what would have been right.

    Args:
        made: the inputs.
        program: whose inputs they are.
        inputs: those of one entity.
    """
    found = (_misfit(part, program, inputs) for each in made for part in _parts(each, inputs))
    return tuple(dict.fromkeys(words for words in found if words))


def _parts(made: Any, inputs: Mapping[str, Any]) -> tuple[Part, ...]:
    """Take a ratio apart where its sides tell themselves what is wrong."""
    sides = made.ratio if isinstance(made, Ratio) else ()
    return sides if any(inputs.get(error_of(key_of(side))) is not None for side in sides) else (made,)


def _misfit(made: Part, program: Program, inputs: Mapping[str, Any]) -> str:
    problem = inputs.get(error_of(key_of(made)))
    if problem is None:
        return ""
    field = _field_of(made)
    if field is None:
        return f"{input_words(made)}: {problem}"
    return f"{input_words(FieldInput(field=field))} is {problem}, which is {_wrong(program.ruleset.fields[field])}"


def _field_of(made: Part) -> str | None:
    if isinstance(made, FieldInput):
        return made.field
    return made.days_since if isinstance(made, DaysSince) and made.days_since not in SOURCES else None


def _wrong(declared: FieldType) -> str:
    if isinstance(declared, OneOf):
        return f"not one of {', '.join(declared.one_of)}"
    return _WRONG[declared] if isinstance(declared, str) else "no list of text"


def entity_failures(
    program: Program, inputs: Mapping[str, Any], row: Mapping[str, Any], base: str
) -> Iterator[tuple[str, str]]:
    """Tell what failed beside the rules: where, and what was met there.

    Args:
        program: the compiled ruleset.
        inputs: those of one entity.
        row: its outcomes.
        base: the currency that money is in.
    """
    predicate = misfits(inputs_of(program.ruleset.applies_to), program, inputs)
    if predicate:
        yield PREDICATE, " and ".join(predicate)
    score = program.ruleset.score
    if isinstance(score, WeightedScore):
        conditions = [choice.when for choice in score.weighted.weights_by if choice.when is not None]
        made = [made for condition in conditions for made in inputs_of(condition)]
        wrong = misfits(made, program, inputs)
        if wrong:
            yield CHOICE, " and ".join(wrong)
        elif row[WEIGHTS_USED] is None:
            yield CHOICE, f"there is no column where {seen(made, program, inputs, base)}"


def seen(
    made: Iterable[Part], program: Program, inputs: Mapping[str, Any], base: str, cuts: Mapping[str, Any] | None = None
) -> str:
    """Say what inputs were, each once; what could not be read as it was met.

    Args:
        made: the inputs.
        program: whose inputs they are.
        inputs: those of one entity.
        base: the currency that money is in.
        cuts: the numbers that an input is compared with, by its key: no value is shown rounded across one.
    """
    words = []
    for key, each in {key_of(each): each for each in made}.items():
        currency = getattr(each, "in_currency", None) or base
        compared = (cuts or {}).get(key, ())
        value = inputs.get(error_of(key)) or value_words(inputs[key], program.inputs[key], currency, compared)
        words.append(f"{input_words(each)} is {value}")
    return ", ".join(words)
