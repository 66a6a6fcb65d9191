"""The comparison that is stored with a version: two versions on the same customers."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from fivefold.models.comparison import FILE, VersionComparison
from fivefold.training.config import TrainingConfig
from fivefold.training.retrain import retrain
from tests.models.making import new_registry
from tests.training.conftest import Runs


@pytest.fixture(scope="module")
def stored(runs: Runs) -> VersionComparison:
    """What the second run stored: it is the same model as the first, which serves."""
    text = runs.registry.artifact(runs.registry.version(2).run_id, FILE)
    assert text is not None
    return VersionComparison.from_json(text)


def test_the_champion_stands_beside_on_the_same_window(stored: VersionComparison, runs: Runs) -> None:
    evaluation = runs.second.evaluation
    assert (stored.as_of_us, stored.customers) == (runs.second.model.test_as_of, evaluation.customers)
    assert stored.rival is not None
    assert stored.rival.version == 1
    assert (stored.rival.segments, stored.rival.calibration) == (stored.version.segments, stored.version.calibration)
    assert set(stored.quality) == {"model", "champion", "persistence", "rfm"}
    assert stored.quality["model"].normalised_gini == evaluation.by_name["model"].normalised_gini
    assert stored.advantages["champion"].difference == 0
    assert {name: len(shares) for name, shares in stored.lift.items()} == dict.fromkeys(
        (*stored.quality, "perfect"), 101
    )
    assert (stored.promote, list(stored.reasons)) == (runs.second.verdict.promote, list(runs.second.verdict.reasons))


def test_nobody_moves_between_equal_models_and_everybody_is_counted_once(stored: VersionComparison) -> None:
    assert all(move.before == move.after for move in stored.moves)
    assert sum(move.customers for move in stored.moves) == stored.customers
    assert sum(group.customers for group in stored.version.segments) == stored.customers


def test_effects_are_the_mean_points_of_the_explanations(stored: VersionComparison, runs: Runs) -> None:
    assert [effect.points for effect in stored.effects] == sorted((e.points for e in stored.effects), reverse=True)
    assert all(effect.points == effect.rival for effect in stored.effects)
    assert {effect.name for effect in stored.effects} == set(runs.second.model.catalogue.names)
    assert 0 < stored.explained <= 2_000


def test_the_first_version_has_no_rival(runs: Runs) -> None:
    text = runs.registry.artifact(runs.registry.version(1).run_id, FILE)
    assert text is not None
    first = VersionComparison.from_json(text)
    assert (first.rival, first.moves) == (None, [])
    assert all(effect.rival is None for effect in first.effects)
    assert runs.registry.artifact(runs.registry.version(1).run_id, "none.json") is None


def test_where_all_are_worth_the_same_a_version_is_refused_and_stored_without_advantages(
    config: TrainingConfig, tmp_path: Path
) -> None:
    days = pl.datetime_range(datetime(2023, 6, 1), datetime(2024, 12, 1), "30d", eager=True)  # noqa: DTZ001 (UTC)
    everybody = pl.DataFrame({"user_id": [f"user_{number}" for number in range(120)]})
    equal = everybody.join(days.to_frame("transaction_date"), how="cross").with_columns(transaction_amount=20.0)
    registry = new_registry(tmp_path, config.name)
    outcome = retrain(equal, config, registry)
    assert not outcome.promoted
    assert outcome.verdict.reasons[0] == (
        "normalised Gini is not defined where all customers are worth the same, so it does not beat persistence"
    )
    text = registry.artifact(registry.version(outcome.version).run_id, FILE)
    assert text is not None
    stored = VersionComparison.from_json(text)
    assert stored.advantages == {}
    assert {quality.normalised_gini for quality in stored.quality.values()} == {None}
