"""Training in a notebook: what it gives, warns of and refuses, and which settings it takes."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import fivefold
from fivefold.domain.errors import ConfigError, NotEnoughDataError, StoreError
from tests.cli.running import CONFIG, Home


@pytest.fixture(autouse=True)
def var(home: Home, registry: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the registry of the commands, as a notebook finds it."""
    (registry / "kernels").symlink_to(home.var / "kernels")
    monkeypatch.setenv("FIVEFOLD_VAR", str(registry))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return registry


def test_training_gives_a_version_and_says_why_it_is_not_champion(home: Home, tmp_path: Path) -> None:
    config = tmp_path / "tiny.yaml"
    config.write_text(CONFIG)
    trained = fivefold.train(pd.read_parquet(home.rows), config, promote_if_better=False)
    assert (trained.version, trained.promoted) == (3, False)
    assert fivefold.ValueModel.load(3).trained.content_hash == trained.model.trained.content_hash
    assert {"model", "persistence"} <= set(trained.quality().index)
    assert len(trained.calibration()) == 10
    assert "Version 3, a challenger" in trained._repr_html_()
    assert repr(trained) == f"<version 3, a challenger: {'; '.join(trained.reasons)}>"
    with pytest.raises(ConfigError, match=r"(?s)no.* training configuration:.*trees\.leafs"):
        fivefold.train(home.rows, {"trees": {"leafs": 3}})


@pytest.mark.parametrize("config", [5, ["trees"], {"trees"}])
def test_settings_of_another_kind_are_refused_before_anything_is_read(config: Any) -> None:
    with pytest.raises(ConfigError, match=r"^config is .*; it must be a TrainingConfig, its fields such as"):
        fivefold.train("nowhere.csv", config)


def test_training_warns_of_what_is_absent_and_doubtful_before_it_learns(home: Home) -> None:
    rows = pd.read_parquet(home.rows).drop(columns="transaction_state")
    few = rows[rows["user_id"].isin(rows["user_id"].unique()[:3])].assign(user_balance=0.0)
    with (
        pytest.warns(UserWarning, match="transaction_state|balance|customer|row") as warned,
        pytest.raises(NotEnoughDataError, match="nothing was learnt"),
    ):
        fivefold.train(few, {})
    texts = [str(each.message) for each in warned]
    assert "no transaction_state: every row counts as settled" in texts
    assert "every balance is 0: indicators of balances say nothing" in texts
    assert {each.filename for each in warned} == {__file__}


@pytest.mark.parametrize(
    ("options", "preset"),
    [({}, "choose"), ({"tune": 5}, ""), ({"tune": 5, "preset": "recent"}, "recent"), ({"config": {}}, "")],
)
def test_a_preset_is_chosen_only_where_nothing_else_sets_the_trees(
    options: dict[str, Any], preset: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def retrain(*_: Any, preset: str, **__: Any) -> None:
        raise NotEnoughDataError(f"asked for {preset!r}")

    monkeypatch.setattr("fivefold.notebook.training.retrain", retrain)
    with pytest.raises(NotEnoughDataError, match=f"asked for {preset!r}"):
        fivefold.train(home.rows, **options)


def test_a_database_that_does_not_answer_is_said_before_anything_is_learnt_where_a_promotion_needs_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def retrain(*_: Any, **__: Any) -> None:
        raise NotEnoughDataError("it learns")

    monkeypatch.setattr("fivefold.notebook.training.retrain", retrain)
    monkeypatch.setenv("FIVEFOLD_DATABASE_URL", "postgresql://u:p@127.0.0.1:1/x")
    with pytest.raises(StoreError, match="the database cannot be reached"):
        fivefold.train(home.rows)
    with pytest.raises(NotEnoughDataError, match="it learns"):
        fivefold.train(home.rows, promote_if_better=False)


def test_origins_are_those_that_are_asked_for_and_leave_a_preset_to_be_chosen(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def retrain(_: Any, config: Any, *__: Any, preset: str, **___: Any) -> None:
        raise NotEnoughDataError(f"{config.origins} origins, {preset}, {sorted(config.trees.model_fields_set)}")

    monkeypatch.setattr("fivefold.notebook.training.retrain", retrain)
    with pytest.raises(NotEnoughDataError, match=r"3 origins, choose, \[\]"):
        fivefold.train(home.rows, origins=3)
    with pytest.raises(NotEnoughDataError, match=r"2 origins, , \['leaves'\]"):
        fivefold.train(home.rows, {"origins": 2, "trees": {"leaves": 5}})
    with pytest.raises(ConfigError, match="origins: Input should be less than or equal to 12"):
        fivefold.train(home.rows, origins=13)
    with pytest.raises(ConfigError, match="tune is -1, and has to be a whole number from 0"):
        fivefold.train(home.rows, tune=-1)
