"""Calibration: does the money that was predicted arrive, tenth by tenth of the customers?"""

from math import floor, log10
from typing import Any

import altair as alt
import polars as pl

from fivefold.charts.style import MUTED, PAPER, POSITIVE, SMALL_TEXT_SIZE, styled

SIDE = 420
DISC_AREA = 330
DISC_PADDING = 14
"""Pixels between axis and labels: a disc at zero reaches below the axis, and must not hide the label there."""
EDGE = 1.25
"""The axes end this many times above the largest money, so that its disc stands clear of the edge."""
DECADES_DRAWN = 3
"""Money below a thousandth of the largest is drawn next to zero: differences there do not matter."""
FEW_DECADES = 1.7
"""Up to here ticks stand at 1, 2 and 5 of each power of ten; beyond, at 1 and 3."""


def calibration(table: pl.DataFrame, currency: str) -> alt.LayerChart:
    """Draw predicted against realised money for each tenth of the customers, and the line where both agree.

    Both axes are logarithmic, with room for zero: an error of a fifth looks alike for small customers and large.

    Args:
        table: one row a decile: `decile` (1 to 10), `customers`, `predicted_mean` and `realised_mean` (money).
            A decile without a number, since it is empty, is not drawn.
        currency: the code that the money is in.
    """
    points = table.select("decile", "customers", "predicted_mean", "realised_mean").drop_nulls().drop_nans().to_dicts()
    money = [row[name] for row in points for name in ("predicted_mean", "realised_mean")]
    ends, constant = _money_scale(money)
    scale = alt.Scale(type="symlog", constant=constant, domain=list(ends), nice=False)
    ticks = [0.0, *_round_numbers(constant, ends[1])]
    along = alt.X("predicted_mean:Q", scale=scale, axis=_axis("Predicted", currency, ticks))
    up = alt.Y("realised_mean:Q", scale=scale, axis=_axis("Realised", currency, ticks))
    layers = [
        _identity(ends, scale),
        _remark("more arrived than predicted", x=12, y=14, align="left"),
        _remark("less arrived than predicted", x=SIDE - 12, y=SIDE - 14, align="right"),
        *(mark for row in points for mark in _disc(row, along, up)),
    ]
    customers = sum(row["customers"] for row in points)
    return styled(
        alt.LayerChart(layer=layers, width=SIDE, height=SIDE),
        title="Predicted and realised value, by tenth of the customers",
        subtitle=[
            f"{customers:,} customers in order of prediction: 1 is the lowest tenth, 10 the highest.",
            "On the dashed line the prediction was right on average. Logarithmic axes.",
        ],
    )


def _money_scale(money: list[float]) -> tuple[tuple[float, float], float]:
    """Choose the ends of both axes, and the money above which they are logarithmic rather than linear.

    >>> _money_scale([0.0, 2.0, 80.0])
    ((0.0, 100.0), 2.0)
    """
    largest = max((*money, 0.0)) or 1.0
    smallest = min((value for value in money if value > 0), default=largest)
    near_zero = min(max(smallest, largest * 10.0**-DECADES_DRAWN), largest / 10)
    return (min((*money, 0.0)), largest * EDGE), near_zero


def _round_numbers(low: float, high: float) -> list[float]:
    """Choose round numbers from *low* to *high*, about as many for a long range as for a short one.

    >>> _round_numbers(3.0, 60.0)
    [5.0, 10.0, 20.0, 50.0]
    """
    factors = (1, 2, 5) if log10(high / low) <= FEW_DECADES else (1, 3)
    powers = range(floor(log10(low)), floor(log10(high)) + 1)
    numbers = [factor * 10.0**power for power in powers for factor in factors]
    return [number for number in numbers if low <= number <= high]


def _axis(what: str, currency: str, ticks: list[float]) -> alt.Axis:
    return alt.Axis(
        title=f"{what} value, mean per customer ({currency})", values=ticks, format=",~f", labelPadding=DISC_PADDING
    )


def _identity(ends: tuple[float, float], scale: alt.Scale) -> alt.Chart:
    values = [{"predicted_mean": end, "realised_mean": end} for end in ends]
    line = alt.Chart(alt.InlineData(values=values)).mark_line(color=MUTED, strokeDash=[5, 4], strokeWidth=1.5)
    along, up = alt.X("predicted_mean:Q", scale=scale), alt.Y("realised_mean:Q", scale=scale)
    identity: alt.Chart = line.encode(x=along, y=up)
    return identity


def _disc(row: dict[str, Any], along: alt.X, up: alt.Y) -> list[alt.Chart]:
    """A decile's disc and its number, as layers of their own: a disc must cover the number of one below it."""
    base: alt.Chart = alt.Chart(alt.InlineData(values=[row])).encode(x=along, y=up)
    return [
        base.mark_circle(size=DISC_AREA, color=POSITIVE, opacity=1, stroke=PAPER),
        base.mark_text(fontSize=SMALL_TEXT_SIZE, fontWeight="bold", color=PAPER).encode(text="decile:N"),
    ]


def _remark(text: str, **place: Any) -> alt.Chart:
    """A word in a corner of the plot, that tells what being there means."""
    empty = alt.Chart(alt.InlineData(values=[{}]))
    remark: alt.Chart = empty.mark_text(fontStyle="italic", color=MUTED, text=text, **place)
    return remark
