"""Values of stored entities by the value model: computed with their levels, and stored whenever they change.

People read the latest, explained by the model that gave it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import isnan
from typing import Final

import numpy as np
import polars as pl
import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.breakdown import Breakdown, TotalInterval
from fivefold.domain.clock import from_microseconds, to_microseconds
from fivefold.domain.errors import OwnIndicatorError
from fivefold.features.histories import Histories, missing_values
from fivefold.features.indicator_matrix import Snapshots
from fivefold.features.stored import stored_histories
from fivefold.models.explain import breakdown, explain
from fivefold.models.value_model import ValueModel
from fivefold.risk.facts.portfolio import ENTITY, NOT_READ, VALUE_CURRENCY
from fivefold.risk.facts.value_inputs import value_frame, with_failures
from fivefold.risk.language.expressions import VALUES
from fivefold.store.ingest.entities import entity_named
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.portfolio.values import NO_VERSION, superseded_by
from fivefold.store.tables.entities import ValueScore
from fivefold.usecases.levels.portfolio import entity_text, read_transactions
from fivefold.usecases.shared.api_fields import row_as
from fivefold.usecases.shared.context import Context

log = structlog.get_logger("fivefold.worker")

MONTHS: Final = 12
"""The months of the year over which indicators are shown."""
SAME = 1e-9
"""The largest difference between a stored score and the total of a breakdown that explains it."""


STORED: Final = (
    ENTITY,
    *VALUES,
    "interval_level_percent",
    "currency",
    "model",
    "model_version",
    "fingerprint",
    "model_hash",
    "failure",
)
"""The stored columns of a value, beside its moment."""


NO_VALUE: Final = "The model gives no value by what it reads of this customer."
"""Why a value is unknown, for people who may not read transactions."""
NO_MODEL: Final = "No value model was loaded when the customer's transactions had changed, and none has looked since."
"""Why a value is unknown where `ValueScore.model_version` is 0."""


@dataclass(frozen=True)
class EntityScores:
    """The values of entities at a moment.

    Attributes:
        frame: `entity_id`, `risk.language.expressions.VALUES` and their currency, of entities with a value; if it
            failed for any, also these, with the reason in `risk.facts.portfolio.NOT_READ`.
        changed: rows of entities whose value is new or changed, in the columns `STORED`; null for those without a
            value.
        as_of_us: the moment.
        settled: by entity, when the first of its transactions counts that does not count yet.
    """

    frame: pl.DataFrame
    changed: pl.DataFrame
    as_of_us: int
    settled: Mapping[int, int]


@dataclass(frozen=True)
class EntityScorer:
    """A value model and its place in the registry."""

    model: ValueModel
    name: str
    version: int

    def gave(self, value: ValueScore) -> bool:
        """Check whether a stored value is of this model, under this name and number."""
        by = (value.model, value.model_version, value.model_hash)
        return by == (self.name, self.version, self.model.content_hash)

    def values_of(
        self, session: Session, entity_ids: list[int], transactions: pl.DataFrame, as_of_us: int
    ) -> EntityScores:
        """Compute the values of entities from transactions that `usecases.levels.portfolio.read_transactions` read.

        An entity with transactions or an earlier value may have no value now; that is a result too, and ends the
        earlier one.
        """
        histories = histories_of(self.model, transactions, as_of_us)
        for gap in missing_values(histories, as_of_us - self.model.settlement_lag_us, self.model.needs):
            log.info("no value", why=str(gap))
        computed = known_values(self.model, histories, as_of_us)
        stored = loading.value_scores(session, entity_ids)
        entities = (
            pl.concat([transactions["entity"], stored["entity"]]).unique().sort().to_frame().select(entity_text())
        )
        before = stored.select(
            entity_text(),
            pl.col("score").alias("score_before"),
            pl.col("expected_value").alias("expected_before"),
            pl.col("model").alias("model_before"),
            pl.col("model_version").alias("version_before"),
            pl.col("model_hash").alias("hash_before"),
            pl.col("failure").alias("failure_before"),
        )
        failure = pl.col(NOT_READ) if NOT_READ in computed.columns else pl.lit(None, pl.String)
        of_everyone = computed.with_columns(failure.alias("failure"))
        beside = entities.join(of_everyone, on=ENTITY, how="left", maintain_order="left")
        beside = beside.join(before, on=ENTITY, how="left", maintain_order="left")
        content_hash = self.model.content_hash
        same = (
            pl.col("score").eq_missing(pl.col("score_before"))
            & pl.col("expected_value").eq_missing(pl.col("expected_before"))
            & pl.col("model_before").eq_missing(pl.lit(self.name))
            & pl.col("version_before").eq_missing(pl.lit(self.version))
            & pl.col("hash_before").eq_missing(pl.lit(content_hash))
            & pl.col("failure").eq_missing(pl.col("failure_before"))
        )
        lag_us = self.model.settlement_lag_us
        unsettled = transactions.filter(pl.col("at_us") > as_of_us - lag_us)
        first = unsettled.group_by("entity").agg(pl.col("at_us").min() + lag_us)
        level = pl.when(pl.col("expected_value_low").is_not_null()).then(self.model.interval_level_percent)
        changed = beside.filter(~same).with_columns(
            level.cast(pl.Int64).alias("interval_level_percent"),
            currency=pl.lit(self.model.currency),
            model=pl.lit(self.name),
            model_version=pl.lit(self.version),
            fingerprint=pl.lit(self.model.fingerprint),
            model_hash=pl.lit(content_hash),
        )
        return EntityScores(computed, changed.select(STORED), as_of_us, dict(first.iter_rows()))


def histories_of(model: ValueModel, transactions: pl.DataFrame, as_of_us: int) -> Histories:
    """Lay out stored transactions for a model: without a rate of its own, one takes the value away once it counts."""
    settled = pl.col("at_us") <= as_of_us - model.settlement_lag_us
    counts = settled | pl.col("currency").is_in([*model.rates.codes])
    return stored_histories(transactions.filter(counts), model.rates, model.absent)


def known_values(model: ValueModel, histories: Histories, as_of_us: int) -> pl.DataFrame:
    """Compute the values of stored entities, as `value_frame` does.

    Where an indicator of the operator's own cannot be computed, the entity has the reason in `NOT_READ` instead, and it
    is logged: a failure must not end what rules give for the value.
    """
    try:
        return value_frame(model, histories, as_of_us)
    except OwnIndicatorError:
        faults = {failure.user_id: failure.fault for failure in model.own_failures(histories, as_of_us)}
    for fault, entities in sorted(Counter(faults.values()).items()):
        log.warning("no value", why=fault, entities=entities)
    others = [place for place, entity in enumerate(histories.user_ids.to_pylist()) if entity not in faults]
    frame = value_frame(model, histories.take(np.array(others, dtype=np.int64)), as_of_us)
    return pl.concat([frame, pl.DataFrame({ENTITY: list(faults), NOT_READ: list(faults.values())})], how="diagonal")


_OTHER_TRANSACTIONS: Final = Reason.TRANSACTION | Reason.CLOCK
"""Reasons that mean by themselves that other transactions count than at the last assessment."""


def last_values(session: Session, reasons: Mapping[int, int], standing: pl.DataFrame, as_of_us: int) -> EntityScores:
    """Return the last values of entities where no value model is loaded.

    A value becomes unknown where transactions changed, or at the moment when the last model foresaw that the next one
    settles. Where it could not be computed, the failure stays: an unknown value would let a floor go.

    Args:
        session: to read with.
        reasons: why each of the entities is due, by its number.
        standing: their current levels, from `store.levels.bulk_reads.current_levels`.
        as_of_us: the moment of the assessment.
    """
    stored = loading.value_scores(session, sorted(reasons))
    assessed_us = dict(standing[["entity", "assessed_us"]].rows())
    since = {
        entity: assessed_us.get(entity, at_us)
        for entity, version, at_us in stored[["entity", "model_version", "as_of_us"]].rows()
        if version not in {None, NO_VERSION}
    }
    settled = dict(loading.settled_moments(session, sorted(since)).iter_rows())
    passed = {entity for entity, at_us in settled.items() if at_us <= as_of_us}
    changed = passed | _changed(session, reasons, since, as_of_us)
    if changed:
        log.warning("no value", why="no value model is loaded", entities=len(changed))
    outdated = pl.Series([entity in changed for entity in stored["entity"].to_list()], dtype=pl.Boolean)
    unknown = [pl.lit(None, stored.schema[name]).alias(name) for name in VALUES]
    by_none = stored.filter(outdated).with_columns(
        entity_text(),
        *unknown,
        model_version=NO_VERSION,
        model_hash=pl.lit(None, pl.String),
        interval_level_percent=pl.lit(None, pl.Int64),
    )
    to_come = {entity: at_us for entity, at_us in settled.items() if entity not in changed}
    goes_on = ~outdated | stored["failure"].is_not_null()
    frame = stored.filter(goes_on).select(entity_text(), *VALUES, VALUE_CURRENCY, "failure")
    return EntityScores(with_failures(frame), by_none.select(STORED), as_of_us, to_come)


def _changed(session: Session, reasons: Mapping[int, int], since: Mapping[int, int], as_of_us: int) -> set[int]:
    """Find the entities for which other transactions count than at their moment in *since*."""
    changed = {entity for entity in since if reasons[entity] & _OTHER_TRANSACTIONS}
    others = sorted(set(since) - changed)
    if not others:
        return changed
    whose = loading.fact_owners(session, others)
    looks = pl.DataFrame({"entity": others, "since_us": [since[entity] for entity in others]})
    earliest_us = min(since[entity] for entity in others)
    begun = loading.counted_between(session, whose["fact_of"].unique().to_list(), earliest_us, as_of_us)
    spans = whose.filter(pl.col("entity") != pl.col("fact_of"))
    moments = [
        begun.join(whose.select("entity", "fact_of"), on="fact_of").select("entity", "at_us"),
        *(spans.select("entity", at_us=name) for name in ("from_us", "until_us")),
        _ownerships_stored(session, spans["entity"].unique().to_list(), reasons),
    ]
    later = pl.concat(moments).join(looks, on="entity")
    counts = pl.col("at_us").is_between("since_us", as_of_us, closed="right")
    return changed.union(later.filter(counts)["entity"].to_list())


def _ownerships_stored(session: Session, owners: Sequence[int], reasons: Mapping[int, int]) -> pl.DataFrame:
    """Return when ownerships of *owners* may last have been stored, whatever time they are of: `entity`, `at_us`."""
    return loading.last_activity(session, [each for each in owners if reasons[each] & Reason.ATTRIBUTE])


@dataclass(frozen=True, kw_only=True)
class IndicatorLine:
    """One indicator over the year.

    Attributes:
        unit: the unit in the catalogue, such as money or days.
        values: the value at each moment; None where it is undefined, or before the first transaction.
        median: the bounds of its median in the reference portfolio (`DriftReference.medians`), twice the same where it
            is known; None where no customer there has the indicator.
    """

    unit: str
    values: tuple[float | None, ...]
    median: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class IndicatorYear:
    """The indicators that a model reads of one customer, at the score and at moments of the year before it.

    Transactions that are stored now count at a moment by their date, with the corrections known at the score.

    Attributes:
        moments_us: the moments, the last of which is the score's.
        before_first: how many of them were before the first transaction that counts.
        lines: the indicators, by name.
        reference_us: the moment of the reference portfolio.
    """

    moments_us: tuple[int, ...]
    before_first: int
    lines: Mapping[str, IndicatorLine]
    reference_us: int


def moments_of_year(as_of_us: int) -> tuple[int, ...]:
    """Return the last microsecond of each of the twelve months (UTC) before that of a moment, and the moment.

    >>> [from_microseconds(each).date().isoformat() for each in moments_of_year(to_microseconds(date(2026, 3, 1)))][-4:]
    ['2025-12-31', '2026-01-31', '2026-02-28', '2026-03-01']
    """
    at = from_microseconds(as_of_us)
    months = 12 * at.year + at.month - 1  # since the year 0
    firsts = (divmod(months - back, 12) for back in range(MONTHS - 1, -1, -1))
    return *(to_microseconds(date(year, month + 1, 1)) - 1 for year, month in firsts), as_of_us


def indicator_year(model: ValueModel, snapshots: Snapshots, moments_us: Sequence[int]) -> IndicatorYear:
    """Build the indicators of one customer from the model's *snapshots* at each of the moments."""
    medians = model.reference.medians
    row_counts = snapshots.row_counts[0].tolist()
    before_first = sum(not count for count in row_counts)
    columns = snapshots.values[0, before_first:].T.tolist()
    return IndicatorYear(
        moments_us=tuple(moments_us),
        before_first=before_first,
        lines={
            indicator.name: IndicatorLine(
                unit=indicator.unit,
                values=(*[None] * before_first, *(None if isnan(value) else value for value in column)),
                median=medians.get(indicator.name),
            )
            for indicator, column in zip(model.catalogue.indicators, columns, strict=True)
        },
        reference_us=model.test_as_of,
    )


