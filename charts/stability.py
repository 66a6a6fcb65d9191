"""Stability: how far each factor has moved since the reference period."""

import altair as alt
import polars as pl

from fivefold.charts.style import INK, MUTED, NEGATIVE, POSITIVE, SERIES, rimmed, styled
from fivefold.charts.text.numbers import cut_end, one_line

WIDTH, ROW_HEIGHT = 420, 24
LONGEST_NAME = 58
COLOURS = {"stable": POSITIVE, "moving": SERIES[5], "shifted": NEGATIVE, "unknown": MUTED}


def stability(table: pl.DataFrame, marks: tuple[float, float]) -> alt.LayerChart:
    """Draw the population stability index of each factor, in the order given, and where verdicts change.

    Args:
        table: `factor`, `index` (null where unknown) and `verdict` (stable, moving, shifted, unknown).
        marks: the indices from which a factor is moving, and is shifted.
    """
    rows = [
        {
            "factor": f"{number:03d} {cut_end(one_line(row['factor']), LONGEST_NAME)}",
            "index": row["index"] or 0.0,
            "verdict": row["verdict"],
            "words": "unknown" if row["index"] is None else f"{row['index']:.3f}",
        }
        for number, row in enumerate(table.to_dicts())
    ]
    names = [row["factor"] for row in rows]
    highest = max([row["index"] for row in rows] + [marks[1]]) * 1.15
    scale = alt.Scale(domain=[0, highest], nice=False)
    axis = alt.Axis(title=None, labelExpr="slice(datum.value, 4)", labelColor=INK, labelLimit=420)
    base: alt.Chart = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("index:Q", scale=scale, axis=alt.Axis(title="Population stability index", tickCount=6)),
        y=alt.Y("factor:N", sort=names, axis=axis),
    )
    colours = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    lines = alt.Chart(alt.InlineData(values=[{"at": mark} for mark in marks])).mark_rule(color=INK, strokeDash=[4, 4])
    layers = [
        base.mark_bar(height=12).encode(color=alt.Color("verdict:N", scale=colours, legend=None)),
        lines.encode(x=alt.X("at:Q", scale=scale)),
        *rimmed(base.encode(text="words:N"), align="left", dx=6),
    ]
    return styled(
        alt.LayerChart(layer=layers, width=WIDTH, height=ROW_HEIGHT * max(1, len(rows))),
        title="How far each factor has moved",
        subtitle=f"Below {marks[0]:g} it is stable, above {marks[1]:g} it must be looked into.",
    )
