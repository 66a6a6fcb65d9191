"""The measures of validation, each defined once: Gini, capture, misses, shares, drift, overrides.

Validations of files and of the platform use the same measures, with their own rows as arrays or counts. The ranking
itself, and its intervals, are in `ranking`.
"""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TypeVar

import numpy as np

from fivefold.features.histories import Floats, Integers
from fivefold.models.drift import LEAST_CUSTOMERS, stability_index, stability_verdict
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, Marks, Numbers, rank, share

CURVE_POINTS = 200

TOP_LEVELS = 2
"""Number of upper levels, in which confirmed cases should be."""

NO_LEVEL = "(no level)"

LEAST_CONFIRMED = 50
"""With fewer confirmed entities, or decided alerts, there is no verdict, and the platform shows no figure."""

MEASURED, TOO_FEW = "measured", "too few"

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure with its 95 % interval; without either where it would rest on too few.

    Attributes:
        of: how many it is based on.
        answer: measured, or too few.
    """

    of: int
    answer: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> ConfidenceInterval | None:
        """The figure as an interval; None if it would be based on too few."""
        if self.answer != MEASURED or self.estimate is None or self.low is None or self.high is None:
            return None
        return ConfidenceInterval(self.estimate, self.low, self.high)


def measure_of(interval: ConfidenceInterval | None, of: int, enough: bool) -> Measure:
    """Return a figure, or the answer that it would be based on too few."""
    if interval is None or not enough:
        return Measure(of=of, answer=TOO_FEW)
    return Measure(of=of, answer=MEASURED, estimate=interval.estimate, low=interval.low, high=interval.high)


def share_measure(hits: int, of: int) -> Measure:
    """Measure a share: of the confirmed (captured, missed), or of alerts with an outcome (conversion)."""
    return measure_of(share(hits, of), of, of >= LEAST_CONFIRMED)


def gini_measure(score: Numbers, confirmed: Marks, resamples: int) -> Measure:
    """Measure the Gini of n scores; it needs enough confirmed entities, and as many others."""
    hits = int(confirmed.sum())
    enough = min(hits, len(confirmed) - hits) >= LEAST_CONFIRMED
    return measure_of(rank(score, confirmed, resamples=resamples).gini if enough else None, hits, enough)


def answer_by_interval(interval: ConfidenceInterval, answer: Callable[[float], Answer]) -> tuple[Answer, bool]:
    """Compare an estimate with a limit; also return whether both ends of the interval give the same answer.

    >>> answer_by_interval(ConfidenceInterval(0.7, 0.55, 0.8), lambda gini: gini < 0.6)
    (False, False)
    """
    answers = [answer(value) for value in (interval.estimate, interval.low, interval.high)]
    return answers[0], len(set(answers)) == 1


def in_top_levels(level: Integers, levels: int, top: int = TOP_LEVELS) -> Marks:
    """Mark the entities in the upper levels.

    Args:
        level: n numbers from 1 (lowest), 0 for entities without a level.
        levels: the number of levels, more than *top*.
        top: the number of upper levels.
    """
    return level > levels - top


def possible_capture(in_top: int, confirmed: int) -> float:
    """Return the share of the confirmed for which the upper levels have room, from how many are in them and confirmed.

    >>> possible_capture(44, 55)  # computed from shares, as 0.44 / 0.55, it would be a little less than four fifths
    0.8
    """
    return min(1.0, in_top / confirmed)


@dataclass(frozen=True, kw_only=True)
class Capture:
    """The share of the confirmed in the top levels.

    Attributes:
        top: the names of these levels, lowest first.
        top_share: their share of the portfolio.
        prevalence: the confirmed as a share of the portfolio.
        captured: the share of the confirmed that is in them.
        possible: the largest possible share, min(1, top_share / prevalence): the levels cannot contain more.
        missed: the share of the confirmed that is below them, or in no level.
    """

    top: tuple[str, ...]
    top_share: float
    prevalence: float
    captured: ConfidenceInterval
    possible: float
    missed: ConfidenceInterval


def captured_share(level: Integers, confirmed: Marks, names: Sequence[str], top: int = TOP_LEVELS) -> Capture | None:
    """Measure the share of the confirmed in the top levels; None if no entity is confirmed.

    >>> level, confirmed = np.array([1, 1, 2, 3]), np.array([True, False, False, True])
    >>> capture = captured_share(level, confirmed, ["low", "medium", "high"], 1)
    >>> (capture.captured.estimate, capture.possible)
    (0.5, 0.5)
    """
    count = int(confirmed.sum())
    inside = in_top_levels(level, len(names), top)
    captured, missed = (share(int((side & confirmed).sum()), count) for side in (inside, ~inside))
    if captured is None or missed is None:
        return None
    return Capture(
        top=tuple(names[-top:]),
        top_share=float(inside.mean()),
        prevalence=float(np.mean(confirmed)),
        captured=captured,
        possible=possible_capture(int(inside.sum()), count),
        missed=missed,
    )


@dataclass(frozen=True, kw_only=True)
class LevelRow:
    """The entities of one level.

    Attributes:
        level: its name, or the name for entities without a level.
        entities: how many are in it.
        share: their share of the portfolio.
        confirmed: how many of them are confirmed.
        rate: the share of them that is confirmed; None for an empty level.
        of_confirmed: the share of all confirmed that is in it; None if no entity is confirmed.
    """

    level: str
    entities: int
    _: KW_ONLY
    share: float
    confirmed: int
    rate: ConfidenceInterval | None
    of_confirmed: ConfidenceInterval | None


def level_rows(level: Integers, confirmed: Marks, names: Sequence[str]) -> tuple[LevelRow, ...]:
    """Count the entities of every level: *level* has n numbers from 1 (lowest), 0 for those without one."""
    rows = [_row(name, level == number, confirmed) for number, name in enumerate(names, 1)]
    return (*rows, *([_row(NO_LEVEL, level == 0, confirmed)] if (level == 0).any() else []))


def _row(name: str, included: Marks, confirmed: Marks) -> LevelRow:
    entities, hits = int(included.sum()), int((included & confirmed).sum())
    return LevelRow(
        level=name,
        entities=entities,
        share=entities / len(included),
        confirmed=hits,
        rate=share(hits, entities),
        of_confirmed=share(hits, int(confirmed.sum())),
    )


def capture_curve(score: Numbers, confirmed: Marks) -> list[tuple[float, float]]:
    """Return the shares of entities ranked first, each with their share of the confirmed; ties are one step.

    >>> capture_curve(np.array([1, 2, 2]), np.array([False, True, False]))
    [(0.0, 0.0), (0.6666666666666666, 1.0), (1.0, 1.0)]
    """
    _, place = np.unique(-score, return_inverse=True)
    everyone: Floats = np.cumsum(np.bincount(place)) / len(score)
    hits: Floats = np.cumsum(np.bincount(place, weights=confirmed)) / max(1, int(confirmed.sum()))
    places = np.unique(np.linspace(0, len(hits) - 1, min(CURVE_POINTS, len(hits))).round().astype(np.int64))
    return [(0.0, 0.0), *((float(everyone[at]), float(hits[at])) for at in places)]


@dataclass(frozen=True)
class Drift:
    """The drift of counts.

    Attributes:
        index: the population stability index; None if too few entities were counted, before or now.
        verdict: stable, moving, shifted or unknown.
    """

    index: float | None
    verdict: str


def drift_between(reference: Integers, counts: Integers) -> Drift:
    """Compare counts of the same buckets (levels, outcomes or tenths) in a reference period and now."""
    enough = reference.sum() >= LEAST_CUSTOMERS  # a small reference shows as little as a small present
    index = stability_index(reference, counts) if enough else None
    return Drift(index, stability_verdict(index))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of tests that are judged together, in their order.

    A rule is kept or dropped by its verdict, needed or idle. So the chance that any of these verdicts is wrong is kept
    below the limit, however the rules depend on each other through their common total. Source: Holm, "A simple
    sequentially rejective multiple test procedure" (1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(p_values), 0.0
    for place, number in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[number]))
        adjusted[number] = highest
    return adjusted


def above_cap(downward: int, with_level: int, cap_percent: int) -> bool:
    """Check whether more of the entities with a level have a downward override than the cap allows."""
    return downward * 100 > cap_percent * with_level
