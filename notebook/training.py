"""Training from a notebook: what `fivefold train` does, with its result as objects and tables."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from fivefold.domain.errors import ConfigError
from fivefold.domain.provenance import account_name
from fivefold.domain.settings import read_settings, require_model_name
from fivefold.domain.text import html_table
from fivefold.models.promotions import Promotion
from fivefold.models.registry import Registry
from fivefold.notebook.transactions import AnyTransactions, frame_html, source_of
from fivefold.notebook.value import ValueModel
from fivefold.notebook.words import in_words_of_python, whole_number
from fivefold.store.sql.database import open_current
from fivefold.training.config import TrainingConfig, checked_config, read_config
from fivefold.training.plan import TrainingPlan
from fivefold.training.presets.named import preset_by_default
from fivefold.training.retrain import TrainingResult, retrain
from fivefold.usecases.changes.promotions import promote_where_one_may


@dataclass(frozen=True)
class TrainedVersion:
    """The result of a training run.

    Attributes:
        model: the trained model, which scores and explains.
        version: its number in the registry.
        promoted: whether it is the champion now.
        reasons: why it is the champion, or is not.
        result: the full result of the run: evaluation, lineage, verdict.
    """

    model: ValueModel
    version: int
    promoted: bool
    reasons: tuple[str, ...]
    result: TrainingResult

    def quality(self) -> pd.DataFrame:
        """Return how well the model and each baseline rank the customers of the test window."""
        by_name = {name: vars(metrics) for name, metrics in self.result.evaluation.by_name.items()}
        return pd.DataFrame.from_dict(by_name, orient="index")

    def calibration(self) -> pd.DataFrame:
        """Return predicted and realised money by tenth of the customers of the test window."""
        return self.result.evaluation.calibration.to_pandas()

    def origins(self) -> pd.DataFrame:
        """Return the figures at each origin and their means; empty if there is only one origin."""
        rolling = self.result.lineage.rolling
        return pd.read_csv(StringIO(rolling.write_csv())) if rolling is not None else pd.DataFrame()

    def __repr__(self) -> str:
        """Describe the version, whether it is the champion, and why."""
        return f"<version {self.version}, {self._became}: {'; '.join(self.reasons)}>"

    def _repr_html_(self) -> str:
        """Show in a notebook the version, whether it is the champion and why, and the quality."""
        rows = [[reason] for reason in self.reasons]
        return html_table(f"Version {self.version}, {self._became}", ["why"], rows) + frame_html(self.quality())

    @property
    def _became(self) -> str:
        return "the champion" if self.promoted else "a challenger"


def train(
    transactions: AnyTransactions,
    config: TrainingConfig | Mapping[str, Any] | Path | str | None = None,
    *,
    name: str | None = None,
    tune: int = 0,
    preset: str | None = None,
    refit: bool = False,
    origins: int | None = None,
    promote_if_better: bool = True,
    columns: Mapping[str, str] | None = None,
) -> TrainedVersion:
    """Train a value model, judge it out of time, register it, and promote it if the gate allows it.

    Before anything is fitted, Python warnings name what replaces columns that the transactions lack, and doubts about
    the transactions.

    Args:
        transactions: whole histories.
        config: a `TrainingConfig`, its fields, or a YAML file of them; the defaults if None.
        name: the name of the registered model; by default that of the configuration.
        tune: how many configurations to try first.
        preset: the name of a preset, or `choose` to choose one on windows before the test window, which is the default
            if no configuration is given and *tune* is 0. Fields of the configuration override the preset.
        refit: once the gate has passed, learn again from everything up to today; `model` is then that model.
        origins: how many moments, a horizon apart, to judge the settings at; by default those of the configuration.
        promote_if_better: if false the version is registered, and the champion stays. The champion also stays where an
            organisation requires two people for a promotion.
        columns: as in `read_transactions`, in addition to those of the configuration.

    Raises:
        ConfigError: a field of the configuration is wrong, there is no such preset, or *tune* is below 0.
        InvalidDataError, FileFormatError: the transactions cannot be read.
        PromotionRefusedError: the refitted model is too far from the judged one; nothing was registered.
        NotEnoughDataError: the transactions do not suffice to learn and to judge.
        StoreError: the database, which a promotion needs, cannot be used; nothing was learnt.
    """
    tune = whole_number(tune, "tune", 0)
    settings = _config(config)
    if name is not None:
        settings = settings.model_copy(update={"name": name})
    if origins is not None:
        settings = _config({**settings.model_dump(exclude_unset=True), "origins": origins})
    require_model_name(settings.name)
    registry = Registry(read_settings(), settings.name)
    source = source_of(transactions, {**settings.columns, **(columns or {})})
    # The database is opened before training: if it does not answer, no time is spent on learning.
    promote_by = partial(_promote, open_current(read_settings())) if promote_if_better else lambda *_: None
    preset_name = preset if preset is not None else preset_by_default(config is not None, tune)
    with in_words_of_python():
        result = retrain(
            source, settings, registry, tune_trials=tune, preset=preset_name, refit_after=refit,
            show=partial(_warn, set()), promote_by=promote_by,
        )  # fmt: skip
    model = ValueModel(result.model, f"models:/{settings.name}/{result.version}")
    return TrainedVersion(model, result.version, result.promoted, tuple(result.verdict.reasons), result)


def _warn(texts: set[str], plan: TrainingPlan) -> None:
    """Warn of a plan's assumptions and doubts, which the command prints, except *texts*, which an earlier plan had."""
    for text in (*plan.assumptions, *plan.warnings):
        if text not in texts:
            texts.add(text)
            warnings.warn(text, stacklevel=5)  # a step of retrain calls this, and train calls retrain


def _promote(database: Engine, registry: Registry, number: int) -> Promotion | None:
    return promote_where_one_may(database, registry, number, f"notebook:{account_name()}")


def _config(config: TrainingConfig | Mapping[str, Any] | Path | str | None) -> TrainingConfig:
    if isinstance(config, TrainingConfig):
        return config
    if config is None or isinstance(config, str | Path):
        return read_config(None if config is None else Path(config))
    if not isinstance(config, Mapping):
        raise ConfigError(
            f"config is {config!r}; it must be a TrainingConfig, its fields such as {{'trees': {{'rounds': 200}}}}, "
            "or a YAML file of them"
        )
    return checked_config(dict(config), "this")
