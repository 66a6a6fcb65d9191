"""Corrections of money by an earlier window: each gives back what the earlier window was worth, where nothing moved."""

import numpy as np
import pytest

from benchmarks.value.money import CORRECTIONS


def test_one_factor_is_realised_over_predicted_of_the_earlier_window() -> None:
    before, realised, asked = np.array([1.0, 3.0]), np.array([2.0, 0.0]), np.array([10.0, 20.0])
    assert CORRECTIONS["one factor"](before, realised, asked) == pytest.approx([5.0, 10.0])


@pytest.mark.parametrize("correction", sorted(set(CORRECTIONS) - {"as it is"}))
def test_the_earlier_window_itself_is_worth_what_it_was(correction: str) -> None:
    random = np.random.default_rng(3)
    before = random.gamma(2, 10, size=500)
    realised = before * random.choice([0.0, 1.6], size=500)
    assert CORRECTIONS[correction](before, realised, before).sum() == pytest.approx(realised.sum())


def test_tenths_have_a_factor_each_and_a_tenth_without_predicted_money_keeps_it() -> None:
    before = np.concatenate([np.zeros(10), np.arange(1.0, 91.0)])
    realised = np.where(before > 80, before * 2, before * 0.5)
    money = CORRECTIONS["tenths"](before, realised, np.array([0.0, 40.0, 90.0]))
    assert money == pytest.approx([0.0, 20.0, 180.0])
