"""Levels: how a portfolio is spread over them, by one ruleset beside another."""

from typing import Any

import altair as alt
import polars as pl

from fivefold.charts.style import INK, SERIES, rimmed, styled
from fivefold.charts.text.numbers import one_line
from fivefold.domain.number_text import percent

HEIGHT = 260
LEAST_WIDTH, BAR_WIDTH = 560, 42
"""A bar is as wide as the percentage on top of it, so that neighbours do not run into each other."""
ROOM_ABOVE = 1.12
"""The vertical scale ends this many times above the tallest bar: its number stands there."""


def levels(table: pl.DataFrame) -> alt.LayerChart:
    """Draw the share of the entities in each group, a bar for each series beside the others.

    Args:
        table: one row a bar, in the order of drawing: `group` (a level, or the reason for no level), `series` (whose
            answer it is), `entities` (how many).
    """
    rows = _rows(table)
    groups, series = (list(dict.fromkeys(row[name] for row in rows)) for name in ("group", "series"))
    scale = alt.Scale(domain=[0, max([row["share"] for row in rows], default=0.0) * ROOM_ABOVE or 1.0], nice=False)
    base: alt.Chart = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("group:N", sort=groups, axis=alt.Axis(title=None, labelAngle=0, labelColor=INK, labelLimit=140)),
        xOffset=alt.XOffset("series:N", sort=series),
        y=alt.Y("share:Q", axis=None, scale=scale),
    )
    colours = alt.Scale(domain=series, range=list(SERIES[: len(series)]))
    legend = alt.Legend(title=None, orient="top", labelLimit=400, columns=1)
    width = max(LEAST_WIDTH, BAR_WIDTH * len(groups) * (len(series) + 1))
    bars = base.mark_bar(cornerRadiusEnd=2).encode(color=alt.Color("series:N", scale=colours, legend=legend))
    layers = [bars, *rimmed(base.encode(text="words:N"), dy=-8, fontSize=10)]
    entities = max((sum(row["entities"] for row in rows if row["series"] == name) for name in series), default=0)
    return styled(
        alt.LayerChart(layer=layers, width=width, height=HEIGHT),
        title="How the portfolio is spread over the levels",
        subtitle=f"{entities:,} entities; everyone is counted once, those without a level as well.",
    )


def _rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    whole = pl.col("entities").sum().over("series")
    shares = table.with_columns(share=pl.when(whole > 0).then(pl.col("entities") / whole).otherwise(0.0))
    return [
        {
            "group": one_line(row["group"]),
            "series": one_line(row["series"]),
            "entities": row["entities"],
            "share": row["share"],
            "words": percent(row["share"]) if row["entities"] else "0",
        }
        for row in shares.to_dicts()
    ]
