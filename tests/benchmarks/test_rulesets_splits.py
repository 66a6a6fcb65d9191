"""Repeated splits."""

import numpy as np
import pytest

from benchmarks.rulesets.splits import halves, judge
from fivefold.domain.errors import NotEnoughDataError
from fivefold.risk.governance.validate.ranking import compare_rankings, gini, rank

CONFIRMED = np.arange(400) % 5 == 0
RANDOM = np.random.default_rng(2)
SCORE = RANDOM.normal(size=400) + CONFIRMED
WORSE = SCORE + RANDOM.normal(size=400)


def test_halves_hold_half_of_both_kinds_and_differ_by_seed() -> None:
    first, second, third = halves(CONFIRMED, 3, 9)
    for part in (first, second, third):
        assert (part.sum(), (part & CONFIRMED).sum()) == (200, 40)
    assert (first != second).any()
    assert (halves(CONFIRMED, 1, 10)[0] == second).all()


def test_ginis_are_those_of_the_judged_alone() -> None:
    judged = halves(CONFIRMED, 4)
    spoilt = [np.where(part, SCORE, np.nan) for part in judged]
    found = judge(judged, spoilt, CONFIRMED, resamples=50)
    assert found.ginis == tuple(gini(SCORE[part], CONFIRMED[part]) for part in judged)
    assert found.mean.estimate == pytest.approx(np.mean(found.ginis))
    assert found.difference is None


def test_judging_everyone_once_is_ranking_everyone() -> None:
    everyone = [np.ones(400, dtype=bool)]
    found = judge(everyone, [SCORE], CONFIRMED, [WORSE], resamples=2000)
    alone, paired = rank(SCORE, CONFIRMED, resamples=2000), compare_rankings(SCORE, WORSE, CONFIRMED, resamples=2000)
    assert found.mean.estimate == pytest.approx(alone.gini.estimate)
    assert found.mean.low == pytest.approx(alone.gini.low, abs=0.02)
    assert found.mean.high == pytest.approx(alone.gini.high, abs=0.02)
    assert found.difference is not None
    assert found.difference.estimate == pytest.approx(paired.difference.estimate)
    assert found.difference.low == pytest.approx(paired.difference.low, abs=0.02)


@pytest.mark.full
def test_splits_share_their_entities_so_more_of_them_do_not_make_sure() -> None:
    few, many = (judge(halves(CONFIRMED, count), [SCORE] * count, CONFIRMED, resamples=400) for count in (10, 30))
    widths = [found.mean.high - found.mean.low for found in (few, many)]
    assert widths[1] > widths[0] * 0.9


def test_a_score_against_itself_is_no_difference() -> None:
    judged = halves(CONFIRMED, 2)
    found = judge(judged, [SCORE] * 2, CONFIRMED, [SCORE] * 2, resamples=50)
    assert found.difference is not None
    assert (found.difference.low, found.difference.high, found.share_above) == (0, 0, 0.5)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="no splits"):
        judge([], [], CONFIRMED)
    with pytest.raises(NotEnoughDataError, match="a ranking needs both kinds"):
        judge([~CONFIRMED], [SCORE], CONFIRMED)
