"""The waterfall as plain text: the same steps as the picture, for a terminal, a log or an e-mail."""

from dataclasses import dataclass

from fivefold.charts.steps import MOST_STEPS, SCORE_AXIS, WaterfallPlot, WaterfallRow, waterfall_plot
from fivefold.charts.text.numbers import cut_end, wrapped_lines
from fivefold.domain.breakdown import Breakdown, TotalInterval

NARROWEST_COLUMNS = 72
SEEN_COLUMNS = 20
"""No number is longer, so that only units are ever cut."""
LABEL_SHARE = 0.45
LEAST_LABEL_COLUMNS = 16
MOST_LABEL_LINES = 3
"""A longer label continues on the next line, at a word; text beyond this many lines is cut."""
LEAST_DRAWING_COLUMNS = 17
GAP = "  "
LOW_END, BETWEEN, HIGH_END = "├", "─", "┤"
ADDS, TAKES, WHOLE, GUIDE, RULE = "█", "░", "━", "┊", "─"
SIGNS = {"up": ADDS, "down": TAKES, "whole": WHOLE}
HEADINGS = ("", "value", "points")
TICKS = 5


@dataclass(frozen=True)
class _Ruler:
    """Places points on columns of text.

    Attributes:
        plot: places points between the left edge and the right one.
        columns: how many columns lie between these; one more stands for the right edge itself.
        ticks: the points to be marked.
    """

    plot: WaterfallPlot
    columns: int
    ticks: tuple[float, ...]

    def column(self, points: float) -> int:
        """The column of *points*, counted from 0."""
        return round(self.plot.place(points) * self.columns)


def waterfall_text(
    breakdown: Breakdown,
    *,
    width_columns: int = 100,
    most: int = MOST_STEPS,
    interval: TotalInterval | None = None,
) -> str:
    """Write a breakdown as lines that lead from its base to its total, largest effect first.

    Args:
        breakdown: of a score.
        width_columns: no line is longer, unless points of a billion leave no room; less than 72 counts as 72.
        most: how many contributions get a line of their own, at least 1; the rest is summed in one.
        interval: of the total, on a line below it.

    Returns:
        Lines without colour codes: label, value with unit, points, and a bar placed on the axis. A long label
        continues on the next line.

    Raises:
        ConfigError: *most* is below 1.
    """
    plot = waterfall_plot(breakdown, most=most, interval=interval)
    words = [HEADINGS, *((row.label, row.seen, row.number) for row in plot.drawn)]
    table = _aligned(words, max(width_columns, NARROWEST_COLUMNS))
    label_width = len(table[0][0])
    ruler = _ruler(plot, max(width_columns, NARROWEST_COLUMNS) - label_width)
    drawings = [_scale(ruler), *(_bar(row, ruler) for row in plot.drawn)]
    blank = "".join(_guides(ruler))
    rows = [
        [(first + drawing).rstrip(), *(f"{more:<{label_width}}{blank}".rstrip() for more in rest)]
        for (first, *rest), drawing in zip(table, drawings, strict=True)
    ]
    rows.insert(len(plot.rows), [RULE * (label_width + ruler.columns + 1)])
    lines = [line for row in rows for line in row]
    return "\n".join([*lines, "", f"{ADDS} adds   {TAKES} takes away"])


def _aligned(words: list[tuple[str, str, str]], width: int) -> list[list[str]]:
    """Join label, value and points in columns that leave room for the drawing within *width*.

    Returns:
        One list a row: its line, and the lines that its label continues in.
    """
    label, value_width, points = (max(len(row[place]) for row in words) for place in range(3))
    value_width = min(value_width, SEEN_COLUMNS)
    room = width - value_width - points - 3 * len(GAP) - LEAST_DRAWING_COLUMNS
    label = max(min(label, room, round(width * LABEL_SHARE)), LEAST_LABEL_COLUMNS)
    rows = []
    for name, value, number in words:
        first, *rest = wrapped_lines(name, label, MOST_LABEL_LINES)
        line = f"{first:<{label}}{GAP}{cut_end(value, value_width):>{value_width}}{GAP}{number:>{points}}{GAP}"
        rows.append([line, *rest])
    return rows


def _ruler(plot: WaterfallPlot, width: int) -> _Ruler:
    """A ruler that fits in *width*, of a length that puts its ticks equally far apart."""
    parts, (low, high) = TICKS - 1, SCORE_AXIS
    columns = (max(width, LEAST_DRAWING_COLUMNS) - 1) // parts * parts
    return _Ruler(plot, columns, tuple(low + (high - low) / parts * tick for tick in range(TICKS)))


def _scale(ruler: _Ruler) -> str:
    """The numbers of the ticks, each beginning at its column; what would pass the right edge ends there."""
    line = [" "] * (ruler.columns + 1)
    for tick in ruler.ticks:
        number = f"{tick:g}"
        first = min(ruler.column(tick), len(line) - len(number))
        line[first : first + len(number)] = number
    return "".join(line)


def _guides(ruler: _Ruler) -> list[str]:
    line = [" "] * (ruler.columns + 1)
    for tick in ruler.ticks:
        line[ruler.column(tick)] = GUIDE
    return line


def _bar(row: WaterfallRow, ruler: _Ruler) -> str:
    """A bar from where the row starts to where it ends; a step that is not zero shows at least one column."""
    line = _guides(ruler)
    first, after = sorted((ruler.column(row.start), ruler.column(row.end)))
    if row.kind == "interval":
        line[first : after + 1] = _between(after + 1 - first, row.is_open)
        return "".join(line)
    if row.kind != "whole" and row.start != row.end:
        after = max(after, first + 1)
    line[first:after] = SIGNS[row.kind] * (after - first)
    return "".join(line)


def _between(columns: int, is_open: bool) -> str:
    """A line with an end on each side; without the high one where it is not known.

    >>> _between(5, False), _between(5, True), _between(1, False)
    ('├───┤', '├────', '┤')
    """
    line = LOW_END + BETWEEN * (columns - 1)
    return line if is_open else line[: columns - 1] + HIGH_END
