"""Customers by their expected value, and stored value scores beside the version that serves.

No statement here reads a level; none begins or ends a transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, and_, func, literal, not_, or_, select, tuple_, union_all
from sqlalchemy.orm import Session, aliased

from fivefold.domain.paging import Page, Part
from fivefold.store.sql.keyset import require_key, rows_of
from fivefold.store.tables.entities import Entity, Ownership, Transaction, ValueScore
from fivefold.store.tables.levels import Champion, Standing

NO_VERSION: Final = 0
"""The number of the version, otherwise from 1 on, if no model was loaded."""


def is_valued_otherwise(entity_id: Any, model: Any, version: Any, model_hash: Any) -> ColumnElement[bool]:
    """Return the condition that an assessed entity's latest value score is not from this version of a model.

    An entity without any score counts only if it, or an entity that it owns or owned, has transactions. The arguments
    may be columns of any enclosing statement. If the hash is null, the name and the number decide.
    """
    standing, score, transaction, ownership = (
        aliased(Standing),
        aliased(ValueScore),
        aliased(Transaction),
        aliased(Ownership),
    )
    assessed = select(standing.entity_id).where(standing.entity_id == entity_id).correlate_except(standing).exists()
    has_score = select(score.entity_id).where(score.entity_id == entity_id).correlate_except(score).exists()
    by_it = _latest(entity_id, lambda last: _is_by(last, model, version, model_hash))
    own = select(transaction.entity_id).where(transaction.entity_id == entity_id).correlate_except(transaction).exists()
    of_owned = select(ownership.entity_id).join(transaction, transaction.entity_id == ownership.entity_id)
    through = of_owned.where(ownership.owner_id == entity_id).correlate_except(ownership, transaction).exists()
    return and_(assessed, ~by_it, or_(has_score, own, through))


def superseded_by(entity_id: Any) -> ColumnElement[int | None]:
    """Return, in SQL, the serving version if another one gave an entity's latest value score; null otherwise."""
    champion = aliased(Champion)
    by_other = _latest(
        entity_id,
        lambda last: not_(_is_by(last, champion.model, champion.model_version, champion.content_hash)),
    )
    statement = select(champion.model_version).where(by_other).correlate_except(champion)
    return statement.scalar_subquery()


def _is_by(value: Any, model: Any, version: Any, model_hash: Any) -> ColumnElement[bool]:
    """Return the condition that a value is of this version; one without a hash only if *model_hash* is null."""
    has_hash = value.model_hash.is_not_distinct_from(func.coalesce(model_hash, value.model_hash))
    return and_(value.model == model, value.model_version == version, has_hash)


def _latest(entity_id: Any, condition: Any) -> ColumnElement[bool]:
    """Return the condition that an entity's latest value score meets *condition*."""
    last, later = aliased(ValueScore), aliased(ValueScore)
    newest = select(func.max(later.as_of_us)).where(later.entity_id == entity_id).correlate_except(later)
    of = (last.entity_id == entity_id, last.as_of_us == newest.scalar_subquery(), condition(last))
    return select(literal(1, Integer)).select_from(last).where(*of).correlate_except(last).exists()


@dataclass(frozen=True)
class ValueRow:
    """The value of an entity, and since when it has it.

    Attributes:
        superseded_by: the serving version of the model if another one gave the value; None otherwise.
    """

    external_id: str
    score: float | None
    segment: str | None
    expected_value: float | None
    currency: str | None
    as_of_us: int | None
    superseded_by: int | None


def values_of(session: Session, type_id: int, segments: Sequence[str], part: Part) -> Page[ValueRow]:
    """List the entities of a type in some segments, the highest expected value first.

    Each segment is read from its own place in an index. An erased entity is left out. ConfigError if the part does not
    begin after a key of this list.
    """
    keys: tuple[Any, ...] = (Standing.expected_value, Standing.entity_id)
    if part.after is not None:
        require_key(keys, part.after)
    first = union_all(*(_first_of(type_id, segment, part) for segment in segments)).subquery()
    statement = (
        select(
            Entity.external_id,
            Standing.value_score,
            Standing.segment,
            Standing.expected_value,
            Standing.value_currency,
            _SINCE.where(ValueScore.entity_id == Standing.entity_id).scalar_subquery(),
            superseded_by(Standing.entity_id),
        )
        .join(first, first.c.entity_id == Standing.entity_id)
        .join(Entity, Entity.id == Standing.entity_id)
    )
    return rows_of(session, statement, keys, part, descending=True).map(lambda row: ValueRow(*row))


_SINCE = select(func.max(ValueScore.as_of_us))


def _first_of(type_id: int, segment: str, part: Part) -> Any:
    """Select the first entities of one segment, from its place in the index."""
    statement = (
        select(Standing.entity_id)
        .join(Entity, Entity.id == Standing.entity_id)
        .where(
            Standing.type_id == type_id,
            Standing.segment == segment,
            Standing.expected_value.is_not(None),
            Entity.erased_us.is_(None),
        )
    )
    if part.after is not None:
        place = tuple_(
            literal(part.after[0], Standing.expected_value.type), literal(part.after[1], Standing.entity_id.type)
        )
        statement = statement.where(tuple_(Standing.expected_value, Standing.entity_id) < place)
    if part.most is not None:
        statement = statement.order_by(Standing.expected_value.desc(), Standing.entity_id.desc()).limit(part.most + 1)
    return select(statement.subquery())


def since_when(session: Session, entity_ids: Sequence[int]) -> Mapping[int, int]:
    """Return since when each entity has its current value, by its number."""
    rows = _SINCE.add_columns(ValueScore.entity_id).where(ValueScore.entity_id.in_(entity_ids))
    return {entity: as_of_us for as_of_us, entity in session.execute(rows.group_by(ValueScore.entity_id))}
