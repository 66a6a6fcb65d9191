"""Compares two versions of a ruleset: every difference, in words."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter

from fivefold.risk.engine.explain.describe import condition_words, input_words
from fivefold.risk.engine.explain.formulas import operation_words
from fivefold.risk.governance.differences import DocumentDifference, Wording
from fivefold.risk.language.base import WHEN_USED
from fivefold.risk.language.calculations import Calculation, input_of_operand
from fivefold.risk.language.expressions import Condition, Input
from fivefold.risk.language.ruleset import Ruleset

_CONDITION: TypeAdapter[Any] = TypeAdapter(Condition, config=WHEN_USED)
_INPUT: TypeAdapter[Any] = TypeAdapter(Input, config=WHEN_USED)
_CALCULATION: TypeAdapter[Any] = TypeAdapter(Calculation, config=WHEN_USED)


def change_words(word: str, part: Any) -> str:
    """Write the value of a *word* of the language of rulesets.

    >>> change_words("otherwise", {"points": 5, "floor": "high"}), change_words("when", {"at_least": 3})
    ('5 points, at least high', 'it is at least 3')
    """
    return _WORDING.part(word, part)


def outcome_words(part: Mapping[str, Any]) -> str:
    """Write the points and the floor of an outcome."""
    effects = [f"{part['points']} {'point' if part['points'] == 1 else 'points'}"] if "points" in part else []
    effects += [f"at least {part['floor']}"] if "floor" in part else []
    return ", ".join(effects) or "no points"


def case_words(part: Mapping[str, Any]) -> str:
    """Write a case: its condition and its outcome."""
    condition = condition_words(_CONDITION.validate_python(part["when"]))
    return f"{condition}: {outcome_words(part)}"


def rule_words(part: Mapping[str, Any]) -> str:
    """Write a rule: its title, its input and its cases."""
    own_input = f", of {change_words('input', part['input'])}" if "input" in part else ""
    return f"{part['title']} ({part['category']}{own_input}): " + "; ".join(map(case_words, part["cases"]))


def calculation_words(part: Mapping[str, Any], forms: TypeAdapter[Any] = _CALCULATION) -> str:
    """Write a calculation, of a ruleset unless *forms* are others: its unit and its formula.

    >>> calculation_words({"unit": "ratio", "divide": [{"sum": "amount"}, {"field": "income", "as": "money"}]})
    'a ratio, sum of amount ÷ income as money'
    """
    calculation = forms.validate_python(part)
    unit = f"{part['unit']} in {part['in_currency']}" if "in_currency" in part else f"{part['unit']}"
    article = "" if unit.startswith(("money", "days")) else "a "
    return f"{article}{unit}, {operation_words(calculation, _operand_words)}"


def _operand_words(operand: Any) -> str:
    words = input_words(input_of_operand(operand))
    unit = getattr(operand, "unit", None)
    return words if unit is None else f"{words} as {unit}"


_WORDS: Mapping[str, Callable[[Any], str]] = {
    "when": lambda part: condition_words(_CONDITION.validate_python(part)),
    "applies_to": lambda part: condition_words(_CONDITION.validate_python(part), "the entity"),
    "input": lambda part: input_words(_INPUT.validate_python(part)),
    "signal": lambda part: input_words(_INPUT.validate_python(part)),
    "otherwise": outcome_words,
    "on_unknown": outcome_words,
    "rule": rule_words,
    "case": case_words,
    "calculation": calculation_words,
}


_WORDING = Wording(
    words=_WORDS,
    lists={"rules": ("rule", "id"), "examples": ("example", "name"), "cases": ("case", ""), "tiers": ("tier", "title")},
    whole=frozenset({"when", "applies_to", "input", "signal", "otherwise", "on_unknown", "calculation"}),
    named={"calculate": "calculation"},
)


def diff(before: Ruleset, after: Ruleset) -> DocumentDifference:
    """Compare two rulesets; differences that do not affect the content hash are not changes."""
    sides: list[dict[str, Any]] = [json.loads(side.canonical) for side in (before, after)]
    return DocumentDifference(
        before.name,
        after.name,
        before_hash=before.content_hash,
        after_hash=after.content_hash,
        changes=tuple(_WORDING.of_documents(*sides, last=("calculate", "rules", "examples"))),
    )
