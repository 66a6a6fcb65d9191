"""Several origins in one run: each is what a run with that test as-of is, and knows nothing of what comes later."""

import io
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import fivefold.training.retrain as retraining
from fivefold.domain.clock import DAY_US, day_text, to_microseconds
from fivefold.domain.errors import NotEnoughDataError
from fivefold.training.config import CheckSettings, SnapshotSettings, TreeSettings
from fivefold.training.judging.evaluate import MODEL
from fivefold.training.origins.judge import JudgedOrigin
from fivefold.training.origins.rolling import Rolling
from fivefold.training.presets.choose import PresetChoice
from fivefold.training.presets.named import PRESETS
from fivefold.training.report.model_card import model_card
from fivefold.training.retrain import TrainingResult
from tests.training.conftest import Learn
from tests.training.test_leakage import before, garbage

TEST = to_microseconds(datetime(2024, 10, 2))  # noqa: DTZ001 (no zone means UTC)
HORIZON = 90 * DAY_US


@pytest.fixture(scope="module")
def frame(rows: pa.Table) -> pl.DataFrame:
    whole = pl.from_arrow(rows)
    assert isinstance(whole, pl.DataFrame)
    return whole


@pytest.fixture(scope="module")
def kept() -> dict[str, TrainingResult]:
    """Runs that several tests look at; they are made by the first that asks."""
    return {}


@pytest.fixture
def three(learn: Learn, file: Path, kept: dict[str, TrainingResult]) -> TrainingResult:
    if "three" not in kept:
        kept["three"] = learn(file, origins=3)
    return kept["three"]


def rolling_of(outcome: TrainingResult) -> Rolling:
    assert outcome.lineage.rolling is not None
    return outcome.lineage.rolling


def figures(origin: JudgedOrigin) -> Any:
    return origin.by_name, origin.calibration_error, origin.rows, origin.rounds, origin.customers


def test_the_origins_are_one_horizon_after_the_other_and_nothing_that_is_learnt_ends_later(
    three: TrainingResult,
) -> None:
    rolling = rolling_of(three)
    assert [each.moment for each in rolling.origins] == [TEST - 2 * HORIZON, TEST - HORIZON, TEST]
    for each in rolling.origins:
        assert len(each.dates.training) == 6
        assert int(each.dates.training[-1]) + HORIZON == each.moment


def test_each_origin_is_what_a_run_with_that_test_as_of_is(three: TrainingResult, learn: Learn, file: Path) -> None:
    for each in rolling_of(three).origins:
        alone = learn(file, test_as_of=each.moment)
        assert alone.lineage.rolling is None
        assert each.by_name == alone.evaluation.by_name
        assert each.customers == alone.evaluation.customers
        assert each.rows == len(alone.lineage.rows.values)
        assert each.calibration_error == alone.evaluation.registered_metrics()["calibration_error"]


def test_the_model_and_the_figures_of_the_last_origin_are_those_of_a_run_without_others(
    three: TrainingResult, learn: Learn, file: Path
) -> None:
    alone = learn(file)
    assert three.model.content_hash == alone.model.content_hash
    assert three.evaluation.registered_metrics() == alone.evaluation.registered_metrics()
    assert three.verdict.reasons[: len(alone.verdict.reasons)] == alone.verdict.reasons
    assert (
        "## At other origins" not in model_card(alone.model, alone.evaluation, alone.lineage, alone.verdict).markdown()
    )


def test_garbage_after_the_window_of_an_origin_changes_no_figure_of_it_or_of_any_before(
    three: TrainingResult, learn: Learn, frame: pl.DataFrame
) -> None:
    first, second, _ = rolling_of(three).origins
    spoilt = rolling_of(learn(garbage(frame, TEST), origins=3))
    assert [figures(each) for each in spoilt.origins[:2]] == [figures(first), figures(second)]
    assert figures(spoilt.origins[2]) != figures(rolling_of(three).origins[2])
    # Newcomers of the spoilt data are drawn too, so intervals are other ones; what they are of is not.
    less = [one.estimate for one in spoilt.differences if one.moment in (first.moment, second.moment)]
    assert less == [
        one.estimate for one in rolling_of(three).differences if one.moment in (first.moment, second.moment)
    ]


