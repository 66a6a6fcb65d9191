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

from fivefold.domain.breakdown import TotalInterval
from fivefold.domain.errors import ConfigError, ModelError
from fivefold.models.certainty.intervals import (
    BANDS,
    LEAST_CUSTOMERS,
    LEVELS_PERCENT,
    PARTS,
    Ends,
    IntervalTable,
    covered,
    rank_at,
)
from fivefold.models.value_model import ValueModel
from tests.models.making import interval_table, reference_matrix, value_model

MONEY = st.floats(0, 1e9)
CONSISTENCY = st.one_of(st.just(np.nan), st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))
TABLES = st.integers(1, 700).flatmap(
    lambda count: st.tuples(
        arrays.arrays(np.float64, count, elements=MONEY).filter(lambda predicted: predicted.max() >= 0.01),
        arrays.arrays(np.float64, count, elements=MONEY),
        arrays.arrays(np.float64, count, elements=CONSISTENCY),
    )
)
"""Predictions, what came of them and consistencies, of few customers and of many, with ties, zeros and unknown ones."""
ASKED = st.tuples(arrays.arrays(np.float64, 7, elements=MONEY), arrays.arrays(np.float64, 7, elements=CONSISTENCY))


@pytest.mark.parametrize("predicted", [[], [0.0, 0.0], [5e-324, 0.0]])
def test_where_nobody_is_worth_anything_there_is_no_table(predicted: list[float]) -> None:
    count = len(predicted)
    assert IntervalTable.of(np.array(predicted), np.zeros(count), unknown(count), as_ofs=(0,)) is None


def unknown(count: int) -> np.ndarray:
    """The consistency of customers of whom too little is known."""
    return np.full(count, np.nan)


