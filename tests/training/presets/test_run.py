"""A run that chooses its preset: what it registers, and that it can be repeated from what it registered."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow.entities import Run

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError
from fivefold.models.registry import Registry
from fivefold.training.config import CheckSettings, SnapshotSettings, TrainingConfig, TreeSettings
from fivefold.training.plan import TrainingPlan
from fivefold.training.presets.choose import PresetChoice
from fivefold.training.presets.named import CHOOSE, PRESETS, preset
from fivefold.training.register import run_parameters
from fivefold.training.report.card import CardSection
from fivefold.training.report.model_card import model_card
from fivefold.training.report.preset_card import preset_sections
from fivefold.training.retrain import TrainingResult, retrain
from tests.models.making import new_registry
from tests.training.conftest import Learn, NoRegistry, Runs

NOWHERE: Any = NoRegistry()
QUICK = TreeSettings(threads=1, rounds=6, min_rows_in_leaf=20)


def _markdown(sections: list[CardSection]) -> str:
    return "\n".join(line for section in sections for line in section.markdown())


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return new_registry(tmp_path_factory.mktemp("chosen"), "chosen")


@pytest.fixture(scope="module")
def open_config(config: TrainingConfig) -> TrainingConfig:
    return TrainingConfig(name="chosen", rates=config.rates, trees=QUICK)


@pytest.fixture(scope="module")
def result(file: Path, open_config: TrainingConfig, registry: Registry) -> TrainingResult:
    with pytest.MonkeyPatch.context() as patch:
        # A choice that is not the default: otherwise nothing here could tell it from no choice at all.
        patch.setattr("fivefold.training.presets.choose.TIE", -1.0)
        return retrain(file, open_config, registry, preset=CHOOSE)


@pytest.fixture(scope="module")
def run(registry: Registry, result: TrainingResult) -> Run:
    return registry.client.get_run(registry.version(result.version).run_id)


@pytest.fixture(scope="module")
def nested(registry: Registry, run: Run) -> dict[str, Run]:
    runs = registry.client.search_runs(
        [registry.experiment("chosen")], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    )
    return {each.data.params["preset"]: each for each in runs}


def test_the_settings_of_the_chosen_preset_are_used_and_registered(result: TrainingResult, run: Run) -> None:
    choice = result.lineage.choice
    assert choice is not None
    assert result.lineage.preset == choice.preset == run.data.params["preset"] != "standard"
    used = preset(choice.preset)
    for name, value in used.trees.items():
        assert run.data.params[f"trees.{name}"] == str(value)
    for name, value in used.snapshots.items():
        assert run.data.params[f"snapshots.{name}"] == str(value)
    assert len(result.lineage.dates.training) == int(run.data.params["training_dates"])
    assert run.data.tags["preset_reason"] == choice.reason
    assert result.model.booster.num_trees() == 6


def test_the_plan_that_is_used_is_shown_with_its_own_warnings(file: Path, open_config: TrainingConfig) -> None:
    """The preset that is taken learns at other dates than the plan that was made first."""
    plans: list[TrainingPlan] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fivefold.training.presets.choose.TIE", -1.0)
        patch.setattr("fivefold.training.windows.HARDLY_SHARE", 1.01)
        patch.setattr("fivefold.training.retrain.register", lambda *_: 1)
        patch.setattr("fivefold.training.retrain.times_judged", lambda *_: 1)
        found = retrain(file, open_config, NOWHERE, preset=CHOOSE, show=plans.append, promote_by=lambda *_: None)
    first, used = plans
    assert found.lineage.preset == "recent"
    assert used.dates is found.lineage.dates
    assert len(used.dates.training) == 12 != len(first.dates.training)
    assert found.lineage.warnings == used.warnings
    assert ["12 of 12" in " ".join(plan.warnings) for plan in (used, first)] == [True, False]


def test_what_was_registered_gives_the_same_model_again(
    result: TrainingResult, run: Run, open_config: TrainingConfig, learn: Learn, file: Path
) -> None:
    sections: dict[str, dict[str, Any]] = {"trees": {}, "snapshots": {}, "value": {}, "interval": {}}
    for key, text in run.data.params.items():
        section, _, name = key.partition(".")
        if name and section in sections:
            sections[section][name] = yaml.safe_load(text)
    again = TrainingConfig.model_validate({**sections, "name": "again", "rates": open_config.rates})
    assert learn(file, **dict(again)).model.content_hash == result.model.content_hash


def test_each_preset_has_a_run_within_the_run_with_its_settings_and_figures(
    result: TrainingResult, registry: Registry, nested: dict[str, Run], open_config: TrainingConfig
) -> None:
    choice = result.lineage.choice
    assert choice is not None
    assert set(nested) == {each.name for each in PRESETS} == {each.name for each in choice.presets}
    for name, found in nested.items():
        config = preset(name).over(open_config)
        assert found.info.run_name == f"preset {name}"
        assert found.data.tags["preset_used"] == str(name == choice.preset).lower()
        assert found.data.params["trees.leaves"] == str(config.trees.leaves)
        assert found.data.params["snapshots.most"] == str(config.snapshots.most)
        assert found.data.params["origins"] == " ".join(map(day_text, choice.origins))
        history = registry.client.get_metric_history(found.info.run_id, "normalised_gini")
        assert [each.value for each in sorted(history, key=lambda each: each.step)] == [
            trial.normalised_gini for trial in choice.of(name)
        ]
        assert found.data.metrics["mark"] == choice.mark(name)


@pytest.mark.full
def test_the_runs_of_presets_count_as_no_judging_of_the_test_window(
    result: TrainingResult, file: Path, open_config: TrainingConfig, registry: Registry
) -> None:
    assert result.evaluation.comparisons.times_judged == 1
    assert retrain(file, open_config, registry).evaluation.comparisons.times_judged == 2


def test_the_card_says_what_was_tried(result: TrainingResult, registry: Registry, run: Run) -> None:
    choice = result.lineage.choice
    assert choice is not None
    card = Path(registry.client.download_artifacts(run.info.run_id, "model_card.md")).read_text(encoding="utf-8")
    assert "## Its settings" in card
    assert f"The preset {choice.reason}." in card
    assert "the mean of normalised Gini and top-decile capture" in card
    for each in choice.presets:
        (line,) = [line for line in card.splitlines() if re.match(rf"\| {each.name}( \*)? \|", line)]
        assert (" * |" in line) == (each.name == choice.preset)
        assert f"{choice.mark(each.name):.4f}" in line
        for trial in choice.of(each.name):
            assert f"{trial.normalised_gini:.4f} / {trial.top_decile_capture:.4f}" in line


def test_a_configuration_that_is_given_chooses_nothing(runs: Runs) -> None:
    lineage = runs.first.lineage
    assert (lineage.preset, lineage.choice) == ("", None)
    assert preset_sections(lineage.preset, lineage.choice, lineage.config) == []
    assert runs.registry.client.get_run(runs.registry.version(1).run_id).data.params["preset"] == "none"


def test_a_preset_by_name_is_used_without_a_choice_under_what_is_set(file: Path, open_config: TrainingConfig) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fivefold.training.retrain.register", lambda *_: 1)
        patch.setattr("fivefold.training.retrain.times_judged", lambda *_: 1)
        mine = open_config.model_copy(update={"snapshots": SnapshotSettings(most=4)})
        found = retrain(file, mine, NOWHERE, preset="recent", promote_by=lambda *_: None)
    assert (found.lineage.preset, found.lineage.choice) == ("recent", None)
    assert (found.lineage.trees.leaves, found.lineage.config.snapshots) == (
        8,
        SnapshotSettings(spacing_days=15, most=4),
    )
    assert len(found.lineage.dates.training) == 4
    assert found.lineage.warnings[-1].startswith("trees.rounds is 6 whatever the preset, also at another learning")
    assert "The preset recent (8 leaves, learning rate 0.03, Tweedie power 1.5, the last 4 dates, 15 days apart)" in (
        _markdown(preset_sections("recent", None, found.lineage.config))
    )
    assert "The preset recent (as small-trees, on the last" in _markdown(
        preset_sections("recent", None, TrainingConfig())
    )


def test_an_unknown_preset_is_refused_before_anything_is_read(open_config: TrainingConfig) -> None:
    with pytest.raises(ConfigError, match="there is no preset 'smal'"):
        retrain("nowhere.parquet", open_config, NOWHERE, preset="smal")


def test_without_history_to_try_the_default_is_used_and_the_card_says_why(
    file: Path, open_config: TrainingConfig
) -> None:
    shown: list[PresetChoice] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fivefold.training.retrain.register", lambda *_: 1)
        patch.setattr("fivefold.training.retrain.times_judged", lambda *_: 1)
        early = open_config.model_copy(update={"test_as_of": 1_690_848_000_000_000, "checks": CheckSettings()})
        found = retrain(
            file, early, NOWHERE, preset=CHOOSE, show_choice=shown.append, promote_by=lambda *_: None
        )  # fmt: skip
    choice = found.lineage.choice
    assert choice is not None
    assert shown == [choice]
    assert (found.lineage.preset, choice.trials) == ("small-trees", ())
    card = _markdown(preset_sections("small-trees", choice, choice.settings))
    assert "the history before 2023-08-01 is too short to try presets" in card
    assert replace(found.lineage, choice=None).config == preset("small-trees").over(early)


def test_a_preset_that_tuning_went_on_from_is_said_to_be_that(file: Path, open_config: TrainingConfig) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fivefold.training.retrain.register", lambda *_: 1)
        patch.setattr("fivefold.training.retrain.times_judged", lambda *_: 1)
        found = retrain(file, open_config, NOWHERE, preset="small-trees", tune_trials=1, promote_by=lambda *_: None)
    assert (found.lineage.preset, found.lineage.settings_name) == ("small-trees", "small-trees, then tuned")
    assert run_parameters(found.lineage)["preset"] == "small-trees, then tuned"
    card = model_card(found.model, found.evaluation, found.lineage, found.verdict).markdown()
    assert "small-trees, then tuned: the search began at the preset" in card
    tuning = found.lineage.tuning
    assert tuning is not None
    day, gini = day_text(found.lineage.dates.validation), f"{tuning.best.gini:.4f}"
    assert (
        f"1 configuration was tried on the last training date ({day}): normalised Gini of the best {gini}, of the "
        f"settings it began at {gini}." in card.splitlines()
    )
    untuned = replace(found.lineage, tuning=None)
    assert "then tuned" not in model_card(found.model, found.evaluation, untuned, found.verdict).markdown()
