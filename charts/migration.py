"""Migration: entities by level before and after."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from fivefold.charts.style import INK, PAPER, POSITIVE, styled
from fivefold.charts.text.numbers import one_line

CELL_WIDTH, CELL_HEIGHT = 104, 44
DARK_FROM = 0.5
"""From this share of a row on, a cell is so dark that its number is written in white."""


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
    """Mix so much of the strong colour into the paper.

    >>> _mixed(0.0), _mixed(1.0)
    ('#ffffff', '#0072b2')
    """
    ends = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (PAPER, POSITIVE)]
    mixed = [round(light + (strong - light) * share) for light, strong in zip(*ends, strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)
