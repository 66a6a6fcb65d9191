"""Confirmed: is a higher level really a higher risk?"""

from typing import Any

import altair as alt
import polars as pl

from fivefold.charts.style import INK, NEGATIVE, PERCENT_LABEL, POSITIVE, rimmed, styled
from fivefold.charts.text.numbers import one_line
from fivefold.domain.number_text import percent

WIDTH, HEIGHT = 520, 260


def confirmed(table: pl.DataFrame, prevalence: float) -> alt.LayerChart:
    """Draw the share of each level that is confirmed, with its interval, and the share of all.

    Args:
        table: one row a level, lowest first: `level`, `entities`, `rate`, `low` and `high` (0 to 1; null for a level
            without entities, which is a gap).
        prevalence: the share of all that is confirmed.
    """
    rows = [_row(row) for row in table.to_dicts()]
    feet = [row["foot"] for row in rows]
    axis = alt.Axis(
        title="Level and number of entities", labelAngle=0, labelExpr="split(datum.value, '\\n')", labelColor=INK
    )
    highest = max([row["high"] or 0.0 for row in rows] + [prevalence, 0.01])
    scale = alt.Scale(domain=[0, min(1.0, highest * 1.15)], nice=False)
    up = alt.Y("rate:Q", axis=alt.Axis(title="Confirmed (share of the level)", labelExpr=PERCENT_LABEL), scale=scale)
    base: alt.Chart = alt.Chart(alt.InlineData(values=rows)).encode(x=alt.X("foot:N", sort=feet, axis=axis))
    mean = alt.Chart(alt.InlineData(values=[{"rate": prevalence}])).mark_rule(color=NEGATIVE, strokeDash=[5, 4])
    layers = [
        base.mark_bar(color=POSITIVE, opacity=0.75, width=48).encode(y=up),
        base.mark_rule(color=INK).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        mean.encode(y=alt.Y("rate:Q", scale=scale)),
        *rimmed(base.encode(y=up, text="words:N"), fontWeight="bold", dx=40, dy=-8, align="left"),
    ]
    return styled(
        alt.LayerChart(layer=layers, width=WIDTH, height=HEIGHT),
        title="Is a higher level a higher risk?",
        subtitle=f"Confirmed share of each level with its 95 % interval; dashed line: {percent(prevalence)} of all.",
    )


def _row(row: dict[str, Any]) -> dict[str, Any]:
    words = "" if row["rate"] is None else percent(row["rate"])
    return {**row, "foot": f"{one_line(row['level'])}\n{row['entities']:,}", "words": words}