@dataclass(frozen=True, kw_only=True)
class ValueView:
    """The latest stored value of an entity: the last that differed from the one before.

    Attributes:
        score: from 1 to 5; None where there was no value, as `segment` and `expected_value`.
        expected_value: over `horizon_days`, in `currency`.
        expected_value_low, expected_value_high: the interval in which it is expected to lie for
            `interval_level_percent` of a hundred customers; None where the model kept no interval, the high end also
            where the model does not give it.
        as_of_us: the moment of the value.
        superseded_by: the version that serves and is still to compute its own value, where another one gave this; else
            None.
        horizon_days: the horizon of the model; None if that model does not serve now.
        breakdown: base and points by indicator, whose total is the score; None where it cannot be explained.
        score_interval: the interval of that total; None where there is no breakdown, or no interval.
        model_version: 0 where no model was loaded when the transactions had changed.
        unexplained: why there is no breakdown, or no score; empty where there is one.
        unexplained_alone: the same without details of transactions.
        indicators: the indicators of the breakdown, with their medians; None where there is no breakdown.
    """

    score: float | None
    segment: str | None
    expected_value: float | None
    expected_value_low: float | None
    expected_value_high: float | None
    interval_level_percent: int | None
    currency: str
    as_of_us: int
    model: str
    model_version: int
    superseded_by: int | None
    horizon_days: int | None
    breakdown: Breakdown | None
    unexplained: str
    unexplained_alone: str
    indicators: IndicatorYear | None
    score_interval: TotalInterval | None = None


