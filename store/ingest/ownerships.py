"""Ownerships of entities, each from one moment until another. Nothing here begins or ends a transaction.

A use case that changes ownerships holds the organisation's lock, so the ownerships that it read stay current until the
end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from sqlalchemy import Integer, Select, bindparam, delete, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from fivefold.store.audit.bound_rows import new_ids
from fivefold.store.audit.history import new_salts
from fivefold.store.levels.bulk_reads import read_rows
from fivefold.store.sql.arrays import among
from fivefold.store.sql.statements import UNSEEN, write_rows
from fivefold.store.tables.entities import Entity, EntityType, Ownership
from fivefold.store.tables.levels import IS_FAILING, DueMark, Standing

_EDGES = {"entity_id": pl.Int64, "owner_id": pl.Int64}


@dataclass(frozen=True)
class OwnershipSpan:
    """A time in which one entity owns another: from a moment, or from the first fact on, until before another.

    `number` is that of its row; None for a new one.
    """

    owner_id: int
    from_us: int | None = None
    until_us: int | None = None
    number: int | None = None

    def is_live(self, now_us: int) -> bool:
        """Return whether it continues after now."""
        return self.until_us is None or self.until_us > now_us

    def overlaps(self, other: "OwnershipSpan") -> bool:
        """Return whether both have a moment in common, or begin at the same one."""
        if self.from_us == other.from_us:
            return True
        return _begins_before_end(self, other) and _begins_before_end(other, self)


def _begins_before_end(one: OwnershipSpan, other: OwnershipSpan) -> bool:
    return one.from_us is None or other.until_us is None or one.from_us < other.until_us


def owner_numbers(session: Session, entity_ids: Iterable[int]) -> set[int]:
    """List present and past owners of entities: a late fact may belong to a past owner's time."""
    query = "SELECT DISTINCT owner_id FROM ownerships WHERE entity_id IN :ids"
    return set(read_rows(session, query, sorted(entity_ids), {"owner_id": pl.Int64})["owner_id"])


def owners_above(session: Session, entity_ids: Iterable[int], now_us: int) -> dict[int, set[int]]:
    """Return the present owners of each of these entities that has any, their owners, and so on upwards."""
    query = (
        "WITH RECURSIVE above(entity_id, owner_id) AS (SELECT o.entity_id, o.owner_id FROM ownerships o"
        " WHERE o.entity_id IN :ids AND (o.until_us IS NULL OR o.until_us > :now)"
        # Existing rows are not added again, so it ends even if ownerships form a cycle.
        " UNION SELECT o.entity_id, o.owner_id FROM ownerships o JOIN above ON o.entity_id = above.owner_id"
        " WHERE o.until_us IS NULL OR o.until_us > :now) SELECT entity_id, owner_id FROM above"
    ).replace(":now", str(int(now_us)))
    above: dict[int, set[int]] = {}
    for entity_id, owner_id in read_rows(session, query, sorted(entity_ids), _EDGES).iter_rows():
        above.setdefault(entity_id, set()).add(owner_id)
    return above


def spans_of(session: Session, entity_ids: Iterable[int]) -> dict[int, list[OwnershipSpan]]:
    """Return all times in which some of these entities are or were owned, in the order in which they were added."""
    query = "SELECT entity_id, owner_id, from_us, until_us, id FROM ownerships WHERE entity_id IN :ids ORDER BY id"
    columns = {**_EDGES, "from_us": pl.Int64, "until_us": pl.Int64, "id": pl.Int64}
    spans: dict[int, list[OwnershipSpan]] = {}
    for entity_id, *span in read_rows(session, query, sorted(entity_ids), columns).iter_rows():
        spans.setdefault(entity_id, []).append(OwnershipSpan(*span))
    return spans


