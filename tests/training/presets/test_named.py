"""The presets by name: valid settings, each of its own, under what a person set."""

import pytest

from fivefold.domain.errors import ConfigError
from fivefold.training.config import SnapshotSettings, TrainingConfig, TreeSettings
from fivefold.training.presets.named import CHOOSE, PRESETS, Preset, asked_presets, preset, rounds_warnings


@pytest.mark.parametrize("each", PRESETS, ids=lambda each: each.name)
def test_a_preset_sets_fields_that_there_are_to_values_that_are_allowed(each: Preset) -> None:
    found = each.over(TrainingConfig())
    assert TrainingConfig.model_validate(found.model_dump()) == found
    assert set(each.trees) <= set(TreeSettings.model_fields)
    assert set(each.snapshots) <= set(SnapshotSettings.model_fields)
    assert {name: getattr(found.trees, name) for name in each.trees} == each.trees
    assert {name: getattr(found.snapshots, name) for name in each.snapshots} == each.snapshots


def test_presets_differ_and_the_first_is_the_default() -> None:
    plain = TrainingConfig()
    assert PRESETS[0].over(plain) == plain
    assert len({each.name for each in PRESETS}) == len({each.over(plain).model_dump_json() for each in PRESETS})
    assert CHOOSE not in {each.name for each in PRESETS}


def test_what_a_person_set_is_kept_even_where_it_is_the_default() -> None:
    mine = TrainingConfig.model_validate({"trees": {"learning_rate": 0.06}, "snapshots": {"most": 24}})
    for each in PRESETS:
        found = each.over(mine)
        assert (found.trees.learning_rate, found.snapshots.most) == (0.06, 24)


def test_rounds_that_are_fixed_beside_another_learning_rate_are_warned_of() -> None:
    fixed = TrainingConfig.model_validate({"trees": {"rounds": 30}})
    (warning,) = rounds_warnings(PRESETS, fixed)
    assert warning.startswith(
        "trees.rounds is 30 whatever the preset, also at another learning rate than 0.06 (small-trees, "
    )
    assert rounds_warnings(PRESETS[:1], fixed) == rounds_warnings(PRESETS, TrainingConfig()) == ()


def test_what_is_asked_for() -> None:
    assert asked_presets(CHOOSE) == PRESETS
    assert asked_presets("") == PRESETS[:1]
    assert asked_presets("small-trees") == (preset("small-trees"),)
    with pytest.raises(ConfigError, match=r"there is no preset 'small'; there are standard, small-trees, "):
        asked_presets("small")