def read_value(
    context: Context,
    type_name: str,
    external_id: str,
    *,
    valuer: EntityScorer | None = None,
    over_year: bool = False,
) -> ValueView | None:
    """Return an entity's latest value, explained by the model that gave it; None if it never had one.

    The indicators are those at the moment of the score, and *over_year* at the ends of the months before too.

    The points are computed from the transactions known at the moment of the score. A breakdown with another total is
    not shown: it would explain another score. NotFoundError if the entity does not exist.
    """
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        latest = select(ValueScore).where(ValueScore.entity_id == entity.id).order_by(ValueScore.as_of_us.desc())
        result = session.execute(latest.add_columns(superseded_by(entity.id)).limit(1)).one_or_none()
        if result is None:
            return None
        row, superseded = result
        serves = valuer is not None and valuer.gave(row)
        explained, why, why_alone = None, "", None
        if row.model_version == NO_VERSION:
            why = NO_MODEL + (f" Before that it could not be computed: {row.failure}." if row.failure else "")
            why_alone = NO_MODEL
        elif row.failure is not None:
            why, why_alone = _why_failed(row, f": {row.failure}", superseded), _why_failed(row, "", superseded)
        elif row.score is not None and valuer is not None and serves:
            explained = _explained(
                session, valuer, row, moments_of_year(row.as_of_us) if over_year else (row.as_of_us,)
            )
            why = "" if explained else "Transactions became known since, so the same indicators give another score now."
        elif row.score is not None:
            why = _why_other(row, superseded)
        elif valuer is not None and serves:
            why, why_alone = _why_none(session, valuer.model, row), NO_VALUE
        return row_as(
            ValueView,
            row,
            superseded_by=superseded,
            horizon_days=valuer.model.horizon_days if valuer is not None and serves else None,
            breakdown=None if explained is None else explained[0],
            unexplained=why,
            unexplained_alone=why if why_alone is None else why_alone,
            indicators=None if explained is None else explained[1],
            score_interval=None if explained is None or valuer is None else _score_interval(valuer.model, row),
        )


