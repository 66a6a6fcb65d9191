"""Indicators and values of customers, as inputs of rules."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fivefold.domain.clock import to_microseconds
from fivefold.features.indicator_matrix import catalogue, indicator_matrix
from fivefold.features.reading.sources import read_histories
from fivefold.models.scoring.histories import Scoring
from fivefold.risk.facts import value_inputs as under_test
from tests.features.oracle.strategies import RATES, row

JULY = to_microseconds(datetime(2024, 7, 1, tzinfo=UTC))


def test_indicators_of_customers_seen_by_as_of() -> None:
    days = {"late": ["2024-07-02"], "a": ["2024-01-01", "2024-06-30"], "b": ["2024-07-01"]}
    ledger = [row(user_id=user, transaction_date=f"{day}T00:00:00Z") for user, all_of in days.items() for day in all_of]
    histories = read_histories(ledger, RATES)
    frame = under_test.indicator_frame(histories, JULY)
    assert frame.columns == ["entity_id", *catalogue().names]
    assert sorted(frame["entity_id"].to_list()) == ["a", "b"]
    matrix, _ = indicator_matrix(histories, JULY)
    ids = histories.user_ids.to_pylist()
    for found in frame.iter_rows(named=True):
        wanted = matrix[ids.index(found["entity_id"])]
        assert [np.nan if found[name] is None else found[name] for name in catalogue().names] == pytest.approx(
            list(wanted), nan_ok=True
        )
    assert not frame.select(pl.exclude("entity_id")).select(pl.any_horizontal(pl.all().is_nan().any())).item()


def test_values_have_the_names_that_rules_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pl.DataFrame({"user_id": ["a"], "score": [4.5], "category": ["top"], "expected_value": [12.0], "more": [1]})
    table = table.with_columns(expected_value_low=pl.lit(2.0), expected_value_high=pl.lit(None, pl.Float64))
    asked: list[Any] = []
    model: Any = SimpleNamespace(currency="USD")

    def scored(*given: Any) -> Any:
        asked.extend(given)
        return type("Scored", (), {"table": table})

    monkeypatch.setattr(under_test, "score_histories", scored)
    found = under_test.value_frame(model, "histories", JULY)  # type: ignore[arg-type]  # only handed on
    known = {"entity_id": "a", "currency": "USD", "score": 4.5, "segment": "top", "expected_value": 12.0}
    assert found.to_dicts() == [{**known, "expected_value_low": 2.0, "expected_value_high": None}]
    assert asked == [model, "histories", Scoring(JULY)]
