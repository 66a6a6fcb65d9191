"""The common style of all pictures: colours that a colour-blind reader can tell apart, fonts and sizes."""

from typing import Any, TypeVar

import altair as alt

from fivefold.charts.text.numbers import one_line
from fivefold.domain.segments import SEGMENTS

AnyChart = TypeVar("AnyChart", alt.Chart, alt.LayerChart, alt.HConcatChart, alt.VConcatChart)

FONT = "sans-serif"  # generic: the machine's own font, nothing is fetched
TEXT_SIZE = 12
SMALL_TEXT_SIZE = 11
TITLE_SIZE = 16

INK = "#1f2937"
MUTED = "#6b7280"
GRID = "#e5e7eb"
PAPER = "#ffffff"

PERCENT_LABEL = "format(100 * datum.value, ',~f') + ' %'"
"""The format of shares on an axis, as in `domain.text`."""

# Blue and orange stay apart in every common form of colour blindness, and both carry text on white (4.5 : 1).
POSITIVE = "#0072b2"
NEGATIVE = "#c25400"
WHOLE = "#475569"

# One hue from light to dark, since segments are steps of one thing; the lightness alone tells them apart.
SEGMENT_COLOURS = dict(zip(SEGMENTS, ("#9dbbd6", "#5f93bf", "#2f6ca3", "#123f6d"), strict=True))

# Okabe and Ito, "Color Universal Design" (2008), without the yellow, which is lost on white.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


def styled(
    chart: AnyChart, *, title: str | list[str], subtitle: str | list[str] = "", title_width: float | None = None
) -> AnyChart:
    """Add the title and the common look to a finished chart.

    Args:
        chart: the whole picture; a styled chart cannot be put inside another one.
        title: what the picture shows, in one line or several; also for screen readers.
        subtitle: how to read it, one line or several.
        title_width: pixels beyond which a line of them is cut; None for no limit.

    Returns:
        A new chart; the one given stays as it was.
    """
    lines = [subtitle] if isinstance(subtitle, str) else subtitle
    titles = [one_line(title)] if isinstance(title, str) else [one_line(line) for line in title]
    heading = alt.TitleParams(
        titles if len(titles) > 1 else titles[0],
        subtitle=[one_line(line) for line in lines if line],
        limit=alt.Undefined if title_width is None else title_width,
    )
    titled: AnyChart = chart.properties(title=heading, description=" ".join(titles), background=PAPER, padding=16)
    look: AnyChart = titled.configure(font=FONT, **_look())
    return look


def panel_title(text: str) -> alt.TitleParams:
    """Make the quieter title of one panel in a picture of several."""
    return alt.TitleParams(one_line(text), fontSize=TEXT_SIZE, fontWeight="normal", color=MUTED)


def rimmed(chart: alt.Chart, **look: Any) -> list[alt.Chart]:
    """Draw a chart's text twice, first as a rim of paper, so that it can be read across lines.

    Args:
        chart: what has the text and its place among its encodings.
        look: properties of the text mark.
    """
    rim = chart.mark_text(stroke=PAPER, strokeWidth=4, aria=False, **look)
    return [rim.encode(color=alt.value(PAPER)), chart.mark_text(**look)]


def _look() -> dict[str, Any]:
    """The configuration that all pictures share."""
    return {
        "axis": alt.AxisConfig(
            labelColor=MUTED,
            labelFontSize=SMALL_TEXT_SIZE,
            titleColor=MUTED,
            titleFontSize=SMALL_TEXT_SIZE,
            titleFontWeight="normal",
            titlePadding=8,
            gridColor=GRID,
            domain=False,
            ticks=False,
            labelPadding=6,
            labelFlush=False,
        ),
        "legend": alt.LegendConfig(labelColor=INK, labelFontSize=TEXT_SIZE, fillColor=PAPER, padding=8),
        "text": alt.MarkConfig(font=FONT, fontSize=TEXT_SIZE, color=INK),
        "title": alt.TitleConfig(
            anchor="start",
            color=INK,
            fontSize=TITLE_SIZE,
            fontWeight="bold",
            subtitleColor=MUTED,
            subtitleFontSize=TEXT_SIZE,
            subtitlePadding=6,
            offset=14,
        ),
        "view": alt.ViewConfig(stroke=None),
    }
