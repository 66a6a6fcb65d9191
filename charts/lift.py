"""Lift: the share of all value in the customers ranked first, by the model and by its rivals."""

from itertools import cycle
from typing import Any

import altair as alt
import polars as pl

from fivefold.charts.style import INK, MUTED, PERCENT_LABEL, SERIES, styled

WIDTH, HEIGHT = 540, 420
POINTS_DRAWN = 500
"""Of each curve, about; more would only swell the file."""
MODEL, PERFECT, CHANCE = "model", "perfect", "random order"
_DASHES = ([6, 3], [2, 2], [8, 3, 2, 3])


def lift(curves: pl.DataFrame) -> alt.Chart:
    """Draw cumulative gain curves, and the diagonal that an order by chance would give.

    Args:
        curves: `name` of the ranking ("model" and "perfect" have a look of their own), `customer_share`
            (0 to 1, the customers ranked first) and `value_share` (0 to 1, their part of all realised value).
    """
    names = [*_best_first(curves), CHANCE]
    # What comes later lies on top: the curves from worst to best.
    rows = [{"name": CHANCE, "customer_share": end, "value_share": end} for end in (0.0, 1.0)]
    rows += [row for name in names[-2::-1] for row in _thinned(curves.filter(pl.col("name") == name))]
    chart: alt.Chart = alt.Chart(alt.InlineData(values=rows)).mark_line().encode(**_encodings(names))
    return styled(
        chart.properties(width=WIDTH, height=HEIGHT),
        title="How much of the value the customers ranked first hold",
        subtitle="The steeper a curve rises, the better the ranking finds the valuable customers.",
    )


def _best_first(curves: pl.DataFrame) -> list[str]:
    """The names, largest area under the curve first: as the curves lie, so the legend reads."""
    rise = pl.col("value_share") + pl.col("value_share").shift(1, fill_value=0.0)
    run = pl.col("customer_share").diff().fill_null(pl.col("customer_share").first())
    ordered = curves.sort("customer_share", "value_share").group_by("name", maintain_order=True)
    areas = ordered.agg(area=(rise * run).sum() / 2).sort("area", "name", descending=[True, False])
    return areas["name"].to_list()


def _thinned(curve: pl.DataFrame) -> list[dict[str, Any]]:
    """A curve with no more points than can be seen; the last one stays."""
    ordered = curve.select("name", "customer_share", "value_share").sort("customer_share", "value_share")
    every = max(1, ordered.height // POINTS_DRAWN)
    return pl.concat([ordered.gather_every(every), ordered.tail(1)]).to_dicts()


def _encodings(names: list[str]) -> dict[str, Any]:
    colours, widths, dashes = zip(*_looks(names), strict=True)
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


def _looks(names: list[str]) -> list[tuple[str, float, list[int]]]:
    """Colour, width and dashes of each curve: the model stands out, the limits recede, rivals differ in both."""
    fixed = {
        MODEL: (SERIES[0], 3.0, [1, 0]),
        PERFECT: (INK, 1.2, [1, 0]),
        CHANCE: (MUTED, 1.2, [1, 3]),
    }
    rivals = zip(cycle(SERIES[1:]), cycle((2.0,)), cycle(_DASHES), strict=False)
    return [fixed[name] if name in fixed else next(rivals) for name in names]
