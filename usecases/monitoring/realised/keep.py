"""Keeps the serving version's predictions for a portfolio as of one moment, until the realised values are known.

The stored values of customers will not do. They are of many moments, and stay until something happens to a customer:
customers who moved money yesterday are unlike those that the version was judged by, and for customers silent for
months the value is from before that. So the version predicts anew for a sample, as of one moment, as training does.
"""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl
import structlog
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError
from fivefold.models.value_model import ValueModel
from fivefold.risk.facts.portfolio import ENTITY, VALUE_MONEY
from fivefold.store.monitoring import predictions as store
from fivefold.store.monitoring.predictions import ValuedType
from fivefold.store.sql.clocks import latest_us
from fivefold.store.sql.database import add_alone, reading, writing
from fivefold.store.tables.predictions import PredictionDay
from fivefold.training.dates import until_known_us
from fivefold.usecases.levels.value_scores import EntityScorer, histories_of, known_values
from fivefold.usecases.monitoring.realised.judge import blocks_of, transactions_of
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

log = structlog.get_logger("fivefold.worker")

EVERY_DAYS: Final = 7
"""How often a version predicts: a horizon is months long, so a delay of a week does not matter."""
MOST_CUSTOMERS: Final = 10_000
"""The size of the sample of a larger portfolio, about: chance then moves a share by less than one point."""


def keep_predictions(engine: Engine, valuer: EntityScorer | None, now_us: int) -> bool:
    """Store the serving version's predictions for one type of one organisation without any from the last week.

    Return True if there was such a type: then there may be another. All is stored in one transaction, so that a killed
    worker leaves nothing; of two workers at once the first one's predictions stay. If one type fails, the others are
    done before its error is raised. For a type without any values, nothing is stored.
    """
    if valuer is None:
        return False
    today = now_us // DAY_US
    with reading(engine) as session:
        days = (today - EVERY_DAYS + 1, today)
        kinds = store.valued_types(session, valuer.name, valuer.version, *days, valuer.model.content_hash)
    failed: list[BaseException] = []
    for kind in kinds:
        try:
            if _keep(engine, kind, valuer, now_us):
                return True
        except UNEXPECTED_ERRORS as error:  # a failure of one portfolio delays no other
            log.warning("predictions not kept", **kind._asdict(), error=type(error).__name__)
            failed.append(error)
    if failed:
        raise failed[0]
    return False


def _keep(engine: Engine, kind: ValuedType, valuer: EntityScorer, now_us: int) -> bool:
    """Store the predictions of one type; return False if there are none."""
    with reading(engine) as session:
        entity_ids = store.sampled_entities(session, kind, MOST_CUSTOMERS)
    rows = [row for block in blocks_of(entity_ids) for row in _predicted(engine, valuer.model, block, now_us)]
    try:
        return _store(engine, kind, valuer, rows, now_us)
    except ConflictError:  # another worker stored it at this moment
        return True


def _predicted(engine: Engine, model: ValueModel, entity_ids: Sequence[int], now_us: int) -> list[tuple[Any, ...]]:
    """Return predictions for entities; those for which the model gives no value are left out."""
    histories = histories_of(model, transactions_of(engine, entity_ids, now_us), now_us)
    values = known_values(model, histories, now_us)
    predictions = values.filter(pl.col("expected_value").is_not_null()).with_columns(pl.col(ENTITY).cast(pl.Int64))
    return predictions.select(ENTITY, "segment", *VALUE_MONEY).rows()


def _store(engine: Engine, kind: ValuedType, valuer: EntityScorer, rows: list[tuple[Any, ...]], now_us: int) -> bool:
    model = valuer.model
    with writing(engine) as session:
        store.forget_days_after(session, valuer.name, valuer.version, latest_us(session, now_us))
        there = store.present_entities(session, kind.type_id, [row[0] for row in rows])
        present_rows = [row for row in rows if row[0] in there]
        if not present_rows:
            return False
        day = PredictionDay(
            organisation_id=kind.organisation_id,
            type_id=kind.type_id,
            model=valuer.name,
            model_version=valuer.version,
            model_hash=model.content_hash,
            day=now_us // DAY_US,
            as_of_us=now_us,
            horizon_ends_us=now_us + until_known_us(model.horizon_days, model.settlement_lag_us // DAY_US),
            valued=kind.valued,
            predicted=len(present_rows),
            currency=model.currency,
            interval_level_percent=None if model.intervals is None else model.intervals.level_percent,
        )
        if store.has_day(session, day):
            return True
        add_alone(session, day)
        store.store_predictions(session, [(day.id, *row) for row in present_rows])
    return True
