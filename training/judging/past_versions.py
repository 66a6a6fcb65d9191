"""The versions that made the predictions of some files, each judged by realised values."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from fivefold.domain.clock import day_text, resolve_now
from fivefold.domain.errors import ConfigError, FileFormatError, ModelError
from fivefold.domain.provenance import hash_text
from fivefold.domain.text import count_text
from fivefold.features.reading.tables import Source
from fivefold.models.reach import absences, repeats_text
from fivefold.models.registry import CHAMPION, RegisteredVersion, Registry
from fivefold.models.value_model import ValueModel
from fivefold.training.config import DueSettings, TrainingConfig
from fivefold.training.data import TransactionSource
from fivefold.training.judging.due import DueVerdict, due_verdict, learnt_words
from fivefold.training.judging.realised import Realised, compare_with_realised
from fivefold.training.on_engine import EngineFile, open_source
from fivefold.training.recalibrate import config_of_version
from fivefold.training.windows import Quality, lacking_rows


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The judgement of a version by its predictions.

    Attributes:
        absences: what replaces columns that the transactions lack, if the version does not record that it was trained
            without them.
        warnings: doubts about the transactions.
    """

    realised: Realised
    verdict: DueVerdict
    absences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JudgedVersion(Judgement):
    """A version with its judgement."""

    number: int
    is_champion: bool
    currency: str


def judge_versions(
    scores: pl.DataFrame,
    source: Source | EngineFile,
    registry: Registry,
    due: DueSettings | None = None,
    now: int | None = None,
    only: Collection[int] | None = None,
) -> tuple[list[JudgedVersion], list[str]]:
    """Judge every version of the registry that made some of the predictions, by number; also return what was left out.

    A version that reads columns which the transactions lack is left out if another one can be judged. Predictions that
    a version made for a time that it learnt from are left out too.

    Args:
        scores: the predictions, as `past_scores.read_scores` returns them.
        source: the transactions, at least from before the predictions to the end of their horizons; workers read those
            of an `EngineFile`, with the same figures.
        registry: the registry of the versions.
        due: the bounds; those of each version's own training by default.
        now: the present, microseconds.
        only: the numbers of the versions to judge; predictions of others are skipped.

    Raises:
        ConfigError: money of the scores is in another currency than the version's.
        InvalidDataError: the transactions cannot be read.
        FileFormatError: they cannot be read, or lack columns that all of these versions read.
    """
    by_hash = _versions_by_hash(registry.versions())
    judged: list[JudgedVersion] = []
    left_out: list[str] = []
    unread: list[FileFormatError] = []
    for part in scores.partition_by("model_hash", maintain_order=True):
        name = part["model_hash"][0]
        version = by_hash.get(name)
        if version is None:
            left_out.append(f"{_are(part)} by the model {name}, which {registry.name} does not have")
            continue
        if only is not None and version.number not in only:
            continue
        try:
            judged.append(_judge(version, part, source, registry, due, resolve_now(now)))
        except (ModelError, FileFormatError) as error:
            left_out.append(f"{_are(part)} by version {version.number}, which is not judged: {error}")
            unread += [error] if isinstance(error, FileFormatError) else []
    if unread and not judged:  # the file is unusable, or lacks what the only version reads
        raise unread[0]
    left_out += [
        count_text(
            each.realised.learnt,
            f"prediction by version {each.number} is {learnt_words(each.realised)}: it is in no figure",
            f"predictions by version {each.number} are {learnt_words(each.realised)}: they are in no figure",
        )
        for each in judged
        if each.realised.learnt
    ]
    left_out += [text for each in judged for text in _other_intervals(each)]
    return sorted(judged, key=lambda each: each.number), left_out


def _are(predictions: pl.DataFrame) -> str:
    return count_text(len(predictions), "prediction is", "predictions are")


def _other_intervals(version: JudgedVersion) -> list[str]:
    """List the predictions whose intervals are in no figure, because most of their day have another level."""
    return [
        count_text(
            others,
            f"prediction of {day_text(day.day_us)} by version {version.number} has",
            f"predictions of {day_text(day.day_us)} by version {version.number} have",
        )
        + f" no interval of {day.level_percent} %, the level of most: the share in the intervals is of the others"
        for day in version.realised.days
        if day.level_percent is not None and (others := day.customers - day.interval_customers)
    ]


