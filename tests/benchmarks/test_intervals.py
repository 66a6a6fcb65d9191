"""Forms of the interval and their score, and the bound on what a ranking can reach."""

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.value.interval_forms import FORMS, Predicted, figures, followed, measured, winkler
from benchmarks.value.oracle import level_figures
from fivefold.models.certainty.intervals import Ends
from fivefold.training.config import TrainingConfig


def windows(shift: tuple[float, ...]) -> Iterator[Predicted]:
    """Windows of the same customers, in which all are worth so many times what was predicted, and chance."""
    random = np.random.default_rng(2)
    for times in shift:
        predicted, consistency = random.lognormal(3.0, 1.0, 4_000), random.random(4_000)
        realised = times * predicted * random.lognormal(0.0, 0.2 + 0.6 * (1 - consistency))
        yield Predicted(predicted, realised, consistency)


def test_parts_by_consistency_hold_the_same_of_the_least_consistent_and_are_scored_better() -> None:
    asked, *earlier = windows((1.0,) * 3)
    found = {name: figures(FORMS[name], earlier, asked, TrainingConfig()) for name in FORMS}
    for one in found.values():
        assert one["all"] == pytest.approx(0.8, abs=0.03)
    plain, parted = found["tenths, 2 windows"], found["tenths × fifths, 2 windows"]
    assert plain["fifth 1"] < 0.7 < plain["fifth 5"]
    assert parted["fifth 1"] == pytest.approx(0.8, abs=0.05)
    assert parted["fifth 5"] == pytest.approx(0.8, abs=0.05)
    assert parted["score"] < plain["score"]


def test_a_level_that_is_followed_rises_after_a_window_of_which_too_little_was_held() -> None:
    asked, *earlier = windows((1.5, 1.5, 1.0, 1.0))
    width = {
        name: (form(earlier, asked)[0].high - form(earlier, asked)[0].low).mean()
        for name, form in (("still", measured(3, 5, 1)), ("followed", followed(3, 5, 1)))
    }
    assert width["followed"] > width["still"]


def test_an_interval_is_scored_by_its_width_and_by_how_far_it_misses() -> None:
    ends = Ends(np.array([1.0, 1.0, 1.0]), np.array([3.0, 3.0, 3.0]))
    assert winkler(ends, np.array([2.0, 0.0, 3.5])) == pytest.approx([2.0, 12.0, 7.0])


def test_who_knows_every_level_is_bounded_by_what_months_do() -> None:
    level = np.linspace(1.0, 100.0, 500)
    steady = level_figures(np.column_stack([level] * 3), seed=1, draws=20)
    assert steady == pytest.approx({"gini": 1.0, "capture": 1.0})
    random = np.random.default_rng(5)
    little, much = (
        level_figures(level[:, None] * random.lognormal(0.0, spread, (500, 3)), seed=1, draws=20)
        for spread in (0.2, 1.0)
    )
    assert 0.3 < much["gini"] < little["gini"] < 1.0
