"""The training reference: buckets that hold every customer once, and an index that tells how far two differ."""

import json
from math import log, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.models.drift import BUCKETS, LEAST_CUSTOMERS, SCORE, DriftReference, stability_index
from fivefold.models.value_model import ValueModel
from tests.models.making import known_matrix

Column = list[float]
number = st.one_of(st.floats(-1e9, 1e9), st.integers(0, 3).map(float), st.just(nan))
columns = st.lists(number, min_size=1, max_size=60)


def of(column: Column) -> DriftReference:
    """A reference of one indicator, whose scores rise evenly."""
    return DriftReference.of(("one",), np.array(column)[:, None], np.linspace(1, 5, len(column)))


def test_ten_buckets_of_a_continuous_column_hold_a_tenth_each() -> None:
    reference = of([float(value) for value in np.random.default_rng(0).permutation(1_000)])
    assert reference.counts[:, 0].tolist() == [0, 0]
    assert reference.counts[:, 1:] == pytest.approx(np.full((2, BUCKETS), 100), abs=1)
    assert reference.counts.sum(axis=1).tolist() == [1_000, 1_000]
    assert reference.edges[0] == pytest.approx(np.arange(99.0, 900.0, 100.0), abs=1)
    assert reference.names == ("one", SCORE)


def test_undefined_values_have_a_bucket_of_their_own() -> None:
    reference = of([nan, nan, 1.0, 2.0])
    assert reference.counts[0][0] == 2
    assert reference.counts[0].sum() == 4
    assert of([nan] * 5).counts[0].tolist() == [5, *[0] * BUCKETS]


def test_few_distinct_values_fill_few_buckets() -> None:
    reference = of([0.0] * 90 + [1.0] * 10)
    assert reference.edges[0].tolist() == [0.0, *[np.inf] * (BUCKETS - 2)]
    assert reference.counts[0].tolist() == [0, 90, 10, *[0] * (BUCKETS - 2)]


@given(columns, columns)
def test_every_customer_is_counted_once_and_in_the_bucket_of_the_value(column: Column, later: Column) -> None:
    reference, counts = of(column), of(column).empty()
    reference.count(counts, np.array(later)[:, None], np.full(len(later), 3.0))
    assert counts.sum(axis=1).tolist() == [len(later)] * 2
    for place in range(BUCKETS + 1):
        inside = [value for value in later if bucket(value, reference.edges[0].tolist()) == place]
        assert counts[0][place] == len(inside)


def bucket(value: float, edges: list[float]) -> int:
    """0 for undefined values; else 1 and one more for each edge that lies below."""
    return 0 if value != value else 1 + sum(edge < value for edge in edges)  # noqa: PLR0124 (NaN alone differs)


@given(columns, st.integers(1, 30))
def test_counting_in_batches_is_counting_at_once(column: Column, cut: int) -> None:
    reference = of(column)
    matrix, scores = np.array(column)[:, None], np.linspace(1, 5, len(column))
    counts = reference.empty()
    reference.count(counts, matrix[:cut], scores[:cut])
    reference.count(counts, matrix[cut:], scores[cut:])
    assert counts.tolist() == reference.counts.tolist()


@given(columns)
def test_it_travels_as_json(column: Column) -> None:
    reference = of(column)
    back = DriftReference.from_dict(json.loads(json.dumps(reference.to_dict())))
    assert back.names == reference.names
    assert back.edges.tobytes() == reference.edges.tobytes()
    assert back.counts.tolist() == reference.counts.tolist()


def test_a_model_carries_its_reference(model: ValueModel) -> None:
    assert model.reference.names == (*model.indicators, SCORE)
    assert model.reference.counts.shape == (len(model.indicators) + 1, BUCKETS + 1)
    counts = model.reference.empty()
    model.reference.count(counts, known_matrix(), model.scores(known_matrix()).score)
    assert (counts.sum(axis=1) == len(known_matrix())).all()


