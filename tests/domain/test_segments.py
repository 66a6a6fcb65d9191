"""Cutting scores into segments."""

from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError
from fivefold.domain.segments import (
    DEFAULT_CUT_POINTS,
    SEGMENTS,
    check_cut_points,
    rounded_score,
    segment_of,
    segments_of,
)

cut_points = st.lists(st.floats(1, 5, exclude_min=True, exclude_max=True), min_size=3, max_size=3, unique=True).map(
    sorted
)


@given(cut_points, st.lists(st.floats(1, 5), max_size=20))
def test_a_segment_goes_from_its_cut_point_up_to_the_next(cuts: list[float], scores: list[float]) -> None:
    named = segments_of(np.array(scores), check_cut_points(cuts)).tolist()
    assert named == [SEGMENTS[sum(score >= cut for cut in cuts)] for score in scores]


def test_a_score_on_a_cut_point_is_in_the_upper_segment() -> None:
    scores = [1.0, np.nextafter(2, 1), 2.0, 3.0, np.nextafter(4, 1), 4.0, 5.0]
    assert segments_of(np.array(scores), DEFAULT_CUT_POINTS).tolist() == [
        *["low", "low", "medium"],
        *["high", "high", "top", "top"],
    ]


@given(st.tuples(st.integers(1_001, 1_999), st.integers(2_020, 2_999), st.integers(3_020, 3_999)), st.data())
def test_a_rounded_score_stays_in_its_segment_on_either_side_of_a_cut_point(
    thousandths: tuple[int, int, int], data: st.DataObject
) -> None:
    """A cut point may have more decimals than a score that is shown: 3.0042 is above 3.004, and 3.00 is below it."""
    cuts = [number / 1_000 for number in thousandths]
    score = data.draw(st.sampled_from(cuts)) + data.draw(st.integers(-60, 60)) / 10_000
    segment = segment_of(score, cuts)
    shown = rounded_score(score, segment, cuts)
    assert segment_of(shown, cuts) == segment
    assert shown == round(shown, 2)
    assert abs(shown - score) < 0.01
    if segment_of(round(score, 2), cuts) == segment:
        assert shown == round(score, 2)


def test_a_score_is_rounded_into_its_segment_from_below_and_from_above() -> None:
    cuts = (2.0, 3.004, 4.0)
    assert rounded_score(3.0042, "high", cuts) == 3.01
    assert rounded_score(3.0039, "medium", cuts) == 3.0
    assert rounded_score(3.9967, "high", cuts) == 3.99


@pytest.mark.parametrize(
    "cuts",
    [(), (2,), (2, 3), (2, 3, 4, 4.5), (3, 2, 4), (2, 2, 3), (1, 2, 3), (2, 3, 5), (0, 2, 3), (2, nan, 4), (nan,) * 3],
)
def test_other_cut_points_are_refused(cuts: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="they must be three rising scores between 1 and 5"):
        check_cut_points(cuts)


@given(cut_points)
def test_good_cut_points_are_given_back(cuts: list[float]) -> None:
    assert check_cut_points(cuts) == tuple(cuts)
