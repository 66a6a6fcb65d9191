"""What the value model says of stored entities: computed with their levels, kept whenever it says something else."""

from dataclasses import dataclass

import polars as pl
import structlog
from sqlalchemy.orm import Session

from fivefold.features.histories import missing_values
from fivefold.features.stored import stored_histories
from fivefold.models.value_model import ValueModel
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.facts.value_inputs import value_frame
from fivefold.store.levels import bulk_reads as loading
from fivefold.usecases.levels.portfolio import entity_text

log = structlog.get_logger("fivefold.worker")


@dataclass(frozen=True)
class EntityScores:
    """What the value model says now.

    Attributes:
        frame: `entity_id`, `score`, `segment`, `expected_value`, of those of whom it can say something.
        changed: rows of those of whom it said something else before, or nothing; null for those who have no value.
        as_of_us: the moment.
        valuer: who said it.
    """

    frame: pl.DataFrame
    changed: pl.DataFrame
    as_of_us: int
    valuer: "EntityScorer"


@dataclass(frozen=True)
class EntityScorer:
    """A value model and its place in the registry."""

    model: ValueModel
    name: str
    version: int

    def values_of(
        self, session: Session, entity_ids: list[int], transactions: pl.DataFrame, as_of_us: int
    ) -> EntityScores:
        """Ask the model about entities with these transactions, `usecases.levels.portfolio.read_transactions` them.

        An entity with transactions or an earlier value may have no value now; that is a result too, and ends the
        earlier one.
        """
        histories = stored_histories(transactions, self.model.rates, self.model.absent)
        for gap in missing_values(histories, as_of_us - self.model.settlement_lag_us, self.model.needs):
            log.info("no value", why=gap)
        computed = value_frame(self.model, histories, as_of_us)
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
        )
        beside = entities.join(computed, on=ENTITY, how="left", maintain_order="left")
        beside = beside.join(before, on=ENTITY, how="left", maintain_order="left")
        same = (
            pl.col("score").eq_missing(pl.col("score_before"))
            & pl.col("expected_value").eq_missing(pl.col("expected_before"))
            & pl.col("model_before").eq_missing(pl.lit(self.name))
            & pl.col("version_before").eq_missing(pl.lit(self.version))
        )
        return EntityScores(computed, beside.filter(~same).select(computed.columns), as_of_us, self)
