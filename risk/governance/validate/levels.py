"""Levels against labels: how many of the confirmed are where they should be, and how many could be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fivefold.features.histories import Integers
from fivefold.risk.governance.validate.ranking import Marks, RankingInterval, share

TOP_LEVELS = 2
"""Where confirmed cases should be."""


@dataclass(frozen=True)
class LevelRow:
    """One level.

    Attributes:
        level: its name; or what entities without a level are called.
        entities: how many are in it.
        share: of the portfolio.
        confirmed: how many of them are confirmed.
        rate: the share of them that is confirmed; None for an empty level.
    """

    level: str
    entities: int
    share: float
    confirmed: int
    rate: RankingInterval | None


@dataclass(frozen=True)
class Capture:
    """How many of the confirmed are in the top levels.

    Attributes:
        top: the names of these levels, lowest first.
        top_share: their share of the portfolio.
        prevalence: the confirmed as a share of the portfolio.
        captured: the share of the confirmed that is in them.
        possible: what arithmetic allows, min(1, top_share / prevalence): they cannot hold more than they have room.
        missed: the share of the confirmed that is below them, or in no level.
    """

    top: tuple[str, ...]
    top_share: float
    prevalence: float
    captured: RankingInterval
    possible: float
    missed: RankingInterval


NO_LEVEL = "(no level)"


def level_rows(level: Integers, confirmed: Marks, names: Sequence[str]) -> tuple[LevelRow, ...]:
    """Count every level: *level* has n numbers from 1 (lowest), 0 for those who have none."""
    rows = [_row(name, level == number, confirmed) for number, name in enumerate(names, 1)]
    return (*rows, *([_row(NO_LEVEL, level == 0, confirmed)] if (level == 0).any() else []))


def _row(name: str, included: Marks, confirmed: Marks) -> LevelRow:
    entities, hits = int(included.sum()), int((included & confirmed).sum())
    return LevelRow(name, entities, entities / len(included), hits, share(hits, entities))


def captured_share(level: Integers, confirmed: Marks, names: Sequence[str], top: int = TOP_LEVELS) -> Capture | None:
    """Measure what the top levels hold; None where nobody is confirmed.

    >>> level, confirmed = np.array([1, 1, 2, 3]), np.array([True, False, False, True])
    >>> capture = captured_share(level, confirmed, ["low", "medium", "high"], 1)
    >>> (capture.captured.estimate, capture.possible)
    (0.5, 0.5)
    """
    count = int(confirmed.sum())
    inside = level > len(names) - top
    captured, missed = (share(int((side & confirmed).sum()), count) for side in (inside, ~inside))
    if captured is None or missed is None:
        return None
    top_share, prevalence = float(inside.mean()), float(np.mean(confirmed))
    possible = min(1.0, top_share / prevalence)
    return Capture(tuple(names[-top:]), top_share, prevalence, captured, possible, missed)
