"""Registration: everything about a training run is logged to MLflow, and the model becomes a version."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
from pydantic import BaseModel

from fivefold.domain.clock import day_text
from fivefold.features.catalogue_page import catalogue_markdown
from fivefold.features.schema import STATE
from fivefold.models.comparison import FILE as COMPARISON_FILE
from fivefold.models.comparison import VersionComparison
from fivefold.models.registry import (
    ABSENT_TAG,
    CARD_FILE,
    DATA_DIGEST_TAG,
    INDICATORS_TAG,
    JUDGED_AS_OF_TAG,
    JUDGED_HASH_TAG,
    OWN_TAG,
    RATES_DAYS_TAG,
    RATES_DIGEST_TAG,
    REFUSED_TAG,
    STATELESS_TAG,
    Registry,
)
from fivefold.models.value_model import OWN_FILE, ValueModel
from fivefold.training.continuation import mark_in, mark_of, mark_of_run
from fivefold.training.data import SourceSummary
from fivefold.training.judging.evaluate import Evaluation
from fivefold.training.judging.gate import GateVerdict
from fivefold.training.judging.predictions import WindowPredictions
from fivefold.training.logged import log_models
from fivefold.training.origins.judge import JudgedOrigin
from fivefold.training.origins.rolling import Rolling
from fivefold.training.presets.choose import PresetChoice
from fivefold.training.refit import Refit
from fivefold.training.report.card import ModelCard
from fivefold.training.report.card_page import card_page
from fivefold.training.report.comparison import Rival, compare_versions
from fivefold.training.report.datasets import TEST, TRAINING, LoggedDataset, judged_dataset, transactions_dataset
from fivefold.training.report.model_card import Lineage, model_card
from fivefold.training.report.pictures import card_pictures, write_pictures
from fivefold.training.tune import Tuning

CARD_JSON_FILE = "model_card.json"
CARD_PAGE_FILE = "model_card.html"
ORIGINS_FILE = "origins.csv"


def register(
    registry: Registry,
    model: ValueModel,
    test_window: WindowPredictions,
    evaluation: Evaluation,
    lineage: Lineage,
    verdict: GateVerdict,
    judged_against: int | None,
    champion: ValueModel | None,
) -> int:
    """Log the run and register the model as challenger; return the version's number.

    *judged_against* is the champion that the verdict compares with; None without a champion. *champion* is its model
    if it is comparable: its predictions are in the window.
    """
    rival = None
    if champion is not None and judged_against is not None and test_window.champion is not None:
        rival = Rival(judged_against, champion, test_window.champion)
    served = lineage.served(model)
    record = RunRecord(
        source=lineage.source,
        summary=lineage.summary,
        card=model_card(model, evaluation, lineage, verdict),
        parameters=run_parameters(lineage),
        metrics=evaluation.registered_metrics(),
        tags=version_tags(
            served, lineage.summary, lineage.code, verdict, judged_against, evaluation.comparisons.times_judged
        )
        | states_tags(None if STATE in served.absent else lineage.summary.quality.stateless_share)
        | _refit_tags(lineage.refit)
        | mark_of(lineage.rows.parts),
        comparison=compare_versions(model, test_window, evaluation, verdict, rival, served),
        choice=lineage.choice,
        judged=model,
        refit=_refit_figures(lineage),
        rolling=lineage.rolling,
        windows={**lineage.learnt, **judged_dataset(lineage.source, lineage.dates, test_window)},
        tuning=lineage.tuning,
    )
    return log_version(registry, served, test_window, evaluation, record)


def log_refused_refit(
    registry: Registry,
    model: ValueModel,
    evaluation: Evaluation,
    lineage: Lineage,
    verdict: GateVerdict,
    judged_against: int | None,
    reason: str,
) -> None:
    """Log the run of a judged model whose refit was refused: no version, but its window was judged on once more.

    The tags identify its data, so that a scheduled run does not judge the same data again.
    """
    with (
        registry.logging(),
        mlflow.start_run(
            experiment_id=registry.experiment(registry.name),
            tags=mark_of_run(lineage.rows.parts),
            log_system_metrics=False,
        ),
    ):
        mlflow.log_params(run_parameters(lineage))
        mlflow.log_metrics(evaluation.registered_metrics())
        _log_card(model_card(model, evaluation, lineage, verdict), model, evaluation)
        compared = evaluation.comparisons
        tags = version_tags(model, lineage.summary, lineage.code, verdict, judged_against, compared.times_judged)
        mlflow.set_tags(tags | _judged_tags(model) | {REFUSED_TAG: reason})
        _log_runs_within(lineage.choice, lineage.rolling, lineage.tuning, registry.experiment(registry.name))


def _log_card(card: ModelCard, judged: ValueModel, evaluation: Evaluation) -> None:
    """Log the card as data, in Markdown and as a page with the pictures of the judged model."""
    mlflow.log_text(card.to_json(), CARD_JSON_FILE)
    mlflow.log_text(card.markdown(), CARD_FILE)
    mlflow.log_text(card_page(card, card_pictures(judged, evaluation)), CARD_PAGE_FILE)


def _judged_tags(judged: ValueModel) -> dict[str, str]:
    """Return the tags of a run that judged a model; the first counts its window as judged on."""
    return {"test_as_of": str(judged.test_as_of), JUDGED_HASH_TAG: judged.content_hash}


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What is logged to MLflow beside the model and its pictures.

    Attributes:
        source: the name of the data, for people.
        summary: the summary of the data.
        parameters, metrics: parameters and metrics of the run.
        tags: tags of the run and of the version.
        comparison: the version compared with the one that it was judged against.
        choice: the choice among presets; None without one.
        judged: the model that figures and pictures are of; None if it is the registered one.
        refit: figures of a refit; empty without one.
        rolling: the figures of several origins; None for a single origin.
        windows: the data of each window, by its name; empty if nothing was learnt.
        tuning: the tuning of the trees; None without one.
    """

    source: str
    summary: SourceSummary
    card: ModelCard
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    comparison: VersionComparison
    choice: PresetChoice | None = None
    judged: ValueModel | None = None
    refit: Mapping[str, float] = field(default_factory=dict)
    rolling: Rolling | None = None
    windows: Mapping[str, LoggedDataset] = field(default_factory=dict)
    tuning: Tuning | None = None


