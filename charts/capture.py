"""Capture: the share of confirmed cases among the entities that a ranking puts first."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from fivefold.charts.style import INK, MUTED, PERCENT_LABEL, SERIES, styled
from fivefold.charts.text.numbers import one_line

WIDTH, HEIGHT = 520, 380
CHANCE, PERFECT = "random order", "perfect order"


def capture(name: str, curve: Sequence[tuple[float, float]], prevalence: float) -> alt.Chart:
    """Draw the curve of a ranking between chance and the best that arithmetic allows.

    Args:
        name: of what ranks.
        curve: the share of entities ranked first, and the share of the confirmed among them, rising, from 0 to 1.
        prevalence: the share of the entities that is confirmed, above 0: no order finds all of them sooner.
    """
    curves = {
        CHANCE: [(0.0, 0.0), (1.0, 1.0)],
        PERFECT: [(0.0, 0.0), (prevalence, 1.0), (1.0, 1.0)],
        one_line(name): list(curve),
    }
    rows = [
        {"name": label, "entities": first, "confirmed": confirmed, "order": number}
        for label, points in curves.items()
        for number, (first, confirmed) in enumerate(points)
    ]
    names = list(reversed(curves))
    look = alt.Scale(domain=names, range=[SERIES[0], INK, MUTED])
    dashes = alt.Scale(domain=names, range=[[1, 0], [1, 0], [1, 3]])
    widths = alt.Scale(domain=names, range=[3.0, 1.2, 1.2])
    legend = alt.Legend(title=None, orient="bottom-right", symbolSize=600, offset=12, labelLimit=320)
    axis: dict[str, Any] = {"axis": alt.Axis(labelExpr=PERCENT_LABEL, tickCount=10), "scale": alt.Scale(domain=[0, 1])}
    chart: alt.Chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line()
        .encode(
            x=alt.X("entities:Q", title="Entities, those ranked first (share of all)", **axis),
            y=alt.Y("confirmed:Q", title="Confirmed among them (share of all confirmed)", **axis),
            order="order:Q",
            color=alt.Color("name:N", scale=look, legend=legend),
            strokeDash=alt.StrokeDash("name:N", scale=dashes, legend=legend),
            strokeWidth=alt.StrokeWidth("name:N", scale=widths, legend=legend),
        )
    )
    return styled(
        chart.properties(width=WIDTH, height=HEIGHT),
        title="How many of the confirmed are found first",
        subtitle="In order of the total, highest first; equal totals come together.",
    )
