"""Pictures of a backtest: how a portfolio is distributed over the levels, and how entities migrate."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from fivefold.charts.style import INK, PAPER, POSITIVE, SERIES, rimmed, styled
from fivefold.charts.text.numbers import one_line
from fivefold.domain.text import count_text, percent

BARS_HEIGHT = 260
LEAST_WIDTH, BAR_WIDTH = 560, 42
"""A bar is as wide as the percentage on top of it, so that neighbours do not run into each other."""
ROOM_ABOVE = 1.12
"""The vertical scale ends this many times above the tallest bar, to leave room for its number."""
CELL_WIDTH, CELL_HEIGHT = 104, 44
DARK_FROM = 0.5
"""From this share of a row on, a cell is so dark that its number is white."""


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
        alt.LayerChart(layer=layers, width=width, height=BARS_HEIGHT),
        title="How the portfolio is spread over the levels",
        subtitle=f"{count_text(entities, 'entity', 'entities')}; everyone is counted once, "
        "those without a level as well.",
    )


def _rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Write each row with its share of its series; labels come from outside, so they are brought on one line."""
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


def migration(table: pl.DataFrame, before: Sequence[str], after: Sequence[str]) -> alt.LayerChart:
    """Draw a matrix: a row for each place before, a column for each place after; darker for a larger part of the row.

    Args:
        table: `before`, `after` and `entities`; a pair without a row is empty.
        before: the places before, from top to bottom.
        after: the places after, from left to right.
    """
    whole = pl.col("entities").sum().over("before")
    rows = [
        {
            "before": one_line(row["before"]),
            "after": one_line(row["after"]),
            "shade": _mixed(row["share"]),
            "words": f"{row['entities']:,}",
            "ink": PAPER if row["share"] >= DARK_FROM else INK,
        }
        for row in table.with_columns(share=pl.col("entities") / whole).to_dicts()
    ]
    names = [list(dict.fromkeys(map(one_line, side))) for side in (before, after)]
    look: dict[str, Any] = {"labelAngle": 0, "labelColor": INK, "labelLimit": 160, "grid": False}
    base: alt.Chart = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("after:N", scale=alt.Scale(domain=names[1]), axis=alt.Axis(title="after", orient="top", **look)),
        y=alt.Y("before:N", scale=alt.Scale(domain=names[0]), axis=alt.Axis(title="before", **look)),
    )
    cells = base.mark_rect(stroke=INK, strokeWidth=0.4).encode(color=alt.Color("shade:N", scale=None))
    numbers = base.mark_text().encode(text="words:N", color=alt.Color("ink:N", scale=None))
    return styled(
        alt.LayerChart(layer=[cells, numbers], width=CELL_WIDTH * len(names[1]), height=CELL_HEIGHT * len(names[0])),
        title="From where to where",
        subtitle="Entities; the darker a cell, the larger its part of the row. The diagonal is who stays.",
    )


def _mixed(share: float) -> str:
    """Mix this share of the strong colour into the paper.

    >>> _mixed(0.0), _mixed(1.0)
    ('#ffffff', '#0072b2')
    """
    ends = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (PAPER, POSITIVE)]
    mixed = [round(light + (strong - light) * share) for light, strong in zip(*ends, strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)
