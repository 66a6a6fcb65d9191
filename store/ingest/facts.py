"""The stored facts of one entity, and of many, so that an import can skip duplicates. Begins no transaction."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import Select, literal, null, or_, select
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.ingest.tags import lasts_on, of_proposal
from fivefold.store.levels.bulk_reads import read_rows
from fivefold.store.sql.arrays import among
from fivefold.store.sql.keyset import rows_of, scalars_of
from fivefold.store.tables.entities import (
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
from fivefold.store.tables.levels import Standing
from fivefold.store.tables.rulesets import Proposal


def attributes_of(session: Session, entity_id: int) -> Attributes | None:
    """Find the latest version of an entity's attributes."""
    statement = select(Attributes).where(Attributes.entity_id == entity_id)
    return session.scalar(statement.order_by(Attributes.number.desc()).limit(1))


def entity_name(session: Session, entity_id: int) -> tuple[str, str]:
    """Return an entity's type and external id."""
    statement = select(EntityType.name, Entity.external_id).join(Entity, Entity.type_id == EntityType.id)
    kind, external_id = session.execute(statement.where(Entity.id == entity_id)).one()
    return kind, external_id


def tags_of(session: Session, entity_id: int, part: Part, name: str | None = None) -> Page[Any]:
    """List the tags that an entity has or had, or those of one name, the newest first.

    Each comes with whether another row continues it, and with who proposed what `set_by` and `ended_by` approved.
    """
    set_at, ended_at = (Tag.from_us, Tag.set_by), (Tag.until_us, Tag.ended_by)
    proposers = (of_proposal(Proposal.proposed_by, *at) for at in (set_at, ended_at))
    statement = select(Tag, lasts_on(), *proposers).where(Tag.entity_id == entity_id)
    if name is not None:
        statement = statement.where(Tag.tag == name)
    return rows_of(session, statement, (Tag.id,), part, descending=True)


def screenings_of(session: Session, entity_id: int, part: Part) -> Page[Screening]:
    """List an entity's screenings, the latest first."""
    statement = select(Screening).where(Screening.entity_id == entity_id)
    return scalars_of(session, statement, (Screening.at_us, Screening.id), part, descending=True)


def records_of(session: Session, entity_id: int, kind: str, part: Part) -> Page[Record]:
    """List an entity's cases or alerts, the latest opened first."""
    statement = select(Record).where(Record.entity_id == entity_id, Record.kind == kind)
    return scalars_of(session, statement, (Record.opened_us, Record.id), part, descending=True)


def counted_transactions(
    entity_id: int, since_us: int | None = None, until_us: int | None = None
) -> Select[Transaction, str, str]:
    """Select the transactions that count for an entity, each with the type and external id of its own entity.

    These are the inputs of its level: its own transactions, and those of entities that it owned at their time; from
    *since_us* until before *until_us*.
    """
    own = select(literal(entity_id, BIG).label("entity_id"), null().label("from_us"), null().label("until_us"))
    owned_spans = select(Ownership.entity_id, Ownership.from_us, Ownership.until_us).where(
        Ownership.owner_id == entity_id
    )
    counts = own.union_all(owned_spans).subquery()
    at = Transaction.at_us
    statement = (
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
        statement = statement.where(at >= since_us)
    return statement if until_us is None else statement.where(at < until_us)


def transactions_of(
    session: Session, statement: Select[Transaction, str, str], part: Part
) -> Page[tuple[Transaction, str, str]]:
    """List selected transactions, the latest first."""
    return rows_of(session, statement, (Transaction.at_us, Transaction.transaction_id), part, descending=True)


def corrections_of(session: Session, transactions: Sequence[Transaction]) -> Sequence[Correction]:
    """List the corrections of some transactions, in the order in which they apply."""
    entity_ids = sorted({transaction.entity_id for transaction in transactions})
    numbers = [transaction.transaction_id for transaction in transactions]
    statement = select(Correction).where(
        among(session, Correction.entity_id, entity_ids), among(session, Correction.transaction_id, numbers)
    )
    return session.scalars(statement.order_by(Correction.counts_from_us, Correction.id)).all()


def entities_of_type(
    session: Session, organisation_id: int, type_id: int, part: Part, level: int | None = None
) -> Page[tuple[Entity, Standing | None]]:
    """List entities of a type with their current levels, in the order of their numbers; of one level or of all.

    Erased entities are left out.
    """
    statement = select(Entity, Standing).where(Entity.erased_us.is_(None))
    if level is None:  # by the index of one table or of the other: both have the entities in order
        of_type = (Entity.organisation_id == organisation_id, Entity.type_id == type_id)
        statement = statement.outerjoin(Standing, Standing.entity_id == Entity.id).where(*of_type)
        return rows_of(session, statement, (Entity.id,), part)
    of_level = (Standing.organisation_id == organisation_id, Standing.type_id == type_id, Standing.level == level)
    statement = statement.join(Standing, Standing.entity_id == Entity.id).where(*of_level)
    return rows_of(session, statement, (Standing.entity_id,), part)


class StoredCase(NamedTuple):
    """A stored case or alert: its row, its entity, and its columns from opened to content."""

    id: int
    entity_id: int
    values: tuple[Any, ...]


class StoredTag(NamedTuple):
    """A tag that an entity has or had, with its number."""

    id: int
    entity_id: int
    tag: str
    from_us: int
    until_us: int | None


def tags(session: Session, entity_ids: Sequence[int]) -> list[StoredTag]:
    """Return the tags of entities."""
    frame = read_rows(
        session,
        "SELECT id, entity_id, tag, from_us, until_us FROM tags WHERE entity_id IN :ids ORDER BY id",
        list(entity_ids),
        {"id": pl.Int64, "entity_id": pl.Int64, "tag": pl.String, "from_us": pl.Int64, "until_us": pl.Int64},
    )
    return [StoredTag(*row) for row in frame.iter_rows()]


def screenings(session: Session, entity_ids: Sequence[int]) -> list[tuple[int, str, int, int]]:
    """Return the screenings of entities: entity, screening, moment in microseconds, and 1 if it had a match."""
    frame = read_rows(
        session,
        "SELECT entity_id, screening, at_us, CASE WHEN found THEN 1 ELSE 0 END FROM screenings WHERE entity_id IN :ids",
        list(entity_ids),
        {"entity": pl.Int64, "screening": pl.String, "at_us": pl.Int64, "found": pl.Int64},
    )
    return frame.rows()


def records(session: Session, organisation_id: int, kind: str, numbers: Sequence[str]) -> dict[str, StoredCase]:
    """Return cases or alerts by their numbers; *kind* is case or alert."""
    frame = read_rows(
        session,
        "SELECT external_id, id, entity_id, opened_us, closed_us, outcome, status, content FROM records"  # noqa: S608 (our own words)
        f" WHERE organisation_id = {organisation_id:d} AND kind = '{kind}' AND external_id IN :ids",
        list(numbers),
        {
            "external_id": pl.String,
            "id": pl.Int64,
            "entity": pl.Int64,
            "opened_us": pl.Int64,
            "closed_us": pl.Int64,
            "outcome": pl.String,
            "status": pl.String,
            "content": pl.String,
        },
    )
    return {row[0]: StoredCase(row[1], row[2], row[3:]) for row in frame.iter_rows()}
