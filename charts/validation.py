"""Pictures of a validation: whether confirmed entities rank first and have higher levels, and how factors shifted."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from fivefold.charts.style import INK, MUTED, NEGATIVE, PERCENT_LABEL, POSITIVE, SERIES, rimmed, styled
from fivefold.charts.text.numbers import cut_end, one_line
from fivefold.domain.text import percent

CURVE_WIDTH, CURVE_HEIGHT = 520, 380
CHANCE, PERFECT = "random order", "perfect order"
BARS_WIDTH, BARS_HEIGHT = 520, 260
DRIFT_WIDTH, DRIFT_ROW_HEIGHT = 420, 24
LONGEST_NAME = 58
VERDICT_COLOURS = {"stable": POSITIVE, "moving": SERIES[5], "shifted": NEGATIVE, "unknown": MUTED}


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
        chart.properties(width=CURVE_WIDTH, height=CURVE_HEIGHT),
        title="How many of the confirmed are found first",
        subtitle="In order of the total, highest first; equal totals come together.",
    )


def confirmed(table: pl.DataFrame, prevalence: float) -> alt.LayerChart:
    """Draw the share of each level that is confirmed, with its interval, and the share of all.

    Args:
        table: one row a level, lowest first: `level`, `entities`, `rate`, `low` and `high` (0 to 1; null for a level
            without entities, which is a gap).
        prevalence: the share of all that is confirmed.
    """
    rows = [_level_row(row) for row in table.to_dicts()]
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
        alt.LayerChart(layer=layers, width=BARS_WIDTH, height=BARS_HEIGHT),
        title="Is a higher level a higher risk?",
        subtitle=f"Confirmed share of each level with its 95 % interval; dashed line: {percent(prevalence)} of all.",
    )


def _level_row(row: dict[str, Any]) -> dict[str, Any]:
    words = "" if row["rate"] is None else percent(row["rate"])
    return {**row, "foot": f"{one_line(row['level'])}\n{row['entities']:,}", "words": words}


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
    colours = alt.Scale(domain=list(VERDICT_COLOURS), range=list(VERDICT_COLOURS.values()))
    lines = alt.Chart(alt.InlineData(values=[{"at": mark} for mark in marks])).mark_rule(color=INK, strokeDash=[4, 4])
    layers = [
        base.mark_bar(height=12).encode(color=alt.Color("verdict:N", scale=colours, legend=None)),
        lines.encode(x=alt.X("at:Q", scale=scale)),
        *rimmed(base.encode(text="words:N"), align="left", dx=6),
    ]
    return styled(
        alt.LayerChart(layer=layers, width=DRIFT_WIDTH, height=DRIFT_ROW_HEIGHT * max(1, len(rows))),
        title="How far each factor has moved",
        subtitle=f"Below {marks[0]:g} it is stable, above {marks[1]:g} it must be looked into.",
    )