def write_spans(
    session: Session, changed: Mapping[int, Sequence[OwnershipSpan]], before: Mapping[int, Sequence[OwnershipSpan]]
) -> list[int]:
    """Add new spans of entities, and store the changed times of others; return the numbers of the rows."""
    others = [
        (entity_id, span)
        for entity_id, spans in changed.items()
        for span in sorted(set(spans) - set(before.get(entity_id, ())), key=spans.index)
    ]
    new_spans = [
        (entity_id, span.owner_id, span.from_us, span.until_us) for entity_id, span in others if span.number is None
    ]
    numbers, salts = new_ids(session, "ownerships", len(new_spans)), new_salts(len(new_spans))
    rows = ((number, salt, *span) for number, salt, span in zip(numbers, salts, new_spans, strict=True))
    write_rows(session, "ownerships", ("id", "salt", "entity_id", "owner_id", "from_us", "until_us"), rows)
    rows_before = [
        {"id": span.number, "from_us": span.from_us, "until_us": span.until_us}
        for _, span in others
        if span.number is not None
    ]
    if rows_before:
        session.execute(update(Ownership), rows_before)
    return [*numbers, *(span.number for _, span in others if span.number is not None)]


def forget(session: Session, entity_ids: Sequence[int]) -> None:
    """Delete the ownerships of erased entities, as owner and as owned."""
    of_them = or_(among(session, Ownership.entity_id, entity_ids), among(session, Ownership.owner_id, entity_ids))
    session.execute(delete(Ownership).where(of_them), execution_options=UNSEEN)


def owned_numbers(session: Session, entity_id: int, now_us: int | None = None) -> set[int]:
    """List the entities that an entity owns or owned; with *now_us* only those that it owns at that moment."""
    query = select(Ownership.entity_id).where(Ownership.owner_id == entity_id)
    if now_us is not None:
        query = query.where(or_(Ownership.until_us.is_(None), Ownership.until_us > now_us))
    return set(session.scalars(query))


def types_owned(session: Session, kind: EntityType) -> tuple[str, ...]:
    """List, by name, the types of the entities that entities of a type own or owned.

    Each type is looked up alone, until the first ownership: an organisation has few types, and may have many
    ownerships.
    """
    owner, owned = aliased(Entity), aliased(Entity)
    of_both = (
        select(Ownership.id)
        .join(owner, owner.id == Ownership.owner_id)
        .join(owned, owned.id == Ownership.entity_id)
        .where(owner.type_id == kind.id, owned.type_id == EntityType.id)
    )
    query = select(EntityType.name).where(EntityType.organisation_id == kind.organisation_id, of_both.exists())
    return tuple(session.scalars(query.order_by(EntityType.name)))


@dataclass(frozen=True)
class RelatedEntity:
    """An entity that owns another or is owned by it, in a list; `number` is that of the ownership's row."""

    number: int
    entity_type: str
    external_id: str
    from_us: int | None
    until_us: int | None
    standing: Standing | None
    failing: bool


def owned_by(session: Session, entity_id: int, most: int) -> list[RelatedEntity]:
    """List the entities that an entity owns or owned, in the order in which the ownerships were recorded."""
    return _list_related(session, _OWNED, entity_id, most)


def owners_of(session: Session, entity_id: int, most: int) -> list[RelatedEntity]:
    """List the present and past owners of an entity, in the order in which the ownerships were recorded."""
    return _list_related(session, _OWNERS, entity_id, most)


def _list_related(
    session: Session, statement: Select[*tuple[Any, ...]], entity_id: int, most: int
) -> list[RelatedEntity]:
    values = {"entity_id": entity_id, "most": most}
    return [RelatedEntity(*row) for row in session.execute(statement, values)]


def _other_side(own: InstrumentedAttribute[int], other: InstrumentedAttribute[int]) -> Select[*tuple[Any, ...]]:
    """Select the entities on the other side of an entity's ownerships."""
    other_entity = aliased(Entity)
    return (
        select(
            *(Ownership.id, EntityType.name, other_entity.external_id, Ownership.from_us, Ownership.until_us),
            *(Standing, IS_FAILING),
        )
        .join(other_entity, other_entity.id == other)
        .join(EntityType, EntityType.id == other_entity.type_id)
        .outerjoin(Standing, Standing.entity_id == other_entity.id)
        .outerjoin(DueMark, DueMark.entity_id == other_entity.id)
        .where(own == bindparam("entity_id"))
        .order_by(Ownership.id)
        .limit(bindparam("most", type_=Integer))
    )


_OWNED: Final = _other_side(Ownership.owner_id, Ownership.entity_id)
_OWNERS: Final = _other_side(Ownership.entity_id, Ownership.owner_id)
"""Built once: building it takes longer than the databases take to answer."""
