"""Judges predictions by realised values once their horizon has passed: transactions, figures, verdict and event."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, SECOND_US, day_text
from fivefold.domain.errors import ModelError, NotEnoughDataError, StoreError
from fivefold.domain.money import RateTable
from fivefold.domain.settings import Settings
from fivefold.domain.text import count_text
from fivefold.features.histories import Histories
from fivefold.features.schema import BALANCE, NULLABLE
from fivefold.features.stored import stored_histories
from fivefold.models.value_model import ValueModel
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.monitoring import predictions as store
from fivefold.store.sql.clocks import latest_us
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.predictions import Prediction, PredictionDay
from fivefold.store.webhooks.outbox import NOBODY, NewEvent, add_events
from fivefold.training.data import TransactionSource
from fivefold.training.judging.due import DueVerdict
from fivefold.training.judging.past_scores import SCHEMA
from fivefold.training.judging.realised import Realised, RealisedDay
from fivefold.usecases.levels.portfolio import read_transactions
from fivefold.usecases.models.read import OpenRegistry, asking, present
from fivefold.usecases.shared.actors import SYSTEM, Actor
from fivefold.usecases.shared.context import record

if TYPE_CHECKING:
    from fivefold.models.registry import RegisteredVersion, Registry
    from fivefold.training.config import TrainingConfig


log = structlog.get_logger("fivefold.worker")

DUE_EVENT: Final = "value_model.due"
LATE_DAYS: Final = 30
"""How long after the horizon a day is judged again once a day, as transactions that arrive late change its figures."""
LONGEST_DAYS: Final = 365
"""How long after the horizon predictions are removed even if nothing could be compared."""
LEASE_US: Final = 600 * SECOND_US
"""How long a worker may take for a day of predictions before another takes over; it takes seconds."""


@dataclass(frozen=True)
class _Judgement:
    """A verdict, and the figures of its day; None if nothing could be compared."""

    state: str
    reasons: tuple[str, ...]
    day: RealisedDay | None = None


def judge_next(engine: Engine, settings: Settings, now_us: int) -> bool:
    """Judge one day of predictions whose horizon has passed, unless judged today; return False if none is left.

    The new figures of a day replace the old ones. If the serving version turns out to be due, an event and an audit
    entry report it, once until the version holds again; also if it serves again after its days are no longer judged. A
    killed worker leaves a lease that ends after ten minutes; then another one judges the day. If the registry does not
    answer, that is logged, and the day is judged again after the same time, behind the others. A worker without a
    registry judges nothing, as another one may have it; it removes predictions that were not judged for a year. Where
    there is nothing else to do, the kept predictions of those whom nothing holds any more are removed.
    """
    if not settings.has_registry:
        return _forget_next(engine, now_us)
    with writing(engine) as session:
        store.forget_judgements_after(session, latest_us(session, now_us))
        day = store.claim_day(session, now_us, now_us + LEASE_US)
        if day is None:
            return _announce_next(session, now_us) or store.forget_released(session, now_us)
        session.flush()
        session.expunge(day)
    with reading(engine) as session:
        predictions = store.predictions_of(session, day.id)
    judgement = _judge(engine, partial(_open, settings, day.model), day, predictions, now_us)
    if judgement is None and now_us < day.horizon_ends_us + LONGEST_DAYS * DAY_US:
        return True  # the lease keeps the day out of this round
    with writing(engine) as session:
        row = store.leased_day(session, day.id, now_us + LEASE_US)
        if row is not None:
            _store(session, row, judgement or _unknown("the registry of models does not answer"), now_us)
    return True


def _forget_next(engine: Engine, now_us: int) -> bool:
    with writing(engine) as session:
        before_us = now_us - LONGEST_DAYS * DAY_US
        return store.forget_next(session, before_us, now_us) or store.forget_released(session, now_us)


def _open(settings: Settings, name: str) -> "Registry":
    from fivefold.models.registry import Registry  # noqa: PLC0415 (imports MLflow)

    return Registry(settings, name)


def _judge(
    engine: Engine, open_registry: OpenRegistry, day: PredictionDay, predictions: Sequence[Prediction], now_us: int
) -> _Judgement | None:
    """Judge the predictions of a day; return None if the registry does not answer."""
    from fivefold.training.judging.past_versions import judge_predictions  # noqa: PLC0415 (imports MLflow)

    if not predictions:
        return _unknown("nobody who was predicted is left")
    try:
        version, model, config = _read_version(open_registry, day.model_version)
    except StoreError as error:
        log.warning("predictions not judged", day=day_text(day.day * DAY_US), error=str(error))
        return None
    except ModelError as error:
        return _unknown(str(error))
    if model.content_hash != day.model_hash:
        return _unknown(f"version {day.model_version} of the registry is another model than the one that predicted")
    portfolio = StoredPortfolio(engine, [row.entity_id for row in predictions], model, day.as_of_us, now_us)
    scores = _scores(day, predictions)
    try:
        judged = judge_predictions(version, model, scores, portfolio, config, config.due, now_us)
    except NotEnoughDataError:
        return _unknown("those who were predicted have no transactions any more")
    return _judgement(day.predicted, judged.realised, judged.verdict)


def _read_version(open_registry: OpenRegistry, number: int) -> "tuple[RegisteredVersion, ValueModel, TrainingConfig]":
    """Read a version from the registry: its record, its model, and its training configuration.

    Raises:
        StoreError: the registry does not answer.
        ModelError: the registry does not have the version, or this program cannot judge it.
    """
    from fivefold.training.recalibrate import config_of_version  # noqa: PLC0415 (imports MLflow)

    with asking(open_registry) as opened:
        registry = present(opened)
        version, model = registry.version(number), registry.load(number)
        return version, model, config_of_version(model, registry, version)


def _unknown(reason: str) -> _Judgement:
    return _Judgement(store.UNKNOWN, (reason,))


def _judgement(predicted: int, realised: Realised, verdict: DueVerdict) -> _Judgement:
    # The horizon has passed, so too early means that the data do not reach that far: the verdict is unknown.
    state = verdict.state if verdict.state in {store.DUE, store.HOLDS} else store.UNKNOWN
    day = realised.days[-1] if realised.days else None
    # Erased customers are removed from the predictions too: only the day has the number predicted.
    if day is not None and (gone := predicted - day.customers) > day.customers:
        of = f"of the {count_text(predicted, 'customer')} predicted on {day_text(day.day_us)}"
        those = f"{gone:,} {of} {'is' if gone == 1 else 'are'}"
        why = (
            "they were erased, or own or owned one that was, or have no transactions any more, "
            "or a balance or an exchange rate of a transaction is missing"
        )
        return _Judgement(store.UNKNOWN, (f"{those} in no figure: {why}",), day)
    return _Judgement(state, verdict.reasons, day)


def _scores(day: PredictionDay, predictions: Sequence[Prediction]) -> pl.DataFrame:
    """Return predictions in the columns of score files."""
    rows = [
        (str(row.entity_id), row.segment, day.currency, row.expected_value, row.expected_value_low,
         row.expected_value_high, day.interval_level_percent, day.model_hash, day.as_of_us)
        for row in predictions
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(day=pl.lit(day.day))


def _store(session: Session, row: PredictionDay, judgement: _Judgement, now_us: int) -> None:
    store.lock_type(session, row.type_id)
    was_judged = row.judged_us is not None and row.judged_us < now_us // DAY_US * DAY_US
    row.judged_us, row.lease_until_us = now_us, None
    if judgement.day is not None or row.figures is None:
        # Figures that could be computed once stay if the version or the data are gone later.
        row.state, row.reasons = judgement.state, list(judgement.reasons)
        row.figures = None if judgement.day is None else figures_of(judgement.day, row.predicted)
    last_us = row.horizon_ends_us + (LONGEST_DAYS if row.figures is None else LATE_DAYS) * DAY_US
    session.flush()
    # Figures show that the data reach that far. Without them, a second judgement guards against a clock ahead for once.
    if now_us >= last_us and (was_judged or row.figures is not None):
        store.forget_predictions(session, row.id, now_us)
        row.forgotten_us = now_us
    details = {"type_id": row.type_id, "model": row.model, "version": row.model_version, "state": row.state}
    log.info("predictions judged", organisation=row.organisation_id, day=day_text(row.day * DAY_US), **details)
    _announce_news(session, row, now_us)


def _announce_next(session: Session, now_us: int) -> bool:
    """Announce a version that is due by a day from before it served; return False if there is none."""
    number = store.next_news(session)
    if number is None:
        return False
    row = store.lock_day(session, number)
    if row is None:
        return False
    store.lock_type(session, row.type_id)
    return _announce_news(session, row, now_us)


def _announce_news(session: Session, row: PredictionDay, now_us: int) -> bool:
    """Announce the version of a day, which is locked with its type, if it serves, is due, and that is news."""
    is_due = row.state == store.DUE and store.serves(session, row)
    if not (is_due and store.is_news(session, row)):
        return False
    row.announced_us = now_us
    _announce(session, row, now_us)
    return True


def _announce(session: Session, row: PredictionDay, now_us: int) -> None:
    body = {
        "model": row.model,
        "version": row.model_version,
        "entity_type": store.type_name(session, row.type_id),
        "predicted_on": day_text(row.day * DAY_US),
        "reasons": row.reasons,
    }
    name = blake2b(row.model.encode(), digest_size=8).hexdigest()  # a name may be longer than an event's
    event_id = f"value-model-due-{row.type_id}-{name}-{row.model_version}-{row.day}-{now_us}"
    event = NewEvent(event_id, DUE_EVENT, NOBODY, now_us, json.dumps(body, ensure_ascii=False))
    add_events(session, row.organisation_id, [event])
    actor = Actor(row.organisation_id, SYSTEM)
    record(session, actor, DUE_EVENT, ("model version", row.model_version), details=body)


def figures_of(day: RealisedDay, predicted: int) -> dict[str, Any]:
    """Return the figures of a day as they are stored; unknown ones are None.

    `gone` is the number of predicted customers that are in no figure: erased since, owners of an entity that was, or
    with a transaction that lacks a balance or an exchange rate.
    """
    return {
        "customers": day.customers,
        "gone": predicted - day.customers,
        "normalised_gini": _none_for_nan(day.metrics.normalised_gini),
        "spearman": _none_for_nan(day.metrics.spearman),
        "interval_level_percent": day.level_percent,
        "groups": [{name: _none_for_nan(value) for name, value in row.items()} for row in day.figures.to_dicts()],
    }


def _none_for_nan(value: Any) -> Any:
    return None if value != value else value  # noqa: PLR0124 (NaN alone differs from itself)


BLOCK: Final = 1_000
"""How many customers' transactions are in memory at once."""


