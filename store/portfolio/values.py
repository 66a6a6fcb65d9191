"""Customers by their expected value. No statement here reads a level; none begins or ends a transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, literal, select, tuple_, union_all
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.levels.value_scores import superseded_by
from fivefold.store.sql.keyset import require_key, rows_of
from fivefold.store.tables.entities import Entity, ValueScore
from fivefold.store.tables.levels import Standing


@dataclass(frozen=True)
class ValueRow:
    """The value of an entity, and since when it has it.

    Attributes:
        superseded_by: the serving version of the model if another one gave the value; else None.
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
    """Return since when entities have their present value, by their numbers."""
    rows = _SINCE.add_columns(ValueScore.entity_id).where(ValueScore.entity_id.in_(entity_ids))
    return {entity: as_of_us for as_of_us, entity in session.execute(rows.group_by(ValueScore.entity_id))}