def _why_other(row: ValueScore, superseded: int | None) -> str:
    why = "and another model has this number now" if superseded == row.model_version else "which does not serve now"
    return f"Version {row.model_version} of {row.model} gave it, {why}."


def _why_failed(row: ValueScore, failure: str, superseded: int | None) -> str:
    why = f"Version {row.model_version} of {row.model} could not compute what it reads of this customer{failure}."
    if superseded is None:
        return why
    by = "the model that has this number now" if superseded == row.model_version else f"version {superseded}"
    return f"{why} The value will be computed anew with {by}."


def _why_none(session: Session, model: ValueModel, row: ValueScore) -> str:
    """Return why a model gives no value, as far as the transactions known then show it."""
    transactions = _transactions_of(session, row)
    settled_us = row.as_of_us - model.settlement_lag_us
    counted = transactions.filter(pl.col("at_us") <= settled_us)
    unconverted = set(counted["currency"]) - set(model.rates.codes)
    if unconverted:
        return f"The model has no exchange rate for {', '.join(sorted(unconverted))}, the currency of a transaction."
    histories = histories_of(model, transactions, row.as_of_us)
    gaps = missing_values(histories, settled_us, model.needs)
    if gaps:
        lacking = ", ".join(f"{gap.column} from {from_microseconds(gap.from_us).date()} on" for gap in gaps)
        return f"The model reads what transactions lack: {lacking}."
    return "" if len(counted) else "No transaction of the customer counts by then."


