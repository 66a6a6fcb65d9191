"""Trials of more information: what candidates count, halves that learn of the others alone, and what stays."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import exp, log
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from benchmarks.value.information import (
    ALL,
    CANDIDATES,
    COLUMNS,
    HORIZONS,
    MORE,
    NOTHING,
    SHORTER_DAYS,
    Trial,
    stays,
    verdicts,
)
from benchmarks.yardstick.data_sets import SHOP
from benchmarks.yardstick.figures import CAPTURE, GINI
from benchmarks.yardstick.protocol import Window, windows
from fivefold.domain.clock import DAY_US, day_text
from fivefold.features.catalogue.own import read_own_indicators
from fivefold.features.catalogue.probe import check_own_indicators
from fivefold.features.indicator_matrix import indicator_matrix
from fivefold.training.config import TrainingConfig, TreeSettings
from fivefold.training.data import TransactionSource

BEGIN = datetime(2023, 1, 1, tzinfo=UTC)
OWN = read_own_indicators(CANDIDATES)
CONFIG = TrainingConfig(name="purchases", value=SHOP, trees=TreeSettings(threads=1, rounds=5, min_rows_in_leaf=5))


def table_of(days: dict[str, list[float]], sizes: dict[str, list[float]]) -> pa.Table:
    """Purchases by customer: the day of each, counted from BEGIN, and its size."""
    return pa.table(
        {
            "user_id": [name for name, own in days.items() for _ in own],
            "transaction_date": [BEGIN + timedelta(days=day) for own in days.values() for day in own],
            "transaction_amount": [size for own in sizes.values() for size in own],
            "transaction_currency": [CONFIG.base_currency for own in days.values() for _ in own],
        }
    )


def last_window() -> Window:
    """The last window of the purchases of 60 customers over a year, a few a month."""
    random = np.random.default_rng(5)
    counts = {f"customer_{number:03}": int(random.integers(5, 40)) for number in range(60)}
    days = {name: sorted(random.uniform(0, 360, size=count).tolist()) for name, count in counts.items()}
    sizes = {name: random.integers(5, 100, size=count).astype(float).tolist() for name, count in counts.items()}
    return next(iter(windows(table_of(days, sizes), CONFIG, 1)))


@pytest.mark.full
def test_candidates_keep_the_rules_of_own_indicators() -> None:
    check_own_indicators(OWN)
    assert {name.split("_")[0] for name in OWN.catalogue.names} == set(COLUMNS), "each is in a group"


@dataclass(frozen=True)
class Customer:
    """Purchases of one customer, by day, and the day as of which the candidates are asked."""

    days: list[float]
    sizes: list[float]
    as_of: int

    def values(self) -> dict[str, float]:
        source = TransactionSource(table_of({"one": self.days}, {"one": self.sizes}), CONFIG.rate_table(), own=OWN)
        (part,) = source.batches("rows")
        moment = int(BEGIN.timestamp()) * 1_000_000 + self.as_of * DAY_US
        matrix, _ = indicator_matrix(part, moment, OWN)
        names = OWN.catalogue.names
        return dict(zip(names, matrix[0, -len(names) :].tolist(), strict=True))


def test_gaps_runs_and_baskets_by_hand() -> None:
    found = Customer([0, 10, 40, 100, 101], [10, 30, 20, 50, 40], 131).values()
    assert found["regularity_deposit_gap_median"] == 20  # of 10, 30, 60 and 1
    assert found["regularity_deposit_overdue"] == pytest.approx(30 / 20)
    assert found["basket_deposit_median_all"] == 30
    assert found["basket_deposit_last_ratio"] == pytest.approx(40 / 30)
    # Periods of 30 days back from day 131: none, days 101 and 100 in the next, 71 to 41 none, days 40 and 10 after.
    assert found["runs_active"] == 0
    assert found["runs_silence"] == 60
    assert found["runs_silence_share"] == pytest.approx(30 / 60)


def test_runs_end_where_a_period_is_empty() -> None:
    found = Customer([0, 30, 60, 120, 150], [1, 1, 1, 1, 2], 160).values()
    # Days back: 10 and 40, in periods 0 and 1; none in 2; 100, 130 and 160, in periods 3, 4 and 5.
    assert (found["runs_active"], found["runs_longest"]) == (2, 3)
    assert found["runs_share"] == pytest.approx(5 / 6)
    assert found["runs_rising"] == 2  # 2 is more than 1, and 1 more than the nothing before it


def test_the_chance_of_being_alive_is_that_of_the_paper() -> None:
    """Fader, Hardie and Lee (2005): 1 / (1 + a / (b + x - 1) * ((alpha + T) / (alpha + t)) ** (r + x))."""
    found = Customer([0, 14, 28], [10, 10, 10], 140).values()["regularity_deposit_alive"]
    odds = 0.793 / (2.426 + 1) * exp((0.243 + 2) * log((4.414 + 20) / (4.414 + 4)))
    assert found == pytest.approx(1 / (1 + odds), rel=1e-12)
    assert Customer([0], [10], 140).values()["regularity_deposit_alive"] == 1


def test_a_year_ago_is_the_same_season() -> None:
    found = Customer([0, 40, 60, 120, 400], [1, 2, 4, 8, 16], 405).values()
    # A year before day 405 is day 40: its 30 days are (40, 70], its 90 are (40, 130], and (-50, 40] came before.
    assert found["season_deposit_30d"] == 4
    assert found["season_deposit_lift"] == pytest.approx(12 / 3)
    assert found["season_deposit_growth"] == pytest.approx(16 / 3)


def test_every_group_has_a_line_for_each_row_and_customer() -> None:
    trial = Trial(last_window(), OWN)
    assert day_text(trial.window.task.dates.test) == trial.window.day
    for name, make in MORE.items():
        learnt, asked = make(trial)
        assert (len(learnt), len(asked)) == (len(trial.rows[0]), len(trial.test_matrix)), name
        assert learnt.shape[1] == asked.shape[1], name
        assert (learnt.shape[1] == 0) == (name == NOTHING), name
    assert MORE[ALL](trial)[0].shape[1] == len(trial.names) - trial.shipped


def test_a_shorter_horizon_is_predicted_by_trees_that_learnt_of_other_customers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other values of one half change what is said of the other half, and nothing of what is said of itself."""
    trial = Trial(last_window(), OWN)
    half = np.nonzero(trial.is_row)[0] % 2
    assert set(half.tolist()) == {0, 1}
    before, _ = MORE[HORIZONS](trial)
    plain = Trial.values

    def changed(self: Trial, starts: Any, days: int) -> Any:
        found = plain(self, starts, days)
        if days in SHORTER_DAYS:
            found[::2] *= 7.0
        return found

    monkeypatch.setattr(Trial, "values", changed)
    after, _ = MORE[HORIZONS](trial)
    assert (after[half == 0] == before[half == 0]).all()
    assert (after[half == 1] != before[half == 1]).any()


