"""A recalibration: the same trees, a score curve of later customers, judged, and no champion by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from fivefold.domain.clock import DAY_US, day_text, parse_moment
from fivefold.domain.errors import (
    ConfigError,
    FileFormatError,
    ModelError,
    ModelNotFoundError,
    NotEnoughDataError,
    PromotionRefusedError,
)
from fivefold.domain.settings import Settings
from fivefold.models.promotions import promote, promotion_history, rollback
from fivefold.models.registry import CHALLENGER, CHAMPION, JUDGED_AS_OF_TAG, STATELESS_TAG, Registry
from fivefold.training import register
from fivefold.training.config import CheckSettings, GateSettings, TrainingConfig
from fivefold.training.data import TransactionSource
from fivefold.training.dates import Dates
from fivefold.training.judging.predictions import predict_test_window
from fivefold.training.recalibrate import Recalibration, recalibrate
from fivefold.training.report.card import ModelCard
from fivefold.training.report.recalibration_card import change_sentences
from fivefold.training.retrain import retrain
from tests.mlflow_address import kept_address
from tests.models.making import add_version, new_registry, value_model
from tests.training.conftest import FAST

EARLY_END = "2024-07-01"
"""The champion is trained on rows until then; the whole file has half a year more."""
UNSURE = GateSettings(confidence=0.6, most_calibration_error=1.0)
"""Few customers: to be surely better than a baseline needs thousands of them."""


@pytest.fixture(scope="module")
def frame(rows: pa.Table) -> pl.DataFrame:
    found = pl.from_arrow(rows)
    assert isinstance(found, pl.DataFrame)
    return found


@pytest.fixture(scope="module")
def trained(
    frame: pl.DataFrame, config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Registry]:
    """Give copies of a registry whose champion was trained on the first half."""
    folder = tmp_path_factory.mktemp("early")
    early = frame.filter(pl.col("transaction_date") < pl.lit(EARLY_END).str.to_datetime(time_unit="us"))
    registry = new_registry(folder / "var", config.name)
    settings = config.model_copy(
        update={"gate": UNSURE, "checks": CheckSettings(least_active=20), "trees": FAST, "seed": 5}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fivefold.training.register.write_pictures", lambda *_: [])
        assert retrain(early.to_arrow(), settings, registry).promoted
    kept = (registry.settings.var / "mlflow.db").read_bytes()

    def copy(var: Path) -> Registry:
        var.mkdir()
        (var / "mlflow.db").write_bytes(kept)  # the files of models stay where they are
        return Registry(Settings(var=var), config.name)

    return copy


@pytest.fixture
def registry(trained: Callable[[Path], Registry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr("fivefold.training.register.write_pictures", lambda *_: [])
    return trained(tmp_path / "var")


@pytest.fixture(scope="module")
def recalibrated(
    trained: Callable[[Path], Registry], file: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Registry, Recalibration]:
    """A registry in which the champion was given a new curve, version 2; only to be copied."""
    with pytest.MonkeyPatch.context() as patch, kept_address():
        patch.setattr("fivefold.training.register.write_pictures", lambda *_: [])
        made = trained(tmp_path_factory.mktemp("recalibrated") / "var")
        return made, recalibrate(file, made)


@pytest.fixture
def outcome(recalibrated: tuple[Registry, Recalibration]) -> Recalibration:
    return recalibrated[1]


@pytest.fixture
def renewed(recalibrated: tuple[Registry, Recalibration], tmp_path: Path) -> Registry:
    """A copy of its registry, for this test alone."""
    made, var = recalibrated[0], tmp_path / "renewed"
    var.mkdir()
    (var / "mlflow.db").write_bytes((made.settings.var / "mlflow.db").read_bytes())
    return Registry(Settings(var=var), made.name)


def test_the_curve_and_the_drift_reference_are_new_and_everything_else_is_kept(
    renewed: Registry, outcome: Recalibration, file: Path, portfolio: TransactionSource
) -> None:
    parent, model = renewed.load(1), renewed.load(2)
    assert model.content_hash == outcome.model.content_hash != parent.content_hash
    assert model.booster.model_to_string() == parent.booster.model_to_string()
    for name in ("objective", "cut_points", "rates", "horizon_days", "indicators", "fingerprint", "definition"):
        assert getattr(model, name) == getattr(parent, name), name
    assert (day_text(parent.test_as_of), day_text(model.test_as_of)) == ("2024-04-01", "2024-10-02")
    dates = Dates(np.empty(0, dtype=np.int64), model.test_as_of, 90)
    judged = predict_test_window(
        TransactionSource(file, parent.rates), dates, outcome.lineage.config, parent.booster, None
    )
    assert model.curve.customers == len(judged.predicted) > parent.curve.customers
    assert model.curve.percentile(judged.predicted).mean() == pytest.approx(0.5, abs=1e-12)
    assert model.reference.counts.sum(axis=1).tolist() == [len(judged.predicted)] * len(model.reference.names)
    assert not np.array_equal(model.reference.counts, parent.reference.counts)


def test_the_intervals_are_new_and_those_from_before_are_judged(renewed: Registry, outcome: Recalibration) -> None:
    """The new ones were measured on this window, and hold it by construction: that would be no evidence."""
    parent, model = renewed.load(1), renewed.load(2)
    assert parent.intervals is not None
    assert model.intervals is not None
    assert model.intervals.as_ofs == (model.test_as_of,)
    assert (model.learnt_until, parent.learnt_until) == (model.test_window_ends, parent.test_as_of)
    assert sum(model.intervals.customers) == model.curve.customers
    judged = outcome.evaluation.coverage
    assert judged is not None
    assert judged.as_ofs == parent.intervals.as_ofs
    assert renewed.version(2).metrics["interval_coverage"] == judged.covered_share


def test_a_second_recalibration_names_the_first_version_and_judges_no_intervals_measured_on_its_window(
    registry: Registry, file: Path
) -> None:
    """They hold those days by construction, so the share of values in them would be no evidence."""
    first = recalibrate(file, registry, as_of=parse_moment("2024-08-01"))
    assert first.evaluation.coverage is not None
    again = recalibrate(file, registry, uri="models:/fivefold-value/2")
    assert again.model.test_as_of < first.model.learnt_until
    assert again.evaluation.coverage is None
    version = registry.version(again.version)
    assert "interval_coverage" not in version.metrics
    card = registry.artifact(version.run_id, "model_card.md") or ""
    (said,) = [one for one in change_sentences(again.lineage, again.change) if one.startswith("Intervals")]
    assert said.startswith("Intervals: those of version 2 are not judged. They were measured on what came until ")
    assert day_text(first.model.learnt_until) in said
    assert said in card
    assert "lay in intervals" not in card
    assert "How many values they hold on later customers was not yet seen." in card
    assert "from which its trees learnt nothing:" in card
    # And how far money has drifted since the trees were learnt is on the card: what the first version had.
    said = change_sentences(again.lineage, again.change)
    for number, day in ((2, "2024-08-01"), (1, "2024-04-01")):
        error = registry.version(number).metrics["calibration_error"]
        words = f"On the window of version {number}, as of {day}, the calibration error was {error:.1%}."
        assert words in said
        assert words in card
    assert "This is version 2 (`" in card
    assert "are those of version 1, whose card says what they were learnt from" in card


def test_what_changes_is_measured_and_the_money_stays_the_same(renewed: Registry, outcome: Recalibration) -> None:
    change, parent = outcome.change, renewed.version(1)
    rows = {row["segment"]: row for row in change.segments.to_dicts()}
    assert sum(row["share_before"] for row in rows.values()) == pytest.approx(1)
    for segment, share in outcome.model.segment_shares().items():
        assert rows[segment]["share_after"] == pytest.approx(share, abs=0.01)
    before = np.array([row["share_before"] for row in rows.values()])
    after = np.array([row["share_after"] for row in rows.values()])
    assert np.abs(before - after).sum() / 2 <= change.moved_share <= 1
    assert change.moved_share > 0
    (before,) = change.errors_before
    assert (before.version, before.calibration_error) == (1, parent.metrics["calibration_error"])
    kept = renewed.version(2).metrics
    assert change.calibration_error == kept["calibration_error"]
    assert kept["segment_top_share_after"] == rows["top"]["share_after"]
    assert kept["model_normalised_gini"] == outcome.evaluation.by_name["model"].normalised_gini


@pytest.mark.parametrize(("dies", "statuses"), [("_log_card", ["FINISHED", "KILLED"]), ("add", ["FINISHED"])])
def test_a_run_that_was_killed_is_ended_by_the_same_command(
    registry: Registry, file: Path, dies: str, statuses: list[str], request: pytest.FixtureRequest
) -> None:
    """MLflow shows it as under way otherwise, for ever. One that had registered its version has what it was to get."""
    request.addfinalizer(mlflow.end_run)  # this process goes on
    registered = dies == "add"

    def die(*given: Any) -> None:
        if registered:
            _, uri, run_id, model_id, description, tags = given
            registry.client.create_model_version(
                registry.name, uri, run_id, tags=tags, description=description, model_id=model_id
            )
        raise SystemExit(143)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry if registered else register, dies, die)
        patch.setattr("mlflow.tracking.fluent.end_run", lambda *_: None)
        with pytest.raises(SystemExit):
            recalibrate(file, registry)
    mlflow.end_run("RUNNING")
    assert statuses_after(registry, 1) == ["RUNNING"]
    if registered:
        with pytest.raises(NotEnoughDataError, match="nothing would change: version 2"):
            recalibrate(file, registry)
    else:
        assert recalibrate(file, registry).evaluation.comparisons.times_judged == 1
    assert statuses_after(registry, 1) == statuses
    assert registry.version(2).aliases == (CHALLENGER,)


def statuses_after(registry: Registry, number: int) -> list[str]:
    """Give how the runs stand, without that of a version."""
    runs = registry.client.search_runs([registry.experiment(registry.name)])
    return sorted(run.info.status for run in runs if run.info.run_id != registry.version(number).run_id)


@pytest.mark.full
def test_the_error_of_a_judged_model_is_not_said_to_be_that_of_the_trees_refitted_after_it(
    registry: Registry, file: Path
) -> None:
    registry.client.set_model_version_tag(registry.name, "1", JUDGED_AS_OF_TAG, "1704067200000000")
    assert "calibration_error" in registry.version(1).metrics
    found = recalibrate(file, registry)
    assert [error.calibration_error for error in found.change.errors_before] == [None]
    said = change_sentences(found.lineage, found.change)[-1]
    assert "For version 1 the calibration error was not measured before: that version was refitted" in said
    assert "its figures are of the model judged as of 2024-01-01." in said
    assert "On the window of version 1" not in said


def test_it_is_a_version_with_lineage_and_a_card_and_not_champion(renewed: Registry, outcome: Recalibration) -> None:
    version, parent = renewed.version(outcome.version), renewed.version(1)
    assert (outcome.version, version.parent, parent.parent) == (2, 1, None)
    assert (version.aliases, parent.aliases) == ((CHALLENGER,), (CHAMPION,))
    assert len(promotion_history(renewed)) == 1
    tags = version.tags
    assert tags["parent_content_hash"] == parent.tags["content_hash"]
    assert tags["data_digest"] == outcome.lineage.summary.digest != parent.tags["data_digest"]
    assert tags["test_as_of"] == str(outcome.model.test_as_of)
    assert tags["gate_champion"] == "1"
    card = Path(renewed.client.download_artifacts(version.run_id, "model_card.md")).read_text(encoding="utf-8")
    data = Path(renewed.client.download_artifacts(version.run_id, "model_card.json")).read_text(encoding="utf-8")
    assert (ModelCard.model_validate_json(data).kind, ModelCard.model_validate_json(data).markdown()) == (
        "recalibrated",
        card,
    )
    assert card.startswith("# fivefold-value, recalibrated\n")
    assert "This is version 1 (`" in card
    assert "customers known on 2024-10-02 instead of 2024-04-01. Nothing was learnt" in card
    assert "Ranking: that of version 1 by construction." in card
    assert tags["data_digest"] in card


def test_the_gate_of_the_parent_judges_and_a_word_makes_it_champion(renewed: Registry, outcome: Recalibration) -> None:
    assert outcome.lineage.config.gate == UNSURE
    assert outcome.lineage.config.checks == CheckSettings(least_active=20)
    assert outcome.lineage.config.seed == 5
    assert outcome.verdict.promote, outcome.verdict
    assert outcome.verdict.reasons[0].startswith("ranking is that of version 1 by construction")
    made = promote(renewed, 2, reason="customers have changed")
    assert (made.version, made.replaced, made.forced) == (2, 1, False)


def test_trees_that_lose_to_a_baseline_are_not_passed_on_with_a_new_curve(
    registry: Registry, frame: pl.DataFrame
) -> None:
    """After the as-of only those pay who had paid least: the trees, and any history, rank the wrong way."""
    later = pl.col("transaction_date") > pl.lit("2024-10-02").str.to_datetime(time_unit="us")
    sizes = frame.group_by("user_id").agg(pl.col("transaction_amount").abs().sum().alias("size"))
    small = sizes.sort("size", "user_id")["user_id"].head(200)
    amount = pl.when(pl.col("user_id").is_in(small.implode())).then(1e5).otherwise(0.0)
    turned = frame.with_columns(
        pl.when(later).then(amount).otherwise("transaction_amount").alias("transaction_amount"),
        pl.when(later).then(0.0).otherwise("user_balance").alias("user_balance"),
    )
    outcome = recalibrate(turned.to_arrow(), registry)
    assert not outcome.verdict.promote
    assert outcome.verdict.comparable
    assert "does not beat" in str(outcome.verdict)
    with pytest.raises(
        PromotionRefusedError, match="version 2 is not promoted: the gate said: ranking is that of version 1"
    ):
        promote(registry, 2, reason="customers have changed")


@pytest.mark.parametrize("uri", [None, "models:/fivefold-value/2"])
def test_the_same_curve_again_is_refused_and_not_registered(registry: Registry, file: Path, uri: str | None) -> None:
    made = recalibrate(file, registry)
    with pytest.raises(
        NotEnoughDataError, match=r"nothing would change: version 2 has the curve .* 2024-10-02 in these data"
    ):
        recalibrate(file, registry, uri=uri)
    assert [version.number for version in registry.versions()] == [made.version, 1]


def test_after_a_rollback_the_curve_that_is_there_is_not_made_again(registry: Registry, file: Path) -> None:
    recalibrate(file, registry, as_of=parse_moment("2024-08-01"))
    promote(registry, 2)
    third = recalibrate(file, registry).version
    promote(registry, third, force=True, reason="its window was judged on twice, and the customers are few")
    for version in (2, 1):
        assert rollback(registry, "complaints").version == version
    with pytest.raises(NotEnoughDataError, match=r"nothing would change: version 3 has the curve .* 2024-10-02"):
        recalibrate(file, registry)


def test_an_as_of_can_be_given_and_must_be_over(registry: Registry, file: Path) -> None:
    asked = parse_moment("2024-08-01")
    assert recalibrate(file, registry, as_of=asked).model.test_as_of == asked
    with pytest.raises(NotEnoughDataError, match=r"2024-11-01 plus 90 days ends 2025-01-30.* give an earlier --as-of"):
        recalibrate(file, registry, as_of=parse_moment("2024-11-01"))
    with pytest.raises(
        ConfigError, match=r"2024-03-31, before 2024-04-01, that of version 1: its trees may have learnt"
    ):
        recalibrate(file, registry, as_of=parse_moment("2024-04-01") - DAY_US)
    assert len(registry.versions()) == 2


def test_a_thin_window_is_refused_as_in_training(registry: Registry, frame: pl.DataFrame) -> None:
    """One row of 2026 would have made a curve of customers who have all gone."""
    late = pl.when(pl.int_range(pl.len()) == 100).then(pl.lit("2026-04-01").str.to_datetime(time_unit="us"))
    changed = frame.with_columns(late.otherwise("transaction_date").alias("transaction_date"))
    with pytest.raises(NotEnoughDataError) as caught:
        recalibrate(changed.to_arrow(), registry, now=parse_moment("2026-05-01"))
    said = str(caught.value)
    assert said.startswith("nothing was recalibrated from these data:")
    assert "the test window 2026-01-01 to 2026-04-01 has 1 known customer with a settled row; it needs 20" in said
    assert "or give --as-of 202" in said
    assert len(registry.versions()) == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("transaction_currency", "every amount is taken as EUR"),
        ("transaction_state", "every row counts as settled"),
        ("user_category", "every row is taken as WEB"),
        ("user_created", "an account is taken as opened with its first row"),
    ],
)
@pytest.mark.parametrize("form", ["frame", "csv", "parquet without values"])
def test_data_without_a_column_that_the_trees_learnt_from_are_refused(
    registry: Registry, frame: pl.DataFrame, tmp_path: Path, name: str, says: str, form: str
) -> None:
    """All amounts would count as euros, and the version that came of it would have passed the gate."""
    source: Path | pa.Table = frame.drop(name).to_arrow()
    if form == "csv":
        source = tmp_path / "rows.csv"
        frame.drop(name).write_csv(source)
    elif form != "frame":
        source = tmp_path / "rows.parquet"
        frame.with_columns(pl.lit(None, frame.schema[name]).alias(name)).write_parquet(source)
    why = f"has no {name}, and version 1 does not say that it was trained without it .*{says}"
    with pytest.raises(FileFormatError, match=why):
        recalibrate(source, registry)
    assert len(registry.versions()) == 1


def test_data_without_many_of_the_states_that_the_trees_learnt_from_are_refused(
    registry: Registry, frame: pl.DataFrame
) -> None:
    is_half = pl.int_range(pl.len()) % 2 == 0
    half = frame.with_columns(pl.when(is_half).then(pl.col("transaction_state")).alias("transaction_state"))
    with pytest.raises(FileFormatError, match=r"version 1 does not say .* rows \(50.0 %\) have no transaction_state"):
        recalibrate(half.to_arrow(), registry)
    assert len(registry.versions()) == 1


@pytest.mark.parametrize("learnt", ["0.3", None])
def test_the_share_of_rows_without_a_state_is_that_of_the_data_that_the_trees_learnt_from(
    registry: Registry, file: Path, learnt: str | None
) -> None:
    """The data of the new curve have every state; a version of an earlier release does not say what it learnt from."""
    if learnt is None:
        registry.client.delete_model_version_tag(registry.name, "1", STATELESS_TAG)
    else:
        registry.client.set_model_version_tag(registry.name, "1", STATELESS_TAG, learnt)
    assert registry.version(recalibrate(file, registry).version).tags.get(STATELESS_TAG) == learnt


@pytest.mark.full
def test_the_trees_of_the_champion_are_compared_whichever_version_they_are_taken_from(
    registry: Registry, file: Path
) -> None:
    """The champion is a recalibration of version 1, so another recalibration of version 1 has the champion's trees."""
    recalibrate(file, registry, as_of=parse_moment("2024-08-01"))
    promote(registry, 2, reason="customers have changed")
    older = "is 2024-06-01, before 2024-08-01, that of the champion, version 2, which has the same trees"
    with pytest.raises(ConfigError, match=older):
        recalibrate(file, registry, uri="models:/fivefold-value/1", as_of=parse_moment("2024-06-01"))
    with pytest.raises(NotEnoughDataError, match=r"nothing would change: version 2 has the curve .* 2024-08-01"):
        recalibrate(file, registry, uri="models:/fivefold-value/1", as_of=parse_moment("2024-08-01"))
    third = recalibrate(file, registry, uri="models:/fivefold-value/1")
    assert third.verdict.comparable
    assert registry.version(third.version).tags["gate_champion"] == "2"
    assert registry.trees_of(registry.version(third.version)) == 1
    assert promote(registry, third.version, force=True, reason="later customers").replaced == 2
    again = recalibrate(file, registry, uri="models:/fivefold-value/2", as_of=parse_moment("2024-10-03"))
    registry.client.delete_model_version(registry.name, "2")
    assert registry.trees_of(registry.version(again.version)) == 1


