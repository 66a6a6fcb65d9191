"""What is known of one entity, as it was stored. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import Select, and_, case, literal, null, or_, select
from sqlalchemy.orm import Session

from store.arrays import among
from store.entity_tables import (
    BIG,
    Attributes,
    Correction,
    Entity,
    EntityType,
    Ownership,
    Record,
    Screening,
    Tag,
    Transaction,
)
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


def counted_transactions(
    entity_id: int, since_us: int | None = None, until_us: int | None = None
) -> Select[Transaction, str, str]:
    """Select the transactions that count for an entity, each with whose it is: its type, and its name outside.

    They are those that its level reads: its own, and those of what it owns or did, of the time in which it did; from a
    moment until before another.
    """
    own = select(literal(entity_id, BIG).label("entity_id"), null().label("from_us"), null().label("until_us"))
    owned = select(Ownership.entity_id, Ownership.from_us, Ownership.until_us).where(Ownership.owner_id == entity_id)
    counts = own.union_all(owned).subquery()
    at = Transaction.at_us
    wanted = (
        select(Transaction, EntityType.name, Entity.external_id)
        .join(counts, counts.c.entity_id == Transaction.entity_id)
        .join(Entity, Entity.id == Transaction.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .where(
            or_(counts.c.from_us.is_(None), counts.c.from_us <= at),
            or_(counts.c.until_us.is_(None), counts.c.until_us > at),
        )
    )
    if since_us is not None:
        wanted = wanted.where(at >= since_us)
    return wanted if until_us is None else wanted.where(at < until_us)


def transactions_before(
    session: Session, wanted: Select[Transaction, str, str], most: int, before: tuple[int, str] | None
) -> list[tuple[Transaction, str, str]]:
    """List selected transactions, the latest first, from below a moment and number on."""
    if before is not None:
        at_us, number = before
        earlier = and_(Transaction.at_us == at_us, Transaction.transaction_id < number)
        wanted = wanted.where(or_(Transaction.at_us < at_us, earlier))
    order = (Transaction.at_us.desc(), Transaction.transaction_id.desc())
    return [(found, kind, name) for found, kind, name in session.execute(wanted.order_by(*order).limit(most))]


def corrections_of(session: Session, transactions: Sequence[Transaction]) -> Sequence[Correction]:
    """List the corrections of some transactions, in the order in which they hold."""
    entity_ids = sorted({found.entity_id for found in transactions})
    numbers = [found.transaction_id for found in transactions]
    wanted = select(Correction).where(
        among(session, Correction.entity_id, entity_ids), among(session, Correction.transaction_id, numbers)
    )
    mended = Correction.recorded_us < Correction.known_us
    counts_from = case((mended, Correction.recorded_us), else_=Correction.known_us)
    return session.scalars(wanted.order_by(counts_from, Correction.id)).all()


def transaction_of(session: Session, entity_id: int, number: str) -> Transaction | None:
    """Find one of the transactions that count for an entity by its number."""
    found = session.execute(counted_transactions(entity_id).where(Transaction.transaction_id == number)).first()
    return None if found is None else found[0]


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
