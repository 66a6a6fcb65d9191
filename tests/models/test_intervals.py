"""Intervals: how far off earlier predictions were says between what a value will lie."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from fivefold.domain.errors import ConfigError, ModelError
from fivefold.models.certainty.intervals import (
    LEAST_CUSTOMERS,
    LEVELS_PERCENT,
    Ends,
    IntervalTable,
    covered,
    rank_at,
)
from fivefold.models.value_model import ValueModel
from tests.models.making import interval_table, reference_matrix, value_model

MONEY = st.floats(0, 1e9)
TABLES = st.integers(1, 700).flatmap(
    lambda count: st.tuples(
        arrays.arrays(np.float64, count, elements=MONEY).filter(lambda predicted: predicted.any()),
        arrays.arrays(np.float64, count, elements=MONEY),
    )
)
"""Predictions and what came of them, of few customers and of many, with ties and zeros."""


def skewed(customers: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and values as in a shop: most are 0, few are large, and their spread grows with the prediction."""
    random = np.random.default_rng(seed)
    predicted = random.lognormal(3.0, 1.0, customers)
    buys = random.random(customers) < np.clip(predicted / 200.0, 0.05, 0.9)
    return predicted, np.where(buys, predicted * random.lognormal(0.0, 1.0, customers), 0.0)


@given(TABLES, arrays.arrays(np.float64, 7, elements=MONEY))
def test_an_interval_holds_its_prediction_is_never_below_0_and_grows_with_its_level(
    measured: tuple[np.ndarray, np.ndarray], asked: np.ndarray
) -> None:
    table = IntervalTable.of(*measured, as_ofs=(0,))
    assert table is not None
    before = Ends(asked, asked)
    for level in LEVELS_PERCENT:
        ends = table.ends(asked, level)
        unknown = np.isnan(ends.high)
        assert (ends.low >= 0).all()
        assert (ends.low <= before.low).all()
        assert (unknown | (ends.high >= before.high)).all()
        assert not (np.isnan(before.high) & ~unknown).any()
        before = ends


@given(TABLES, arrays.arrays(np.float64, 7, elements=MONEY), st.integers(1, 99))
def test_one_customer_has_the_interval_of_a_batch_and_a_table_survives_json(
    measured: tuple[np.ndarray, np.ndarray], asked: np.ndarray, level: int
) -> None:
    table = IntervalTable.of(*measured, as_ofs=(1, 2), level_percent=90)
    assert table is not None
    again = IntervalTable.from_dict(json.loads(json.dumps(table.to_dict(), allow_nan=False)))
    batch = table.ends(asked, level)
    alone = [again.ends(asked[number : number + 1], level) for number in range(len(asked))]
    assert np.concatenate([one.low for one in alone]).tobytes() == batch.low.tobytes()
    assert np.concatenate([one.high for one in alone]).tobytes() == batch.high.tobytes()
    assert (again.level_percent, again.as_ofs, again.customers) == (90, (1, 2), table.customers)


@given(TABLES)
def test_groups_are_whole_tenths_none_too_thin_and_part_no_equal_predictions(
    measured: tuple[np.ndarray, np.ndarray],
) -> None:
    table = IntervalTable.of(*measured, as_ofs=(0,))
    assert table is not None
    predicted = measured[0]
    counts = np.bincount(table.group_of(predicted), minlength=len(table.customers))
    assert tuple(counts) == table.customers
    assert sum(table.customers) == len(predicted)
    assert len(table.customers) == 1 or min(table.customers) >= LEAST_CUSTOMERS
    assert len(table.customers) <= 10


@given(TABLES, st.integers(1, 99))
def test_at_least_the_asked_share_of_the_customers_it_was_measured_on_is_held(
    measured: tuple[np.ndarray, np.ndarray], level: int
) -> None:
    """The place of a distance in each group is that of the definition; rounding may move an end by the last bits."""
    table = IntervalTable.of(*measured, as_ofs=(0,))
    assert table is not None
    predicted, realised = measured
    ends = table.ends(predicted, level)
    slack = 1e-9 * np.maximum(1.0, np.maximum(predicted, realised))
    held = covered(Ends(ends.low - slack, ends.high + slack), realised)
    group = table.group_of(predicted)
    for number, customers in enumerate(table.customers):
        assert held[group == number].sum() >= min(rank_at(customers, level), customers)


