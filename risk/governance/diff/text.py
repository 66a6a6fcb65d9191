"""Parts of a ruleset, given as plain data, in words for people."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter

from fivefold.risk.engine.explain.describe import condition_words, input_words
from fivefold.risk.language.expressions import Condition
from fivefold.risk.language.inputs import Input

_CONDITION: TypeAdapter[Any] = TypeAdapter(Condition)
_INPUT: TypeAdapter[Any] = TypeAdapter(Input)


def change_words(word: str, part: Any) -> str:
    """Say what stands after a *word* of the language.

    >>> change_words("otherwise", {"points": 5, "floor": "high"}), change_words("when", {"at_least": 3})
    ('5 points, at least high', 'it is at least 3')
    """
    if part is None:
        return "nothing"
    make = _WORDS.get(word)
    return part_words(part) if make is None else make(part)


def part_words(part: Any) -> str:
    """Write plain data as short as it can be read: lists without brackets, everything else as JSON."""
    if isinstance(part, str):
        return part or "''"
    if isinstance(part, list) and all(isinstance(item, str | int | float) for item in part):
        return ", ".join(map(str, part))
    return exact_words(part)


def exact_words(part: Any) -> str:
    """Write plain data so that different data never look alike."""
    return json.dumps(part, ensure_ascii=False, sort_keys=True)


def outcome_words(part: Mapping[str, Any]) -> str:
    """Say what a case, or `otherwise`, gives."""
    effects = [f"{part['points']} {'point' if part['points'] == 1 else 'points'}"] if "points" in part else []
    effects += [f"at least {part['floor']}"] if "floor" in part else []
    return ", ".join(effects) or "no points"


def case_words(part: Mapping[str, Any]) -> str:
    """Say what a case asks and gives."""
    condition = condition_words(_CONDITION.validate_python(part["when"]))
    return f"{condition}: {outcome_words(part)}"


def rule_words(part: Mapping[str, Any]) -> str:
    """Say what a rule is."""
    own_input = f", of {change_words('input', part['input'])}" if "input" in part else ""
    return f"{part['title']} ({part['category']}{own_input}): " + "; ".join(map(case_words, part["cases"]))


_WORDS: Mapping[str, Callable[[Any], str]] = {
    "when": lambda part: condition_words(_CONDITION.validate_python(part)),
    "applies_to": lambda part: condition_words(_CONDITION.validate_python(part), "the entity"),
    "input": lambda part: input_words(_INPUT.validate_python(part)),
    "signal": lambda part: input_words(_INPUT.validate_python(part)),
    "otherwise": outcome_words,
    "on_unknown": outcome_words,
    "rule": rule_words,
    "case": case_words,
}
