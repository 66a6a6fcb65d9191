"""What a customer is worth: by family, and by indicator within each, beside the reference portfolio."""

from dataclasses import dataclass
from math import isinf

from fivefold.charts.bars import Bar, waterfall_bars
from fivefold.charts.steps import SCORE_AXIS
from fivefold.console.texts import text
from fivefold.domain.breakdown import Breakdown, Contribution, TotalInterval
from fivefold.domain.clock import day_text
from fivefold.domain.segments import DEFAULT_CUT_POINTS
from fivefold.models.explain import value_text
from fivefold.models.value_model import interval_ends
from fivefold.usecases.levels.value_scores import IndicatorLine, ValueView
from fivefold.usecases.portfolio.export import ExportedValue


@dataclass(frozen=True, kw_only=True)
class IndicatorRow:
    """One indicator of a customer.

    Attributes:
        part: its effect on the score; `seen` is the customer's number with its unit.
        median: of the reference portfolio, or what is known of it; a dash where nothing is.
    """

    part: Contribution
    median: str


@dataclass(frozen=True, kw_only=True)
class FamilyRows:
    """The indicators of one family that raise or lower the score, with the sum of their points."""

    name: str
    points: float
    rows: tuple[IndicatorRow, ...]


@dataclass(frozen=True, kw_only=True)
class ValueHalf:
    """What a customer is worth: by family, and by indicator within each.

    Attributes:
        reference: the day of the medians.
        between: the interval of the money, in words; empty where there is none.
    """

    value: ValueView
    bars: tuple[Bar, ...]
    families: tuple[FamilyRows, ...]
    reference: str
    between: str


def value_half(value: ValueView | None) -> ValueHalf | None:
    """Lay out a customer's value; None where there is none."""
    if value is None:
        return None
    breakdown, indicators = value.breakdown, value.indicators
    if breakdown is None or indicators is None:
        return ValueHalf(value=value, bars=(), families=(), reference="", between=interval_text(value))
    largest_first = [part for part in breakdown.largest_first() if part.points]
    families = tuple(
        FamilyRows(
            name=name,
            points=points,
            rows=tuple(
                IndicatorRow(part=part, median=median_text(indicators.lines[part.name], value.currency))
                for part in largest_first
                if part.family == name
            ),
        )
        for name, points in breakdown.families().items()
    )
    return ValueHalf(
        value=value,
        bars=_bars(breakdown, value.score_interval),
        families=families,
        reference=day_text(indicators.reference_us),
        between=interval_text(value),
    )


def interval_text(value: ValueView | ExportedValue) -> str:
    """Say between what the value will lie; nothing where the model kept no interval."""
    low, high, level = value.expected_value_low, value.expected_value_high, value.interval_level_percent
    if low is None or level is None:
        return ""
    low_text, high_text = interval_ends(low, high, value.currency)
    if not high_text:
        return text("{low} {currency} or more, {level} % sure", low=low_text, currency=value.currency, level=level)
    ends = {"low": low_text, "high": high_text}
    return text("between {low} and {high} {currency}, {level} % sure", **ends, currency=value.currency, level=level)


def median_text(of: IndicatorLine, currency: str) -> str:
    """Write the median of the reference portfolio, or the two numbers that it lies between; a dash for none."""
    if of.median is None:
        return "–"
    low, high = (value_text(bound, of.unit, currency) for bound in of.median)
    if of.median[0] == of.median[1]:
        return low
    if isinf(of.median[1]):
        return text("above {low}", low=low)
    return text("below {high}", high=high) if isinf(of.median[0]) else text("{low} to {high}", low=low, high=high)


def _bars(breakdown: Breakdown, interval: TotalInterval | None) -> tuple[Bar, ...]:
    sums = tuple(
        Contribution(name, name, None, "points", points, "", label=name)
        for name, points in breakdown.families().items()
    )
    return waterfall_bars(
        Breakdown(breakdown.base, sums, DEFAULT_CUT_POINTS),
        base_label=text("Score at the average prediction"),
        total_label=text("Score"),
        axis=SCORE_AXIS,
        interval=interval,
    )