@pytest.mark.parametrize("level", [50, 80, 95])
def test_what_is_asked_for_is_held_of_customers_like_those_before(level: int) -> None:
    """Exchangeable customers, drawn anew: the share is within the chance of a binomial count, in every group."""
    table = IntervalTable.of(*skewed(20_000, seed=1), as_ofs=(0,), level_percent=level)
    assert table is not None
    predicted, realised = skewed(20_000, seed=2)
    held, group = covered(table.ends(predicted), realised), table.group_of(predicted)
    for number in range(len(table.customers)):
        members = group == number
        customers = int(members.sum())
        # Both samples vary, so the variance is twice that of one. All who are worth nothing are at the distance 1:
        # an interval that holds one of them holds all, and whoever is nearer.
        nearer = float((np.abs(realised - predicted) <= predicted)[members].mean())
        low, high = stats.norm.interval(0.9999, level / 100, np.sqrt(2 * level * (100 - level) / 10_000 / customers))
        assert held[members].mean() >= low
        assert held[members].mean() <= max(high, nearer)


def test_too_few_customers_say_no_high_end() -> None:
    table = IntervalTable.of(np.array([10.0, 10.0]), np.array([5.0, 20.0]), as_ofs=(0,))
    assert table is not None
    ends = table.ends(np.array([10.0]))
    assert ends.low.tolist() == [0.0]
    assert np.isnan(ends.high).all()
    assert covered(ends, np.array([1e12])).all()
    assert table.ends(np.array([10.0]), 60) == Ends(np.array([0.0]), np.array([20.0]))


def test_nothing_is_measured_where_nobody_was_predicted_or_everything_was_0() -> None:
    assert IntervalTable.of(np.empty(0), np.empty(0), as_ofs=(0,)) is None
    assert IntervalTable.of(np.zeros(500), np.ones(500), as_ofs=(0,)) is None


@pytest.mark.parametrize("level", [0, 100, -1])
def test_a_level_that_cannot_be_is_refused(level: int) -> None:
    with pytest.raises(ConfigError, match=rf"is {level}; it must be a whole number, 1 to 99"):
        interval_table().ends(np.array([1.0]), level)


def test_the_interval_of_a_score_is_that_of_the_money_on_the_curve() -> None:
    model = replace(value_model(), intervals=interval_table())
    scores = model.scores(reference_matrix())
    found = model.intervals_of(scores.expected_value)
    assert (found.score_low <= scores.score).all()
    assert (scores.score <= found.score_high).all()
    assert found.score_high.tobytes() == model.curve.score(found.expected_value_high).tobytes()


def test_a_model_keeps_its_intervals_and_one_without_gives_none(tmp_path: Path) -> None:
    sure, money = replace(value_model(), intervals=interval_table()), np.array([3.0, 40.0])
    sure.save(tmp_path / "sure")
    again = ValueModel.load(tmp_path / "sure")
    assert again.content_hash == sure.content_hash != value_model().content_hash
    assert (
        again.intervals_of(money, 90).expected_value_high.tobytes()
        == sure.intervals_of(money, 90).expected_value_high.tobytes()
    )
    value_model().save(tmp_path / "older")
    older = ValueModel.load(tmp_path / "older").intervals_of(money)
    assert all(np.isnan(ends).all() for ends in older.columns().values())
    assert older.row(0) is None
    assert older.text(0, "EUR") == ""


def test_a_table_that_was_changed_is_refused(tmp_path: Path) -> None:
    """By the hash of the content first; where that was written anew too, by its form."""
    model = replace(value_model(), intervals=interval_table())
    model.save(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    content["intervals"]["distances"][0][0] = 99.0
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="is damaged"):
        ValueModel.load(tmp_path)
    with pytest.raises(ValueError, match="do not rise"):
        IntervalTable.from_dict(content["intervals"])
    with pytest.raises(ValueError, match="shape"):
        IntervalTable.from_dict({**content["intervals"], "bounds": [1.0]})


def test_people_read_an_interval_with_as_many_digits_as_it_has() -> None:
    model = replace(value_model(), intervals=interval_table())
    found = model.intervals_of(np.array([20.0, 0.5]))
    assert found.text(0, "EUR") == "between 0 and 40 EUR, 80 % sure"
    assert found.text(1, "EUR") == "between 0.00 and 1.00 EUR, 80 % sure"
    few = IntervalTable.of(np.array([10.0, 10.0]), np.array([5.0, 20.0]), as_ofs=(0,))
    unknown = replace(model, intervals=few).intervals_of(np.array([20.0]))
    assert unknown.text(0, "EUR") == "0 EUR or more, 80 % sure: how much more is not known"
    assert unknown.row(0) == {
        "level_percent": 80,
        "expected_value_low": 0.0,
        "expected_value_high": None,
        "score_low": 1.0 + 4.0 * float(model.curve.percentile(np.array([0.0]))[0]),
        "score_high": None,
    }
