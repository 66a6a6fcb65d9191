"""A recalibration, from top to bottom: a new score curve for the trees of a version, judged on a later window."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from pydantic import ValidationError

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, FileFormatError, ModelError, ModelNotFoundError, NotEnoughDataError
from fivefold.domain.provenance import release
from fivefold.domain.segments import SEGMENTS
from fivefold.features.column_names import ABSENCES
from fivefold.features.reading.sources import absent_columns, require_columns
from fivefold.features.reading.tables import Source
from fivefold.models.certainty.intervals import DEFAULT_LEVEL_PERCENT, IntervalTable
from fivefold.models.comparison import VersionComparison
from fivefold.models.curve import ScoreCurve
from fivefold.models.drift import DriftReference
from fivefold.models.reach import absences
from fivefold.models.registry import PARENT_HASH_TAG, PARENT_TAG, TREES_TAG, RegisteredVersion, Registry
from fivefold.models.value_model import ValueModel
from fivefold.training.config import TrainingConfig, ValueSettings
from fivefold.training.continuation import TRAINING_TAG, name_newest
from fivefold.training.data import SourceSummary, TransactionSource
from fivefold.training.dates import Dates, choose_test
from fivefold.training.judging.compare import times_judged
from fivefold.training.judging.evaluate import Evaluation, evaluate
from fivefold.training.judging.gate import GateVerdict, gate_verdict
from fivefold.training.judging.metrics import segment_table
from fivefold.training.judging.predictions import WindowPredictions, predict_test_window
from fivefold.training.plan import source_name
from fivefold.training.register import RunRecord, log_version, states_tags, version_tags
from fivefold.training.report.comparison import Rival, compare_versions
from fivefold.training.report.recalibration_card import (
    CurveChange,
    EarlierError,
    RecalibrationLineage,
    recalibration_card,
)
from fivefold.training.windows import Windows, holes


@dataclass(frozen=True)
class Recalibration:
    """The result of a recalibration.

    Attributes:
        version: the number under which the model is registered; it is not champion.
    """

    version: int
    model: ValueModel
    evaluation: Evaluation
    change: CurveChange
    verdict: GateVerdict
    lineage: RecalibrationLineage


def recalibrate(
    source: Source, registry: Registry, *, uri: str | None = None, as_of: int | None = None, now: int | None = None
) -> Recalibration:
    """Predict for every customer known at the as-of, make these the reference, judge it, and register a version.

    Args:
        source: the transactions.
        registry: the registry of the version with the trees, and of the new one.
        uri: the address of the version whose trees are kept, see `Registry.find`; the champion by default.
        as_of: microseconds; by default the latest moment whose value window the data cover.
        now: the present, microseconds; rows dated more than a day later are refused.

    Raises:
        InvalidDataError, FileFormatError: the source cannot be read, or lacks a column that the trees were trained
            with; nothing was registered.
        NotEnoughDataError: the data do not cover the window, have too few customers or rows, or nothing would change.
        ConfigError: the as-of lies before that of the version whose trees are kept, or of a champion with these trees.
        ModelNotFoundError, ModelError: there is no such version, or it cannot be judged.
    """
    parent, champion = _parent(registry, uri), registry.champion()
    trees = registry.trees_of(parent)
    trees_of_champion = None if champion is None else registry.trees_of(champion)
    rival = champion if trees == trees_of_champion else None
    model = registry.load(parent.number)
    require_columns(source, model.rates, absent=model.absent)
    _require_same_columns(source, absent_columns(source), parent, model)
    model.warm()
    config = config_of_version(model, registry, parent).model_copy(update={"test_as_of": as_of})
    portfolio = TransactionSource(source, model.rates, now, absent=model.absent, own=model.own)
    summary = portfolio.summary(config.seed)
    dates = _dates(config, summary, parent, model, rival)
    _require_learnt_values(source, summary, parent, model, dates)
    windows, warnings = _window(portfolio, dates, config, summary)
    test_window = predict_test_window(portfolio, dates, config, model.booster, None, model.absent)
    new = with_new_curve(model, test_window, dates)
    _require_change(registry, model, new, parent, champion, rival)
    # The new intervals were measured on this window, and would hold it by construction. So the earlier ones are judged,
    # or none if these were measured on a part of it as well.
    is_known = dates.test < model.learnt_until
    judged = replace(new, intervals=None if is_known else model.intervals)
    with registry.judging():  # from the count of earlier judgements until this one is counted
        registry.end_killed(TRAINING_TAG, _mark_of(new))
        times = times_judged(registry, dates, new.content_hash, summary.digest)
        evaluation = evaluate(test_window, judged, config, times)
        lacking = holes(summary.quality, dates.test, config.horizon_days)
        verdict = _verdict(evaluation, config, lacking, trees, trees_of_champion)
        change = compare_curves(model, new, test_window, evaluation, _errors_before(registry, parent, trees))
        lineage = RecalibrationLineage(
            parent=parent.number, trees=trees, parent_hash=model.content_hash, parent_as_of=model.test_as_of,
            source=source_name(source), summary=summary, windows=windows, config=config, code=release(),
            warnings=warnings, intervals_known_until=model.learnt_until if is_known else None,
        )  # fmt: skip
        comparison = compare_versions(
            new, test_window, evaluation, verdict, Rival(parent.number, model, test_window.predicted)
        )
        record = _record(new, evaluation, change, verdict, lineage, parent, rival, comparison)
        number = log_version(registry, new, test_window, evaluation, record)
    return Recalibration(number, new, evaluation, change, verdict, lineage)


def _require_change(
    registry: Registry,
    model: ValueModel,
    new: ValueModel,
    parent: RegisteredVersion,
    champion: RegisteredVersion | None,
    rival: RegisteredVersion | None,
) -> None:
    """Raise NotEnoughDataError if the new model is the champion's, or the parent's but for its intervals.

    A model that was judged before is not registered again if, both then and now, a *rival* with these trees served, or
    none did: it would be the same judgement, and the window would count as judged on once more.
    """
    same = next(
        (
            each
            for each in registry.versions()
            if each.tags.get("content_hash") == new.content_hash
            and (bool(each.tags.get("gate_champion")) == bool(rival) or (champion and champion.number == each.number))
        ),
        None,
    )
    if model.intervals is not None and replace(new, intervals=model.intervals).content_hash == model.content_hash:
        same = parent
    if same is not None:
        _finish(registry, same)
        raise NotEnoughDataError(
            f"nothing would change: version {same.number} has the curve of the customers known on "
            f"{day_text(new.test_as_of)} in these data already; give later data"
        )


def _finish(registry: Registry, version: RegisteredVersion) -> None:
    """Record what a process killed after it registered a version could not: its alias, and the end of its run."""
    if TRAINING_TAG in version.tags and registry.client.get_run(version.run_id).info.status == "RUNNING":
        name_newest(registry, version)
        registry.client.set_terminated(version.run_id)


def with_new_curve(model: ValueModel, test_window: WindowPredictions, dates: Dates) -> ValueModel:
    """Return the model with another reference portfolio, and with intervals measured on it; all else stays."""
    curve = ScoreCurve.of(test_window.predicted)
    reference = DriftReference.of(
        model.catalogue.names, test_window.matrix, curve.score(test_window.predicted[test_window.positions])
    )
    level = DEFAULT_LEVEL_PERCENT if model.intervals is None else model.intervals.level_percent
    intervals = IntervalTable.of(
        test_window.predicted, test_window.realised, test_window.consistency, (dates.test,), level
    )
    return replace(model, curve=curve, test_as_of=dates.test, reference=reference, intervals=intervals)


def compare_curves(
    before: ValueModel,
    after: ValueModel,
    test_window: WindowPredictions,
    evaluation: Evaluation,
    errors_before: tuple[EarlierError, ...],
) -> CurveChange:
    """Compare the segments of the same customers by both curves, with their realised values."""
    categories = [model.segments_of(model.curve.score(test_window.predicted)) for model in (before, after)]
    tables = [
        segment_table(category, test_window.realised).select(
            "segment", (pl.col("customers") / len(category)).alias(f"share_{name}"),
            pl.col("value_mean").alias(f"value_{name}"),
        )
        for name, category in zip(("before", "after"), categories, strict=True)
    ]  # fmt: skip
    segments = pl.DataFrame({"segment": list(SEGMENTS)})
    for table in tables:
        segments = segments.join(table, on="segment", how="left", maintain_order="left")
    return CurveChange(
        segments.with_columns(pl.col("share_before", "share_after").fill_null(0.0)),
        float((categories[0] != categories[1]).mean()),
        float(test_window.predicted.mean()),
        float(test_window.realised.mean()),
        evaluation.calibration_error,
        errors_before,
    )


def _errors_before(registry: Registry, parent: RegisteredVersion, trees: int) -> tuple[EarlierError, ...]:
    """Return the errors of a version, and of the one that its trees were learnt for if that is another one."""
    versions = [parent]
    if trees != parent.number:
        with suppress(ModelNotFoundError):  # it was deleted
            versions.append(registry.version(trees))
    return tuple(
        EarlierError(
            each.number,
            each.test_as_of if each.judged_as_of is None else each.judged_as_of,
            each.judged_as_of is not None,
            # The run of a refitted version has only the error of the model that was judged in its place.
            None if each.judged_as_of is not None else each.metrics.get("calibration_error"),
        )
        for each in versions
    )


def config_of_version(model: ValueModel, registry: Registry, parent: RegisteredVersion) -> TrainingConfig:
    """Rebuild the settings of a version: its definition from the model, checks and gate from its run.

    Raises:
        ModelNotFoundError: its run is gone.
        ModelError: this program cannot compute values by that definition.
    """
    parameters = _parameters(registry, parent)
    content: dict[str, Any] = {
        "name": registry.name,
        "base_currency": model.currency,
        "horizon_days": model.horizon_days,
        "settlement_lag_days": model.definition.get("settlement_lag_days", 0),
        "value": {name: model.definition[name] for name in ValueSettings.model_fields if name in model.definition},
        "cut_points": model.cut_points,
        **({"seed": parameters["seed"]} if "seed" in parameters else {}),
    }
    for section in ("snapshots", "checks", "gate", "due"):
        fields = {name.partition(".")[2]: text for name, text in parameters.items() if name.startswith(f"{section}.")}
        content |= {section: fields} if fields else {}
    try:
        config = TrainingConfig.model_validate(content)
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
        raise ModelError(
            f"version {parent.number} was trained with settings that are not valid here: {wrong}"
        ) from None
    if config.definition() != dict(model.definition):
        raise ModelError(
            f"version {parent.number} predicts {dict(model.definition)}, and this program would judge it by "
            f"{config.definition()}: train again"
        )
    return config


def _parameters(registry: Registry, version: RegisteredVersion) -> Mapping[str, str]:
    try:
        return registry.client.get_run(version.run_id).data.params if version.run_id else {}
    except ModelNotFoundError:
        raise ModelNotFoundError(f"the run of version {version.number} is gone, and its settings with it") from None


def _parent(registry: Registry, uri: str | None) -> RegisteredVersion:
    if uri is not None:
        return registry.find(uri)
    champion = registry.champion()
    if champion is None:
        raise ModelNotFoundError(
            f"{registry.name} has no champion to recalibrate: run `fivefold train`, or name a version with --model"
            f"{registry.others_text()}"
        )
    return champion


def _require_same_columns(source: Source, absent: Sequence[str], parent: RegisteredVersion, model: ValueModel) -> None:
    """Raise FileFormatError if the data lack a column that the trees learnt from: defaults would be other customers."""
    lacking = [name for name in absent if name in ABSENCES and name not in model.absent]
    if lacking:
        names, texts = ", ".join(lacking), "; ".join(absences(lacking, model.absent, model.currency))
        raise FileFormatError(
            f"{source_name(source)} has no {names}, and version {parent.number} does not say that it was trained "
            f"without it ({texts}): the new curve would be of other customers. Give data that have it; what `fivefold "
            "train` makes of data without it does not need it"
        )


def _require_learnt_values(
    source: Source, summary: SourceSummary, parent: RegisteredVersion, model: ValueModel, dates: Dates
) -> None:
    """Raise FileFormatError if the rows, or many of all rows or of the window's, lack what the trees learnt from."""
    _require_same_columns(source, summary.absent, parent, model)
    if lost := summary.quality.lost_states_text(parent, dates.test, dates.horizon_days):
        raise FileFormatError(
            f"version {parent.number} does not say that it was trained on such rows of {source_name(source)}: {lost}. "
            "The new curve would be of other money. Give data that have the states, or train a new version"
        )