@pytest.mark.full
def test_what_an_origin_learns_is_the_same_whatever_comes_after_it(
    three: TrainingResult, learn: Learn, frame: pl.DataFrame
) -> None:
    """Its window is spoilt, so its figures change; its rows, and what it predicts for the same customers, do not."""
    second = rolling_of(three).origins[1]
    known = garbage(frame.filter(before(second.moment) | ~before(second.moment + HORIZON)), second.moment)
    spoilt = rolling_of(learn(known, origins=3)).origins[1]
    assert (spoilt.rows, spoilt.rounds) == (second.rows, second.rounds)
    for name in (MODEL, "persistence", "rfm"):
        assert spoilt.predictions[name].tolist() == second.predictions[name].tolist()
    assert spoilt.realised.tolist() != second.realised.tolist()


@pytest.mark.full
def test_the_order_of_rows_within_customers_changes_nothing(
    three: TrainingResult, learn: Learn, frame: pl.DataFrame
) -> None:
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1).sort("user_id", maintain_order=True)
    again = rolling_of(learn(shuffled, origins=3))
    assert again.figures() == rolling_of(three).figures()
    assert again.write_csv() == rolling_of(three).write_csv()


FEW = TreeSettings(threads=1, min_rows_in_leaf=20, most_rounds=5)