def skewed(customers: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, values as in a shop, and consistencies.

    Most values are 0, few are large; their spread grows with the prediction, and falls with consistency.
    """
    random = np.random.default_rng(seed)
    predicted = random.lognormal(3.0, 1.0, customers)
    buys = random.random(customers) < np.clip(predicted / 200.0, 0.05, 0.9)
    consistency = np.where(random.random(customers) < 0.1, np.nan, random.random(customers))
    spread = 1.5 - np.nan_to_num(consistency, nan=0.5)
    return predicted, np.where(buys, predicted * random.lognormal(0.0, spread), 0.0), consistency


@given(TABLES, ASKED)
def test_an_interval_holds_its_prediction_is_never_below_0_and_grows_with_its_level(
    measured: tuple[np.ndarray, np.ndarray, np.ndarray], asked: tuple[np.ndarray, np.ndarray]
) -> None:
    table = IntervalTable.of(*measured, as_ofs=(0,))
    assert table is not None
    before = Ends(asked[0], asked[0])
    for level in LEVELS_PERCENT:
        ends = table.ends(*asked, level)
        unknown = np.isnan(ends.high)
        assert (ends.low >= 0).all()
        assert (ends.low <= before.low).all()
        assert (unknown | (ends.high >= before.high)).all()
        assert not (np.isnan(before.high) & ~unknown).any()
        before = ends


@given(TABLES, ASKED, st.integers(1, 99))
def test_one_customer_has_the_interval_of_a_batch_and_a_table_survives_json(
    measured: tuple[np.ndarray, np.ndarray, np.ndarray], asked: tuple[np.ndarray, np.ndarray], level: int
) -> None:
    table = IntervalTable.of(*measured, as_ofs=(1, 2), level_percent=90)
    assert table is not None
    again = IntervalTable.from_dict(json.loads(json.dumps(table.to_dict(), allow_nan=False)))
    batch = table.ends(*asked, level)
    alone = [again.ends(*(each[number : number + 1] for each in asked), level) for number in range(len(asked[0]))]
    assert np.concatenate([one.low for one in alone]).tobytes() == batch.low.tobytes()
    assert np.concatenate([one.high for one in alone]).tobytes() == batch.high.tobytes()
    assert (again.level_percent, again.as_ofs, again.customers) == (90, (1, 2), table.customers)


@given(TABLES)
def test_groups_are_bands_and_parts_none_too_thin_and_part_no_equals(
    measured: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    table = IntervalTable.of(*measured, as_ofs=(0,))
    assert table is not None
    predicted, _, consistency = measured
    counts = np.bincount(table.group_of(predicted, consistency), minlength=len(table.customers))
    assert len(table.parts) == len(table.bounds) + 1 <= BANDS
    assert tuple(counts) == table.customers
    assert sum(table.customers) == len(predicted)
    first = 0
    for number, edges in enumerate(table.parts):
        band = np.searchsorted(table.bounds, predicted, side="right") == number
        assert len(table.parts) == 1 or band.sum() >= LEAST_CUSTOMERS
        assert len(edges) < PARTS
        groups = len(edges) + 2 if len(edges) else 1
        of = table.customers[first : first + groups]
        assert sum(of) == band.sum()
        if len(edges):
            assert min(of[:-1]) >= LEAST_CUSTOMERS
            assert of[-1] == (band & np.isnan(consistency)).sum()
        first += groups
    assert first == len(table.customers)


@given(TABLES, st.integers(1, 99))
def test_at_least_the_asked_share_of_the_customers_it_was_measured_on_is_held(
    measured: tuple[np.ndarray, np.ndarray, np.ndarray], level: int
) -> None:
    """The place of a distance in each group is that of the definition; rounding may move an end by the last bits."""
    table = IntervalTable.of(*measured, as_ofs=(0,), level_percent=level)
    assert table is not None
    predicted, realised, consistency = measured
    ends = table.ends(predicted, consistency)
    slack = 1e-9 * np.maximum(1.0, np.maximum(predicted, realised))
    held = covered(Ends(ends.low - slack, ends.high + slack), realised)
    group, share = table.group_of(predicted, consistency), table.held_shares(predicted, consistency)
    for number, customers in enumerate(table.customers):
        members = group == number
        if len(table.customers) > 1 and customers < LEAST_CUSTOMERS:
            continue  # too few whose consistency is not known: they have the distances of their whole band
        assert held[members].sum() >= min(rank_at(customers, level), customers)
        assert np.floor(100 * held[members].mean() + 1) / 100 + 1e-9 >= share[members].max()
    assert (share >= level / 100).all()


@pytest.mark.parametrize("level", [50, 80, 95])
def test_what_is_asked_for_is_held_of_customers_like_those_before(level: int) -> None:
    """Exchangeable customers, drawn anew: the share is within the chance of a binomial count, in every group."""
    table = IntervalTable.of(*skewed(20_000, seed=1), as_ofs=(0,), level_percent=level)
    assert table is not None
    predicted, realised, consistency = skewed(20_000, seed=2)
    held, group = covered(table.ends(predicted, consistency), realised), table.group_of(predicted, consistency)
    share = table.held_shares(predicted, consistency)
    for number in range(len(table.customers)):
        members = group == number
        customers = int(members.sum())
        # Both samples vary, so the variance is twice that of one. All who are worth nothing are at the distance 1:
        # an interval that holds one of them holds all, and whoever is nearer.
        nearer = float((np.abs(realised - predicted) <= predicted)[members].mean())
        low, high = stats.norm.interval(0.9999, level / 100, np.sqrt(2 * level * (100 - level) / 10_000 / customers))
        assert held[members].mean() >= low
        assert held[members].mean() <= max(high, nearer)
        reach = (high - low) / 2 + 0.01
        assert held[members].mean() == pytest.approx(share[members].mean(), abs=reach)


def test_the_less_consistent_have_wider_intervals_and_who_is_not_known_those_of_others_like_that() -> None:
    random = np.random.default_rng(6)
    predicted, consistency = random.lognormal(3.0, 1.0, 40_000), random.random(40_000)
    consistency[::8] = np.nan
    spread = 1.0 - 0.8 * np.nan_to_num(consistency, nan=0.5)
    table = IntervalTable.of(predicted, predicted * random.lognormal(0.0, spread), consistency, as_ofs=(0,))
    assert table is not None
    for asked in (5.0, 20.0, 80.0):
        unsteady, unlike, steady = table.ends(np.full(3, asked), np.array([0.05, np.nan, 0.95])).high
        assert steady < unlike < unsteady


def test_a_value_at_either_end_is_in_its_interval() -> None:
    at = np.array([1.0, 2.0, np.nextafter(1.0, 0.0), np.nextafter(2.0, 3.0)])
    assert covered(Ends(np.full(4, 1.0), np.full(4, 2.0)), at).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("customers", "asked", "groups"),
    [(199, 2, (199,)), (200, 2, (100, 100)), (299, 2, (149, 150)), (200, 4, (100, 100))],
)
def test_a_group_has_a_hundred_customers_or_is_one_with_the_next(
    customers: int, asked: int, groups: tuple[int, ...]
) -> None:
    rising = np.arange(1.0, customers + 1.0)
    bands = IntervalTable.of(rising, rising, unknown(customers), as_ofs=(0,), bands=asked, parts=1)
    parts = IntervalTable.of(np.ones(customers), rising, rising / customers, as_ofs=(0,), bands=1, parts=asked)
    assert bands is not None
    assert parts is not None
    assert (bands.customers, parts.customers) == (groups, groups if len(groups) == 1 else (*groups, 0))


@pytest.mark.parametrize(("count", "high"), [(99, 10.0), (100, 20.0)])
def test_a_hundred_whose_consistency_is_not_known_have_distances_of_their_own(count: int, high: float) -> None:
    """What came of the others is what was predicted of them, of these it is twice as much."""
    predicted, consistency = np.full(300 + count, 10.0), np.concatenate([np.linspace(0, 1, 300), unknown(count)])
    realised = np.where(np.isnan(consistency), 20.0, 10.0)
    table = IntervalTable.of(predicted, realised, consistency, as_ofs=(0,), bands=1, parts=2)
    assert table is not None
    assert table.ends(np.array([10.0, 10.0]), np.array([0.9, np.nan]), 50).high.tolist() == [10.0, high]


def test_a_table_from_before_there_were_parts_gives_the_intervals_that_it_gave() -> None:
    """The dictionary of such a table has no `parts`."""
    predicted, realised, _ = skewed(3_000, seed=4)
    table = IntervalTable.of(predicted, realised, unknown(3_000), as_ofs=(0,))
    assert table is not None
    content = table.to_dict()
    assert content.pop("parts") == [[]] * BANDS
    older = IntervalTable.from_dict(json.loads(json.dumps(content)))
    for consistency in (np.nan, 0.0, 1.0):
        ends = older.ends(predicted, np.full(3_000, consistency))
        assert ends.high.tobytes() == table.ends(predicted, unknown(3_000)).high.tobytes()


def test_too_few_customers_say_no_high_end() -> None:
    table = IntervalTable.of(np.array([10.0, 10.0]), np.array([5.0, 20.0]), unknown(2), as_ofs=(0,))
    assert table is not None
    ends = table.ends(np.array([10.0]), unknown(1))
    assert ends.low.tolist() == [0.0]
    assert np.isnan(ends.high).all()
    assert covered(ends, np.array([1e12])).all()
    assert table.held_shares(np.array([10.0]), unknown(1)).tolist() == [1.0]
    assert table.ends(np.array([10.0]), unknown(1), 60) == Ends(np.array([0.0]), np.array([20.0]))


def test_nothing_is_measured_where_nobody_was_predicted_or_everything_was_0() -> None:
    assert IntervalTable.of(np.empty(0), np.empty(0), unknown(0), as_ofs=(0,)) is None
    assert IntervalTable.of(np.zeros(500), np.ones(500), unknown(500), as_ofs=(0,)) is None


@pytest.mark.parametrize("level", [0, 100, -1])
def test_a_level_that_cannot_be_is_refused(level: int) -> None:
    with pytest.raises(ConfigError, match=rf"is {level}; it must be a whole number, 1 to 99"):
        interval_table().ends(np.array([1.0]), unknown(1), level)


def test_the_interval_of_a_score_is_that_of_the_money_on_the_curve() -> None:
    model = replace(value_model(), intervals=interval_table())
    scores = model.scores(reference_matrix())
    found = model.intervals_of(scores.expected_value, model.consistency_of(reference_matrix()))
    assert (found.score_low <= scores.score).all()
    assert (scores.score <= found.score_high).all()
    assert found.score_high.tobytes() == model.curve.score(found.expected_value_high).tobytes()


def test_a_model_keeps_its_intervals_and_one_without_gives_none(tmp_path: Path) -> None:
    sure, money = replace(value_model(), intervals=interval_table()), np.array([3.0, 40.0])
    sure.save(tmp_path / "sure")
    again = ValueModel.load(tmp_path / "sure")
    assert again.content_hash == sure.content_hash != value_model().content_hash
    assert (
        again.intervals_of(money, unknown(2), 90).expected_value_high.tobytes()
        == sure.intervals_of(money, unknown(2), 90).expected_value_high.tobytes()
    )
    value_model().save(tmp_path / "older")
    older = ValueModel.load(tmp_path / "older").intervals_of(money, unknown(2))
    assert all(np.isnan(ends).all() for ends in older.columns().values())
    assert older.row(0) is None
    assert older.of_score(0) is None
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
    intact = interval_table().to_dict()
    with pytest.raises(ValueError, match="shape"):
        IntervalTable.from_dict({**intact, "parts": [[0.5], *intact["parts"][1:]]})
    with pytest.raises(ValueError, match=r"has 1 bounds, and parts of \d+ bands"):
        IntervalTable.from_dict({**intact, "bounds": [1.0]})
    with pytest.raises(ValueError, match="bounds that do not rise"):
        IntervalTable.from_dict({**intact, "bounds": intact["bounds"][::-1]})


def test_people_read_an_interval_with_as_many_digits_as_it_has() -> None:
    model = replace(value_model(), intervals=interval_table())
    found = model.intervals_of(np.array([20.0, 0.5]), unknown(2))
    assert found.text(0, "EUR") == "between 0 and 40 EUR, 80 % sure"
    assert found.text(1, "EUR") == "between 0.00 and 1.00 EUR, 80 % sure"
    assert found.text(1, "KWD") == "between 0.000 and 1.001 KWD, 80 % sure"
    few = IntervalTable.of(np.array([10.0, 10.0]), np.array([5.0, 20.0]), unknown(2), as_ofs=(0,))
    open_ended = replace(model, intervals=few).intervals_of(np.array([20.0]), unknown(1))
    assert open_ended.text(0, "EUR") == "0 EUR or more, 80 % sure: how much more is not known"
    assert open_ended.of_score(0) == TotalInterval(1.0 + 4.0 * float(model.curve.percentile(np.zeros(1))[0]), None, 80)
    assert open_ended.row(0) == {
        "level_percent": 80,
        "expected_value_low": 0.0,
        "expected_value_high": None,
        "score_low": 1.0 + 4.0 * float(model.curve.percentile(np.array([0.0]))[0]),
        "score_high": None,
    }
