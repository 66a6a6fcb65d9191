"""Properties of numbers: which money is in fractions of its smallest unit, and which days grow as time passes."""

from typing import Any, Final

from fivefold.risk.language.expressions import (
    CalculationInput,
    DaysSince,
    IndicatorInput,
    Linked,
    Mean,
    Median,
    StandardDeviation,
)
from fivefold.risk.language.policy import LevelInput

AGES: Final = frozenset({"deposit_recency", "withdrawal_recency", "event_recency", "account_age", "first_event_age"})
"""The indicators that are days since a moment, so that they cross a bound at a known moment."""


def is_age(rule_input: Any) -> bool:
    """Check whether an input is days since a moment, or made of such days of linked entities: it always changes."""
    if isinstance(rule_input, Linked):
        return is_age(rule_input.linked.part)
    if isinstance(rule_input, IndicatorInput):
        return rule_input.indicator in AGES
    return isinstance(rule_input, DaysSince) or (isinstance(rule_input, LevelInput) and rule_input.level == "age_days")


def is_money_in_fractions(rule_input: Any) -> bool:
    """Check whether an input's money is kept in fractions of its smallest unit, as a mean is."""
    if isinstance(rule_input, Linked):
        return rule_input.linked.word == "mean"
    return isinstance(rule_input, Mean | Median | StandardDeviation | CalculationInput)
