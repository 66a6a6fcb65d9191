"""Value scores as they are kept. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from store.entity_tables import Entity, Transaction, ValueScore
from store.level_tables import Standing


def valued_otherwise(session: Session, version: int) -> Sequence[int]:
    """Name those assessed before of whom this version of the model said nothing yet, though they have transactions.

    Those of what they own are theirs too.
    """
    by_it = exists().where(ValueScore.entity_id == Standing.entity_id, ValueScore.model_version == version)
    own = exists().where(Transaction.entity_id == Standing.entity_id)
    owned = exists().where(Entity.owner_id == Standing.entity_id, Transaction.entity_id == Entity.id)
    return session.scalars(select(Standing.entity_id).where(~by_it, or_(own, owned))).all()