def _versions_by_hash(versions: Sequence[RegisteredVersion]) -> dict[str, RegisteredVersion]:
    """Map the hash of each model to its version; of versions with the same model, to the champion or else the first."""
    ordered = sorted(versions, key=lambda each: (CHAMPION in each.aliases, -each.number))
    return {hash_text(each.tags["content_hash"]): each for each in ordered if "content_hash" in each.tags}


def _judge(
    version: RegisteredVersion,
    scores: pl.DataFrame,
    source: Source | EngineFile,
    registry: Registry,
    due: DueSettings | None,
    now: int,
) -> JudgedVersion:
    model = registry.load(version.number)
    currencies = set(scores["currency"].unique().to_list())
    if currencies != {model.currency}:
        theirs = ", ".join(sorted(map(str, currencies)))
        raise ConfigError(f"the scores of version {version.number} are in {theirs}; it predicts {model.currency}")
    config = config_of_version(model, registry, version)
    bounds = config.due if due is None else due
    portfolio = open_source(source, model.rates, now, absent=model.absent, own=model.own)
    judgement = judge_predictions(version, model, scores, portfolio, config, bounds, now)
    return JudgedVersion(
        number=version.number, is_champion=CHAMPION in version.aliases, currency=model.currency, **vars(judgement)
    )


def judge_predictions(
    version: RegisteredVersion,
    model: ValueModel,
    scores: pl.DataFrame,
    portfolio: TransactionSource,
    config: TrainingConfig,
    due: DueSettings,
    now: int,
) -> Judgement:
    """Compare the predictions of one version with realised values, and judge whether it is due for training.

    Args:
        version: the version that made the predictions; the Gini of its card is the reference.
        model: the model of the version; predictions for a time that it learnt from are not compared.
        scores: the predictions, as `compare_with_realised` reads them.
        portfolio: the transactions, with the rates of the model.
        config: the settings of the version, see `recalibrate.config_of_version`.
        due: the bounds.
        now: the present, microseconds.

    Raises:
        NotEnoughDataError: there are no transactions.
    """
    summary = portfolio.summary(config.seed)
    realised = compare_with_realised(scores, portfolio, summary.period, config, due, now, model.learnt_until)
    replaced = absences(summary.absent, model.absent, model.currency)
    lacking = {
        day.day_us: _doubt(version, summary.quality, config, replaced, day.day_us)
        or lacking_rows(summary.quality, day.day_us, config.horizon_days)
        for day in realised.days
    }
    _, warnings = summary.quality.refusals_and_warnings(config.checks, portfolio.rates, summary.absent)
    verdict = due_verdict(realised, due, version.metrics.get("model_normalised_gini"), lacking)
    return Judgement(realised=realised, verdict=verdict, absences=tuple(replaced), warnings=tuple(warnings))


def _doubt(
    version: RegisteredVersion, quality: Quality, config: TrainingConfig, replaced: Sequence[str], day_us: int
) -> str:
    """Explain why the data cannot judge a version on a day; empty if they can. Training refuses such repeats too."""
    lost = quality.lost_states_text(version, day_us, config.horizon_days)
    if texts := [*replaced, *([lost] if lost else [])]:
        lacking = "; ".join(texts)
        return f"version {version.number} does not say that it was trained without what the data lack ({lacking})"
    if not quality.has_too_many_repeats(config.checks):
        return ""
    return repeats_text(quality.repeated, quality.rows, least_share=0)


def realised_table(judged: Sequence[JudgedVersion]) -> pl.DataFrame:
    """Tabulate the figures of all versions and days, for a file; those of the ranking are in the row for all.

    Missing figures are null.
    """
    tables: list[pl.DataFrame] = []
    for version in judged:
        for day in version.realised.days:
            origin: dict[str, Any] = {"version": version.number, "day": day_text(day.day_us)}
            columns = [pl.lit(value).alias(name) for name, value in origin.items()]
            is_covered = pl.col("covered_share").is_not_null()
            level = pl.when(is_covered).then(pl.lit(day.level_percent, pl.Int64)).alias("interval_level_percent")
            ranking = {
                name: pl.when(pl.col("by") == "all").then(pl.lit(getattr(day.metrics, name)).fill_nan(None))
                for name in ("normalised_gini", "spearman")
            }
            tables.append(day.figures.select(*columns, pl.all(), level, **ranking, currency=pl.lit(version.currency)))
    return pl.concat(tables) if tables else pl.DataFrame()
