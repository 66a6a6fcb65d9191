"""The waterfall as plain text: the same steps as the picture, for a terminal, a log or an e-mail."""

from dataclasses import dataclass

from fivefold.charts.steps import MOST_STEPS, SCORE_AXIS, Step, axis_around, decimals_of, waterfall_steps
from fivefold.charts.text.numbers import cut_end, lines_of, one_line, signed
from fivefold.domain.breakdown import Breakdown

NARROWEST_COLUMNS = 72
SEEN_COLUMNS = 20
"""No number is longer, so that only units are ever cut."""
LABEL_SHARE = 0.45
LEAST_LABEL_COLUMNS = 16
MOST_LABEL_LINES = 3
"""A label that is longer continues below, at a word; only what is beyond this many lines is cut."""
LEAST_DRAWING_COLUMNS = 17
GAP = "  "
ADDS, TAKES, WHOLE, GUIDE, RULE = "█", "░", "━", "┊", "─"
HEADINGS = ("", "value", "points")
TICKS = 5


@dataclass(frozen=True)
class _Ruler:
    """Places points on columns of text.

    Attributes:
        low: the points at the left edge.
        high: the points at the right edge.
        columns: how many columns lie between them; one more stands for the right edge itself.
        ticks: the points to be marked.
    """

    low: float
    high: float
    columns: int
    ticks: tuple[float, ...]

    def column(self, points: float) -> int:
        """The column that *points* stand on, counted from 0."""
        return round((points - self.low) / (self.high - self.low) * self.columns)


def waterfall_text(
    breakdown: Breakdown,
    *,
    width_columns: int = 100,
    most: int = MOST_STEPS,
    total_label: str = "score",
    base_label: str = "starting point",
    axis: tuple[float, float] = SCORE_AXIS,
) -> str:
    """Write a breakdown as lines that lead from its base to its total, largest effect first.

    Args:
        breakdown: what is to be shown; its points are in the unit of its total.
        width_columns: no line is longer, unless points of a billion leave no room; less than 72 counts as 72.
        most: how many contributions get a line of their own, at least 1; the rest is summed in one.
        total_label: what the total is called.
        base_label: what the base is called.
        axis: the lowest and the highest total there can be; widened where a bar lies outside.

    Returns:
        Lines without colour codes: label, value with unit, points, and a bar placed on the axis. A long label
        continues on the next line.

    Raises:
        ConfigError: *most* is below 1.
    """
    steps = waterfall_steps(breakdown, most)
    decimals = decimals_of(breakdown)
    words = [
        HEADINGS,
        (one_line(base_label), "", f"{breakdown.base:,.{decimals}f}"),
        *((step.label, step.seen, signed(step.points, decimals)) for step in steps),
        (one_line(total_label), "", f"{breakdown.total:,.{decimals}f}"),
    ]
    table = _aligned(words, max(width_columns, NARROWEST_COLUMNS))
    label_width = len(table[0][0])
    width = max(width_columns, NARROWEST_COLUMNS) - label_width
    ruler = _ruler(axis_around(breakdown.base, steps, axis), axis, width)
    drawings = [
        _scale(ruler),
        _whole(breakdown.base, ruler),
        *(_bar(step, ruler) for step in steps),
        _whole(breakdown.total, ruler),
    ]
    blank = "".join(_guides(ruler))
    rows = [
        [(first + drawing).rstrip(), *(f"{more:<{label_width}}{blank}".rstrip() for more in rest)]
        for (first, *rest), drawing in zip(table, drawings, strict=True)
    ]
    rows.insert(-1, [RULE * (label_width + ruler.columns + 1)])
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
        first, *rest = lines_of(name, label, MOST_LABEL_LINES)
        line = f"{first:<{label}}{GAP}{cut_end(value, value_width):>{value_width}}{GAP}{number:>{points}}{GAP}"
        rows.append([line, *rest])
    return rows


def _ruler(domain: tuple[float, float], axis: tuple[float, float], width: int) -> _Ruler:
    """A ruler that fits in *width*, of a length that puts its ticks equally far apart."""
    parts = TICKS - 1
    columns = (max(width, LEAST_DRAWING_COLUMNS) - 1) // parts * parts
    return _Ruler(*domain, columns, tuple(axis[0] + (axis[1] - axis[0]) / parts * tick for tick in range(TICKS)))


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


def _whole(total: float, ruler: _Ruler) -> str:
    """The bar of the base or of the total, from the left edge."""
    line = _guides(ruler)
    line[: ruler.column(total)] = WHOLE * ruler.column(total)
    return "".join(line)


def _bar(step: Step, ruler: _Ruler) -> str:
    """A bar from where the step starts to where it ends; a step that is not zero shows at least one column."""
    line = _guides(ruler)
    first, after = sorted((ruler.column(step.start), ruler.column(step.end)))
    if step.points:
        after = max(after, first + 1)
    line[first:after] = (TAKES if step.points < 0 else ADDS) * (after - first)
    return "".join(line)
