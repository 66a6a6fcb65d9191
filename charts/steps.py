"""The steps of a waterfall: what a breakdown shows, from its base to its total."""

from dataclasses import dataclass
from math import fsum

from fivefold.charts.text.numbers import one_line, value_text
from fivefold.domain.breakdown import Breakdown, Contribution
from fivefold.domain.errors import ConfigError
from fivefold.domain.segments import HIGHEST_SCORE, LOWEST_SCORE

SCORE_AXIS = (LOWEST_SCORE, HIGHEST_SCORE)
MOST_STEPS = 12
"""As many as a person takes in at a glance; the others are summed."""


@dataclass(frozen=True)
class Step:
    """One bar of a waterfall.

    Attributes:
        label: the contribution's label, or its name where it has none.
        start: where the bar begins, in points: the end of the step before, or the base.
        end: where the bar ends, in points.
        points: what was added; negative where it was taken away.
        seen: the indicator's value with its unit; empty for a sum of several.
    """

    label: str
    start: float
    end: float
    points: float
    seen: str = ""


def waterfall_steps(breakdown: Breakdown, most: int = MOST_STEPS) -> list[Step]:
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
        raise ConfigError(f"a waterfall of at most {most} contributions was asked for; at least 1 is possible")
    ordered = breakdown.largest_first()
    ends = [fsum((breakdown.base, *(part.points for part in ordered[:count]))) for count in _counts(ordered, most)]
    starts = [breakdown.base, *ends]
    steps = [
        Step(_label(part), start, end, part.points, value_text(part))
        for part, start, end in zip(ordered[:most], starts, ends, strict=False)
    ]
    rest = ordered[most:]
    if rest:
        steps.append(_others(rest, starts[most], ends[most]))
    return steps


def axis_around(base: float, steps: list[Step], axis: tuple[float, float]) -> tuple[float, float]:
    """Widen *axis* where a step lies outside: a total within 1-5 may be reached by way of 5.3.

    >>> axis_around(4.5, [Step("a", 4.5, 5.3, 0.8)], SCORE_AXIS)
    (1.0, 5.3)
    """
    places = (base, *(step.end for step in steps), *axis)
    return min(places), max(places)


def decimals_of(breakdown: Breakdown) -> int:
    """Tell how many decimals the points need: none where all of them are whole, as in a ruleset.

    >>> decimals_of(Breakdown(base=20.0, contributions=()))
    0
    """
    numbers = (breakdown.base, *(part.points for part in breakdown.contributions))
    return 0 if all(number == round(number) for number in numbers) else 2


def _counts(ordered: tuple[Contribution, ...], most: int) -> list[int]:
    """How many contributions have been added at the end of each step."""
    alone = list(range(1, min(most, len(ordered)) + 1))
    return [*alone, len(ordered)] if len(ordered) > most else alone


def _label(part: Contribution) -> str:
    return one_line(part.label) or one_line(part.name)


def _others(rest: tuple[Contribution, ...], start: float, end: float) -> Step:
    label = f"{len(rest)} {'other' if len(rest) == 1 else 'others'}"
    return Step(label, start, end, fsum(part.points for part in rest))