def test_the_same_spread_has_no_distance_and_another_has() -> None:
    before = np.array([0, 400, 400, 200])
    assert stability_index(before, before) == 0.0
    assert stability_index(before, 3 * before) == pytest.approx(0.0, abs=1e-12)
    shifted = stability_index(before, np.array([0, 200, 400, 400]))
    assert shifted == pytest.approx(0.2 * log(2) + 0.2 * log(2))
    empty = stability_index(before, np.array([1000, 0, 0, 0]))
    assert empty is not None
    assert empty > 5


@given(*[st.lists(st.integers(0, 1000), min_size=4, max_size=4)] * 2)
def test_the_index_is_never_negative_and_the_same_either_way(one: list[int], other: list[int]) -> None:
    before, after = np.array(one) + LEAST_CUSTOMERS, np.array(other) + LEAST_CUSTOMERS
    there, back = stability_index(before, after), stability_index(after, before)
    assert there is not None
    assert there >= 0
    assert there == pytest.approx(back)


def test_too_few_customers_have_no_index() -> None:
    many, few = np.array([0, 1000]), np.array([0, LEAST_CUSTOMERS - 1])
    assert stability_index(many, few) is None
    assert stability_index(many, few + 1) is not None
    assert stability_index(np.array([0, 0]), many) is None


def test_zero_is_a_bucket_of_its_own_so_that_what_is_not_zero_can_be_seen_to_move() -> None:
    """Eight in a hundred are not 0, and grow from 10 to 1,000 on average: the index was 0.0006, "stable"."""
    random = np.random.default_rng(1)
    before, after = (
        np.where(random.random(5_000) < 0.08, random.exponential(mean, 5_000), 0.0)[:, None] for mean in (10, 1_000)
    )
    scores = np.linspace(1, 5, 5_000)
    reference = DriftReference.of(("deposits",), before, scores)
    counts = reference.empty()
    reference.count(counts, after, scores)
    index = stability_index(reference.counts[0], counts[0])
    assert index is not None
    assert index > 0.25
    again = reference.empty()
    reference.count(again, before, scores)
    assert stability_index(reference.counts[0], again[0]) == 0.0
    assert reference.counts[0][1] == (before == 0).sum()


@pytest.mark.parametrize("values", [[0.0] * 10, [-5.0, 0.0, 0.0, 7.0], [0.0, 0.0, 3.0], [-1.0, -2.0, 0.0, 0.0]])
def test_zeros_stand_apart_from_what_is_below_and_above(values: list[float]) -> None:
    matrix = np.array(values)[:, None]
    reference = DriftReference.of(("flow",), matrix, np.linspace(1, 5, len(values)))
    kinds = [int((matrix < 0).sum()), int((matrix == 0).sum()), int((matrix > 0).sum())]
    filled = reference.counts[0][1:]
    below, above = int(np.searchsorted(reference.edges[0], 0.0)), int(np.searchsorted(reference.edges[0], 0.0, "right"))
    assert [int(filled[:below].sum()), int(filled[below:above].sum()), int(filled[above:].sum())] == kinds


@given(st.one_of(columns, st.lists(st.sampled_from([-1.0, 0.0, 0.0, 0.0, 2.0, 3.0, nan]), min_size=1, max_size=60)))
def test_the_median_lies_within_its_bounds_and_is_the_one_where_they_are_the_same(column: Column) -> None:
    defined = sorted(value for value in column if value == value)  # noqa: PLR0124 (NaN alone differs)
    found = of(column).medians.get("one")
    if not defined:
        assert found is None
        return
    assert found is not None
    low, high = found
    median = defined[(len(defined) - 1) // 2]
    assert low == median == high if low == high else low < median <= high
    if 0.0 not in defined or median == 0:
        assert low == high


def test_a_median_among_many_zeros_is_known_by_its_bounds() -> None:
    assert of([0.0] * 40 + [float(value) for value in range(1, 61)]).medians["one"] == (7.0, 14.0)
    assert of([0.0] * 45 + [1.0] * 55).medians["one"] == (0.0, np.inf)
    assert of([-3.0] * 60 + [0.0] * 40).medians["one"] == (-np.inf, 0.0)
    assert of([-3.0] * 60 + [0.0] * 40 + [1.0]).medians["one"] == (-3.0, -3.0)
