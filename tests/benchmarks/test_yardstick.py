"""The yardstick's protocol: nobody looks ahead, everybody is asked about the same customers, ties are shared."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from benchmarks.yardstick import methods as shipped
from benchmarks.yardstick.figures import CAPTURE, GINI, LESS, SPEARMAN, figures_of, interval, lines, mean
from benchmarks.yardstick.methods import FIVEFOLD, PERSISTENCE, PLAIN, PURCHASES, RFM, TWO_PARTS
from benchmarks.yardstick.protocol import Method, Prediction, ProtocolError, Task, Window, aligned, answer, windows
from benchmarks.yardstick.purchases import PurchasePredictions
from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.training.config import TrainingConfig, TreeSettings
from fivefold.training.judging.bootstrap import draws
from fivefold.training.judging.metrics import rank_metrics
from fivefold.training.simulation.simulator import Simulation, simulate

LATE = "user_late"
"""A customer whose first transaction is one day before the last as-of: at no training date is anything known of it."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    rates = tmp_path_factory.mktemp("rates") / "rates.csv"
    rates.write_text(
        "currency,date,rate\nUSD,2024-01-01,0.92\nGBP,2024-01-01,1.16\nSEK,2024-01-01,0.088\nPLN,2024-01-01,0.23\n",
        encoding="utf-8",
    )
    return TrainingConfig(rates=rates, trees=TreeSettings(threads=1, rounds=20, leaves=7, min_rows_in_leaf=20))


@pytest.fixture(scope="module")
def table(config: TrainingConfig) -> pa.Table:
    whole = pa.concat_tables(simulate(Simulation(customers=250, seed=5)))
    test = next(windows(whole, config, 1)).task.dates.test
    row = whole.slice(0, 1).to_pylist()[0]
    moment = pa.scalar(test - DAY_US, pa.timestamp("us")).cast(whole.schema.field("transaction_date").type)
    late = (
        row
        | {"user_id": LATE, "transaction_date": moment.as_py()}
        | ({"transaction_id": "late"} if "transaction_id" in row else {})
    )
    return pa.concat_tables([whole, pa.Table.from_pylist([late], schema=whole.schema)])


@pytest.fixture(scope="module")
def window(table: pa.Table, config: TrainingConfig) -> Window:
    return next(windows(table, config, 1))


