"""Judging: every customer known at the test as-of, what was predicted, and what came true."""

from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import NotEnoughDataError
from fivefold.features.indicator_matrix import catalogue, indicator_matrix
from fivefold.features.reading import sources
from fivefold.features.reading.sources import read_histories
from fivefold.models.prediction import expected_value
from fivefold.training.config import TrainingConfig, ValueSettings
from fivefold.training.data import TransactionSource, sampling_keys
from fivefold.training.dates import Dates
from fivefold.training.judging import predictions as judging
from fivefold.training.judging.predictions import WindowPredictions, predict_test_window
from fivefold.training.target import realised_values
from tests.training.conftest import Runs


@pytest.fixture(scope="module")
def dates(runs: Runs) -> Dates:
    return runs.first.lineage.dates


@pytest.fixture(scope="module")
def judged(runs: Runs, portfolio: TransactionSource, config: TrainingConfig, dates: Dates) -> WindowPredictions:
    return predict_test_window(portfolio, dates, config, runs.first.model.booster, None)


def test_everybody_known_at_the_test_as_of_is_judged(
    judged: WindowPredictions, runs: Runs, portfolio: TransactionSource, config: TrainingConfig, dates: Dates
) -> None:
    histories = read_histories(portfolio.source, portfolio.rates)
    matrix, seen = indicator_matrix(histories, dates.test)
    known = seen > 0
    assert 0 < known.sum() < histories.customers
    assert judged.predicted.tobytes() == expected_value(runs.first.model.booster, matrix[known]).tobytes()
    places_of_known = sampling_keys(histories.user_ids.filter(pa.array(known)), config.seed)
    assert judged.positions.tolist() == np.argsort(places_of_known, kind="stable").tolist()
    assert judged.matrix.tobytes() == matrix[known][judged.positions].tobytes()
    values = realised_values(histories, np.array([dates.test, dates.test - dates.horizon_us]), 90, config.value)
    assert judged.realised.tobytes() == np.maximum(values[known, 0], 0).tobytes()
    assert judged.persistence.tobytes() == values[known, 1].tobytes()


def test_the_score_before_is_one_spacing_earlier_and_undefined_for_newcomers(
    judged: WindowPredictions, runs: Runs, portfolio: TransactionSource, dates: Dates
) -> None:
    histories = read_histories(portfolio.source, portfolio.rates)
    earlier, seen_then = indicator_matrix(histories, dates.test - 30 * DAY_US)
    _, seen_now = indicator_matrix(histories, dates.test)
    wanted = np.where(seen_then > 0, expected_value(runs.first.model.booster, earlier), np.nan)[seen_now > 0]
    assert np.isnan(judged.before).any()
    assert np.array_equal(judged.before, wanted, equal_nan=True)


def test_recency_frequency_and_money_are_of_the_last_year(
    judged: WindowPredictions, portfolio: TransactionSource, dates: Dates
) -> None:
    rows = pl.from_arrow(pq.read_table(str(portfolio.source)))
    assert isinstance(rows, pl.DataFrame)
    moment = pl.col("transaction_date").dt.epoch("us")
    known = rows.filter(moment <= dates.test)
    settled = pl.col("transaction_state").is_in(["SUCCEEDED", "COMPLETED"]) & (pl.col("transaction_amount") != 0)
    last_year = moment > dates.test - 365 * DAY_US
    wanted = known.group_by("user_id", maintain_order=True).agg(
        ((dates.test - moment.max()) / DAY_US).alias("recency"), (settled & last_year).sum().alias("frequency")
    )
    assert judged.recency == pytest.approx(wanted["recency"].to_numpy())
    assert judged.frequency.tolist() == wanted["frequency"].to_list()
    assert (judged.money >= 0).all()


def test_streaming_judges_the_same(
    judged: WindowPredictions,
    runs: Runs,
    config: TrainingConfig,
    portfolio: TransactionSource,
    dates: Dates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 800)
    streamed = predict_test_window(portfolio, dates, config, runs.first.model.booster, None)
    for name in ("predicted", "realised", "persistence", "recency", "frequency", "money", "before", "matrix"):
        assert getattr(streamed, name).tobytes() == getattr(judged, name).tobytes(), name


def test_groups_take_two_bytes_of_each_customer(judged: WindowPredictions) -> None:
    assert {by: trait.codes.nbytes for by, trait in judged.traits.items()} == dict.fromkeys(
        ("tenure", "channel", "currency"), 2 * len(judged.predicted)
    )


def test_the_champion_predicts_for_the_same_customers(
    judged: WindowPredictions, runs: Runs, config: TrainingConfig, portfolio: TransactionSource, dates: Dates
) -> None:
    assert judged.champion is None
    both = predict_test_window(portfolio, dates, config, runs.first.model.booster, runs.second.model)
    assert both.champion is not None
    assert both.champion.tobytes() == judged.predicted.tobytes()


def test_no_more_indicators_are_kept_than_of_so_many_customers(
    runs: Runs,
    config: TrainingConfig,
    portfolio: TransactionSource,
    dates: Dates,
    judged: WindowPredictions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judging, "KEPT_CUSTOMERS", 10)
    for rows_a_batch in (200, 10**6):
        monkeypatch.setattr(sources, "ROWS_A_BATCH", rows_a_batch)
        few = predict_test_window(portfolio, dates, config, runs.first.model.booster, None)
        assert few.matrix.tobytes() == judged.matrix[:10].tobytes()
        assert len(few.predicted) == len(judged.predicted)
        assert few.matrix.shape[1] == len(catalogue().names)


def test_values_below_0_count_as_0_in_both_windows_and_their_share_is_told(
    runs: Runs, config: TrainingConfig, portfolio: TransactionSource, dates: Dates
) -> None:
    refunds = config.model_copy(
        update={"value": ValueSettings(deposit_fee=0.01, withdrawal_fee=-0.01, yearly_margin=0)}
    )
    found = predict_test_window(portfolio, dates, refunds, runs.first.model.booster, None)
    assert found.realised.min() == 0
    assert 0 < found.floored_share < 1
    assert (found.realised == 0).mean() >= found.floored_share
    histories = read_histories(portfolio.source, portfolio.rates)
    before = realised_values(histories, np.array([dates.test - dates.horizon_us]), 90, refunds.value)[:, 0]
    known = histories.time[histories.offsets[:-1]] <= dates.test
    assert before[known].min() < 0
    assert found.persistence.tobytes() == np.maximum(before[known], 0).tobytes()


def test_nobody_at_the_test_as_of_is_not_enough(
    runs: Runs, config: TrainingConfig, portfolio: TransactionSource, dates: Dates
) -> None:
    with pytest.raises(NotEnoughDataError, match="no customer has a history at the test as-of"):
        predict_test_window(portfolio, replace(dates, test=0), config, runs.first.model.booster, None)


def test_a_window_in_which_nobody_is_worth_anything_judges_nothing(
    runs: Runs, config: TrainingConfig, portfolio: TransactionSource, dates: Dates
) -> None:
    costs = config.model_copy(update={"value": ValueSettings(deposit_fee=-1, withdrawal_fee=-1, yearly_margin=0)})
    with pytest.raises(NotEnoughDataError, match="no customer is worth anything in the test window"):
        predict_test_window(portfolio, dates, costs, runs.first.model.booster, None)
