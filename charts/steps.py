"""The waterfall in numbers alone: the rows that lead from a base to a total, and their positions on the axis.

The terminal, pages, PDFs and Altair draw from here: none of them orders, sums or places anything itself.
"""

from dataclasses import dataclass, replace
from math import fsum
from typing import Literal

from fivefold.charts.text.numbers import one_line, signed_points, value_text
from fivefold.domain.breakdown import Breakdown, Contribution, TotalInterval
from fivefold.domain.errors import ConfigError
from fivefold.domain.segments import HIGHEST_SCORE, LOWEST_SCORE, score_text

SCORE_AXIS = (LOWEST_SCORE, HIGHEST_SCORE)
MOST_STEPS = 12
"""As many as a person can read at a glance; the others are summed."""


@dataclass(frozen=True)
class WaterfallBar:
    """One bar of a waterfall.

    Attributes:
        label: the contribution's label, or its name if it has none.
        start: where the bar begins, in points: the end of the step before, or the base.
        end: where the bar ends, in points.
        points: what is added; negative if it lowers the total.
        seen: the indicator's value with its unit; empty for a sum of several.
    """

    label: str
    start: float
    end: float
    points: float
    seen: str = ""


@dataclass(frozen=True, kw_only=True)
class WaterfallRow:
    """One row of a waterfall.

    Attributes:
        label: of the row, on one line.
        seen: the indicator's value with its unit; empty for a sum, the base and the total.
        number: the points as text, with their sign; the base or the total without one, unless it is negative.
        start: where the bar begins, in points.
        end: where it leads to, in points: the next one begins there.
        kind: whole (the base, or the total), up or down, or the interval of the total.
        is_open: how far it reaches beyond the axis is not known.
    """

    label: str
    seen: str
    number: str
    start: float
    end: float
    kind: Literal["whole", "up", "down", "interval"]
    is_open: bool = False


@dataclass(frozen=True)
class WaterfallPlot:
    """A waterfall on an axis from the lowest to the highest points.

    Attributes:
        rows: the base first, the total last.
        interval: of the total, below it; None where there is none.
    """

    rows: tuple[WaterfallRow, ...]
    lowest: float
    highest: float
    interval: WaterfallRow | None = None

    @property
    def drawn(self) -> tuple[WaterfallRow, ...]:
        """Every row, from the top."""
        return self.rows if self.interval is None else (*self.rows, self.interval)

    def place(self, points: float) -> float:
        """Return the position of points on the axis: 0 at its low end, 1 at its high end."""
        return (points - self.lowest) / ((self.highest - self.lowest) or 1.0)


def waterfall_plot(
    breakdown: Breakdown,
    *,
    base_label: str = "starting point",
    total_label: str = "score",
    axis: tuple[float, float] = SCORE_AXIS,
    origin: float | None = None,
    most: int = MOST_STEPS,
    interval: TotalInterval | None = None,
    decimals: int | None = None,
) -> WaterfallPlot:
    """Lay a breakdown out as rows, from its base to its total.

    Args:
        breakdown: the breakdown to show; its points are in the unit of its total.
        base_label: the name of the base.
        total_label: the name of the total.
        axis: the lowest and the highest possible total; widened if a bar lies outside.
        origin: where the bars of base and total begin, in points; by default the low end of *axis*.
        most: how many contributions get a row of their own, at least 1; the rest is summed in one.
        interval: of the total; the axis is widened where it lies outside.
        decimals: of each number; by default as many as `decimals_of` says.

    Raises:
        ConfigError: *most* is below 1.

    >>> plot = waterfall_plot(Breakdown(2.0, ()), base_label="base", total_label="total", axis=(1.0, 5.0))
    >>> [(row.label, row.number, plot.place(row.start), plot.place(row.end)) for row in plot.rows]
    [('base', '2', 0.0, 0.25), ('total', '2', 0.0, 0.25)]
    """
    steps = waterfall_steps(breakdown, most)
    decimals = decimals_of(breakdown) if decimals is None else decimals
    begin = axis[0] if origin is None else origin

    def whole(label: str, points: float) -> WaterfallRow:
        number = f"{points:z,.{decimals}f}"
        return WaterfallRow(label=one_line(label), seen="", number=number, start=begin, end=points, kind="whole")

    rows = [whole(base_label, breakdown.base)]
    rows += [
        WaterfallRow(
            label=step.label,
            seen=step.seen,
            number=signed_points(step.points, decimals),
            start=step.start,
            end=step.end,
            kind="down" if step.points < 0 else "up",
        )
        for step in steps
    ]
    lowest, highest = axis_around(breakdown.base, steps, axis)
    rows.append(whole(total_label, breakdown.total))
    if breakdown.cut_points:
        rows[-1] = replace(rows[-1], number=score_text(breakdown.total, breakdown.cut_points))
    places = (lowest, highest, begin, *_ends(interval))
    lowest, highest = min(places), max(places)
    below = None if interval is None else _interval_row(interval, highest, decimals)
    return WaterfallPlot(tuple(rows), lowest, highest, below)


