"""Pictures of an evaluation: whether predicted value arrives, by tenth, by place in the ranking, and by segment."""

from collections.abc import Sequence
from math import floor, isfinite, log10
from typing import Any

import altair as alt
import polars as pl

from fivefold.charts.series import RIVAL_LOOKS, Curve, ranked_curves
from fivefold.charts.style import (
    INK,
    MUTED,
    NEGATIVE,
    PAPER,
    PERCENT_LABEL,
    POSITIVE,
    SEGMENT_COLOURS,
    SERIES,
    SMALL_TEXT_SIZE,
    panel_title,
    rimmed,
    styled,
)
from fivefold.charts.text.numbers import plain, typeset
from fivefold.domain.text import percent

CALIBRATION_SIDE = 420
DISC_AREA = 330
DISC_PADDING = 14
"""Pixels between axis and labels: a disc at zero reaches below the axis, and must not hide the label there."""
EDGE = 1.25
"""The axes end this many times above the largest money, so that its disc does not touch the edge."""
DECADES_DRAWN = 3
"""Money below a thousandth of the largest is drawn next to zero: differences there do not matter."""
FEW_DECADES = 1.7
"""Up to here ticks stand at 1, 2 and 5 of each power of ten; beyond, at 1 and 3."""
CURVES_WIDTH, CURVES_HEIGHT = 540, 420
_DASHES = ([6, 3], [2, 2], [8, 3, 2, 3])
LOOKS: dict[str, tuple[str, float, list[int]]] = {
    "model": (SERIES[0], 3.0, [1, 0]),
    "perfect": (INK, 1.2, [1, 0]),
    "chance": (MUTED, 1.2, [1, 3]),
    **{f"rival-{number}": (SERIES[1 + number], 2.0, _DASHES[number % len(_DASHES)]) for number in range(RIVAL_LOOKS)},
}
"""Colour, width and dashes: the model stands out, the limits recede, rivals differ in both."""
PANEL_WIDTH, PANEL_HEIGHT = 330, 250
ROOM_ABOVE = 1.1
"""The vertical scale ends this many times above the tallest bar, to leave room for its number."""


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
        _remark("less arrived than predicted", x=CALIBRATION_SIDE - 12, y=CALIBRATION_SIDE - 14, align="right"),
        *(mark for row in points for mark in _disc(row, along, up)),
    ]
    customers = sum(row["customers"] for row in points)
    return styled(
        alt.LayerChart(layer=layers, width=CALIBRATION_SIDE, height=CALIBRATION_SIDE),
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
        title=f"{what} value, mean per customer ({currency})",
        values=ticks,
        labelExpr="format(datum.value, ',~f')",  # a `format` of the axis rounds by the whole range: 0.3 of 300 to 0
        labelPadding=DISC_PADDING,
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
    """A remark in a corner of the plot, which explains what its place means."""
    empty = alt.Chart(alt.InlineData(values=[{}]))
    remark: alt.Chart = empty.mark_text(fontStyle="italic", color=MUTED, text=text, **place)
    return remark


def lift(curves: pl.DataFrame) -> alt.Chart:
    """Draw cumulative gain curves, and the diagonal that an order by chance would give.

    Args:
        curves: `name` of the ranking ("model" and "perfect" have a look of their own), `customer_share`
            (0 to 1, the customers ranked first) and `value_share` (0 to 1, their part of all realised value).
    """
    pairs = {
        name: list(zip(curve["customer_share"], curve["value_share"], strict=True))
        for (name,), curve in curves.partition_by("name", as_dict=True, maintain_order=True).items()
    }
    curves_by_area = ranked_curves(pairs)
    # Later curves lie on top, so they are drawn from worst to best.
    rows = [
        {"name": curve.name, "customer_share": first, "value_share": share_held}
        for curve in reversed(curves_by_area)
        for first, share_held in curve.shares
    ]
    chart: alt.Chart = alt.Chart(alt.InlineData(values=rows)).mark_line().encode(**_encodings(curves_by_area))
    return styled(
        chart.properties(width=CURVES_WIDTH, height=CURVES_HEIGHT),
        title="How much of the value the customers ranked first hold",
        subtitle="The steeper a curve rises, the better the ranking finds the valuable customers.",
    )


def _encodings(curves: Sequence[Curve]) -> dict[str, Any]:
    """The axes, colours, widths and dashes of the curves, with one legend."""
    names = [curve.name for curve in curves]
    colours, widths, dashes = zip(*(LOOKS[curve.look] for curve in curves), strict=True)
    legend = alt.Legend(title=None, orient="bottom-right", symbolSize=600, rowPadding=6, offset=12)
    shares: dict[str, Any] = {
        "axis": alt.Axis(labelExpr=PERCENT_LABEL, tickCount=10),
        "scale": alt.Scale(domain=[0, 1]),
    }
    return {
        "x": alt.X("customer_share:Q", title="Customers, those ranked first (share of all)", **shares),
        "y": alt.Y("value_share:Q", title="Realised value they hold (share of all)", **shares),
        "color": alt.Color("name:N", scale=_one_to_one(names, colours), legend=legend),
        "strokeWidth": alt.StrokeWidth("name:N", scale=_one_to_one(names, widths), legend=legend),
        "strokeDash": alt.StrokeDash("name:N", scale=_one_to_one(names, dashes), legend=legend),
    }


def _one_to_one(names: list[str], looks: tuple[Any, ...]) -> alt.Scale:
    return alt.Scale(type="ordinal", domain=names, range=list(looks))


def segments(table: pl.DataFrame, currency: str, known_on: str) -> alt.HConcatChart:
    """Draw each segment's mean realised value and, beside it, its share of all value and of all customers.

    Args:
        table: one row a segment: `segment` (low, medium, high, top), `customers`, `value_mean` (mean realised
            value in money) and `value_share` (0 to 1). A segment without a row, or without a value, is a gap.
        currency: the code that the money is in.
        known_on: the day of the reference portfolio, as text: a segment is a place among those known then.
    """
    rows = _rows(table)
    customers = sum(row["customers"] for row in rows)
    means = _bars(rows, "value_mean", ("value_mean",))
    shares = _bars(rows, "value_share", ("value_share", "customer_share"))
    panels = [
        _panel(means, f"Mean realised value of a customer ({currency})"),
        _panel(
            [shares[0], _customer_lines(rows), *shares[1:]],
            "Share of all realised value; orange line: share of all customers",
        ),
    ]
    return styled(
        alt.hconcat(*panels, spacing=48),
        title="What the customers of each segment turned out to be worth",
        subtitle=f"{customers:,} customers, in their predicted segment: a place among those known on {known_on}.",
    )


def _rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """One row for each segment, in their order, with the words to be shown."""
    comparable = {row["segment"]: row for row in table.to_dicts()}
    everyone = max(sum(row["customers"] for row in comparable.values()), 1)
    return [_row(segment, comparable.get(segment, {}), everyone) for segment in SEGMENT_COLOURS]


def _row(segment: str, counts: dict[str, Any], everyone: int) -> dict[str, Any]:
    """The words and numbers of one segment's bar; *everyone* is the number of all customers."""
    customers = counts.get("customers", 0)
    mean, share = (_finite(counts.get(name)) for name in ("value_mean", "value_share"))
    return {
        "foot": f"{segment}\n{customers:,}",
        "colour": SEGMENT_COLOURS[segment],
        "customers": customers,
        "customer_share": customers / everyone,
        "value_mean": mean,
        "value_mean_text": "" if mean is None else typeset(plain(mean)),
        "value_share": share,
        "value_share_text": "" if share is None else typeset(percent(share, 0)),
    }


def _finite(number: float | None) -> float | None:
    return number if number is not None and isfinite(number) else None


def _bars(rows: list[dict[str, Any]], height: str, in_scale: tuple[str, ...]) -> list[alt.Chart]:
    """One bar for each segment with its number on top, which makes a vertical axis needless."""
    heights = [row[name] or 0.0 for row in rows for name in in_scale]
    scale = alt.Scale(domain=[min(0.0, *heights), (max(heights) or 1.0) * ROOM_ABOVE], nice=False)
    base = _across(rows).encode(y=alt.Y(f"{height}:Q", axis=None, scale=scale))
    number = base.encode(text=f"{height}_text:N")
    return [
        base.mark_bar(cornerRadiusEnd=2).encode(color=alt.Color("colour:N", scale=None)),
        *rimmed(number, fontWeight="bold", dy=-9),
    ]


def _customer_lines(rows: list[dict[str, Any]]) -> alt.Chart:
    """Where each bar would end if every customer were worth the same."""
    mark = _across(rows).mark_tick(color=NEGATIVE, thickness=2.5, opacity=1)
    lines: alt.Chart = mark.encode(y=alt.Y("customer_share:Q", axis=None))
    return lines


def _across(rows: list[dict[str, Any]]) -> alt.Chart:
    """The axis of segments, with the number of customers under each."""
    feet = [row["foot"] for row in rows]
    axis = alt.Axis(
        title="Segment and number of customers",
        labelAngle=0,
        labelExpr="split(datum.value, '\\n')",
        labelColor=INK,
    )
    across: alt.Chart = alt.Chart(alt.InlineData(values=rows)).encode(x=alt.X("foot:N", sort=feet, axis=axis))
    return across


def _panel(layers: list[alt.Chart], title: str) -> alt.LayerChart:
    return alt.LayerChart(layer=layers, width=PANEL_WIDTH, height=PANEL_HEIGHT, title=panel_title(title))
