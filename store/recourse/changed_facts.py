"""Whether a fact of an entity, named as people name it, came or was changed since a moment. No transactions."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from fivefold.store.sql.arrays import among
from fivefold.store.tables.entities import Attributes, Correction, Entity, Record, Screening, Tag, Transaction

KINDS: Final = ("field", "transaction", "tag", "screening", "case", "alert")
"""Kinds of facts that can be named; each is followed by its name."""


def changed_since(session: Session, entity_ids: Collection[int], kind: str, name: str, since_us: int) -> bool:
    """Tell whether a fact about one of some entities came, was corrected or ended after a moment, microseconds.

    Tags, cases and alerts have no moment of arrival: one that is there counts where any such fact of the entity came
    after the moment. So what was changed is never taken for unchanged.

    Args:
        session: to read with.
        entity_ids: whom it is about, and what they own.
        kind: of `KINDS`.
        name: of the field, tag or screening; the number of the transaction, case or alert.
        since_us: the moment.
    """
    if kind == "field":
        return any(_field_changed(session, each, name, since_us) for each in entity_ids)
    return bool(session.scalar(select(_conditions(session, entity_ids, kind, name, since_us))))


def _conditions(
    session: Session, entity_ids: Collection[int], kind: str, name: str, since_us: int
) -> ColumnElement[bool]:
    def there(of: Any, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        return exists().where(among(session, of, sorted(entity_ids)), *conditions)

    came = (Entity.noted_us > since_us,)
    match kind:
        case "transaction":
            return or_(
                there(Transaction.entity_id, Transaction.transaction_id == name, Transaction.recorded_us > since_us),
                there(Correction.entity_id, Correction.transaction_id == name, Correction.recorded_us > since_us),
            )
        case "tag":
            return there(Tag.entity_id, Tag.tag == name, Entity.id == Tag.entity_id, *came)
        case "screening":
            return there(Screening.entity_id, Screening.screening == name, Screening.recorded_us > since_us)
        case _:
            named = (Record.kind == kind, Record.external_id == name)
            return there(Record.entity_id, *named, Entity.id == Record.entity_id, *came)


def _field_changed(session: Session, entity_id: int, name: str, since_us: int) -> bool:
    """Compare the field as it is with how it was at the moment."""
    latest = select(Attributes.content).where(Attributes.entity_id == entity_id).order_by(Attributes.number.desc())
    now = session.scalar(latest.limit(1))
    then = session.scalar(latest.where(Attributes.known_us <= since_us).limit(1))
    return _value(now, name) != _value(then, name)


def _value(content: str | None, name: str) -> tuple[bool, Any]:
    fields: Mapping[str, Any] = {} if content is None else json.loads(content)
    return name in fields, fields.get(name)