def log_version(
    registry: Registry, model: ValueModel, test_window: WindowPredictions, evaluation: Evaluation, record: RunRecord
) -> int:
    """Log a run and register its model as challenger; return the version's number. A failed run adds no version."""
    judged = record.judged or model
    with (
        registry.logging(),
        tempfile.TemporaryDirectory() as temporary,
        # With the mark from its beginning, so that a run that continues finds it if this process is killed.
        mlflow.start_run(
            experiment_id=registry.experiment(registry.name), tags=mark_in(record.tags), log_system_metrics=False
        ) as run,
    ):
        folder = Path(temporary)
        mlflow.log_params(dict(record.parameters))
        mlflow.log_input(transactions_dataset(record.source, record.summary), context=TRAINING)
        for window, data in record.windows.items():
            mlflow.log_input(data, context=window)
        for picture in write_pictures(folder / "plots", judged, evaluation, test_window):
            mlflow.log_artifact(str(picture), "plots")
        _log_card(record.card, judged, evaluation)
        mlflow.log_text(record.comparison.to_json(), COMPARISON_FILE)
        mlflow.log_text(evaluation.groups.write_csv(), "groups.csv")
        mlflow.log_text(catalogue_markdown(model.own), "indicators.md")
        if model.own is not None:
            mlflow.log_text(model.own.text, OWN_FILE)
        mlflow.log_dict(model.rates.to_dict(), "rates.json")
        model.save(folder / "value_model")
        mlflow.log_metrics(dict(record.refit))
        # A run is found by the window that it was judged on, a version by the moment until which its trees learnt.
        mlflow.set_tags(dict(record.tags) | _judged_tags(judged))
        _log_runs_within(record.choice, record.rolling, record.tuning, run.info.experiment_id)
        logged, of_indicators = log_models(model, folder)
        # With the model and the data, MLflow shows the metrics on the pages of both. After a refit they are of another.
        judged_id = logged.model_id if judged.content_hash == model.content_hash else None
        mlflow.log_metrics(dict(record.metrics), model_id=judged_id, dataset=record.windows.get(TEST))
        tags = dict(record.tags) | {INDICATORS_TAG: of_indicators.model_uri}
        # Before the run ends: MLflow shows one that died without a version as failed, or still running.
        return registry.add(logged.model_uri, run.info.run_id, logged.model_id, record.card.markdown(), tags)


def _refit_tags(refit: Refit | None) -> dict[str, str]:
    """Return the tags that name the judged model of a refitted version; empty if it was judged itself."""
    return {} if refit is None else {JUDGED_HASH_TAG: refit.judged_hash, JUDGED_AS_OF_TAG: str(refit.judged_as_of)}


def _refit_figures(lineage: Lineage) -> dict[str, float]:
    refit = lineage.refit
    if refit is None:
        return {}
    return {
        "refit_curve_distance": refit.curve_distance,
        "refit_reference_distance": refit.reference_distance,
        "refit_moved_share": refit.moved_share,
        "refit_rows": float(refit.rows),
        "refit_dates": float(len(refit.dates.training)),
    }


def _log_runs_within(
    choice: PresetChoice | None, rolling: Rolling | None, tuning: Tuning | None, experiment: str
) -> None:
    """Log a nested run for each preset, origin and trial of the run."""
    _log_choice(choice, experiment)
    _log_origins(rolling, experiment)
    _log_trials(tuning, experiment)