def both(group: str, window: str, low: float, high: float, figure: str = GINI) -> list[dict[str, object]]:
    """A difference from the catalogue alone in a window of each of two sets."""
    figures = {"estimate": (low + high) / 2, "low": low, "high": high}
    rest = {"group": group, "figure": figure, "window": window, "less": NOTHING, **figures}
    return [{"set": name, **rest} for name in ("bank", "shop")]


def test_a_group_stays_that_gains_in_two_windows_of_two_sets() -> None:
    found = [
        *both("stays", "a", 0.001, 0.009),
        *both("stays", "b", 0.001, 0.009),
        *both("once", "a", 0.001, 0.009),
        *both("once", "b", -0.001, 0.009),
        *both("once", "mean", 0.001, 0.009),
        *both("as seeds move", "a", 0.0005, 0.002),
        *both("as seeds move", "b", 0.0005, 0.002),
        *both("two figures", "a", 0.001, 0.009),
        *both("two figures", "b", 0.002, 0.009, CAPTURE),
        *both("one set", "a", 0.001, 0.009)[:1],
        *both("one set", "b", 0.001, 0.009)[:1],
        *both("worse", "a", -0.009, -0.001),
    ]
    counted = verdicts(pl.DataFrame(found))
    assert stays(counted) == ["stays"]
    assert counted.filter(pl.col("group") == "worse")["losses"].to_list() == [1, 1]