@pytest.fixture(scope="module")
def every() -> dict[str, Method]:
    """Every method that ships; pymc-marketing is stood in for by the number of purchases times their mean."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped.purchase_model, "predict", counted)
        yield dict(shipped.methods(Path("none")))


def counted(summary: pl.DataFrame, horizon_days: int, python: Path) -> PurchasePredictions:
    money = (summary["frequency"] * summary["money"] / (summary["age"] + 1)).fill_null(0.0)
    return PurchasePredictions(money.to_numpy(), (), {})


def looks_ahead(task: Task) -> Prediction:
    """What a leaking feature would do: sum up what comes after the as-of."""
    return Prediction(task.values(task.dates.test))


def test_a_method_that_looks_ahead_sees_nothing_of_what_comes(window: Window) -> None:
    """On the whole data it would be perfect. Balances that are carried on it may see: they are known at the as-of."""
    flows = window.task.config.value.model_copy(update={"yearly_margin": 0.0})
    blind = replace(window.task, config=window.task.config.model_copy(update={"value": flows}))
    assert not answer("leak", looks_ahead, blind).values.any()
    assert window.realised.any()
    for part in window.task.source.batches("all"):
        assert part.time.max() <= window.task.dates.test


@pytest.mark.full
def test_what_comes_after_the_as_of_changes_no_prediction(
    table: pa.Table, config: TrainingConfig, window: Window, every: dict[str, Method]
) -> None:
    test = window.task.dates.test
    times = pl.from_arrow(table)["transaction_date"].to_list()
    later = np.array([to_microseconds(time) > test for time in times])
    amounts = table["transaction_amount"].to_numpy()
    place = table.schema.get_field_index("transaction_amount")
    changed = table.set_column(place, "transaction_amount", pa.array(np.where(later, amounts * 50, amounts)))
    other = next(windows(changed, config, 1))
    assert other.realised.sum() > 5 * window.realised.sum()
    for name, method in every.items():
        assert np.array_equal(answer(name, method, window.task).values, answer(name, method, other.task).values), name


def test_no_value_that_is_learnt_from_reaches_past_the_as_of(window: Window) -> None:
    dates = window.task.dates
    assert (window.task.rows.as_of + dates.horizon_us <= dates.test).all()


def test_every_method_answers_for_everybody_and_in_money_but_rfm(window: Window, every: dict[str, Method]) -> None:
    assert list(every) == [PERSISTENCE, RFM, PURCHASES, PLAIN, TWO_PARTS, FIVEFOLD]
    place = window.task.customers.to_pylist().index(LATE)
    for name, method in every.items():
        found = answer(name, method, window.task)
        assert len(found.values) == len(window.realised) == len(window.task.customers), name
        assert np.isfinite(found.values[place]), name
        assert found.money == (name != RFM), name
        assert rank_metrics(found.values, window.realised).normalised_gini > 0.2, name


def test_who_comes_after_the_as_of_is_nobody_s_to_predict(table: pa.Table, config: TrainingConfig) -> None:
    first, last = windows(table, config, 2)
    assert LATE in last.task.customers.to_pylist()
    assert LATE not in first.task.customers.to_pylist()
    assert first.is_known.sum() == len(first.realised) < last.is_known.sum() == len(last.realised)
    assert last.task.dates.test - first.task.dates.test == config.horizon_days * DAY_US


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (lambda task: Prediction(np.ones(len(task.customers) - 1)), "predictions of shape"),
        (lambda task: Prediction(np.full(len(task.customers), np.nan)), "gives no number for .* such as 'user_"),
    ],
)
def test_an_answer_for_other_customers_is_refused(window: Window, method: Method, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        answer("odd", method, window.task)


def test_a_file_of_predictions_is_put_in_order_or_refused_with_every_fault() -> None:
    asked = pa.array(["ann", "bob", "cid"])
    given = pl.DataFrame({"customer": ["cid", "ann", "bob"], "predicted": ["3", "1.5", "0"]})
    assert aligned("mine", given, asked).tolist() == [1.5, 0.0, 3.0]
    wrong = pl.DataFrame({"customer": ["cid", "cid", "bob", "dan"], "predicted": ["3", "4", "", "1"]})
    with pytest.raises(ProtocolError) as refused:
        aligned("mine", wrong, asked)
    assert str(refused.value).splitlines() == [
        "mine is not judged:",
        "1 customers are missing, such as 'ann'",
        "1 customers are not asked about, such as 'dan'",
        "1 customers stand there more than once, such as 'cid'",
        "1 customers have no number, such as 'bob'",
    ]
    with pytest.raises(ProtocolError, match="lacks the column predicted; it has customer, money"):
        aligned("mine", given.rename({"predicted": "money"}), asked)


def values(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    realised = np.where(random.random(count) < 0.4, random.lognormal(3, 1, count), 0.0)
    return np.round(realised * random.lognormal(0, 1, count), -1), realised


def test_figures_of_draws_are_the_metrics_of_customers_repeated() -> None:
    predicted, realised = values()
    drawn = list(draws(len(realised), seed=4, resamples=5))
    found = figures_of({"mine": Prediction(predicted)}, realised, drawn)
    for number, times in enumerate([np.ones(len(realised)), *drawn]):
        again = times.astype(np.int64)
        wanted = rank_metrics(np.repeat(predicted, again), np.repeat(realised, again))
        for figure, value in vars(wanted).items():
            assert found["mine", figure][number] == pytest.approx(value, abs=1e-9), figure
    assert interval(found["mine", GINI])["low"] < found["mine", GINI][0] < interval(found["mine", GINI])["high"]


def test_who_predicts_the_same_for_all_is_at_chance_whatever_the_order_of_rows() -> None:
    _, realised = values()
    for order in (np.arange(len(realised)), np.argsort(realised)):
        found = figures_of({"flat": Prediction(np.ones(len(realised)))}, realised[order], draws(len(realised), 1, 3))
        assert found["flat", GINI] == pytest.approx(0.0, abs=1e-9)
        best = np.sort(realised)[-40:].sum()
        assert found["flat", CAPTURE][0] == pytest.approx(realised.sum() / 10 / best)
        assert np.isnan(found["flat", SPEARMAN]).all()


def test_a_rival_that_says_the_same_differs_by_nothing_at_all() -> None:
    predicted, realised = values()
    answers = {
        FIVEFOLD: Prediction(predicted),
        "twin": Prediction(predicted * 2),
        "none": Prediction(predicted, reasons=("no",)),
    }
    found = figures_of(answers, realised, draws(len(realised), 1, 50))
    table = lines(mean([found, found]), FIVEFOLD, data_set="toy", window="mean")
    less = [line for line in table if str(line["figure"]).endswith(LESS)]
    assert {(line["method"], line["estimate"], line["low"], line["high"]) for line in less} == {("twin", 0.0, 0.0, 0.0)}
    assert "none" not in {line["method"] for line in table}
