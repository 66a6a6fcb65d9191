"""Cutting scores into segments."""

from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError
from fivefold.domain.segments import DEFAULT_CUT_POINTS, SEGMENTS, check_cut_points, segments_of

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