def _dates(
    config: TrainingConfig,
    summary: SourceSummary,
    parent: RegisteredVersion,
    model: ValueModel,
    rival: RegisteredVersion | None,
) -> Dates:
    """Choose the window.

    ConfigError if the trees may have learnt from it, or the curve would be older than that of the *rival*, which is the
    champion if it has the same trees.
    """
    test = choose_test(config, summary.period, "give an earlier --as-of, or later data")
    if test < model.test_as_of:
        raise ConfigError(
            f"the as-of is {day_text(test)}, before {day_text(model.test_as_of)}, that of version {parent.number}: "
            "its trees may have learnt what came after. Give a later --as-of, or later data"
        )
    if rival is not None and test < rival.test_as_of:
        raise ConfigError(
            f"the as-of is {day_text(test)}, before {day_text(rival.test_as_of)}, that of the champion, version "
            f"{rival.number}, which has the same trees: the new curve would be older than its own. Give a later "
            "--as-of, or later data"
        )
    return Dates(np.empty(0, dtype=np.int64), test, config.horizon_days, config.settlement_lag_days)


def _window(
    portfolio: TransactionSource, dates: Dates, config: TrainingConfig, summary: SourceSummary
) -> tuple[Windows, tuple[str, ...]]:
    """Count the customers and rows of the window; NotEnoughDataError with every reason to refuse the data."""
    windows = Windows.empty(dates)
    for part in portfolio.batches("counting the window"):
        windows.add(part, dates.lag_us)
    checks = (
        summary.quality.refusals_and_warnings(config.checks, portfolio.rates, summary.absent),
        windows.refusals_and_warnings(config.checks, summary.quality, "--as-of"),
    )
    refusals = [refusal for refused, _ in checks for refusal in refused]
    if refusals:
        raise NotEnoughDataError("\n".join(["nothing was recalibrated from these data:", *refusals]))
    return windows, tuple(warning for _, doubtful in checks for warning in doubtful)


