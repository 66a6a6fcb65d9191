"""A stored entity's value as people read it: what the model said last, and why."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.breakdown import Breakdown
from fivefold.features.stored import stored_histories
from fivefold.models.explain import breakdown, explain
from fivefold.store.ingest.entities import entity_named
from fivefold.store.levels import bulk_reads
from fivefold.store.tables.entities import ValueScore
from fivefold.usecases.levels.portfolio import read_transactions
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.shared.context import Context

SAME = 1e-9
"""A breakdown explains a stored score where its total is no further from it."""


@dataclass(frozen=True, kw_only=True)
class ValueView:
    """What the value model said of an entity, the last time that it said something else than before.

    Attributes:
        score: from 1 to 5; None where there was no value, as `segment` and `expected_value`.
        expected_value: over `horizon_days`, in `currency`.
        as_of_us: the moment.
        horizon_days: of the model; None where that model does not serve now.
        breakdown: base and points by indicator, whose total is the score; None where it cannot be explained.
        unexplained: why there is no breakdown; empty where there is one, or no score.
    """

    score: float | None
    segment: str | None
    expected_value: float | None
    currency: str
    as_of_us: int
    model: str
    model_version: int
    horizon_days: int | None
    breakdown: Breakdown | None
    unexplained: str


def read_value(
    context: Context, type_name: str, external_id: str, *, valuer: EntityScorer | None = None
) -> ValueView | None:
    """Show an entity's latest value, explained by the model that gave it; None where it never had one.

    The points are those of the transactions that were known at the moment of the score. A breakdown whose total is
    another number is not shown: it would explain something else. NotFoundError where there is no such entity.
    """
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        latest = select(ValueScore).where(ValueScore.entity_id == entity.id).order_by(ValueScore.as_of_us.desc())
        row = session.scalar(latest.limit(1))
        if row is None:
            return None
        serves = valuer is not None and (valuer.name, valuer.version) == (row.model, row.model_version)
        parts, why = None, ""
        if row.score is not None and valuer is not None and serves:
            parts = _explained(session, valuer, row)
            why = "" if parts else "Transactions became known since, so the same indicators give another score now."
        elif row.score is not None:
            why = f"Version {row.model_version} of {row.model} gave it, which does not serve now."
        return ValueView(
            score=row.score,
            segment=row.segment,
            expected_value=row.expected_value,
            currency=row.currency,
            as_of_us=row.as_of_us,
            model=row.model,
            model_version=row.model_version,
            horizon_days=valuer.model.horizon_days if valuer is not None and serves else None,
            breakdown=parts,
            unexplained=why,
        )


def _explained(session: Session, valuer: EntityScorer, row: ValueScore) -> Breakdown | None:
    """Explain a stored score; None where what is known now gives another one."""
    model = valuer.model
    whose = bulk_reads.owned(session, [row.entity_id])
    transactions = read_transactions(session, whose, row.as_of_us, for_value=True)
    matrix, row_counts = model.matrix(stored_histories(transactions, model.rates, model.absent), row.as_of_us)
    if not len(row_counts) or not row_counts[0]:
        return None
    parts = breakdown(explain(model, matrix[:1]), 0, model.currency)
    return parts if row.score is not None and abs(parts.total - row.score) <= SAME else None
