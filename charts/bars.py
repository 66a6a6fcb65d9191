"""Where the marks of a picture lie, in numbers alone: pages write them as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from fivefold.charts.steps import MOST_STEPS, axis_around, decimals_of, waterfall_steps
from fivefold.charts.text.numbers import signed, typeset
from fivefold.domain.breakdown import Breakdown

PLOT_WIDTH = 360.0
"""In the units of the picture, whatever its size on a screen."""
LINE_WIDTH, LINE_HEIGHT = 600.0, 160.0
"""Of a line over days, in the same units."""
NARROWEST = 1.0
"""A bar of next to nothing is still seen."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row of a waterfall.

    Attributes:
        label: of the row.
        number: the points, or the base, or the total.
        x: where the bar begins, from 0 to the width of the plot.
        width: of the bar.
        end: where it leads to: the next one begins there.
        kind: whole, up or down.
    """

    label: str
    number: str
    x: float
    width: float
    end: float
    kind: str


@dataclass(frozen=True)
class LevelStep:
    """One level of the scale.

    Attributes:
        holds: it is the entity's level.
        beneath: the rules say this one, and another holds.
    """

    name: str
    holds: bool
    beneath: bool


@dataclass(frozen=True)
class Span:
    """A part of a stacked bar: where it begins and how long it is, in hundredths of the whole plot."""

    x: float
    width: float


def share_spans(counts: Sequence[int], most: int) -> tuple[Span, ...]:
    """Lay counts end to end, on a plot that is as long as *most*; all are of no length where that is 0.

    >>> share_spans((1, 0, 3), 8)
    (Span(x=0.0, width=12.5), Span(x=12.5, width=0.0), Span(x=12.5, width=37.5))
    """
    spans, before = [], 0
    for count in counts:
        spans.append(Span(100.0 * before / (most or 1), 100.0 * count / (most or 1)))
        before += count
    return tuple(spans)


def waterfall_bars(
    breakdown: Breakdown,
    *,
    base_label: str,
    total_label: str,
    axis: tuple[float, float],
    origin: float | None = None,
    most: int = MOST_STEPS,
) -> tuple[Bar, ...]:
    """Place the rows of a waterfall, from the base to the total, on a plot of `PLOT_WIDTH`.

    The steps are those of `charts.steps.waterfall_steps`, as every picture of a breakdown has them. *axis* is the
    lowest and the highest total; it is widened where a bar lies outside. The bars of base and total begin at *origin*,
    by default at the low end of the axis.

    >>> [(bar.x, bar.width, bar.kind) for bar in waterfall_bars(
    ...     Breakdown(2.0, ()), base_label="base", total_label="total", axis=(1.0, 5.0))]
    [(0.0, 90.0, 'whole'), (0.0, 90.0, 'whole')]
    """
    steps = waterfall_steps(breakdown, most)
    lowest, highest = axis_around(breakdown.base, steps, axis)
    decimals = decimals_of(breakdown)

    def place(points: float) -> float:
        return PLOT_WIDTH * (points - lowest) / ((highest - lowest) or 1.0)

    def part(start: float, end: float) -> tuple[float, float]:
        return min(place(start), place(end)), max(abs(place(end) - place(start)), NARROWEST)

    def whole(label: str, points: float) -> Bar:
        x, length = part(axis[0] if origin is None else origin, points)
        return Bar(
            label=label,
            number=typeset(f"{points:,.{decimals}f}"),
            x=x,
            width=length,
            end=place(points),
            kind="whole",
        )

    rows = [whole(base_label, breakdown.base)]
    for step in steps:
        x, length = part(step.start, step.end)
        rows.append(
            Bar(
                label=step.label,
                number=typeset(signed(step.points, decimals)),
                x=x,
                width=length,
                end=place(step.end),
                kind="down" if step.points < 0 else "up",
            )
        )
    return (*rows, whole(total_label, breakdown.total))


def level_steps(levels: Sequence[str], level: str | None, rules_level: str | None) -> tuple[LevelStep, ...]:
    """Mark an entity's level among all, the lowest first, and the one that the rules say beneath an override.

    >>> [step.name for step in level_steps(("low", "high"), "high", "low") if step.beneath]
    ['low']
    """
    return tuple(LevelStep(name, name == level, name == rules_level and rules_level != level) for name in levels)


@dataclass(frozen=True)
class Line:
    """A line that holds each value until the next one comes.

    Attributes:
        path: of SVG: moves and lines, in the units of the picture, from the top left.
        zero: the height of 0; None where it lies outside.
        lowest: value at the bottom of the picture.
        highest: value at its top.
    """

    path: str
    zero: float | None
    lowest: float
    highest: float


def step_line(points: Sequence[tuple[int, float]], first: int, last: int) -> Line | None:
    """Draw values over days, from the *first* to the *last* day, each held until the next; None without any.

    >>> step_line([(0, 1.0), (5, 3.0)], 0, 10)
    Line(path='M0.0 160.0 H300.0 V0.0 H600.0', zero=None, lowest=1.0, highest=3.0)
    """
    if not points:
        return None
    values = [value for _, value in points]
    lowest, highest = min(values), max(values)

    def across(day: int) -> str:
        return f"{LINE_WIDTH * (day - first) / ((last - first) or 1):.1f}"

    def down(value: float) -> float:
        return LINE_HEIGHT * (highest - value) / ((highest - lowest) or 1.0)

    path = f"M{across(points[0][0])} {down(points[0][1]):.1f}"
    for day, value in points[1:]:
        path += f" H{across(day)} V{down(value):.1f}"
    zero = down(0.0) if lowest < 0 < highest else None
    return Line(f"{path} H{across(last)}", zero, lowest, highest)
