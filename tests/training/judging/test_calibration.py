"""The bounds of the calibration error: a right model is hardly ever refused, and one that is far off is."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.features.histories import Floats
from fivefold.training.config import GateSettings
from fivefold.training.judging.bootstrap import Tenths, draws, resample
from fivefold.training.judging.metrics import (
    TenthsOff,
    calibration_error,
    calibration_table,
    least_difference,
    least_error,
)
from tests.depth import DEPTH

FULL = DEPTH != "quick"
SIZES = (1_000, 300, 5_000, 20_000) if FULL else (1_000,)
PORTFOLIOS = {"quick": 40, "full": 100, "soak": 200}[DEPTH]
DRAWS = 200
TAIL = 1.75
"""Standard deviation of the logarithm of what a customer is worth, about what is known of them: the tails are heavy."""
ERROR = 1.0 - GateSettings().confidence
ALLOWED = GateSettings().most_calibration_error


def portfolio(random: np.random.Generator, customers: int, tail: float = TAIL) -> tuple[Floats, Floats, Floats]:
    """Make up customers of whom two traits decide what they are worth on average.

    Gives what a model predicts that knows both traits, what one predicts that knows the first, both right on average,
    and what the customers came to be worth. A part of them is worth nothing.
    """
    first, second = random.normal(size=(2, customers))
    both = np.exp(0.8 * first + 0.6 * second)
    luck = np.exp(tail * random.normal(size=customers) - tail**2 / 2)
    return both, np.exp(0.8 * first + 0.18), both * luck * (random.random(customers) < 0.6) / 0.6


def tenths(predictions: dict[str, Floats], realised: Floats, seed: int) -> dict[str, TenthsOff]:
    """Give what `resample` gives, without the ranks."""
    drawn, once = list(draws(len(realised), seed, DRAWS)), np.ones(len(realised), dtype=np.uint16)
    groups = {name: Tenths(predicted, realised) for name, predicted in predictions.items()}
    return {name: TenthsOff(of.off(once), np.array([of.off(times) for times in drawn])) for name, of in groups.items()}


def share_of_portfolios(customers: int, judged: Callable[[np.random.Generator, int], bool]) -> float:
    random = np.random.default_rng(customers)
    found = [judged(random, seed) for seed in range(PORTFOLIOS if customers < 20_000 else PORTFOLIOS // 4)]
    return sum(found) / len(found)


def refused(customers: int, change: Callable[[Floats], Floats], tail: float = TAIL) -> float:
    """Give the share of portfolios in which a right model, changed, is surely off by more than is allowed."""

    def judged(random: np.random.Generator, seed: int) -> bool:
        right, _, realised = portfolio(random, customers, tail)
        return least_error(tenths({"model": change(right)}, realised, seed)["model"], ERROR) > ALLOWED

    return share_of_portfolios(customers, judged)


def worse(customers: int, mine: Callable[[Floats], Floats], theirs: Callable[[Floats, Floats], Floats]) -> float:
    """Give the share of portfolios in which a right model, changed, is surely further off than the champion."""

    def judged(random: np.random.Generator, seed: int) -> bool:
        right, coarse, realised = portfolio(random, customers)
        of = tenths({"model": mine(right), "champion": theirs(right, coarse)}, realised, seed)
        return least_difference(of["model"], of["champion"], ERROR) > 0

    return share_of_portfolios(customers, judged)


@pytest.mark.parametrize("customers", SIZES)
def test_a_right_model_is_refused_in_no_more_portfolios_than_the_error_allows(customers: int) -> None:
    assert refused(customers, lambda right: right) <= ERROR


@pytest.mark.parametrize("values", [1, 5, 20, 100])
@pytest.mark.parametrize("customers", SIZES)
def test_a_right_model_of_few_values_is_hardly_refused(customers: int, values: int) -> None:
    """Customers with equal predictions are worth different sums: a draw moves what they are worth on average."""

    def judged(random: np.random.Generator, seed: int) -> bool:
        right, _, realised = portfolio(random, customers)
        classes = np.searchsorted(np.quantile(right, np.arange(1, values) / values), right)
        means = np.bincount(classes, weights=right, minlength=values) / np.bincount(classes, minlength=values)
        return least_error(tenths({"model": means[classes]}, realised, seed)["model"], ERROR) > ALLOWED

    assert share_of_portfolios(customers, judged) <= ERROR


def test_draws_without_a_value_are_the_same_for_models_with_ties_and_without() -> None:
    random = np.random.default_rng(1)
    realised = np.zeros(200)
    realised[[3, 50, 170]] = 100.0, 40.0, 10.0
    two_values, all_differ = np.where(np.arange(200) < 20, 8.0, 1.0), random.random(200)
    of = tenths({"model": two_values, "champion": all_differ}, realised, 1)
    assert np.isnan(of["model"].drawn).any()
    assert (np.isnan(of["model"].drawn) == np.isnan(of["champion"].drawn)).all()
    assert np.isfinite(least_difference(of["model"], of["champion"], ERROR))


def test_the_draws_themselves_are_no_bound() -> None:
    """What the bound was before: a low quantile of the draws. It called most right models of a few customers off."""

    def judged(random: np.random.Generator, seed: int) -> bool:
        right, _, realised = portfolio(random, 1_000)
        found = tenths({"model": right}, realised, seed)["model"]
        return float(np.quantile(np.abs(found.drawn).sum(axis=1), ERROR)) > ALLOWED

    assert share_of_portfolios(1_000, judged) > 0.4


@pytest.mark.parametrize("customers", SIZES)
@pytest.mark.parametrize("times", [1.0 + ALLOWED, 1.0 - ALLOWED])
def test_a_model_that_is_off_by_what_is_allowed_is_hardly_refused(customers: int, times: float) -> None:
    """The true error is the one that is allowed. Of predictions that are too high so many are refused by heavy tails.

    A portfolio without its rarest customers looks further off, and its draws do not know of them.
    """
    assert refused(customers, lambda right: times * right) <= 3 * ERROR


FAR_OFF = [
    (1_000, 0.5, 1.0, 0.9),
    (1_000, 1.5, 1.0, 0.3),
    (1_000, 0.5, TAIL, 0.4),
    (5_000, 1.5, 1.0, 0.9),
    (5_000, 0.5, TAIL, 0.9),
    (5_000, 1.5, TAIL, 0.3),
    (20_000, 1.5, TAIL, 0.7),
    (20_000, 1.3, 1.0, 0.3),
    (20_000, 0.7, 1.0, 0.5),
]


@pytest.mark.parametrize(("customers", "times", "tail", "at_least"), [one for one in FAR_OFF if one[0] in SIZES])
def test_a_model_that_is_far_off_is_refused(customers: int, times: float, tail: float, at_least: float) -> None:
    assert refused(customers, lambda right: times * right, tail) >= at_least


def test_a_model_whose_tenths_are_off_is_refused_though_the_total_is_right() -> None:
    """All customers are predicted the mean, with a trace of their order: the tenths are off, the sum is not."""
    assert refused(1_000, lambda right: right.mean() + 1e-9 * right, tail=1.0) >= 0.9


RIVALS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "the same model": lambda right, _: right * np.exp(0.02 * np.sin(np.arange(len(right)))),
    "a right one that knows less": lambda _, coarse: coarse,
    "one that is too low by a tenth": lambda right, _: 0.9 * right,
    "one that is too high by a tenth": lambda right, _: 1.1 * right,
    "one that knows less and is too low": lambda _, coarse: 0.8 * coarse,
}


@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.parametrize("customers", SIZES)
def test_a_right_model_is_hardly_ever_surely_further_off_than_its_champion(rival: str, customers: int) -> None:
    assert worse(customers, lambda right: right, RIVALS[rival]) <= ERROR


FURTHER_OFF = [
    (1_000, 2.0, 0.1),
    (5_000, 2.0, 0.7),
    (5_000, 0.5, 0.5),
    (5_000, 1.5, 0.3),
    (20_000, 1.3, 0.3),
    (20_000, 0.7, 0.4),
]


@pytest.mark.parametrize(("customers", "times", "at_least"), [one for one in FURTHER_OFF if one[0] in SIZES])
def test_a_model_that_is_far_off_is_surely_further_off_than_a_right_champion(
    customers: int, times: float, at_least: float
) -> None:
    assert worse(customers, lambda right: times * right, lambda _, coarse: coarse) >= at_least


def test_the_bound_is_what_the_definition_says() -> None:
    """Two tenths, off by 0.3 and -0.1; every draw moves each by 0.05, once in one direction and once in two."""
    seen = np.array([0.3, -0.1])
    one = TenthsOff(seen, seen + np.array([[0.05, 0.05], [0.05, 0.05]]))
    two = TenthsOff(seen, seen + np.array([[0.05, -0.05], [-0.05, 0.05]]))
    assert least_error(one, ERROR) == pytest.approx(max(0.4 - 0.1, 0.2 - 0.1))
    assert least_error(two, ERROR) == pytest.approx(max(0.4 - 0.1, 0.2 - 0.0))
    high = TenthsOff(np.array([0.3, 0.1]), np.array([[0.3, 0.1], [0.4, 0.0]]))
    assert least_error(high, 2e-9) == pytest.approx(0.4)  # together they never move
    right = TenthsOff(np.array([0.0, 0.0]), np.array([[0.1, -0.1], [0.2, -0.2]]))
    assert least_error(right, ERROR) == 0.0


def test_a_rival_s_error_counts_with_what_chance_may_have_taken_from_it() -> None:
    mine = TenthsOff(np.array([0.5]), np.array([[0.6], [0.4]]))
    theirs = TenthsOff(
        np.array([-0.2]), np.array([[-0.1], [-0.3]])
    )  # 0.1 less in the first draw, 0.1 more in the other
    assert least_difference(mine, theirs, 2e-9) == pytest.approx(0.5 - 0.2 - (0.1 + 0.1))
    assert least_difference(mine, mine, 2e-9) == pytest.approx(-0.2)


def test_nothing_is_known_where_no_draw_has_a_value() -> None:
    nothing = tenths({"model": np.arange(20.0)}, np.zeros(20), 1)["model"]
    assert np.isnan(least_error(nothing, ERROR))
    assert np.isnan(least_difference(nothing, nothing, ERROR))


def test_draws_in_which_nobody_is_worth_anything_are_left_out() -> None:
    seen = np.array([0.3, 0.1])
    found = TenthsOff(seen, np.array([[0.3, 0.1], [np.nan, np.nan], [0.3, 0.1]]))
    assert least_error(found, ERROR) == pytest.approx(0.4)
    assert least_difference(found, found, ERROR) == pytest.approx(0.0)


@given(st.integers(0, 10_000), st.integers(11, 60))
def test_the_bound_is_never_above_the_error_that_is_reported(seed: int, customers: int) -> None:
    random = np.random.default_rng(seed)
    predicted, _, realised = portfolio(random, customers)
    found = resample({"model": predicted}, realised, draws(customers, seed, 20), money=("model",)).tenths["model"]
    reported = calibration_error(calibration_table(predicted, realised))
    assert found.error == pytest.approx(reported, rel=1e-9, nan_ok=True)
    assert np.isnan(reported) or 0 <= least_error(found, ERROR) <= reported + 1e-12
