"""When facts about an entity, named as people name them, last changed. No transactions."""

import json
from collections.abc import Collection, Mapping
from itertools import takewhile
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.store.audit.history_reading import added_us
from fivefold.store.sql.arrays import among
from fivefold.store.tables.entities import Attributes, Correction, Entity, Record, Screening, Tag, Transaction

KINDS: Final = ("field", "transaction", "tag", "screening", "case", "alert")
"""Kinds of facts that can be named; each is followed by its name."""


def changed_us(session: Session, entity_ids: Collection[int], kind: str, name: str, since_us: int) -> int | None:
    """Return since when a fact about entities has its current value; None if it did not change after a moment.

    Tags, cases and alerts have no moment of arrival. Such a fact counts as changed if any of them arrived after the
    moment: at the beginning or end that the fact itself has, or if that is not later than the moment, at the last
    arrival.

    Args:
        session: to read with.
        entity_ids: the entities, and those that they own; a change of several is complete with the last one.
        kind: one of `KINDS`.
        name: the name of the field, tag or screening; the number of the transaction, case or alert.
        since_us: the moment, microseconds.
    """
    match kind:
        case "field":
            moments = [_field_changed_us(session, each, name, since_us) for each in entity_ids]
        case "screening":
            moments = [_screened_us(session, each, name, since_us) for each in entity_ids]
        case "transaction":
            moments = _moments_of_transaction(session, entity_ids, name, since_us)
        case _:
            moments = _moments_of_undated(session, entity_ids, kind, name, since_us)
    return max((each for each in moments if each is not None), default=None)


def _moments_of_transaction(
    session: Session, entity_ids: Collection[int], name: str, since_us: int
) -> list[int | None]:
    """Return the moments when a transaction was added, corrected and settled; the last is the settling call's."""
    moments = [
        session.scalar(
            select(func.max(table.recorded_us)).where(
                among(session, table.entity_id, sorted(entity_ids)),
                table.transaction_id == name,
                table.recorded_us > since_us,
            )
        )
        for table in (Transaction, Correction)
    ]
    settled = select(Transaction.organisation_id, Transaction.settled_batch).where(
        among(session, Transaction.entity_id, sorted(entity_ids)),
        Transaction.transaction_id == name,
    )
    calls = session.execute(settled).all()
    return [*moments, *(added_us(session, of, batch, since_us) for of, batch in calls if batch is not None)]


def _moments_of_undated(
    session: Session, entity_ids: Collection[int], kind: str, name: str, since_us: int
) -> list[int | None]:
    """Return the moments of change of tags, cases or alerts, which have no moment of arrival."""
    table: Any = Tag if kind == "tag" else Record
    condition = (Tag.tag == name,) if kind == "tag" else (Record.kind == kind, Record.external_id == name)
    own = (Tag.from_us, Tag.until_us) if kind == "tag" else (Record.opened_us, Record.closed_us)
    statement = select(Entity.noted_us, *own).join(table, table.entity_id == Entity.id)
    rows = session.execute(statement.where(among(session, Entity.id, sorted(entity_ids)), *condition))
    return [
        max((each for each in moments if each is not None and since_us < each <= noted), default=noted)
        for noted, *moments in rows
        if noted is not None and noted > since_us
    ]


def _screened_us(session: Session, entity_id: int, name: str, since_us: int) -> int | None:
    of = (Screening.entity_id == entity_id, Screening.screening == name, Screening.recorded_us > since_us)
    statement = select(Screening.recorded_us, Screening.found).where(*of)
    rows = session.execute(statement.order_by(Screening.recorded_us.desc(), Screening.id.desc())).all()
    same = takewhile(lambda row: row.found == rows[0].found, rows)
    moments: list[int] = [row.recorded_us for row in same]
    return min(moments, default=None)


def _field_changed_us(session: Session, entity_id: int, name: str, since_us: int) -> int | None:
    """Return when the version arrived that began a field's current value; None if that is its value at the moment."""
    versions = select(Attributes.known_us, Attributes.content).where(Attributes.entity_id == entity_id)
    versions = versions.order_by(Attributes.number.desc())
    then = session.execute(versions.where(Attributes.known_us <= since_us).limit(1)).first()
    later = session.execute(versions.where(Attributes.known_us > since_us)).all()
    if not later or _value(later[0].content, name) == _value(None if then is None else then.content, name):
        return None
    present = _value(later[0].content, name)
    same = takewhile(lambda row: _value(row.content, name) == present, later)
    moments: list[int] = [row.known_us for row in same]
    return min(moments)


def _value(content: str | None, name: str) -> tuple[bool, Any]:
    fields: Mapping[str, Any] = {} if content is None else json.loads(content)
    return name in fields, fields.get(name)
