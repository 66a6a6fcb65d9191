"""Exact numbers: points, weights and totals are whole numbers of a small unit, never floats.

A float total puts edge cases a band too low: 10.1 + 20.7 + 0.2 is 30.999999999999996, not 31.
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

POINT_DIGITS = 2
"""Points have at most two decimals."""

POINT_UNITS = 10**POINT_DIGITS
"""How many of the smallest unit make one point."""

MOST_DIGITS = 15
"""Numbers of a ruleset have at most so many digits: JSON and a 64-bit float keep those."""

MOST_SIZE = 10**15
"""Numbers of a ruleset are below this, as amounts of transactions are."""

MOST_POINTS = 1_000_000
"""Largest size of a rule's points or of a threshold; totals of a thousand rules fit 64 bits with room."""

WEIGHT_UNITS = 10**4
"""How many of the smallest unit make the whole weight of 100 %: a percentage has at most two decimals."""


def exact(value: Any) -> Decimal:
    """Read a number exactly, in its one form; a float counts as its shortest decimal form.

    >>> exact(0.1), exact(Decimal("12.50")), exact(Decimal("31.0"))
    (Decimal('0.1'), Decimal('12.5'), Decimal('31'))

    Raises:
        ValueError: it is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(  # noqa: TRY004 (pydantic takes a ValueError as a finding)
            f"{quoted_value(value)} is not a number; write one as 10000 or 0.5, without quotes and separators"
        )
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{quoted_value(value)} is not a finite number")
    if not number:
        return Decimal(0)
    if not -MOST_DIGITS <= number.adjusted() < MOST_DIGITS:
        raise ValueError(
            f"{quoted_value(value)} is out of range; numbers are below {MOST_SIZE:,}, with {MOST_DIGITS} digits"
        )
    _, digits, exponent = number.normalize().as_tuple()
    if len(digits) > MOST_DIGITS or int(exponent) < -MOST_DIGITS:
        raise ValueError(f"{quoted_value(value)} has too many digits; at most {MOST_DIGITS}")
    return Decimal(str(json_number(number)))


def quoted_value(value: Any) -> str:
    """Repeat what was written in place of a number or another form, where it is short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list | tuple):
        return "a list" if not isinstance(value, dict) else "a mapping"
    text = str(value)
    return text if len(text) <= 40 and not isinstance(value, str) else f"{text[:40]!r}"


def json_number(number: Decimal) -> int | float:
    """Write an exact number for JSON; reading it back as a decimal gives the same number.

    >>> json_number(Decimal("31.0")), json_number(Decimal("30.50"))
    (31, 30.5)
    """
    return int(number) if number == number.to_integral_value() else float(number)


def _points(number: Decimal) -> Decimal:
    if number != round(number, POINT_DIGITS):
        raise ValueError(f"{number} has more than two decimals")
    if abs(number) > MOST_POINTS:
        raise ValueError(f"{number} is out of range; at most {MOST_POINTS:,} either way")
    return number


def _percent(number: Decimal) -> Decimal:
    if number != round(number, 2):
        raise ValueError(f"{number} has more than two decimals")
    if not 0 <= number <= 100:
        raise ValueError(f"{number} is out of range; a weight is 0 to 100 %")
    return number


_SCHEMA = WithJsonSchema({"type": "number"})

Number = Annotated[Decimal, BeforeValidator(exact), PlainSerializer(json_number), _SCHEMA]
"""A number that inputs are compared with."""

Points = Annotated[Decimal, BeforeValidator(exact), AfterValidator(_points), PlainSerializer(json_number), _SCHEMA]
"""Points, or a threshold: at most two decimals."""

Percent = Annotated[Decimal, BeforeValidator(exact), AfterValidator(_percent), PlainSerializer(json_number), _SCHEMA]
"""A weight in percent."""


def point_units(points: Decimal) -> int:
    """Give points as a whole number of the smallest unit.

    >>> point_units(Decimal("12.5"))
    1250
    """
    return int(points * POINT_UNITS)


def text_of(units: int, scale: int) -> str:
    """Write a whole number of units for people, exactly.

    >>> text_of(3050, 100), text_of(3099_7500, 1_000_000), text_of(-500, 100)
    ('30.5', '30.9975', '-5')
    """
    return f"{(Decimal(units) / scale).normalize():f}"
