"""The baseline RFM: quintiles of recency, frequency and money."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.training.judging.evaluate import rfm
from fivefold.training.judging.predictions import WindowPredictions


def judged(recency: list[float], frequency: list[float], money: list[float]) -> WindowPredictions:
    nothing = np.zeros(len(recency))
    return WindowPredictions(
        predicted=nothing,
        before=nothing,
        champion=None,
        realised=nothing,
        floored_share=0.0,
        persistence=nothing,
        recency=np.array(recency),
        frequency=np.array(frequency),
        money=np.array(money),
        consistency=nothing,
        matrix=np.empty((0, 0)),
        positions=np.empty(0, dtype=np.int64),
        traits={},
    )


def test_the_best_customer_has_15_and_the_worst_3() -> None:
    spread = [float(number) for number in range(10)]
    scores = rfm(judged(recency=spread[::-1], frequency=spread, money=spread))
    assert scores.tolist() == [3, 3, 6, 6, 9, 9, 12, 12, 15, 15]


def test_recent_customers_rank_above_those_long_gone() -> None:
    scores = rfm(judged([1, 100], [1, 1], [1, 1]))
    assert scores[0] > scores[1]


@given(st.lists(st.integers(0, 10**6), min_size=5, max_size=60, unique=True))
def test_without_ties_the_quintiles_are_those_of_pandas(money: list[int]) -> None:
    money = money[: len(money) // 5 * 5]
    still = [0.0] * len(money)
    wanted = pd.qcut(pd.Series(money).rank(), 5, labels=False) + 1
    assert (rfm(judged(still, still, [float(one) for one in money])) - 6).tolist() == wanted.tolist()


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_equal_customers_get_equal_scores_in_any_order(money: list[int], random: st.DataObject) -> None:
    order = list(range(len(money)))
    random.shuffle(order)
    still = [0.0] * len(money)
    scores = rfm(judged(still, still, [float(one) for one in money]))
    shuffled = rfm(judged(still, still, [float(money[place]) for place in order]))
    assert [scores[place] for place in order] == shuffled.tolist()
    assert all(score in range(3, 16) for score in scores.tolist())
    by_money = dict(zip(money, scores.tolist(), strict=True))
    assert scores.tolist() == [by_money[one] for one in money]
    assert [by_money[one] for one in sorted(by_money)] == sorted(by_money.values())


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_few_customers_are_ranked_too(count: int) -> None:
    spread = [float(number) for number in range(count)]
    scores = rfm(judged([0.0] * count, [0.0] * count, spread))
    assert (np.diff(scores) >= 0).all()
    assert ((scores >= 3) & (scores <= 15)).all()
