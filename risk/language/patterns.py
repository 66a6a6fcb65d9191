"""The ready-made patterns and their parameters; how each is found is told in `risk.facts`."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, PlainSerializer, WithJsonSchema

from risk.language.base import Name, Part
from risk.language.durations import Duration, DurationText
from risk.language.numbers import Number, exact

_DAY = Duration(1, "day")
_Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


def _share(value: Any) -> Decimal:
    if not (isinstance(value, str) and value.strip().endswith("%")):
        raise ValueError(f"{value!r} is not a share; write one as 10%")
    try:
        share = exact(Decimal(value.strip()[:-1].strip()))
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a share; write one as 10%") from None
    if not 0 < share <= 100:
        raise ValueError(f"{value!r} is out of range; above 0% and at most 100%")
    return share


Share = Annotated[
    Decimal,
    BeforeValidator(_share),
    PlainSerializer(lambda share: f"{share.normalize():f}%"),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?%$"}),
]
"""A share, written as 10%; kept in percent."""


class Structuring(Part):
    """Deposits kept under a reporting threshold: just below it, or round amounts below it.

    Its number is that of such deposits in the window where there are `at_least` so many, otherwise 0.

    Attributes:
        threshold: amounts from here on would be reported, in the base currency.
        margin: how far below the threshold counts as just below.
        round_to: deposits below the threshold that are multiples of it count as well.
        at_least: fewer are no pattern.
    """

    pattern: Literal["structuring"]
    threshold: Number
    margin: Share
    round_to: Number | None = None
    at_least: _Count = 3
    over: DurationText


class Velocity(Part):
    """Very many transactions within some 24 hours, across many counterparties.

    Its number is the largest count in any 24 hours (t − 24 h, t] of the window that has so many counterparties,
    where that is above `more_than`, otherwise 0.
    """

    pattern: Literal["velocity"]
    more_than: _Count = 50
    counterparties: _Count = 10
    counterparty: Name = "counterparty_id"
    over: DurationText


class PassThrough(Part):
    """Money that comes in and goes out again within days.

    Its number is that of deposits of at least `minimum` of which `share` or more was withdrawn `within` that time.
    A withdrawal is counted for one deposit only, the earliest that it can still be for.
    """

    pattern: Literal["pass-through"]
    within: DurationText
    share: Share
    minimum: Number
    at_least: _Count = 1
    over: DurationText


class VolumeDeviation(Part):
    """Turnover far above what the customer declared.

    Its number is turnover (deposits and withdrawals) in the window over what was declared for as long, where that
    is at least `factor`, otherwise 0. Unknown where nothing, or nothing above 0, was declared.

    Attributes:
        expected_monthly: the number field that holds the declared turnover of a month, in the base currency.
    """

    pattern: Literal["volume-deviation"]
    expected_monthly: Name
    factor: Number
    over: DurationText


class PurposeDeviation(Part):
    """Turnover outside the declared purpose.

    Its number is the share of turnover, in percent, whose `transaction_field` is not among the words of `declared`,
    where that is at least `share`, otherwise 0. Unknown where nothing was declared; a transaction whose field is
    unknown is on neither side of the share.
    """

    pattern: Literal["purpose-deviation"]
    transaction_field: Name
    declared: Name
    share: Share
    over: DurationText


class DormantThenActive(Part):
    """An account that slept and is busy all at once.

    Its number is that of transactions in the window `active` where there are `at_least` so many, some came before
    it, and the last of those came at least `dormant` before the window's first; otherwise 0.
    """

    pattern: Literal["dormant-then-active"]
    dormant: DurationText
    active: DurationText
    at_least: _Count


class Fan(Part):
    """Money from many counterparties (fan-in) or to many (fan-out) within the window.

    Its number is that of distinct counterparties where there are `at_least` so many, otherwise 0.
    """

    pattern: Literal["fan-in", "fan-out"]
    at_least: _Count
    counterparty: Name = "counterparty_id"
    over: DurationText = _DAY


Pattern = Annotated[
    Structuring | Velocity | PassThrough | VolumeDeviation | PurposeDeviation | DormantThenActive | Fan,
    Discriminator("pattern"),
]
"""Any of them."""
