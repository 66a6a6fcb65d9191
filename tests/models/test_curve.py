"""The score curve against its definition in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fivefold.domain.errors import NotEnoughDataError
from fivefold.models.curve import ScoreCurve

Money = st.one_of(
    st.floats(0, 1e15),
    st.integers(0, 5).map(float),  # ties
    st.sampled_from([0.0, 5e-324, 1e-300, 1.0, float(np.nextafter(1.0, 2.0)), 1e15]),
)
Portfolio = st.lists(Money, min_size=1, max_size=30)


def share_below_and_half_equal(reference: list[float], money: float) -> Fraction:
    below = sum(other < money for other in reference)
    equal = sum(other == money for other in reference)
    return Fraction(2 * below + equal, 2 * len(reference))


def percentile(reference: list[float], money: float) -> Fraction:
    """The definition of the design page, word for word."""
    distinct = sorted(set(reference))
    if money <= distinct[0]:
        return share_below_and_half_equal(reference, distinct[0])
    if money >= distinct[-1]:
        return share_below_and_half_equal(reference, distinct[-1])
    above = next(value for value in distinct if value >= money)
    below = max(value for value in distinct if value <= money)
    low, high = (share_below_and_half_equal(reference, value) for value in (below, above))
    if above == below:
        return low
    return low + (high - low) * (Fraction(money) - Fraction(below)) / (Fraction(above) - Fraction(below))


@given(Portfolio, st.lists(Money, min_size=1, max_size=10))
@example([0.0, 5e-324], [0.0, 5e-324])
def test_the_percentile_is_what_the_design_defines(reference: list[float], money: list[float]) -> None:
    curve = ScoreCurve.of(np.array(reference))
    found = curve.percentile(np.array(money + reference))
    wanted = [float(percentile(reference, one)) for one in money + reference]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@given(Portfolio, st.lists(Money, min_size=1, max_size=10))
def test_customers_below_and_equal_are_counted(reference: list[float], money: list[float]) -> None:
    curve = ScoreCurve.of(np.array(reference))
    for one in money + reference:
        below, equal = sum(other < one for other in reference), reference.count(one)
        assert curve.below_and_equal(one) == (below, equal)
        if equal:
            assert curve.share_below(float(curve.percentile(np.array([one]))[0])) == below / len(reference)


@given(Portfolio, st.lists(Money, min_size=2, max_size=20))
def test_more_money_never_scores_less(reference: list[float], money: list[float]) -> None:
    scores = ScoreCurve.of(np.array(reference)).score(np.array(sorted(money)))
    assert (np.diff(scores) >= 0).all()
    assert ((scores >= 1) & (scores <= 5)).all()


@given(Portfolio)
def test_the_order_of_the_portfolio_does_not_matter_and_its_mean_percentile_is_a_half(reference: list[float]) -> None:
    curve, turned = ScoreCurve.of(np.array(reference)), ScoreCurve.of(np.array(reference[::-1]))
    assert curve.values.tobytes() == turned.values.tobytes()
    assert curve.percentiles.tobytes() == turned.percentiles.tobytes()
    assert curve.customers == len(reference)
    assert abs(curve.percentile(np.array(reference)).mean() - 0.5) < 1e-12


def test_one_customer_stands_in_the_middle_whatever_is_asked() -> None:
    curve = ScoreCurve.of(np.array([7.0]))
    assert curve.score(np.array([0.0, 7.0, 1e15])).tolist() == [3.0, 3.0, 3.0]


def test_equal_customers_all_stand_in_the_middle() -> None:
    curve = ScoreCurve.of(np.full(1000, 7.0))
    assert curve.values.tolist() == [7.0]
    assert curve.score(np.array([6.0, 7.0, 8.0])).tolist() == [3.0, 3.0, 3.0]


def test_outside_the_portfolio_the_end_values_hold() -> None:
    curve = ScoreCurve.of(np.array([10.0, 20.0, 30.0, 40.0]))
    assert curve.score(np.array([0.0, 10.0])).tolist() == [1.5, 1.5]
    assert curve.score(np.array([40.0, 1e15])).tolist() == [4.5, 4.5]


def test_between_two_customers_it_is_linear() -> None:
    curve = ScoreCurve.of(np.array([10.0, 20.0]))
    assert curve.percentile(np.array([12.5, 15.0, 17.5])).tolist() == [0.375, 0.5, 0.625]
    assert curve.percentile(np.array([15])).tolist() == [0.5]
    by_column = np.array([[12.5, 15.0], [17.5, 20.0]]).T
    assert curve.percentile(by_column).tolist() == [[0.375, 0.625], [0.5, 0.75]], "as partial dependence asks"


def test_a_portfolio_without_customers_is_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="no customers"):
        ScoreCurve.of(np.empty(0))
