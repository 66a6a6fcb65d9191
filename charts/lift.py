"""Lift: the share of all value in the customers ranked first, by the model and by its rivals."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from fivefold.charts.series import RIVAL_LOOKS, Curve, ranked_curves
from fivefold.charts.style import INK, MUTED, PERCENT_LABEL, SERIES, styled

WIDTH, HEIGHT = 540, 420
_DASHES = ([6, 3], [2, 2], [8, 3, 2, 3])
LOOKS: dict[str, tuple[str, float, list[int]]] = {
    "model": (SERIES[0], 3.0, [1, 0]),
    "perfect": (INK, 1.2, [1, 0]),
    "chance": (MUTED, 1.2, [1, 3]),
    **{f"rival-{number}": (SERIES[1 + number], 2.0, _DASHES[number % len(_DASHES)]) for number in range(RIVAL_LOOKS)},
}
"""Colour, width and dashes: the model stands out, the limits recede, rivals differ in both."""


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
    ranked = ranked_curves(pairs)
    # What comes later lies on top: the curves from worst to best.
    rows = [
        {"name": curve.name, "customer_share": first, "value_share": held}
        for curve in reversed(ranked)
        for first, held in curve.shares
    ]
    chart: alt.Chart = alt.Chart(alt.InlineData(values=rows)).mark_line().encode(**_encodings(ranked))
    return styled(
        chart.properties(width=WIDTH, height=HEIGHT),
        title="How much of the value the customers ranked first hold",
        subtitle="The steeper a curve rises, the better the ranking finds the valuable customers.",
    )


def _encodings(ranked: Sequence[Curve]) -> dict[str, Any]:
    names = [curve.name for curve in ranked]
    colours, widths, dashes = zip(*(LOOKS[curve.look] for curve in ranked), strict=True)
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
