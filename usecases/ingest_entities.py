"""Entities in: new ones, changed attributes, owners. Everything in one call happens, or nothing does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from domain.clock import now_microseconds
from domain.errors import DataNotValid, Problem
from features.values import shown
from store import due
from store.bulk import write_rows
from store.chain import digest_of
from store.database import writing
from store.due import BULK, EVENT, Reason, Subject
from store.entities import MOST_IN_ONE, entities_named, subjects, type_named
from store.entity_tables import Attributes, Entity, EntityType
from store.organisation_lock import hold_organisation
from usecases import audit
from usecases.actors import Actor
from usecases.ingest_checks import FIELDS, EntityRow, refuse_bad_rows
from usecases.owners import refuse_cycles

AT_ONCE = 20
"""Entities up to which a call counts as something that just happened; more are many, and wait behind."""


@dataclass(frozen=True)
class Taken:
    """What became of rows: how many were new, changed something, and said what was known."""

    new: int
    changed: int
    same: int


def put_entities(
    engine: Engine, actor: Actor, type_name: str, rows: Sequence[EntityRow], now_us: int | None = None
) -> Taken:
    """Add entities, or change attributes and owners of those that are there; whoever is new or changed becomes due.

    Raises:
        NotThere: there is no such type.
        DataNotValid: a name, a field or an owner is not right, or an entity would own itself; then nothing was taken.
    """
    now = now_microseconds() if now_us is None else now_us
    with writing(engine) as session:
        if any(row.owner is not None for row in rows):
            # Before any type: circles go through several, and whoever changes types holds the organisation first.
            hold_organisation(session, actor.organisation_id)
        kind = type_named(session, actor.organisation_id, type_name, locked=True)
        refuse_bad_rows(rows, FIELDS.validate_json(kind.fields))
        owners = _owners(session, actor, type_name, rows)
        there = entities_named(session, kind.id, [row.external_id for row in rows])
        refuse_cycles(session, _moves(rows, there, owners))
        known = latest_attributes(session, [entity.id for entity in there.values()])
        made = _add_new(session, kind, [row for row in rows if row.external_id not in there], owners, now)
        moved = _touched_owners(rows, there, owners)
        changed = [subject for row in rows if (subject := _change(session, row, there, known, owners, now)) is not None]
        priority = BULK if len(rows) > AT_ONCE else EVENT
        due.mark(session, made, Reason.NEW, now, priority)
        due.mark(session, [*changed, *subjects(session, moved)], Reason.ATTRIBUTE, now, priority)
        taken = Taken(len(made), len(changed), len(rows) - len(made) - len(changed))
        if made or changed:
            before = known.get(changed[0].entity_id, (0, {}))[1] if changed else {}
            _record(session, actor, taken, rows, before, [*made, *changed])
        return taken


def _record(
    session: Session,
    actor: Actor,
    taken: Taken,
    rows: Sequence[EntityRow],
    before: Mapping[str, Any],
    touched: Sequence[Subject],
) -> None:
    many = len(rows) > 1
    audit.record(
        session,
        actor.organisation_id,
        "entities.put",
        ("entity", None if many else touched[0].entity_id),
        actor=actor.name,
        before=None if many else {"attributes": _content(before)},
        after=None if many else {"attributes": _content({**before, **rows[0].attributes})},
        details=vars(taken),
        bulk=(len(rows), digest_of(subject.entity_id for subject in touched)) if many else None,
    )


def latest_attributes(session: Session, entity_ids: Sequence[int]) -> dict[int, tuple[int, dict[str, Any]]]:
    """Give the latest version of the attributes of each entity: its number and what it says."""
    found: dict[int, tuple[int, dict[str, Any]]] = {}
    for begin in range(0, len(entity_ids), MOST_IN_ONE):
        part = entity_ids[begin : begin + MOST_IN_ONE]
        last = (
            select(Attributes.entity_id, func.max(Attributes.number).label("number"))
            .where(Attributes.entity_id.in_(part))
            .group_by(Attributes.entity_id)
            .subquery()
        )
        rows = session.execute(
            select(Attributes.entity_id, Attributes.number, Attributes.content).join(
                last, (last.c.entity_id == Attributes.entity_id) & (last.c.number == Attributes.number)
            )
        )
        found |= {entity_id: (number, json.loads(content)) for entity_id, number, content in rows}
    return found


def _owners(session: Session, actor: Actor, own_type: str, rows: Sequence[EntityRow]) -> dict[tuple[str, str], int]:
    wanted: dict[str, set[str]] = {}
    for row in rows:
        if row.owner is not None:
            wanted.setdefault(row.owner[0], set()).add(row.owner[1])
    found: dict[tuple[str, str], int] = {}
    for type_name, names in wanted.items():
        kind = type_named(session, actor.organisation_id, type_name)
        found |= {(type_name, name): entity.id for name, entity in entities_named(session, kind.id, names).items()}
    problems = [
        Problem(
            number, "owner", f"{row.owner[0]} {shown(row.owner[1])} is not there", "an entity that was added before"
        )
        for number, row in enumerate(rows)
        if row.owner is not None and row.owner not in found
    ]
    # It would count everything about itself twice.
    problems += [
        Problem(number, "owner", "is the entity itself", "another entity, or none")
        for number, row in enumerate(rows)
        if row.owner == (own_type, row.external_id)
    ]
    if problems:
        raise DataNotValid(problems)
    return found


def _moves(
    rows: Sequence[EntityRow], there: Mapping[str, Entity], owners: Mapping[tuple[str, str], int]
) -> dict[int, tuple[int, int]]:
    """Name entities that get another owner: their number, that owner's number, and their row.

    Those that are new are left out: they own nothing yet.
    """
    found: dict[int, tuple[int, int]] = {}
    for number, row in enumerate(rows):
        entity = there.get(row.external_id)
        if entity is not None and row.owner is not None and owners[row.owner] != entity.owner_id:
            found[entity.id] = owners[row.owner], number
    return found


def _touched_owners(
    rows: Sequence[EntityRow], there: Mapping[str, Entity], owners: Mapping[tuple[str, str], int]
) -> set[int]:
    """Name who owns more or less than before: what counts for them changes."""
    touched: set[int | None] = set()
    for row in rows:
        before = there[row.external_id].owner_id if row.external_id in there else None
        if row.owner is not None and owners[row.owner] != before:
            touched |= {before, owners[row.owner]}
    return {owner for owner in touched if owner is not None}


def _add_new(
    session: Session, kind: EntityType, rows: Sequence[EntityRow], owners: Mapping[tuple[str, str], int], now: int
) -> list[Subject]:
    columns = ("organisation_id", "type_id", "external_id", "owner_id", "created_us")
    values = [
        (kind.organisation_id, kind.id, row.external_id, owners[row.owner] if row.owner else None, now) for row in rows
    ]
    write_rows(session, "entities", columns, values)
    made = entities_named(session, kind.id, [row.external_id for row in rows])
    numbers = {name: entity.id for name, entity in made.items()}
    contents = [(numbers[row.external_id], 1, now, _content(row.attributes)) for row in rows]
    write_rows(session, "attributes", ("entity_id", "number", "known_us", "content"), contents)
    return [Subject(number, kind.organisation_id, kind.id) for number in numbers.values()]


def _change(
    session: Session,
    row: EntityRow,
    there: Mapping[str, Entity],
    known: Mapping[int, tuple[int, dict[str, Any]]],
    owners: Mapping[tuple[str, str], int],
    now: int,
) -> Subject | None:
    entity = there.get(row.external_id)
    if entity is None:
        return None
    number, before = known.get(entity.id, (0, {}))
    content = _content({**before, **row.attributes})
    owner = owners[row.owner] if row.owner else entity.owner_id
    same = content == _content(before)
    if same and owner == entity.owner_id:
        return None
    entity.owner_id = owner
    if not same:
        session.add(Attributes(entity_id=entity.id, number=number + 1, known_us=now, content=content))
    return Subject(entity.id, entity.organisation_id, entity.type_id)


def _content(attributes: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in attributes.items() if value is not None}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
