"""The waterfall: how the contributions of one breakdown lead from its base to its total."""

from typing import Any, Literal

import altair as alt

from fivefold.charts.steps import MOST_STEPS, SCORE_AXIS, WaterfallRow, waterfall_plot
from fivefold.charts.style import INK, MUTED, NEGATIVE, POSITIVE, WHOLE, rimmed, styled
from fivefold.charts.text.numbers import cut_end, one_line, typeset, wrapped_lines
from fivefold.domain.breakdown import Breakdown, TotalInterval

ROW_HEIGHT = 30
PLOT_WIDTH = 440
LABEL_SIGNS = 44
MOST_LABEL_LINES = 2
MOST_TITLE_LINES = 6
LINE_HEIGHT = 14
SEEN_SIGNS = 28
SIGN_WIDTH = 6.8
"""Pixels that an average sign takes, measured generously: fonts differ between machines."""
_TYPICAL = 0.8
"""The part of that width that a label takes in an ordinary font."""
TITLE_SIGN_WIDTH = 8.6
"""Pixels that an average sign of the title takes, which is larger and bold."""
COLOURS = {"up": POSITIVE, "down": NEGATIVE, "whole": WHOLE, "interval": WHOLE}
_COLOUR = alt.Color("colour:N", scale=None)


def waterfall(
    breakdown: Breakdown,
    *,
    title: str,
    most: int = MOST_STEPS,
    interval: TotalInterval | None = None,
) -> alt.LayerChart:
    """Draw a breakdown as bars that lead from its base to its total, largest effect first.

    Args:
        breakdown: of a score.
        title: what the picture says.
        most: how many contributions get a bar of their own, at least 1; the rest is summed in one.
        interval: of the total, as a line below its bar.

    Raises:
        ConfigError: *most* is below 1.
    """
    plot = waterfall_plot(breakdown, most=most, interval=interval)
    rows = [_altair_row(row) for row in plot.drawn]
    chart = _layers(rows, (plot.lowest, plot.highest), "score ({:g} to {:g})".format(*SCORE_AXIS))
    start, end = (typeset(row.number) for row in (plot.rows[0], plot.rows[-1]))
    reading = f"From {start} to {end}: blue bars add points, orange bars take points away."
    # A title of one long line would make the picture wider than its bars, and leave it half empty.
    width = PLOT_WIDTH + _left_of_bars(rows)
    titles = wrapped_lines(one_line(title), int(width / TITLE_SIGN_WIDTH), MOST_TITLE_LINES)
    return styled(chart, title=titles, subtitle=reading, title_width=width)


def _left_of_bars(rows: list[dict[str, Any]]) -> float:
    """Pixels that labels and values take beside the bars, rather too few than too many."""
    longest = max(len(line) for row in rows for line in row["label"])
    return _label_place(rows) + _TYPICAL * SIGN_WIDTH * longest


def _label_place(rows: list[dict[str, Any]]) -> float:
    """Pixels between the bars and the ends of the labels: the values seen stand there."""
    return 30 + SIGN_WIDTH * max(len(row["seen"]) for row in rows)


def _altair_row(row: WaterfallRow) -> dict[str, Any]:
    """A row as Altair data: its place is in points, on an axis that has the ends of the plot."""
    return {
        "label": wrapped_lines(row.label, LABEL_SIGNS, MOST_LABEL_LINES),
        "seen": typeset(cut_end(row.seen, SEEN_SIGNS)),
        "start": row.start,
        "end": row.end,
        "right": max(row.start, row.end),
        "number": typeset(row.number),
        "colour": COLOURS[row.kind],
        "kind": row.kind,
        "is_open": row.is_open,
    }


