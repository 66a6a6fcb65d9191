"""A customer of years of whom 90 days are sent was scored as a new one, and nothing said so."""

import numpy as np
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.features.reading.sources import read_histories
from fivefold.models.reach import HistoryReach, history_reaches
from tests.models.making import RATES, value_model


@pytest.mark.parametrize(
    ("first", "as_of", "short"),
    [(640, 730, True), (640, 1_004, True), (640, 1_005, False), (30, 90, False), (31, 90, True), (-5, 90, False)],
)
def test_a_history_is_short_where_rows_are_probably_missing(first: int, as_of: int, short: bool) -> None:
    reach = HistoryReach(first * DAY_US, 0, as_of * DAY_US)
    assert reach.short is short
    assert ("an old customer is scored as a new one" in str(reach)) is short
    assert reach.to_dict()["days"] == as_of - first
    assert reach.to_dict()["days_before_it"] == max(0, first)


def test_every_customer_has_a_reach_of_their_own() -> None:
    rows = [
        {"user_id": user, "transaction_currency": "EUR", "user_balance": 1, "transaction_amount": 1,
         "user_created": "1970-01-02", "user_category": "WEB", "transaction_date": day}
        for user, day in (("a", "1970-01-05"), ("a", "1970-01-09"), ("b", "1970-01-03"))
    ]  # fmt: skip
    histories = read_histories(rows, RATES)
    assert [reach.days for reach in history_reaches(histories, 10 * DAY_US)] == [6, 8]
    assert [reach.missing_days for reach in history_reaches(histories, 10 * DAY_US)] == [3, 1]


def test_the_shares_of_the_segments_are_those_of_the_reference() -> None:
    model = value_model()
    scores = model.curve.score(np.repeat(model.curve.values, _times(model.curve.percentiles, model.curve.customers)))
    counted = model.segments_of(scores)
    for segment, share in model.segment_shares().items():
        assert share == pytest.approx((counted == segment).mean(), abs=1e-9)
    assert sum(model.segment_shares().values()) == pytest.approx(1)


def _times(percentiles: np.ndarray, customers: int) -> np.ndarray:
    below, times = 0.0, []
    for percentile in percentiles.tolist():
        times.append(round(2 * (percentile * customers - below)))
        below += times[-1]
    return np.array(times)
