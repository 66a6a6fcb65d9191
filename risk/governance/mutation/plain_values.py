"""Converts representative values to values as people write them, with the same truths of the conditions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import product
from typing import Any

import polars as pl

from fivefold.domain.clock import DAY_US, day_text
from fivefold.risk.compiler.value_types import InputColumn
from fivefold.risk.engine.explain.describe import input_words, value_words
from fivefold.risk.governance.lint.reachability import ReachabilityTrial
from fivefold.risk.governance.lint.representative_values import FRESH
from fivefold.risk.language.expressions import FieldInput, IndicatorInput, ScreeningInput, TagInput, ValueInput
from fivefold.risk.language.fields import ValueType

MOST_DIFFERENCES = 200
"""Most combinations of values that distinguish two conditions of which the plainest is chosen."""

MOST_TRIED = 20
"""Most of them that are tried as people would write them, until one gives the same truths."""

MOST_DIGITS = 15
"""Most digits of numbers in rulesets and examples."""

_WORDS = (("other", "another"), ("something", "anything"), ("unnamed", "untitled"), ("qwk", "zvj"), ("77", "99"))
"""Words for text that no condition names: the first for one such text, the second for one that differs from it."""

_JOINTS = (" ", "-", "")


@dataclass(frozen=True)
class Plain:
    """A combination of values, as people write them.

    Attributes:
        row: the row of the tried combination that it represents.
        values: the values, by the keys of inputs.
    """

    row: int
    values: Mapping[str, Any]


def plain_values(trial: ReachabilityTrial, mask: pl.Series) -> Plain | None:
    """Find, among the combinations of a mask, one that is written in few words and has few unknowns.

    None if none of them can be written so that the conditions give the same truths.
    """
    rows = mask.fill_null(value=False).arg_true().head(MOST_DIFFERENCES).to_list()
    combinations = trial.values
    rows.sort(key=lambda row: (sum(value is None for value in combinations.row(row)), len(str(combinations.row(row)))))
    for row in rows[:MOST_TRIED]:
        truths = trial.truths.row(row)
        for values in _written(trial, combinations.row(row, named=True)):
            if trial.truths_of(values) == truths:
                return Plain(row, values)
    return None


def _written(trial: ReachabilityTrial, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a combination in plain values, each time with other words for text that represents all other text."""
    plain = {key: _plain(value, trial.values[key], trial.subjects[key].column) for key, value in values.items()}
    if any(plain[key] is None and value is not None for key, value in values.items()):
        return
    before: dict[str, Any] = {}
    for words, joint in product(_WORDS, _JOINTS):
        named = {key: _named(value, words, joint) for key, value in plain.items()}
        if named != before:
            yield named
        before = named


def _named(value: Any, words: Sequence[str], joint: str) -> Any:
    """Replace the text that represents all other text, which no ruleset contains, by a word."""
    if isinstance(value, list | pl.Series):
        return [_named(each, words, joint) for each in value]
    if not isinstance(value, str) or FRESH not in value:
        return value
    if value == FRESH * 2:  # beside another text, from which it differs
        return words[1]
    pieces = re.findall(f"{FRESH}+|[^{FRESH}]+", value)
    return joint.join(words[0] if piece.startswith(FRESH) else piece for piece in pieces)


def _plain(value: Any, tried: pl.Series, column: InputColumn) -> Any:
    """Convert a number to few digits, and a moment to a day, without crossing a bound."""
    is_moment = column.kind is ValueType.MOMENT
    if value is None or not (is_moment or isinstance(value, float)):
        return value
    is_plain = _is_midnight if is_moment else _is_short
    if is_plain(value):
        return value
    bounds = sorted({one for one in tried if one is not None and is_plain(one)})
    low = next((one for one in reversed(bounds) if one < value), None)
    high = next((one for one in bounds if one > value), None)
    return _day_between(low, high) if is_moment else _short_between(low, high, value)


def _is_midnight(moment: int) -> bool:
    return moment % DAY_US == 0


def _is_short(number: float) -> bool:
    digits = Decimal(repr(number)).normalize().as_tuple()
    return len(digits.digits) <= MOST_DIGITS and int(digits.exponent) >= -MOST_DIGITS


def _day_between(low: int | None, high: int | None) -> int | None:
    """Return a moment between two bounds: a midnight, or noon if there is none; a bound may be None."""
    if low is None:
        return None if high is None else high - DAY_US
    return low + DAY_US if high is None or low + DAY_US < high else low + DAY_US // 2


def _short_between(low: float | None, high: float | None, value: float) -> float | None:
    """Return the number of the fewest decimals between two bounds, on the side of *value*; a bound may be None."""
    if low is None or high is None:
        return low + 1 if low is not None else None if high is None else high - 1
    least, most = Decimal(repr(low)), Decimal(repr(high))
    for places in range(MOST_DIGITS):
        step = Decimal(1).scaleb(-places)
        above = (least / step).to_integral_value(ROUND_FLOOR) * step + step
        below = (most / step).to_integral_value(ROUND_CEILING) * step - step
        number = above if value - low < high - value else below
        if least < number < most:
            return float(number)
    return None


# Words for values.


def values_words(trial: ReachabilityTrial, values: Mapping[str, Any]) -> str:
    """Write values in words, exactly: `income = 0.5, country = unknown`."""
    return ", ".join(
        f"{input_words(subject.rule_input)} = {_value_words(values[key], subject.column)}"
        for key, subject in trial.subjects.items()
    )


def _value_words(value: Any, column: InputColumn) -> str:
    exact = (Decimal(repr(value)) / column.units,) if isinstance(value, float) else ()
    return value_words(value, column, cuts=exact)  # so that numbers are not rounded


def given_words(trial: ReachabilityTrial, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Convert values to the form of an example; None if some are computed from transactions, cases or dates."""
    facts: dict[str, Any] = {}
    for key, subject in trial.subjects.items():
        value, each = values[key], subject.rule_input
        if subject.column.kind is ValueType.MOMENT:
            value = None if value is None else day_text(value)
        value = int(value) if isinstance(value, float) and value.is_integer() else value
        if isinstance(each, FieldInput):
            facts[each.field] = value
        elif isinstance(each, TagInput):
            facts.setdefault("tags", []).extend([each.tag] if value else [])
        elif isinstance(each, ScreeningInput) and value is not None:
            facts.setdefault("screening", []).extend([each.screening] if value else [])
        elif isinstance(each, IndicatorInput):
            facts.setdefault("indicators", {})[each.indicator] = value
        elif isinstance(each, ValueInput):
            facts.setdefault("value", {})[each.value] = value
        elif not isinstance(each, ScreeningInput):
            return None
    return facts
