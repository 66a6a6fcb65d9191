"""Predicted over realised money by tenth: the aim, and what draws of the customers say of it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.value.deciles import Tenth, ratios_of, summary, table, tenths_of
from fivefold.training.judging.bootstrap import TENTHS, Tenths


def window(realised: np.ndarray) -> Any:
    """What is judged on: every customer of the file was known."""
    task = SimpleNamespace(config=SimpleNamespace(seed=1))
    return SimpleNamespace(realised=realised, is_known=np.ones(len(realised), dtype=np.bool_), task=task)


def test_each_tenth_has_its_own_ratio_and_equal_predictions_share_their_value() -> None:
    realised = np.arange(1.0, 1001.0)
    predicted = realised * np.where(realised > 900, 1.25, 1.0)
    found = tenths_of(predicted, window(realised), 50)
    assert [round(one.estimate, 9) for one in found] == [1.0] * 9 + [1.25]
    assert found[9].verdict == "no"
    assert found[0].low <= 1.0 <= found[0].high
    flat = ratios_of(Tenths(np.ones(1000), realised), np.ones(1000, dtype=np.uint16))
    assert flat == pytest.approx([1000 / realised.sum()] * TENTHS)


def test_a_tenth_in_which_nothing_came_has_no_ratio() -> None:
    realised = np.where(np.arange(100) < 10, 0.0, 5.0)
    groups = ratios_of(Tenths(np.arange(100.0), realised), np.ones(100, dtype=np.uint16))
    assert np.isnan(groups[0])
    assert not np.isnan(groups[1:]).any()


def test_the_aim_is_reached_within_a_tenth_or_by_the_interval() -> None:
    tenths = [Tenth(0.92, 0.90, 0.94), Tenth(1.3, 0.95, 1.6), Tenth(0.8, 0.7, 0.9), Tenth(float("nan"), 0.5, 1.5)]
    assert [one.verdict for one in tenths] == ["within", "by its interval", "no", "by its interval"]
    lines = list(table({"1998-01-05": [*tenths[:3], *[Tenth(1.0, 0.9, 1.1)] * 7]}))
    assert "| **0.80 (0.70 to 0.90)** |" in lines[2]
    assert lines[2].endswith("| 9 of 10 |")
    assert summary({"a": tenths[:3]}) == "1 of 3 tenths are within 10 %, 1 more by their interval, and 1 are not."