def _transactions_of(session: Session, row: ValueScore) -> pl.DataFrame:
    return read_transactions(session, loading.fact_owners(session, [row.entity_id]), row.as_of_us, for_value=True)


def _score_interval(model: ValueModel, row: ValueScore) -> TotalInterval | None:
    """Convert the ends of a stored money interval to scores, by the curve of the model that gave it."""
    low, high, level = row.expected_value_low, row.expected_value_high, row.interval_level_percent
    if low is None or level is None:
        return None
    ends = model.curve.score(np.array([low, low if high is None else high]))
    return TotalInterval(float(ends[0]), None if high is None else float(ends[1]), level)


def _explained(
    session: Session, valuer: EntityScorer, row: ValueScore, moments: tuple[int, ...]
) -> tuple[Breakdown, IndicatorYear] | None:
    """Explain a stored score at the last of *moments*; None if the facts known now give another score."""
    model = valuer.model
    histories = histories_of(model, _transactions_of(session, row), row.as_of_us)
    try:
        snapshots = model.snapshots(histories, moments)
    except OwnIndicatorError:  # at the score's own moment, or at one before it alone
        return _explained(session, valuer, row, moments[-1:]) if len(moments) > 1 else None
    if not len(snapshots.row_counts) or not snapshots.row_counts[0, -1]:
        return None
    parts = breakdown(explain(model, snapshots.values[:1, -1]), 0, model.currency)
    if row.score is None or abs(parts.total - row.score) > SAME:
        return None
    return parts, indicator_year(model, snapshots, moments)