def _log_choice(choice: PresetChoice | None, experiment: str) -> None:
    """Log a nested run for each preset that was tried: its settings, and its figures by origin."""
    if choice is None:
        return
    mlflow.set_tags({"preset_reason": choice.reason, "preset_customers_share": f"{choice.share:.4f}"})
    for each in choice.presets if choice.trials else ():
        config = each.over(choice.settings)
        trees, snapshots = config.trees.model_dump(exclude={"rounds"}), config.snapshots.model_dump()
        with mlflow.start_run(
            run_name=f"preset {each.name}", experiment_id=experiment, nested=True, log_system_metrics=False
        ):
            mlflow.log_params({"preset": each.name, **_flat({"trees": trees, "snapshots": snapshots})})
            mlflow.log_param("origins", " ".join(map(day_text, choice.origins)))
            mlflow.set_tag("preset_used", str(each.name == choice.preset).lower())
            for step, trial in enumerate(choice.of(each.name)):
                mlflow.log_metrics(trial.figures(), step=step)
            mlflow.log_metrics(choice.figures(each.name))


def _log_origins(rolling: Rolling | None, experiment: str) -> None:
    """Log a nested run for each origin, and the figures over all of them; nothing for a single origin."""
    if rolling is None:
        return
    mlflow.log_metrics(rolling.figures())
    mlflow.log_text(rolling.write_csv(), ORIGINS_FILE)
    for origin in rolling.origins:
        with mlflow.start_run(
            run_name=f"origin {day_text(origin.moment)}",
            experiment_id=experiment,
            nested=True,
            log_system_metrics=False,
        ):
            mlflow.log_params(_origin_parameters(origin))
            mlflow.log_metrics(rolling.figures_at(origin))
            mlflow.set_tag("champion_left_out", origin.champion_left_out)
            if origin is not rolling.origins[-1]:  # the tag counts the window as judged on; the run has it for the last
                mlflow.set_tag("test_as_of", str(origin.moment))


def _log_trials(tuning: Tuning | None, experiment: str) -> None:
    """Log a nested run for each trial of tuning: its trees, and how well it did on the last training date."""
    for number, trial in enumerate(() if tuning is None else tuning.trials, start=1):
        with mlflow.start_run(
            run_name=f"trial {number}", experiment_id=experiment, nested=True, log_system_metrics=False
        ):
            mlflow.log_params({"trial": number, **_flat({"trees": trial.trees.model_dump()})})
            mlflow.log_metric("validation_normalised_gini", trial.gini)
            mlflow.set_tag("trial_used", str(tuning is not None and trial is tuning.best).lower())


def _origin_parameters(origin: JudgedOrigin) -> dict[str, Any]:
    dates = origin.dates
    return {
        "origin": day_text(origin.moment),
        "training_dates": len(dates.training),
        "horizon_days": dates.horizon_days,
    }


def run_parameters(lineage: Lineage) -> dict[str, Any]:
    """Return every setting of a run by its name in the configuration, and the preset."""
    config = lineage.config.model_copy(update={"trees": lineage.trees})
    settings = config.model_dump(exclude={"test_as_of"})
    sections = {name: settings.pop(name) for name, value in config if isinstance(value, BaseModel)}
    dates = {"test_as_of": day_text(lineage.dates.test), "training_dates": len(lineage.dates.training)}
    return {**settings, **_flat(sections), **dates, "preset": lineage.settings_name or "none"}


def _flat(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{name}.{key}": value for name, section in sections.items() for key, value in section.items()}


def states_tags(stateless_share: float | None) -> dict[str, str]:
    """Return the tag with the share of rows without a state that trees learnt from; empty if it is unknown."""
    return {} if stateless_share is None else {STATELESS_TAG: str(stateless_share)}


def version_tags(
    model: ValueModel,
    summary: SourceSummary,
    code: str,
    verdict: GateVerdict,
    judged_against: int | None,
    times_judged: int,
) -> dict[str, str]:
    """Return the tags that describe a version without loading it."""
    rates = summary.rates
    return {
        "fingerprint": model.fingerprint,
        "definition": json.dumps(dict(model.definition), sort_keys=True),
        "test_as_of": str(model.test_as_of),
        "content_hash": model.content_hash,
        DATA_DIGEST_TAG: summary.digest,
        "rates_date": model.rates.as_known_on.isoformat(),
        "code_version": code,
        "gate_promote": str(verdict.promote).lower(),
        "gate_reasons": str(verdict),
        "window_times_judged": str(times_judged),
        "gate_champion": "" if judged_against is None else str(judged_against),
        **({RATES_DIGEST_TAG: rates.digest, RATES_DAYS_TAG: rates.days_text()} if rates else {}),
        **({ABSENT_TAG: " ".join(model.absent)} if model.absent else {}),
        **({OWN_TAG: f"{model.own.name} {model.own.digest}"} if model.own else {}),
    }
