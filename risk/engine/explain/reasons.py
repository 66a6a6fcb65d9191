"""Why an input is unknown, in words, for inputs without a formula."""

from typing import Any

from fivefold.risk.language.expressions import ValueInput
from fivefold.risk.language.patterns import PurposeDeviation, VolumeDeviation


def lacking_words(lacking: int | None, counterparty: str) -> str:
    """Explain why a pattern is unknown; empty if counterparties are not the reason.

    >>> lacking_words(1, "counterparty_id")
    ', as 1 transaction lacks counterparty id'
    """
    if lacking is None:
        return ""
    name = counterparty.replace("_", " ")
    return f", as {lacking:,} {'transaction lacks' if lacking == 1 else 'transactions lack'} {name}"


def currency_words(other: str | None, base: str) -> str:
    """Explain why money of the value is unknown to rules; empty if the model uses their currency.

    >>> currency_words("USD", "EUR")
    ', as the value model gives it in USD, and rules read money in EUR'
    """
    return f", as the value model gives it in {other}, and rules read money in {base}" if other else ""


def why_unknown(rule_input: Any) -> str:
    """Explain why an input is unknown, if its kind implies it, or name the place of the reason."""
    match rule_input:
        case VolumeDeviation():
            return f", as {rule_input.expected_monthly.replace('_', ' ')} is unknown or not above 0"
        case PurposeDeviation():
            return f", as {rule_input.declared.replace('_', ' ')} is unknown or empty"
        case ValueInput():
            return " (the value itself says why)"
    return ""
