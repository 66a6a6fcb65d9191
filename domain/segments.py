"""Segments: the four parts into which the 1-5 score is cut."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fivefold.domain.errors import ConfigError

SEGMENTS = ("low", "medium", "high", "top")
LOWEST_SCORE = 1.0
HIGHEST_SCORE = 5.0
DEFAULT_CUT_POINTS = (2.0, 3.0, 4.0)
_NAMES = np.asarray(SEGMENTS)


def check_cut_points(cut_points: Sequence[float]) -> tuple[float, float, float]:
    """Return *cut_points* as a tuple; ConfigError unless they are three, in ascending order, between 1 and 5.

    >>> check_cut_points([2, 3, 4])
    (2.0, 3.0, 4.0)
    """
    cuts = tuple(float(point) for point in cut_points)
    inside = all(LOWEST_SCORE < point < HIGHEST_SCORE for point in cuts)
    if len(cuts) != len(SEGMENTS) - 1 or not inside or not all(a < b for a, b in pairwise(cuts)):
        raise ConfigError(f"segment cut points are {list(cuts)}; they must be three rising scores between 1 and 5")
    return cuts[0], cuts[1], cuts[2]


def segments_of(scores: npt.NDArray[np.float64], cut_points: Sequence[float]) -> npt.NDArray[np.str_]:
    """Return the segment of each unrounded score; a score equal to a cut point is in the upper segment.

    >>> segments_of(np.array([1.0, 2.0, 3.99, 5.0]), DEFAULT_CUT_POINTS).tolist()
    ['low', 'medium', 'high', 'top']
    """
    return _NAMES[np.asarray(cut_points, dtype=np.float64).searchsorted(scores, side="right")]


def segment_of(score: float, cut_points: Sequence[float]) -> str:
    """Return the segment of one unrounded score, as `segments_of` does.

    >>> segment_of(2.0, DEFAULT_CUT_POINTS)
    'medium'
    """
    return SEGMENTS[bisect_right(cut_points, score)]


def rounded_score(score: float, segment: str, cut_points: Sequence[float]) -> float:
    """Round a score to two decimals, but never across a cut point: 3.997 is "high" and must not become 4.00.

    >>> rounded_score(4.354, "top", DEFAULT_CUT_POINTS), rounded_score(3.997, "high", DEFAULT_CUT_POINTS)
    (4.35, 3.99)
    """
    near = round(score, 2)
    if segment_of(near, cut_points) == segment:
        return near
    return round(near - 0.01 if near > score else near + 0.01, 2)


def score_text(score: float, cut_points: Sequence[float] = DEFAULT_CUT_POINTS) -> str:
    """Write a score for people, with two decimals, never rounded across a cut point.

    >>> score_text(4.2), score_text(3.997), score_text(4.0)
    ('4.20', '3.99', '4.00')
    """
    return f"{rounded_score(score, segment_of(score, cut_points), cut_points):.2f}"
