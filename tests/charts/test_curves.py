"""Curves of rankings: every share has its place, and the best lies first."""

from hypothesis import given
from hypothesis import strategies as st

from fivefold.charts.series import (
    CHANCE,
    CURVE_HEIGHT,
    CURVE_WIDTH,
    POINTS_DRAWN,
    at_even_distances,
    ranked_curves,
)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=101).map(sorted))
def test_a_curve_has_a_point_for_each_share_in_the_plot(held: list[float]) -> None:
    curve, chance = ranked_curves({"model": at_even_distances(held)})
    places = [tuple(map(float, point.split(","))) for point in curve.points.split(" ")]
    assert chance.name == CHANCE
    assert len(places) == len(held)
    assert places[0][0] == 0
    for (x, y), share in zip(places, held, strict=True):
        assert 0 <= x <= CURVE_WIDTH
        assert abs(y - CURVE_HEIGHT * (1 - share)) <= 0.051


def test_the_best_is_first_and_looks_stay_with_the_rank_of_rivals() -> None:
    steep = {"rfm": 0.6, "model": 0.3, "perfect": 0.2, "champion": 0.4}
    shares = [place / 100 for place in range(101)]
    ranked = ranked_curves({name: at_even_distances([x**power for x in shares]) for name, power in steep.items()})
    assert [(curve.name, curve.look) for curve in ranked] == [
        ("perfect", "perfect"),
        ("model", "model"),
        ("champion", "rival-0"),
        ("rfm", "rival-1"),
        (CHANCE, "chance"),
    ]


@given(st.integers(1, 5000))
def test_a_long_curve_is_thinned_and_keeps_both_ends(points: int) -> None:
    shares = at_even_distances([place / points for place in range(points + 1)])
    curve, _ = ranked_curves({"model": shares})
    assert (curve.shares[0], curve.shares[-1]) == (shares[0], shares[-1])
    assert len(curve.shares) <= 2 * POINTS_DRAWN + 1
    assert len(set(curve.shares)) == len(curve.shares)
