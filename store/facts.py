"""What is known of one entity, as it was stored. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from store.entity_tables import Attributes, Entity, EntityType, Record, Screening, Tag, Transaction
from store.level_tables import Standing


def attributes_of(session: Session, entity_id: int) -> Attributes | None:
    """Find the latest version of an entity's attributes."""
    wanted = select(Attributes).where(Attributes.entity_id == entity_id)
    return session.scalar(wanted.order_by(Attributes.number.desc()).limit(1))


def name_of(session: Session, entity_id: int) -> tuple[str, str]:
    """Give an entity's type and its name outside."""
    wanted = select(EntityType.name, Entity.external_id).join(Entity, Entity.type_id == EntityType.id)
    kind, external_id = session.execute(wanted.where(Entity.id == entity_id)).one()
    return kind, external_id


def tags_of(session: Session, entity_id: int, most: int) -> Sequence[Tag]:
    """List the tags that an entity has or had, the newest first."""
    return session.scalars(select(Tag).where(Tag.entity_id == entity_id).order_by(Tag.id.desc()).limit(most)).all()


def screenings_of(session: Session, entity_id: int, most: int) -> Sequence[Screening]:
    """List an entity's screenings, those that were made last first."""
    wanted = select(Screening).where(Screening.entity_id == entity_id)
    return session.scalars(wanted.order_by(Screening.at_us.desc(), Screening.id.desc()).limit(most)).all()


def records_of(session: Session, entity_id: int, kind: str, most: int) -> Sequence[Record]:
    """List an entity's cases or alerts, those that were opened last first."""
    wanted = select(Record).where(Record.entity_id == entity_id, Record.kind == kind)
    return session.scalars(wanted.order_by(Record.opened_us.desc(), Record.id.desc()).limit(most)).all()


def transactions_before(
    session: Session, entity_id: int, most: int, before: tuple[int, str] | None
) -> Sequence[Transaction]:
    """List an entity's transactions, the latest first, from below a moment and number on."""
    wanted = select(Transaction).where(Transaction.entity_id == entity_id)
    if before is not None:
        at_us, number = before
        earlier = and_(Transaction.at_us == at_us, Transaction.transaction_id < number)
        wanted = wanted.where(or_(Transaction.at_us < at_us, earlier))
    order = (Transaction.at_us.desc(), Transaction.transaction_id.desc())
    return session.scalars(wanted.order_by(*order).limit(most)).all()


def transaction_of(session: Session, entity_id: int, number: str) -> Transaction | None:
    """Find one transaction of an entity by its number."""
    wanted = select(Transaction).where(Transaction.entity_id == entity_id, Transaction.transaction_id == number)
    return session.scalar(wanted)


def entities_of_type(
    session: Session, type_id: int, most: int, after: int, level: int | None = None
) -> list[tuple[Entity, Standing | None]]:
    """List entities of a type with where they stand, in the order of their numbers, from behind one on.

    An erased entity is left out.
    """
    joined = select(Entity, Standing).outerjoin(Standing, Standing.entity_id == Entity.id)
    wanted = joined.where(Entity.type_id == type_id, Entity.id > after, Entity.erased_us.is_(None))
    if level is not None:
        wanted = wanted.where(Standing.level == level)
    return [(entity, standing) for entity, standing in session.execute(wanted.order_by(Entity.id).limit(most))]