def test_no_preset_is_chosen_on_a_window_that_is_judged(
    learn: Learn, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices: list[PresetChoice] = []
    choose = retraining.choose_preset
    monkeypatch.setattr(retraining, "choose_preset", lambda *given: choices.append(choose(*given)) or choices[-1])
    monkeypatch.setattr(retraining, "asked_presets", lambda _: PRESETS[:2])
    rolling = rolling_of(learn(file, origins=3, trees=FEW))
    assert choices[0].origins
    assert max(choices[0].origins) + HORIZON <= rolling.origins[0].moment


@pytest.mark.full
def test_trees_are_searched_for_as_of_the_first_origin_and_are_those_of_every_one(
    learn: Learn, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On what is known then a run with that test as-of finds the same; the last training date knows too much."""
    used: list[TreeSettings] = []
    judge = retraining.judge_origin

    def judging(*given: Any) -> JudgedOrigin:
        used.append(given[4])
        return judge(*given)

    monkeypatch.setattr(retraining, "judge_origin", judging)
    several = learn(file, 4, origins=3, trees=FEW)
    first = rolling_of(several).origins[0]
    alone = learn(file, 4, test_as_of=first.moment, trees=FEW)
    assert first.by_name == alone.evaluation.by_name
    searched = alone.lineage.trees.model_copy(update={"rounds": None})
    assert [*used, several.lineage.trees.model_copy(update={"rounds": None})] == [searched] * 3


def test_more_origins_than_the_data_allow_are_refused_with_their_names_and_how_many_there_may_be(
    learn: Learn, file: Path
) -> None:
    with pytest.raises(NotEnoughDataError) as refused:
        learn(file, origins=9)
    said = str(refused.value)
    assert (
        "9 origins were asked for, 90 days after each other, and the data allow 7 (--origins 7, or origins: 7)" in said
    )
    assert "2023-01-11: no training date has a history before it" in said
    assert "2023-04-11: " not in said
    assert len(rolling_of(learn(file, origins=7)).origins) == 7


def no_fit(*_: object) -> None:
    raise AssertionError("something was learnt")


def test_trees_that_cannot_be_searched_for_as_of_the_first_origin_are_refused_before_anything_is_learnt(
    learn: Learn, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Presets are tried before trees are searched for, so the search must not be the first to find it out."""
    monkeypatch.setattr(retraining, "choose_preset", no_fit)
    monkeypatch.setattr(retraining, "asked_presets", lambda _: PRESETS[:2])
    monkeypatch.setattr(retraining, "tune", no_fit)
    first = TEST - 6 * HORIZON
    with pytest.raises(NotEnoughDataError) as refused:
        learn(file, tune_trials=2, origins=7)
    said = str(refused.value)
    assert f"origin {day_text(first)}: no trees can be searched for as of it (--tune)" in said
    assert "two training dates 90 days apart" in said
    assert f"from {day_text(TEST - 5 * HORIZON)} on (--origins 6, or origins: 6)" in said


def test_trees_of_one_origin_with_dates_too_near_each_other_are_refused_too(
    learn: Learn, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining, "tune", no_fit)
    with pytest.raises(NotEnoughDataError, match=r"train without --tune, or with more dates \(snapshots.most\)"):
        learn(file, tune_trials=2, snapshots=SnapshotSettings(most=2, spacing_days=30))


def test_an_origin_at_which_nobody_is_worth_anything_is_refused_by_its_name(learn: Learn, frame: pl.DataFrame) -> None:
    """Every row of its window failed, and balances are gone: there are customers, and nobody is worth anything."""
    window = before(TEST) & ~before(TEST - HORIZON)
    worthless = frame.with_columns(
        transaction_amount=pl.when(window).then(0.0).otherwise("transaction_amount"),
        user_balance=pl.when(before(TEST)).then(0.0).otherwise("user_balance"),
    )
    with pytest.raises(NotEnoughDataError) as refused:
        learn(worthless, origins=3)
    said = str(refused.value)
    assert "the data allow 1" in said
    assert f"{day_text(TEST - HORIZON)}: no customer is worth anything in the window after it" in said
    assert day_text(TEST - 2 * HORIZON) not in said


def test_an_origin_with_too_few_customers_is_refused_before_anything_is_fitted(
    learn: Learn, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fitting(*_: Any) -> None:
        raise AssertionError("fitted what cannot be judged")

    monkeypatch.setattr(retraining, "fit", fitting)
    with pytest.raises(NotEnoughDataError, match=r"known customers; it needs 330 \(checks.least_customers\)"):
        learn(file, origins=3, checks=CheckSettings(least_customers=330))


def test_one_customer_is_refused_as_without_other_origins(learn: Learn, frame: pl.DataFrame) -> None:
    one = frame.filter(pl.col("user_id") == frame["user_id"][0])
    with pytest.raises(NotEnoughDataError, match="known customer"):
        learn(one, origins=2)


def test_the_card_has_every_origin_its_means_and_its_differences(three: TrainingResult) -> None:
    rolling = rolling_of(three)
    card = model_card(three.model, three.evaluation, three.lineage, three.verdict).markdown()
    section = card.partition("## At other origins")[2].partition("\n## ")[0]
    for each in rolling.origins:
        gini = each.by_name[MODEL].normalised_gini
        assert f"| {day_text(each.moment)} | {each.customers:,} | {each.rows:,} rows | once | {gini:.4f} / " in section
    less = rolling.difference("persistence", "normalised_gini")
    assert less is not None
    assert f"{less.estimate:+.4f} ({less.low:+.4f} to {less.high:+.4f}) |\n" in section
    assert f"| mean |  |  |  | {rolling.mean(MODEL, 'normalised_gini'):.4f} / " in section
    assert str(three.verdict) in card


def test_the_table_of_figures_is_that_of_the_origins(three: TrainingResult) -> None:
    rolling = rolling_of(three)
    table = pl.read_csv(io.StringIO(rolling.write_csv()))
    gini = table.filter((pl.col("name") == MODEL) & (pl.col("figure") == "normalised_gini"))
    assert gini["origin"].to_list() == [*(day_text(each.moment) for each in rolling.origins), "mean"]
    values = [each.by_name[MODEL].normalised_gini for each in rolling.origins]
    assert gini["value"].to_list()[:3] == pytest.approx(values)
    assert gini["value"][3] == pytest.approx(sum(values) / 3)
    less = table.filter((pl.col("name") == "persistence") & (pl.col("origin") == "mean"))
    assert (less["low"] < less["model_less_this"]).all()
    assert (less["model_less_this"] < less["high"]).all()
