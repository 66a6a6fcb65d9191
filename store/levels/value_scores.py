"""Value scores as they are kept. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session, aliased

from fivefold.store.tables.entities import Ownership, Transaction, ValueScore
from fivefold.store.tables.levels import Standing


def valued_otherwise(session: Session, model: str, version: int) -> Sequence[int]:
    """Name those assessed before of whom something other than this version of the model spoke last.

    Where nothing ever did, only those with transactions are named; those of what they own or owned are theirs too.
    """
    later = aliased(ValueScore)
    kept = exists().where(ValueScore.entity_id == Standing.entity_id)
    last = ~exists().where(later.entity_id == ValueScore.entity_id, later.as_of_us > ValueScore.as_of_us)
    by_it = kept.where(ValueScore.model == model, ValueScore.model_version == version, last)
    own = exists().where(Transaction.entity_id == Standing.entity_id)
    owned = exists().where(Ownership.owner_id == Standing.entity_id, Transaction.entity_id == Ownership.entity_id)
    return session.scalars(select(Standing.entity_id).where(~by_it, or_(kept, own, owned))).all()
