"""Ranking statistics against scikit-learn, scipy and slow, obvious counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from fivefold.domain.errors import NotEnoughDataError
from fivefold.risk.governance.validate import ranking as statistics
from fivefold.risk.governance.validate.ranking import auc, compare_all, compare_rankings, gini, rank, share
from tests.depth import examples
from tests.risk.conftest import Refusal


@st.composite
def samples(draw: st.DrawFn, scores: int = 1) -> tuple[np.ndarray, ...]:
    """Scores with many ties, and marks of both kinds."""
    size = draw(st.integers(2, 40))
    marks = draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(lambda found: 0 < sum(found) < size))
    numbers = st.lists(st.integers(-5, 5), min_size=size, max_size=size)
    return (*(np.array(draw(numbers), dtype=np.int64) for _ in range(scores)), np.array(marks))


def counted(score: np.ndarray, confirmed: np.ndarray) -> float:
    """Every pair of a confirmed entity and another one, one by one."""
    pairs = [(hit, other) for hit in score[confirmed] for other in score[~confirmed]]
    return sum(1.0 if hit > other else 0.5 if hit == other else 0.0 for hit, other in pairs) / len(pairs)


@given(samples())
def test_auc_is_that_of_sklearn_of_mann_and_whitney_and_of_counting(sample: tuple[np.ndarray, ...]) -> None:
    score, confirmed = sample
    found = auc(score, confirmed)
    pairs = int(confirmed.sum()) * int((~confirmed).sum())
    statistic = stats.mannwhitneyu(score[confirmed], score[~confirmed], method="asymptotic").statistic
    assert found == pytest.approx(roc_auc_score(confirmed, score), abs=1e-9)
    assert found == pytest.approx(float(statistic) / pairs, abs=1e-9)
    assert found == pytest.approx(counted(score, confirmed), abs=1e-9)
    assert gini(score, confirmed) == pytest.approx(2 * found - 1, abs=1e-12)


@settings(max_examples=examples(40), deadline=None)
@given(samples(2), st.integers(0, 2**32))
def test_resampled_areas_are_those_of_the_entities_that_were_drawn(sample: tuple[np.ndarray, ...], seed: int) -> None:
    """The same draws, written out entity by entity, and measured by scikit-learn."""
    first, second, confirmed = sample
    codes = np.column_stack([statistics._codes(score, confirmed) for score in (first, second)])
    drawn = statistics._aucs([first, second], confirmed, seed, 7)
    sides = [np.unique(codes[side], axis=0, return_inverse=True) for side in (confirmed, ~confirmed)]
    cells = [side[1].ravel() for side in sides]
    (parts,) = statistics._draws(np.random.default_rng(seed), *cells, 7)
    for number in range(7):
        rows = [
            np.repeat(side[0], part[:, number].astype(int), axis=0) for side, part in zip(sides, parts, strict=True)
        ]
        marks = np.repeat([True, False], [len(side) for side in rows])
        assert marks.sum() == confirmed.sum()
        for column in range(2):
            score = np.concatenate([side[:, column] for side in rows])
            assert drawn[column, number] == pytest.approx(roc_auc_score(marks, score), abs=1e-9)


@pytest.mark.parametrize("costs", [0, 10**9])
def test_both_ways_of_drawing_draw_each_entity_as_often(costs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_CELL_COSTS", costs)
    cells, sizes = np.repeat([0, 1, 2], [5, 20, 75]), np.array([5, 20, 75])
    made = statistics._cell_counts(np.random.default_rng(1), cells, sizes, 4000)
    assert (made.sum(axis=0) == 100).all()
    assert made.mean(axis=1) == pytest.approx(sizes, rel=0.05)
    assert made.var(axis=1) == pytest.approx(sizes * (1 - sizes / 100), rel=0.1)


@given(samples())
def test_codes_keep_the_order_wherever_it_can_matter(sample: tuple[np.ndarray, ...]) -> None:
    score, confirmed = sample
    codes = statistics._codes(score, confirmed)
    for hit in np.flatnonzero(confirmed):
        for other in np.flatnonzero(~confirmed):
            assert np.sign(codes[hit] - codes[other]) == np.sign(score[hit] - score[other])


def test_parts_of_the_resamples_are_as_good_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    score, confirmed = random.normal(size=200), random.random(200) < 0.3
    monkeypatch.setattr(statistics, "_CELLS_AT_ONCE", 900)
    drawn = statistics._aucs([score, -score], confirmed, 1, 50)
    assert drawn.shape == (2, 50)
    assert drawn[0] + drawn[1] == pytest.approx(np.ones(50))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Normal scores one standard deviation apart have an AUC of Phi(1 / sqrt 2)."""
    truth, random, held = float(stats.norm.cdf(2**-0.5)), np.random.default_rng(5), 0
    confirmed = np.arange(300) < 60
    for seed in range(200):
        found = rank(random.normal(size=300) + confirmed, confirmed, seed, 300).auc
        held += found.low <= truth <= found.high
    assert 180 <= held <= 198


def test_a_paired_interval_is_narrower_than_two_apart() -> None:
    random = np.random.default_rng(6)
    confirmed = np.arange(1000) < 200
    score = random.normal(size=1000) + confirmed
    worse = score + random.normal(size=1000) / 4
    paired = compare_rankings(score, worse, confirmed, 1)
    assert paired.difference.estimate == pytest.approx(gini(score, confirmed) - gini(worse, confirmed))
    alone = rank(score, confirmed, 1).gini
    assert paired.difference.high - paired.difference.low < (alone.high - alone.low) / 2
    assert paired.share_above > 0.9


def test_a_score_compared_with_itself_differs_by_nothing() -> None:
    confirmed = np.arange(50) < 10
    score = np.arange(50) % 7
    same, opposite = compare_all(score, [score, -score], confirmed)
    assert (same.difference.low, same.difference.estimate, same.difference.high) == (0, 0, 0)
    assert same.share_above == 0.5
    assert opposite.second == pytest.approx(-opposite.first)


def test_equal_seeds_give_equal_intervals_and_others_do_not() -> None:
    random = np.random.default_rng(8)
    score, confirmed = random.normal(size=100), random.random(100) < 0.5
    assert rank(score, confirmed, 4) == rank(score, confirmed, 4)
    assert rank(score, confirmed, 4) != rank(score, confirmed, 5)


def test_what_cannot_be_ranked_is_refused(refusal: Refusal) -> None:
    with refusal(NotEnoughDataError):
        auc(np.array([1, 2]), np.array([False, False]))
    with refusal(NotEnoughDataError):
        auc(np.array([1.0, np.nan]), np.array([True, False]))


@given(st.integers(0, 50), st.integers(1, 50))
def test_shares_have_the_interval_of_wilson(hits: int, more: int) -> None:
    of = hits + more
    found = share(hits, of)
    assert found is not None
    z = float(stats.norm.ppf(0.975))
    middle, half = (hits + z * z / 2) / (of + z * z), z / (of + z * z) * (hits * more / of + z * z / 4) ** 0.5
    assert found.estimate == hits / of
    assert (found.low, found.high) == (pytest.approx(middle - half, abs=1e-9), pytest.approx(middle + half, abs=1e-9))
    assert share(0, 0) is None