def _layers(rows: list[dict[str, Any]], domain: tuple[float, float], axis_title: str) -> alt.LayerChart:
    """Bars and the lines that connect them, between columns of text: label, value seen, points."""
    for place, row in enumerate(rows):
        row |= {"row": place, "next": place + 1}
    scale = alt.Scale(domain=list(domain), nice=False, zero=False)
    along = alt.X("start:Q", scale=scale, axis=alt.Axis(title=axis_title, tickCount=5))
    intervals = [row for row in rows if row["kind"] == "interval"]
    barred = [row for row in rows if row["kind"] != "interval"]
    wholes = [row for row in rows if row["kind"] == "whole"]
    bars = _row_chart(barred, rows).mark_bar(cornerRadius=1).encode(x=along, x2="end:Q", color=_COLOUR)
    links = _row_chart(barred[:-1], rows, bandPosition=1).mark_rule(color=MUTED)
    label_place = _label_place(rows)
    layers = [
        bars,
        links.encode(x=alt.X("end:Q", scale=scale), y2=alt.Y2("next:O", bandPosition=0)),
        *_whisker(intervals, rows, scale),
        *_columns([row for row in rows if row["kind"] != "whole"], rows, label_place, "normal"),
        *_columns(wholes, rows, label_place, "bold"),
    ]
    return alt.LayerChart(layer=layers, width=PLOT_WIDTH, height=ROW_HEIGHT * len(rows))


def _whisker(intervals: list[dict[str, Any]], rows: list[dict[str, Any]], scale: alt.Scale) -> list[alt.Chart]:
    """The interval of the total: a line with an end on each side, without the high one where it is not known."""
    if not intervals:
        return []
    middle = _row_chart(intervals, rows, bandPosition=0.5)
    stops = [
        {"row": row["row"], "at": row[end]}
        for row in intervals
        for end in ("start", "end")
        if end == "start" or not row["is_open"]
    ]
    return [
        middle.mark_rule(strokeWidth=2).encode(x=alt.X("start:Q", scale=scale), x2="end:Q", color=_COLOUR),
        _row_chart(stops, rows, bandPosition=0.5)
        .mark_tick(color=WHOLE, opacity=1, thickness=2, size=ROW_HEIGHT / 3)
        .encode(x=alt.X("at:Q", scale=scale)),
    ]


def _columns(
    visible: list[dict[str, Any]], rows: list[dict[str, Any]], label_place: float, weight: Literal["normal", "bold"]
) -> list[alt.Chart]:
    """The columns of text beside the bars: points, values and labels."""
    base = _row_chart(visible, rows)
    points: alt.Chart = base.encode(x="right:Q", text="number:N", color=_COLOUR)
    return [
        *rimmed(points, align="left", dx=6, fontWeight=weight),
        base.mark_text(align="right", x=-12, color=MUTED, fontWeight=weight).encode(text="seen:N"),
        *_labels(visible, rows, -label_place, weight),
    ]


def _labels(
    visible: list[dict[str, Any]], rows: list[dict[str, Any]], x: float, weight: Literal["normal", "bold"]
) -> list[alt.Chart]:
    """The labels, each line of them a text of its own: as many lines as a label has lie around its row's middle."""
    texts: dict[float, list[dict[str, Any]]] = {}
    for row in visible:
        for number, line in enumerate(row["label"]):
            dy = (number - (len(row["label"]) - 1) / 2) * LINE_HEIGHT
            texts.setdefault(dy, []).append({"row": row["row"], "text": line})
    return [
        _row_chart(lines, rows).mark_text(align="right", x=x, dy=dy, color=INK, fontWeight=weight).encode(text="text:N")
        for dy, lines in sorted(texts.items())
    ]


def _row_chart(visible: list[dict[str, Any]], rows: list[dict[str, Any]], **how: Any) -> alt.Chart:
    """A chart of some of the rows, each at its place among all."""
    scale = alt.Scale(domain=list(range(len(rows))), padding=0.3)
    place = alt.Y("row:O", axis=None, scale=scale, **how)
    chart: alt.Chart = alt.Chart(alt.InlineData(values=visible)).encode(y=place)
    return chart
