"""The tables of predictions, which are stored until their horizon has passed, and of their figures afterwards."""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Float, ForeignKey, Index, Integer, String
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.sql.json_text import JSONText, stored_report
from fivefold.store.tables.accounts import HASH_CHARACTERS, NAME_CHARACTERS, Base
from fivefold.store.tables.entities import BIG


class PredictionDay(Base):
    """A model version's predictions on one day (UTC) for the customers of a type; later the realised values.

    Attributes:
        day: in days since 1970.
        as_of_us: the moment of all its predictions.
        model_hash: the content hash of the model, as training computes it: another registry may reuse version numbers.
        horizon_ends_us: when the horizon and the settlement lag of the version have passed.
        valued: customers of the type who had a value then; those with a prediction are a sample of them.
        predicted: the number of predictions.
        currency: the currency of the predictions.
        interval_level_percent: the level of the intervals; None if the model keeps none.
        judged_us: when it was last evaluated; None before that, as the next three.
        state: due, holds or unknown.
        reasons: sentences.
        figures: as `usecases.monitoring.realised.judge` writes them; None if nothing could be compared.
        announced_us: when an event announced that by this day the version is due; None if none did.
        forgotten_us: when its predictions were removed; the figures are kept.
        lease_until_us: the end of the lease of a worker that evaluates it; None if none does.
    """

    __tablename__ = "prediction_days"
    __table_args__ = (
        Unique("type_id", "model", "model_version", "day"),
        CheckConstraint("state IN ('due', 'holds', 'unknown')", name="state"),
        Index("ix_prediction_days_version", "organisation_id", "model_version", "as_of_us", "id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    type_id: Mapped[int] = mapped_column(ForeignKey("entity_types.id"))
    model: Mapped[str] = mapped_column(String(NAME_CHARACTERS))
    model_version: Mapped[int] = mapped_column(Integer)
    model_hash: Mapped[str] = mapped_column(String(HASH_CHARACTERS))
    day: Mapped[int] = mapped_column(Integer)
    as_of_us: Mapped[int] = mapped_column(BigInteger)
    horizon_ends_us: Mapped[int] = mapped_column(BigInteger)
    valued: Mapped[int] = mapped_column(BigInteger)
    predicted: Mapped[int] = mapped_column(Integer)
    currency: Mapped[str] = mapped_column(String(3))
    interval_level_percent: Mapped[int | None] = mapped_column(Integer)
    judged_us: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str | None] = mapped_column(String(10))
    reasons: Mapped[list[str] | None] = mapped_column(JSONText())
    figures: Mapped[dict[str, Any] | None] = mapped_column(JSONText(stored_report))
    announced_us: Mapped[int | None] = mapped_column(BigInteger)
    forgotten_us: Mapped[int | None] = mapped_column(BigInteger)
    lease_until_us: Mapped[int | None] = mapped_column(BigInteger)


class Prediction(Base):
    """A version's prediction for one customer on one day; the ends of the interval as in `ValueScore`."""

    __tablename__ = "predictions"
    __table_args__ = (Index("ix_predictions_entity_id", "entity_id"),)

    day_id: Mapped[int] = mapped_column(ForeignKey("prediction_days.id"), primary_key=True)
    entity_id: Mapped[int] = mapped_column(BIG, ForeignKey("entities.id"), primary_key=True)
    segment: Mapped[str] = mapped_column(String(10))
    expected_value: Mapped[float] = mapped_column(Float(53))
    expected_value_low: Mapped[float | None] = mapped_column(Float(53))
    expected_value_high: Mapped[float | None] = mapped_column(Float(53))
