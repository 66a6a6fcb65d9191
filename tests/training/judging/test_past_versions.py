"""Predictions whose horizon is over against what came: by version and day, and what is never counted."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from fivefold.domain.clock import DAY_US, day_text, parse_moment
from fivefold.domain.errors import ConfigError, FileFormatError
from fivefold.domain.provenance import hash_text
from fivefold.features.reading.text_files import MappedFile
from fivefold.models.scoring.histories import Scoring
from fivefold.models.scoring.sources import score_source
from fivefold.models.value_model import ValueModel
from fivefold.training import data
from fivefold.training.config import CheckSettings, DueSettings, TrainingConfig
from fivefold.training.data import TransactionSource
from fivefold.training.dates import DataPeriod
from fivefold.training.judging import past_versions
from fivefold.training.judging.evaluate import MODEL
from fivefold.training.judging.past_scores import read_scores
from fivefold.training.judging.past_versions import JudgedVersion, judge_versions, realised_table
from fivefold.training.judging.predictions import predict_test_window
from fivefold.training.judging.realised import compare_with_realised
from fivefold.training.on_engine import EngineFile, open_source
from fivefold.training.retrain import retrain
from tests.features.spark.split_engine import SplitEngine
from tests.models.making import new_registry
from tests.training.conftest import FAST, Runs

NOW = parse_moment("2025-06-01")
ALL = DueSettings(least_customers=100)


def scored(model: ValueModel, rows: pa.Table, as_of: int, path: Path) -> Path:
    """Write what `fivefold score` would as of a moment."""
    table = pl.concat([batch.table for batch in score_source(model, rows, Scoring(as_of))])
    table.with_columns(
        as_of=pl.lit(f"{np.datetime64(as_of, 'us')}Z"), model_hash=pl.lit(hash_text(model.content_hash))
    ).write_parquet(path)
    return path


@pytest.fixture
def first(runs: Runs, rows: pa.Table, tmp_path: Path) -> Path:
    """The scores of the first version as of its own test as-of."""
    return scored(runs.first.model, rows, runs.first.model.test_as_of, tmp_path / "scores.parquet")


def judged(runs: Runs, rows: pa.Table, *paths: Path, due: DueSettings | None = ALL, now: int = NOW) -> JudgedVersion:
    versions, left_out = judge_versions(read_scores(paths), rows, runs.registry, due, now)
    assert left_out == []
    assert len(versions) == 1
    return versions[0]


def test_it_says_of_the_test_window_what_training_said(
    runs: Runs, rows: pa.Table, first: Path, portfolio: TransactionSource, config: TrainingConfig
) -> None:
    version = judged(runs, rows, first)
    (day,) = version.realised.days
    window = predict_test_window(portfolio, runs.first.lineage.dates, config, runs.first.model.booster, None)
    evaluation = runs.first.evaluation
    assert (version.number, version.is_champion) == (1, True)
    assert day.customers == evaluation.customers == len(window.realised)
    assert day.whole["realised_mean"] == pytest.approx(window.realised.mean(), rel=1e-12)
    assert day.metrics.normalised_gini == pytest.approx(evaluation.by_name[MODEL].normalised_gini, abs=1e-12)
    tenths = day.figures.filter(pl.col("by") == "decile")
    assert tenths["realised_mean"].to_list() == pytest.approx(evaluation.calibration["realised_mean"].to_list())
    assert tenths["predicted_mean"].to_list() == pytest.approx(evaluation.calibration["predicted_mean"].to_list())
    assert evaluation.coverage is not None
    assert day.whole["covered_share"] == pytest.approx(evaluation.coverage.covered_share)
    for by in ("segment", "decile"):
        assert day.figures.filter(pl.col("by") == by)["customers"].sum() == day.customers
    table = realised_table([version])
    assert table.columns[:3] == ["version", "day", "by"]
    assert len(table) == len(day.figures)
    for name in ("normalised_gini", "spearman"):
        assert table[name].to_list() == [getattr(day.metrics, name), *[None] * (len(table) - 1)]


def test_workers_come_to_the_figures_of_one_process(
    runs: Runs, rows: pa.Table, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are in no order, and a few customers' values are computed at a time."""
    monkeypatch.setattr(data, "CELLS_AT_ONCE", 200)
    model = runs.first.model
    later = scored(model, rows, model.test_as_of + DAY_US, tmp_path / "later.parquet")
    mixed = tmp_path / "mixed.parquet"
    pq.write_table(rows.take(pa.array(np.random.default_rng(5).permutation(len(rows)))), mixed)
    (tmp_path / "shared").mkdir()
    on_workers = EngineFile(SplitEngine(tmp_path / "shared"), MappedFile(mixed))
    alone = judged(runs, rows, first, later)
    (split,), left_out = judge_versions(read_scores([first, later]), on_workers, runs.registry, ALL, NOW)
    assert left_out == []
    assert_frame_equal(realised_table([split]), realised_table([alone]), check_exact=True)
    assert split.verdict == alone.verdict
    assert [day.metrics for day in split.realised.days] == [day.metrics for day in alone.realised.days]
    assert len(alone.realised.days) == 2