def blocks_of(entity_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the numbers of entities in blocks whose transactions are read at once."""
    return (entity_ids[first : first + BLOCK] for first in range(0, len(entity_ids), BLOCK))


def transactions_of(engine: Engine, entity_ids: Sequence[int], now_us: int) -> pl.DataFrame:
    """Read the transactions up to now of entities and of what they own, in the form of `stored_histories`."""
    with reading(engine) as session:
        whose = loading.fact_owners(session, entity_ids)
        return read_transactions(session, whose, now_us, for_value=True).filter(pl.col("at_us") <= now_us)


class StoredPortfolio(TransactionSource):
    """The stored transactions of some entities, whose numbers as text identify the customers.

    A customer with a transaction up to the end of the horizon that lacks a needed balance, or is in a currency without
    an exchange rate, is left out: the realised value is unknown. Of later transactions only the moments count, which
    show how far the data reach.
    """

    is_hidden = True

    def __init__(
        self, engine: Engine, entity_ids: Sequence[int], model: ValueModel, as_of_us: int, now_us: int
    ) -> None:
        """Read nothing yet; corrections known by *now_us* (microseconds) count, and later rows are not read.

        The horizon begins at *as_of_us*, microseconds.
        """
        super().__init__((), model.rates, now_us, absent=model.absent, own=model.own)
        self._engine = engine
        self._entity_ids = entity_ids
        self._model = model
        self._ends_us = as_of_us + model.horizon_days * DAY_US
        self._now_us = now_us

    def parts(self, rates: RateTable) -> Iterator[Histories]:
        """Yield the histories of one block of customers at a time."""
        for block in blocks_of(self._entity_ids):
            rows = transactions_of(self._engine, block, self._now_us)
            counts = (pl.col("at_us") <= self._ends_us) | pl.col("currency").is_in([*rates.codes])
            histories = stored_histories(rows.filter(counts), rates, self._model.absent)
            unknown_from = histories.unknown_from
            if unknown_from is not None and self._model.definition.get("yearly_margin"):
                balance_known = unknown_from[:, NULLABLE.index(BALANCE)] > self._ends_us
                histories = histories if balance_known.all() else histories.take(np.flatnonzero(balance_known))
            if histories.customers:
                yield histories
