"""Consistency: 1 for a clockwork, less for whoever comes and goes, and unknown, never 0, where little is known."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import to_microseconds
from fivefold.features.consistency import LEAST_DAYS, consistency
from fivefold.features.indicator_matrix import catalogue, indicator_matrix
from fivefold.features.reading.sources import read_histories
from tests.models.making import RATES, reference_matrix

NAMES = catalogue().names
DAY = date(2024, 6, 30)


def consistency_of(*payments: tuple[int, float], user_id: str = "c") -> float:
    """Give the consistency on `DAY` of who made payments so many days before it."""
    rows = [
        {
            "user_id": user_id,
            "user_created": "2020-01-01",
            "user_category": "WEB",
            "transaction_currency": "EUR",
            "user_balance": 100.0,
            "transaction_date": (DAY - timedelta(days=before)).isoformat(),
            "transaction_amount": amount,
            "transaction_state": "COMPLETED",
        }
        for before, amount in payments
    ]
    matrix, _ = indicator_matrix(read_histories(rows, RATES), to_microseconds(DAY))
    return float(consistency(matrix, NAMES)[0])


def test_whoever_pays_the_same_at_equal_distances_is_consistent() -> None:
    assert consistency_of(*((10 * number + 5, 20.0) for number in range(36))) > 0.95


def test_uneven_gaps_and_a_flow_that_stops_or_begins_each_lower_it() -> None:
    even = [(10 * number + 5, 20.0) for number in range(36)]
    uneven = [(10 * number + 5 + (4 if number % 2 else -4), 20.0) for number in range(36)]
    stopped = [payment for payment in even if payment[0] > 90]
    began = [(before, 20.0 if before > 90 else 400.0) for before, _ in even]
    best = consistency_of(*even)
    for worse in (uneven, stopped, began):
        assert consistency_of(*worse) < best - 0.1


def test_it_is_unknown_and_not_0_where_the_history_says_too_little() -> None:
    assert np.isnan(consistency_of(*((number, 20.0) for number in range(1, LEAST_DAYS, 7))))
    assert np.isnan(consistency_of((300, 20.0), (10, 20.0)))
    assert np.isnan(consistency_of((300, 0.0), (200, 0.0), (10, 0.0)))
    assert np.isnan(consistency_of(*((number, 20.0) for number in range(400, 700, 10))))
    assert not np.isnan(consistency_of((LEAST_DAYS, 20.0), (100, 20.0), (10, 20.0)))


@pytest.mark.parametrize(
    ("age", "recent", "year", "expected"),
    [
        (400.0, 180.0, 455.0, (0.5 + 2 / 3) / 2),  # 2 a day in 90 days, 1 a day in the other 275 of the year
        (270.0, 180.0, 360.0, (0.5 + 2 / 3) / 2),  # 1 a day in the 180 days before, which are all that there is
        (180.0, 90.0, 180.0, 0.75),
        (179.0, 90.0, 180.0, np.nan),
    ],
)
def test_it_is_the_mean_of_regularity_and_steadiness(age: float, recent: float, year: float, expected: float) -> None:
    names = ("first_event_age", "deposit_sum_90d", "deposit_sum_365d", "regularity_365d")
    names += ("withdrawal_sum_90d", "withdrawal_sum_365d")
    one = np.array([[age, 0.75 * recent, 0.75 * year, 0.5, 0.25 * recent, 0.25 * year]])
    assert consistency(one, names)[0] == pytest.approx(expected, rel=1e-12, nan_ok=True)


@given(
    st.lists(
        st.tuples(st.integers(0, 800), st.floats(-1e6, 1e6).map(lambda amount: round(amount, 2))),
        min_size=1,
        max_size=30,
        unique_by=lambda payment: payment[0],
    )
)
def test_it_is_between_0_and_1_or_unknown(payments: list[tuple[int, float]]) -> None:
    found = consistency_of(*payments)
    assert np.isnan(found) or 0 <= found <= 1


def test_one_customer_has_what_a_batch_gives() -> None:
    matrix = reference_matrix()
    batch = consistency(matrix, NAMES)
    alone = [consistency(matrix[number : number + 1], NAMES)[0] for number in range(len(matrix))]
    assert np.array(alone).tobytes() == batch.tobytes()
    assert 0 < np.isnan(batch).sum() < len(batch)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_columns_does_not_matter(seed: int) -> None:
    matrix = reference_matrix()
    order = np.random.default_rng(seed).permutation(len(NAMES))
    again = consistency(matrix[:, order], tuple(NAMES[number] for number in order.tolist()))
    assert again.tobytes() == consistency(matrix, NAMES).tobytes()
