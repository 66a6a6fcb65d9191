"""Positions of bars, levels and lines in pictures, in numbers alone; pages write them as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from fivefold.charts.steps import WaterfallRow, waterfall_plot
from fivefold.charts.text.numbers import label_lines, typeset
from fivefold.domain.breakdown import Breakdown, TotalInterval

PLOT_WIDTH = 360.0
"""In the units of the picture, at any size on a screen."""
LINE_WIDTH, LINE_HEIGHT = 600.0, 160.0
"""The size of a line over days, in the same units."""
LEVEL_WIDTH = 150.0
"""The width of one level on the scale, in the same units."""
NARROWEST = 1.0
"""The least width of a bar, so that a bar of next to nothing is visible."""
_LABEL_COLUMNS, _LABEL_LINES = 32, 2


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row of a waterfall.

    Attributes:
        label: of the row.
        number: the points, or the base, or the total.
        x: where the bar begins, from 0 to the width of the plot.
        width: of the bar.
        end: where it leads to: the next one begins there.
        kind: whole, up, down, or interval.
        is_open: how far it reaches beyond the plot is not known.
    """

    label: str
    number: str
    x: float
    width: float
    end: float
    kind: str
    is_open: bool = False

    @property
    def lines(self) -> list[str]:
        """The label, as it fits beside the plot."""
        return label_lines(self.label, _LABEL_COLUMNS, _LABEL_LINES)


@dataclass(frozen=True)
class LevelStep:
    """One level of the scale.

    Attributes:
        holds: it is the entity's level.
        beneath: it is the rules' level, beneath an override.
        x: where it begins, in the units of the picture; each is `LEVEL_WIDTH` long.
        begins: the score at which it begins; empty for the lowest, and if it is not shown.
    """

    name: str
    holds: bool
    beneath: bool
    x: float
    begins: str = ""

    @property
    def middle(self) -> float:
        """Where its name and the marker are drawn."""
        return self.x + LEVEL_WIDTH / 2


@dataclass(frozen=True)
class BarSpan:
    """A part of a stacked bar: where it begins and how long it is, in hundredths of the whole plot."""

    x: float
    width: float


def share_spans(counts: Sequence[int], most: int) -> tuple[BarSpan, ...]:
    """Lay counts end to end, on a plot that is as long as *most*; all have no length if that is 0.

    >>> share_spans((1, 0, 3), 8)
    (BarSpan(x=0.0, width=12.5), BarSpan(x=12.5, width=0.0), BarSpan(x=12.5, width=37.5))
    """
    spans, before = [], 0
    for count in counts:
        spans.append(BarSpan(100.0 * before / (most or 1), 100.0 * count / (most or 1)))
        before += count
    return tuple(spans)


def waterfall_bars(
    breakdown: Breakdown,
    *,
    base_label: str,
    total_label: str,
    axis: tuple[float, float],
    origin: float | None = None,
    interval: TotalInterval | None = None,
    decimals: int | None = None,
) -> tuple[Bar, ...]:
    """Place the rows of a waterfall, from the base to the total and its interval, on a plot of `PLOT_WIDTH`.

    The rows are those of `charts.steps.waterfall_plot`, as in every picture of a breakdown, and so are *axis*,
    *origin*, *interval* and *decimals*.

    >>> [(bar.x, bar.width, bar.kind) for bar in waterfall_bars(
    ...     Breakdown(2.0, ()), base_label="base", total_label="total", axis=(1.0, 5.0))]
    [(0.0, 90.0, 'whole'), (0.0, 90.0, 'whole')]
    """
    plot = waterfall_plot(
        breakdown,
        base_label=base_label,
        total_label=total_label,
        axis=axis,
        origin=origin,
        interval=interval,
        decimals=decimals,
    )

    def bar(row: WaterfallRow) -> Bar:
        start, end = PLOT_WIDTH * plot.place(row.start), PLOT_WIDTH * plot.place(row.end)
        return Bar(
            label=row.label,
            number=typeset(row.number),
            x=min(start, end),
            width=max(abs(end - start), NARROWEST),
            end=end,
            kind=row.kind,
            is_open=row.is_open,
        )

    return tuple(map(bar, plot.drawn))


def level_steps(
    levels: Sequence[str], level: str | None, rules_level: str | None, begins: Sequence[str] = ()
) -> tuple[LevelStep, ...]:
    """Place levels side by side, the lowest first; mark the entity's level, and the rules' level beneath an override.

    *begins* are the scores at which the levels above the lowest begin; they are left out if their number differs.

    >>> [(step.name, step.x, step.middle) for step in level_steps(("low", "high"), "high", "low") if step.beneath]
    [('low', 0.0, 75.0)]
    >>> [step.begins for step in level_steps(("low", "high"), "high", "high", ("30",))]
    ['', '30']
    """
    starts = ("", *begins) if len(begins) == len(levels) - 1 else ("",) * len(levels)
    return tuple(
        LevelStep(name, name == level, name == rules_level and rules_level != level, LEVEL_WIDTH * number, start)
        for number, (name, start) in enumerate(zip(levels, starts, strict=True))
    )


def floor_path(steps: Sequence[LevelStep], score_level: str, floor: str) -> str:
    """Draw a floor as a step beneath the scale, from the level of the score to that of the floor, with its head.

    Empty where the scale does not have both.

    >>> floor_path(level_steps(("low", "medium", "high"), "high", "high"), "low", "high")
    'M75 40 V48 H375 V41 m-4 5 l4 -5 l4 5'
    """
    middles = {step.name: step.middle for step in steps}
    if not {score_level, floor} <= middles.keys():
        return ""
    return f"M{middles[score_level]:.0f} 40 V48 H{middles[floor]:.0f} V41 m-4 5 l4 -5 l4 5"


@dataclass(frozen=True)
class StepCurve:
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


def step_line(points: Sequence[tuple[int, float]], first: int, last: int) -> StepCurve | None:
    """Draw values over days, from the *first* to the *last* day, each held until the next; None without any.

    >>> step_line([(0, 1.0), (5, 3.0)], 0, 10)
    StepCurve(path='M0.0 160.0 H300.0 V0.0 H600.0', zero=None, lowest=1.0, highest=3.0)
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
    return StepCurve(f"{path} H{across(last)}", zero, lowest, highest)