def test_a_horizon_that_is_one_day_short_is_not_compared(
    runs: Runs, rows: pa.Table, first: Path, tmp_path: Path
) -> None:
    model = runs.first.model
    ends = model.test_window_ends
    short = judged(runs, rows, first, now=ends - 1)
    assert (short.realised.days, short.realised.waiting) == ((), runs.first.evaluation.customers)
    assert short.verdict.state == "waiting"
    assert judged(runs, rows, first, now=ends).realised.waiting == 0
    # The clock is past the horizon, and the data end a day before it, with the day's slack of daily data gone too.
    last = pl.DataFrame(pl.from_arrow(rows))["transaction_date"].dt.epoch("us").sort()[-1]
    late = scored(model, rows, last + DAY_US - 90 * DAY_US + 1, tmp_path / "late.parquet")
    version = judged(runs, rows, late)
    assert (version.realised.days, version.realised.uncovered) == ((), len(pl.read_parquet(late)))
    assert version.verdict.state == "unknown"
    assert "do not reach" in str(version.verdict)


def test_a_horizon_has_not_passed_while_its_rows_may_still_arrive(rows: pa.Table) -> None:
    """As on the platform; that the data do not reach so far is no fault of theirs before."""
    config = TrainingConfig(horizon_days=30, settlement_lag_days=7)
    portfolio = open_source(rows, config.rate_table(), NOW)
    one = pl.DataFrame({"user_id": ["a"], "as_of": [NOW]})
    period = DataPeriod(0, NOW)
    for days, counts in ((29, (1, 0)), (36, (1, 0)), (37, (0, 1))):
        realised = compare_with_realised(one, portfolio, period, config, ALL, NOW + days * DAY_US, 0)
        assert (realised.waiting, realised.uncovered) == counts


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("transaction_currency", "no transaction_currency: every amount is taken as EUR"),
        ("transaction_state", "no transaction_state: every row counts as settled"),
    ],
)
def test_data_without_a_column_that_the_version_learnt_from_say_nothing_of_it(
    runs: Runs, rows: pa.Table, first: Path, name: str, says: str
) -> None:
    """Money that is not converted is not what was predicted: the model is not to blame."""
    version = judged(runs, rows.drop_columns([name]), first)
    assert version.absences == (says,)
    assert version.verdict.state == "unknown"
    assert str(version.verdict).endswith(
        f"version 1 does not say that it was trained without what the data lack ({says}): is the export whole?"
    )
    assert judged(runs, rows, first).absences == ()


def without_states(rows: pa.Table, since: str) -> tuple[pa.Table, str]:
    """Drop the states of the rows from a day on, as a file of another export would; also say how many there were."""
    table = pl.DataFrame(pl.from_arrow(rows))
    is_late = pl.col("transaction_date") >= pl.lit(since).str.to_datetime()
    state = pl.when(is_late).then(None).otherwise(pl.col("transaction_state")).alias("transaction_state")
    return table.with_columns(state).to_arrow(), f"{len(table.filter(is_late)):,} of {len(table):,} rows"


def test_data_without_many_states_that_the_version_learnt_from_say_nothing_of_it(
    runs: Runs, rows: pa.Table, first: Path, tmp_path: Path
) -> None:
    late, count = without_states(rows, "2024-10-01")
    version = judged(runs, late, first)
    assert version.verdict.state == "unknown"
    assert "version 1 does not say that it was trained without what the data lack" in str(version.verdict)
    (text,) = [warning for warning in version.warnings if "transaction_state" in warning]
    assert text.startswith(count)
    assert text in str(version.verdict)
    pq.write_table(late, tmp_path / "late.parquet")
    (tmp_path / "shared").mkdir()
    on_workers = EngineFile(SplitEngine(tmp_path / "shared"), MappedFile(tmp_path / "late.parquet"))
    (split,), _ = judge_versions(read_scores([first]), on_workers, runs.registry, ALL, NOW)
    assert (split.verdict, split.warnings) == (version.verdict, version.warnings)


