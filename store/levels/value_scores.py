"""Stored value scores. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session, aliased

from fivefold.store.tables.entities import Ownership, Transaction, ValueScore
from fivefold.store.tables.levels import Standing


def scored_by_other_version(session: Session, model: str, version: int) -> Sequence[int]:
    """List assessed entities whose latest value score is not from this model version.

    An entity without any score is listed only if it, or what it owns or owned, has transactions.
    """
    later = aliased(ValueScore)
    has_score = exists().where(ValueScore.entity_id == Standing.entity_id)
    last = ~exists().where(later.entity_id == ValueScore.entity_id, later.as_of_us > ValueScore.as_of_us)
    by_it = has_score.where(ValueScore.model == model, ValueScore.model_version == version, last)
    own = exists().where(Transaction.entity_id == Standing.entity_id)
    owned = exists().where(Ownership.owner_id == Standing.entity_id, Transaction.entity_id == Ownership.entity_id)
    return session.scalars(select(Standing.entity_id).where(~by_it, or_(has_score, own, owned))).all()
