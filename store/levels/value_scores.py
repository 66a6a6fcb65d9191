"""Stored value scores beside the version that serves. Nothing here begins or ends a transaction."""

from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, func, literal, or_, select
from sqlalchemy.orm import aliased

from fivefold.store.tables.entities import Ownership, Transaction, ValueScore
from fivefold.store.tables.levels import Champion, Standing


def is_valued_otherwise(entity_id: Any, model: Any, version: Any) -> ColumnElement[bool]:
    """Return the condition that an assessed entity's latest value score is not from this version of a model.

    An entity without any score counts only if it, or an entity that it owns or owned, has transactions. The arguments
    may be columns of any enclosing statement.
    """
    standing, score, transaction, ownership = (
        aliased(Standing),
        aliased(ValueScore),
        aliased(Transaction),
        aliased(Ownership),
    )
    assessed = select(standing.entity_id).where(standing.entity_id == entity_id).correlate_except(standing).exists()
    has_score = select(score.entity_id).where(score.entity_id == entity_id).correlate_except(score).exists()
    by_it = _latest(entity_id, lambda last: and_(last.model == model, last.model_version == version))
    own = select(transaction.entity_id).where(transaction.entity_id == entity_id).correlate_except(transaction).exists()
    of_owned = select(ownership.entity_id).join(transaction, transaction.entity_id == ownership.entity_id)
    through = of_owned.where(ownership.owner_id == entity_id).correlate_except(ownership, transaction).exists()
    return and_(assessed, ~by_it, or_(has_score, own, through))


def superseded_by(entity_id: Any) -> ColumnElement[int | None]:
    """Return, in SQL, the serving version if another one gave an entity's latest value score; else null."""
    champion = aliased(Champion)
    by_other = _latest(
        entity_id,
        lambda last: or_(last.model != champion.model, last.model_version != champion.model_version),
    )
    statement = select(champion.model_version).where(by_other).correlate_except(champion)
    return statement.scalar_subquery()


def _latest(entity_id: Any, condition: Any) -> ColumnElement[bool]:
    """Return the condition that an entity's latest value score meets *condition*."""
    last, later = aliased(ValueScore), aliased(ValueScore)
    newest = select(func.max(later.as_of_us)).where(later.entity_id == entity_id).correlate_except(later)
    of = (last.entity_id == entity_id, last.as_of_us == newest.scalar_subquery(), condition(last))
    return select(literal(1, Integer)).select_from(last).where(*of).correlate_except(last).exists()