def test_a_window_of_which_many_rows_lost_their_states_says_nothing_of_it(
    runs: Runs, rows: pa.Table, first: Path
) -> None:
    """They are few of all rows."""
    late, _ = without_states(rows, "2024-12-30")
    version = judged(runs, late, first)
    assert version.verdict.state == "unknown"
    assert "in the 90 days after 2024-10-02" in str(version.verdict)


def test_few_rows_without_a_state_are_warned_of(runs: Runs, rows: pa.Table, first: Path) -> None:
    late, count = without_states(rows, "2024-12-31 12:00:00")
    version = judged(runs, late, first)
    assert version.verdict.state != "unknown"
    assert any(warning.startswith(count) for warning in version.warnings)


def test_rows_that_all_came_twice_say_nothing_of_it_and_few_are_warned_of(
    runs: Runs, rows: pa.Table, first: Path
) -> None:
    plain = rows.drop_columns(["transaction_id"])
    twice = judged(runs, pa.concat_tables([plain, plain]), first)
    assert twice.verdict.state == "unknown"
    assert f"{len(rows):,} of {2 * len(rows):,} rows (50.0 %) repeat another row" in str(twice.verdict)
    assert str(twice.verdict).endswith("tells a repeat from a second payment: is the export whole?")
    few = judged(runs, pa.concat_tables([plain, plain[: len(rows) // 20]]), first)
    assert few.verdict.state != "unknown"
    assert any("repeat another row of their customer" in warning for warning in few.warnings)


def test_few_rows_that_came_twice_say_nothing_of_it_where_its_training_allowed_fewer(
    runs: Runs, rows: pa.Table, first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict, config_of = {"checks": CheckSettings(most_repeated_share=0.0001)}, past_versions.config_of_version
    monkeypatch.setattr(past_versions, "config_of_version", lambda *of: config_of(*of).model_copy(update=strict))
    plain = rows.drop_columns(["transaction_id"])
    few = judged(runs, pa.concat_tables([plain, plain[: len(rows) // 500]]), first)
    assert few.verdict.state == "unknown"
    assert "(0.2 %) repeat another row of their customer" in str(few.verdict)


def test_transactions_that_arrive_late_change_the_figures(runs: Runs, rows: pa.Table, first: Path) -> None:
    table = pl.DataFrame(pl.from_arrow(rows))
    at, window = pl.col("transaction_date").dt.epoch("us"), runs.first.model.test_as_of
    is_late = at.is_between(window + 10 * DAY_US, window + 40 * DAY_US)
    before = judged(runs, table.filter(~is_late).to_arrow(), first)
    after = judged(runs, rows, first)
    assert before.realised.days[0].customers == after.realised.days[0].customers
    assert before.realised.days[0].whole["realised_mean"] < after.realised.days[0].whole["realised_mean"]
    assert before.realised.days[0].whole["predicted_mean"] == after.realised.days[0].whole["predicted_mean"]


def test_who_was_erased_is_in_no_figure_and_who_joined_later_neither(runs: Runs, rows: pa.Table, first: Path) -> None:
    table = pl.DataFrame(pl.from_arrow(rows))
    erased = pl.read_parquet(first)["user_id"][:40].implode()
    kept = table.filter(~pl.col("user_id").is_in(erased))
    joined = kept.filter(pl.col("user_id") == kept["user_id"][0]).with_columns(
        user_id=pl.lit("zzz_joined"),
        transaction_date=pl.col("transaction_date").max(),
        user_created=pl.col("transaction_date").max(),
    )
    whole, without = judged(runs, rows, first), judged(runs, pl.concat([kept, joined[:1]]).to_arrow(), first)
    (day,) = without.realised.days
    assert (day.customers, day.gone) == (whole.realised.days[0].customers - 40, 40)
    scores = pl.read_parquet(first).filter(~pl.col("user_id").is_in(erased))
    assert day.whole["predicted_mean"] == pytest.approx(scores["expected_value"].mean())
    # Where most are not there, it is another file of customers, and nothing is said.
    few = table.filter(pl.col("user_id").is_in(table["user_id"].unique(maintain_order=True)[:150].implode()))
    strange = judged(runs, few.to_arrow(), first)
    assert strange.verdict.state == "unknown"
    assert "are these the same customers?" in str(strange.verdict)


def test_of_two_predictions_on_one_day_the_later_counts(
    runs: Runs, rows: pa.Table, first: Path, tmp_path: Path
) -> None:
    noon = runs.first.model.test_as_of + DAY_US // 2
    other = scored(runs.first.model, rows, noon, tmp_path / "noon.parquet")
    scores, customers = read_scores([other, first]), len(pl.read_parquet(other))
    assert len(scores) == customers
    assert set(scores["as_of"]) == {noon}
    tomorrow = scored(runs.first.model, rows, noon + DAY_US // 2, tmp_path / "tomorrow.parquet")
    version = judged(runs, rows, tomorrow, other, first)
    days = [day.day_us for day in version.realised.days]
    assert days == [noon - DAY_US // 2, noon + DAY_US // 2]
    assert version.realised.days[0].customers == customers


def test_one_customer_scored_again_at_another_level_leaves_the_day_its_share_in_the_intervals(
    runs: Runs, rows: pa.Table, first: Path, tmp_path: Path
) -> None:
    """The share was unknown then, and a version that was due seemed to hold."""
    scores, again = pl.read_parquet(first), tmp_path / "evening.parquet"
    scores = scores.with_columns(expected_value_low=pl.lit(0.0), expected_value_high=pl.lit(1e12))  # far too wide
    scores.write_parquet(first)
    alone = judged(runs, rows, first)
    evening = pl.lit(f"{np.datetime64(runs.first.model.test_as_of + DAY_US // 2, 'us')}Z")
    scores[:1].with_columns(interval_level_percent=pl.lit(95), as_of=evening).write_parquet(again)
    (version,), (said,) = judge_versions(read_scores([first, again]), rows, runs.registry, ALL, NOW)
    before, after = alone.realised.days[0], version.realised.days[0]
    assert (before.level_percent, before.interval_customers) == (80, before.customers)
    assert (after.level_percent, after.interval_customers) == (80, after.customers - 1)
    assert after.whole["covered_share"] == before.whole["covered_share"] == 1
    table = realised_table([version])
    assert set(table.drop_nulls("covered_share")["interval_level_percent"]) == {80}
    assert set(table.filter(pl.col("covered_share").is_null())["interval_level_percent"]) <= {None}
    assert (version.verdict.state, alone.verdict.state) == ("due", "due")
    assert said == (
        f"1 prediction of {day_text(after.day_us)} by version 1 has no interval of 80 %, the level of most: the "
        "share in the intervals is of the others"
    )


def test_predictions_without_intervals_leave_them_out_of_the_verdict_and_it_says_so(
    runs: Runs, rows: pa.Table, first: Path
) -> None:
    names = ["expected_value_low", "expected_value_high", "interval_level_percent"]
    pl.read_parquet(first).drop(names).write_parquet(first)
    version = judged(runs, rows, first, due=DueSettings(least_customers=100, most_off_share=0.9))
    assert version.realised.days[0].whole["covered_share"] is None
    assert realised_table([version])["interval_level_percent"].null_count() == len(version.realised.days[0].figures)
    assert str(version.verdict).endswith("; the intervals are not judged, for the predictions have none")


def test_predictions_of_what_a_version_learnt_from_are_named_and_no_evidence(
    runs: Runs, rows: pa.Table, first: Path, tmp_path: Path
) -> None:
    model = runs.first.model
    known = scored(model, rows, model.test_as_of - 1, tmp_path / "known.parquet")
    count = len(pl.read_parquet(known))
    (version,), (said,) = judge_versions(read_scores([known]), rows, runs.registry, ALL, NOW)
    assert (version.realised.days, version.realised.learnt) == ((), count)
    assert version.verdict.state == "unknown"
    day = day_text(model.test_as_of)
    assert f"all predictions are as of moments before {day}, and it learnt from what came until" in str(version.verdict)
    assert said.startswith(f"{count:,} predictions by version 1 are as of moments before {day}, and it learnt from ")
    (version,), (again,) = judge_versions(read_scores([known, first]), rows, runs.registry, ALL, NOW)
    assert again == said
    assert_frame_equal(realised_table([version]), realised_table([judged(runs, rows, first)]), check_exact=True)


def test_each_version_is_judged_by_its_own_predictions(
    runs: Runs, rows: pa.Table, file: Path, config: TrainingConfig, first: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("fivefold.training.register.write_pictures", lambda *_: [])
    registry = new_registry(tmp_path / "var", config.name)
    models = [
        retrain(file, config.model_copy(update={"trees": FAST.model_copy(update={"rounds": rounds})}), registry).model
        for rounds in (20, 21)
    ]
    paths = [
        scored(model, rows, model.test_as_of, tmp_path / f"{number}.parquet") for number, model in enumerate(models)
    ]
    versions, left_out = judge_versions(read_scores([*paths, first]), rows, registry, ALL, NOW)
    assert [version.number for version in versions] == [1, 2]
    means = [version.realised.days[0].whole["predicted_mean"] for version in versions]
    assert means == [pytest.approx(pl.read_parquet(path)["expected_value"].mean()) for path in paths]
    assert versions[0].realised.days[0].whole["realised_mean"] == versions[1].realised.days[0].whole["realised_mean"]
    assert len(left_out) == 1
    assert f"{len(pl.read_parquet(first))} predictions are by the model sha256:" in left_out[0]


def test_money_in_another_currency_is_refused(runs: Runs, rows: pa.Table, first: Path) -> None:
    pl.read_parquet(first).with_columns(currency=pl.lit("USD")).write_parquet(first)
    with pytest.raises(ConfigError, match="are in USD; it predicts EUR"):
        judged(runs, rows, first)


@pytest.mark.full
def test_a_version_that_reads_what_the_data_lack_is_named_and_the_others_are_judged(
    rows: pa.Table, file: Path, config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fivefold.training.register.write_pictures", lambda *_: [])
    registry, bare = new_registry(tmp_path / "var", config.name), tmp_path / "bare.parquet"
    without = pl.DataFrame(pl.from_arrow(rows)).drop("user_balance")
    without.write_parquet(bare)
    models = [retrain(source, config, registry).model for source in (file, bare)]
    scores = read_scores(
        [
            scored(models[0], rows, models[0].test_as_of, tmp_path / "1.parquet"),
            scored(models[1], without.to_arrow(), models[1].test_as_of, tmp_path / "2.parquet"),
        ]
    )
    assert [each.number for each in judge_versions(scores, file, registry, ALL, NOW)[0]] == [1, 2]
    for source in (bare, without.to_arrow()):
        versions, left_out = judge_versions(scores, source, registry, ALL, NOW)
        assert [each.number for each in versions] == [2]
        (said,) = left_out
        assert "predictions are by version 1, which is not judged: " in said
        assert "has no column user_balance" in said
        # Where no other version is judged, it is no remark: a champion that cannot be judged must not seem to hold.
        for only in (scores.filter(pl.col("model_hash") == hash_text(models[0].content_hash)), scores):
            with pytest.raises(FileFormatError, match="has no column user_balance"):
                judge_versions(only, source, registry, ALL, NOW, only=[1])
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(FileFormatError, match=r"torn\.parquet"):
        judge_versions(scores, tmp_path / "torn.parquet", registry, ALL, NOW)


def test_a_model_whose_money_is_off_is_due(runs: Runs, rows: pa.Table, first: Path) -> None:
    holds = judged(
        runs, rows, first, due=DueSettings(least_customers=100, most_off_share=0.9, most_coverage_distance=0.5)
    )
    assert holds.verdict.state == "holds"
    table = pl.DataFrame(pl.from_arrow(rows))
    after = pl.col("transaction_date").dt.epoch("us") > runs.first.model.test_as_of
    tripled = table.with_columns(
        pl.when(after).then(pl.col(name) * 3).otherwise(pl.col(name)).alias(name)
        for name in ("transaction_amount", "user_balance")
    )
    due = judged(runs, tripled.to_arrow(), first)
    assert due.verdict.state == "due"
    assert str(due.verdict).startswith("due for training, because realised money is ")
    # By the settings of the version itself, these customers are too few to say anything.
    few = judged(runs, tripled.to_arrow(), first, due=None)
    assert few.verdict.state == "unknown"
    assert "customers, and below 500" in str(few.verdict)
