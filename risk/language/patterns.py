"""The ready-made patterns and their parameters; `risk.facts` detects them."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, PlainSerializer, WithJsonSchema

from fivefold.risk.language.base import LanguageModel, Name
from fivefold.risk.language.quantities import Duration, DurationText, Number, decimal_text, exact, quoted_value

MOST_TIMES = 1_000_000
"""Largest factor; with it, the compared numbers fit 128 bits."""

_DAY = Duration(1, "day")
_Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


def _share(value: Any) -> Decimal:
    if not (isinstance(value, str) and value.strip().endswith("%")):
        raise ValueError(f"{quoted_value(value)} is not a share; write one as 10%")
    try:
        share = exact(Decimal(value.strip()[:-1].strip()))
    except InvalidOperation:
        raise ValueError(f"{quoted_value(value)} is not a share; write one as 10%") from None
    if not 0 < share <= 100:
        raise ValueError(f"{quoted_value(value)} is out of range; above 0% and at most 100%")
    if share != round(share, 2):
        raise ValueError(f"{quoted_value(value)} has more than two decimals")
    return share


def _factor(factor: Decimal) -> Decimal:
    if not 0 < factor <= MOST_TIMES:
        raise ValueError(f"{factor} is out of range; above 0 and at most {MOST_TIMES:,}")
    if factor != round(factor, 2):
        raise ValueError(f"{factor} has more than two decimals")
    return factor


Share = Annotated[
    Decimal,
    BeforeValidator(_share),
    PlainSerializer(lambda share: f"{decimal_text(share)}%"),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?%$"}),
]
"""A share, written as 10%; kept in percent, with at most two decimals."""

Factor = Annotated[Number, AfterValidator(_factor)]
"""A factor, above 0, with at most two decimals."""

Money = Annotated[Number, Field(gt=0)]
"""An amount in whole base currency, above 0."""


class Structuring(LanguageModel):
    """Deposits kept under a reporting threshold: just below it, or round amounts below it.

    Its number is the number of such deposits in the window, if there are `at_least` of them and they add up to the
    threshold or more; otherwise 0.

    Attributes:
        threshold: the amount from which deposits would be reported, in the base currency.
        margin: how far below the threshold an amount may be to be just below it, inclusive.
        round_to: deposits below the threshold that are multiples of this amount count as well.
        at_least: the fewest deposits that are a pattern.
    """

    pattern: Literal["structuring"]
    threshold: Money
    margin: Share
    round_to: Money | None = None
    at_least: _Count = 3
    over: DurationText


class Velocity(LanguageModel):
    """Very many transactions within some 24 hours, across many counterparties.

    Its number is the largest count in any 24 hours (t − 24 h, t] of the window that have enough counterparties, if it
    is above `more_than`; otherwise 0. A transaction with an unknown counterparty counts as a transaction, but adds no
    counterparty. If no such 24 hours exist, but would if each unknown counterparty were a different one, the number
    is unknown.
    """

    pattern: Literal["velocity"]
    more_than: _Count = 50
    counterparties: _Count = 10
    counterparty: Name = "counterparty_id"
    over: DurationText


class PassThrough(LanguageModel):
    """Money that comes in and goes out again within days.

    Its number is the number of deposits of at least `minimum` in the window of which `share` or more was withdrawn
    `within` that time, both ends included, if there are `at_least` of them; otherwise 0. What is withdrawn counts
    once: for the earliest such deposit that still has money and time left, and the rest for the next one.
    """

    pattern: Literal["pass-through"]
    within: DurationText
    share: Share
    minimum: Annotated[Number, Field(ge=0)]
    at_least: _Count = 1
    over: DurationText


class VolumeDeviation(LanguageModel):
    """Turnover far above what the customer declared.

    Its number is the turnover (deposits and withdrawals) in the window, divided by the turnover declared for a period
    of that length, if the quotient is at least `factor`; otherwise 0. It is unknown if no turnover, or none above 0,
    was declared. The length of a window in days is converted to months of 30.436875 days, the calendar's mean.

    Attributes:
        expected_monthly: the number field with the declared turnover of a month, in the base currency.
    """

    pattern: Literal["volume-deviation"]
    expected_monthly: Name
    factor: Factor
    over: DurationText


class PurposeDeviation(LanguageModel):
    """Turnover outside the declared purpose.

    Its number is the percentage of turnover whose `transaction_field` is not among the words of `declared`, if it is
    at least `share`; otherwise 0. It is unknown if nothing was declared, which an empty list also means. A
    transaction whose field is unknown is neither inside nor outside.
    """

    pattern: Literal["purpose-deviation"]
    transaction_field: Name
    declared: Name
    share: Share
    over: DurationText


class DormantThenActive(LanguageModel):
    """An account that slept and is busy all at once.

    Its number is the number of transactions in the window `active`, if there are `at_least` of them, some came before
    the window, and the last of those came at least `dormant` before the window's first; otherwise 0.
    """

    pattern: Literal["dormant-then-active"]
    dormant: DurationText
    active: DurationText
    at_least: _Count


class Fan(LanguageModel):
    """Money from many counterparties (fan-in) or to many (fan-out) within the window.

    Its number is the number of distinct counterparties, if there are `at_least` of them; otherwise 0. It is unknown
    if there are fewer, and transactions with an unknown counterparty might make up the rest.
    """

    pattern: Literal["fan-in", "fan-out"]
    at_least: _Count
    counterparty: Name = "counterparty_id"
    over: DurationText = _DAY


Pattern = Annotated[
    Structuring | Velocity | PassThrough | VolumeDeviation | PurposeDeviation | DormantThenActive | Fan,
    Discriminator("pattern"),
]
"""Any pattern."""