def _verdict(
    evaluation: Evaluation, config: TrainingConfig, lacking: str, trees: int, trees_of_champion: int | None
) -> GateVerdict:
    """Judge the trees again on this window, without a comparison with themselves.

    A new curve silences warnings of drift, so trees that no longer predict well must not pass with it.

    Args:
        evaluation: the evaluation of the trees.
        config: the settings, for the gate and the currency of values.
        lacking: the rows that the window lacks, see `holes`.
        trees: the version that the trees were learnt for.
        trees_of_champion: the version that the champion's trees were learnt for; None without a champion.
    """
    other = trees_of_champion not in {None, trees}
    incomparable = (
        f"the trees are those of version {trees}, and its own are those of version {trees_of_champion}"
        if other
        else None
    )
    verdict = gate_verdict(evaluation, config.gate, incomparable, lacking, currency=config.base_currency)
    same = f"ranking is that of version {trees} by construction: the trees are the same"
    return replace(verdict, reasons=(same, *verdict.reasons))


def _mark_of(model: ValueModel) -> str:
    """Return the mark of the runs that make a model; the same command finds a killed run by it."""
    return f"recalibration-{model.content_hash}"


def _record(
    model: ValueModel,
    evaluation: Evaluation,
    change: CurveChange,
    verdict: GateVerdict,
    lineage: RecalibrationLineage,
    parent: RegisteredVersion,
    rival: RegisteredVersion | None,
    comparison: VersionComparison,
) -> RunRecord:
    config = lineage.config
    sections = {name: getattr(config, name).model_dump() for name in ("snapshots", "value", "checks", "gate", "due")}
    flat = {f"{name}.{key}": value for name, section in sections.items() for key, value in section.items()}
    top_level = config.model_dump(
        include={"name", "base_currency", "horizon_days", "settlement_lag_days", "cut_points", "seed"}
    )
    against, times = None if rival is None else rival.number, evaluation.comparisons.times_judged
    return RunRecord(
        source=lineage.source,
        summary=lineage.summary,
        card=recalibration_card(model, evaluation, lineage, change, verdict),
        parameters={**top_level, **flat, "test_as_of": day_text(model.test_as_of), PARENT_TAG: lineage.parent},
        metrics=evaluation.registered_metrics() | change.figures(),
        tags={
            **version_tags(model, lineage.summary, lineage.code, verdict, against, times),
            **states_tags(parent.stateless_share),  # of the data that the trees learnt from
            PARENT_TAG: str(lineage.parent),
            PARENT_HASH_TAG: lineage.parent_hash,
            TREES_TAG: f"{config.name}/{lineage.trees}",
            TRAINING_TAG: _mark_of(model),
        },
        comparison=comparison,
    )