@pytest.mark.full
def test_trees_of_another_version_than_the_champion_cannot_replace_it_without_force(
    registry: Registry, file: Path, tmp_path: Path
) -> None:
    other = add_version(registry, value_model(), tmp_path / "model")
    promote(registry, other, force=True, reason="another one")
    third = recalibrate(file, registry, uri="models:/fivefold-value/1")
    assert not third.verdict.comparable
    words = "not comparable with the champion: the trees are those of version 1, and its own are those of version 2"
    assert words in str(third.verdict)
    with pytest.raises(PromotionRefusedError, match="judged against no champion, and version 2 serves"):
        promote(registry, third.version, reason="why not")


@pytest.mark.full
def test_versions_that_are_not_there_are_named(registry: Registry, file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="has no champion to recalibrate: run `fivefold train`"):
        recalibrate(file, new_registry(tmp_path / "empty"))
    with pytest.raises(ModelNotFoundError, match="has no version 7; there are: 1"):
        recalibrate(file, registry, uri="models:/fivefold-value/7")
    with pytest.raises(ModelNotFoundError, match="has no version with the alias best"):
        recalibrate(file, registry, uri="models:/fivefold-value@best")
    with pytest.raises(ConfigError, match="give --name other"):
        recalibrate(file, registry, uri="models:/other/1")
    with pytest.raises(ConfigError, match="it must be models:/NAME/VERSION or models:/NAME@ALIAS"):
        recalibrate(file, registry, uri="models:/other")
    assert recalibrate(file, registry, uri="models:/fivefold-value@champion").lineage.parent == 1


@pytest.mark.full
def test_a_definition_that_cannot_be_computed_here_is_refused(file: Path, tmp_path: Path) -> None:
    registry = new_registry(tmp_path / "var")
    number = add_version(registry, value_model(), tmp_path / "model")
    with pytest.raises(ModelError, match=f"version {number} predicts .*yearly_margin.*: train again"):
        recalibrate(file, registry, uri=f"models:/value/{number}")
    assert len(registry.versions()) == 1


def test_nothing_is_registered_when_a_step_fails(
    registry: Registry, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("fivefold.training.register.write_pictures", failing)
    with pytest.raises(OSError, match="disk full"):
        recalibrate(file, registry)
    assert [version.number for version in registry.versions()] == [1]