def _ends(interval: TotalInterval | None) -> tuple[float, ...]:
    if interval is None:
        return ()
    return (interval.low,) if interval.high is None else (interval.low, interval.high)


def _interval_row(interval: TotalInterval, highest: float, decimals: int) -> WaterfallRow:
    """Lay an interval out; one whose high end is not known reaches to the end of the axis."""
    low = f"{interval.low:z,.{decimals}f}"
    return WaterfallRow(
        label=f"interval, {interval.level_percent} % sure",
        seen="",
        number=f"{low} or more" if interval.high is None else f"{low} to {interval.high:z,.{decimals}f}",
        start=interval.low,
        end=highest if interval.high is None else interval.high,
        kind="interval",
        is_open=interval.high is None,
    )


def waterfall_steps(breakdown: Breakdown, most: int = MOST_STEPS) -> list[WaterfallBar]:
    """Walk from the base to the total: the largest effects first, the rest summed in one last step.

    Each step starts exactly where the one before ended, and the last ends exactly at the total, since
    every end is the correctly rounded sum (`fsum`) of all that came before it.

    Args:
        breakdown: what is to be shown.
        most: how many contributions get a step of their own, at least 1.

    Returns:
        At most *most* + 1 steps; none where there are no contributions.

    Raises:
        ConfigError: *most* is below 1.

    >>> parts = tuple(Contribution(name, "", 1.0, "", points, "") for name, points in [("a", 1.0), ("b", -2.0)])
    >>> [(step.label, step.start, step.end) for step in waterfall_steps(Breakdown(3.0, parts))]
    [('b', 3.0, 1.0), ('a', 1.0, 2.0)]
    """
    if most < 1:
        raise ConfigError(f"a waterfall of at most {most} contributions was requested; at least 1 is possible")
    by_effect = breakdown.largest_first()
    ends = [fsum((breakdown.base, *(part.points for part in by_effect[:count]))) for count in _counts(by_effect, most)]
    starts = [breakdown.base, *ends]
    steps = [
        WaterfallBar(_label(part), start, end, part.points, value_text(part))
        for part, start, end in zip(by_effect[:most], starts, ends, strict=False)
    ]
    rest = by_effect[most:]
    if rest:
        steps.append(_others(rest, starts[most], ends[most]))
    return steps


def axis_around(base: float, steps: list[WaterfallBar], axis: tuple[float, float]) -> tuple[float, float]:
    """Widen *axis* where a step lies outside: a total within 1-5 may be reached by way of 5.3.

    >>> axis_around(4.5, [WaterfallBar("a", 4.5, 5.3, 0.8)], SCORE_AXIS)
    (1.0, 5.3)
    """
    places = (base, *(step.end for step in steps), *axis)
    return min(places), max(places)


def decimals_of(breakdown: Breakdown) -> int:
    """Return how many decimals the points need: none where all of them are whole, as in a ruleset.

    >>> decimals_of(Breakdown(base=20.0, contributions=()))
    0
    """
    numbers = (breakdown.base, *(part.points for part in breakdown.contributions))
    return 0 if all(number == round(number) for number in numbers) else 2


def _counts(contributions: tuple[Contribution, ...], most: int) -> list[int]:
    """How many contributions have been added at the end of each step."""
    alone = list(range(1, min(most, len(contributions)) + 1))
    return [*alone, len(contributions)] if len(contributions) > most else alone


def _label(part: Contribution) -> str:
    return one_line(part.label) or one_line(part.name)


def _others(rest: tuple[Contribution, ...], start: float, end: float) -> WaterfallBar:
    label = f"{len(rest)} {'other' if len(rest) == 1 else 'others'}"
    return WaterfallBar(label, start, end, fsum(part.points for part in rest))
