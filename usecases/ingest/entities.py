"""Intake of entities: new ones, changed attributes, owners. A call is stored as a whole, or not at all."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.features.histories import AmountChecks
from fivefold.features.reading.columns import short_text
from fivefold.models.reach import other_spellings
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.store.accounts.organisation import lock_organisation
from fivefold.store.audit.bound_rows import Digests, digests, merge_digests
from fivefold.store.audit.history import new_salts
from fivefold.store.ingest.entities import (
    MOST_IN_ONE,
    entities_named,
    entity_numbers,
    record_activity,
    subjects,
    type_named,
)
from fivefold.store.ingest.future_moments import ENDED_US
from fivefold.store.ingest.ownerships import OwnershipSpan
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason, Subject
from fivefold.store.portfolio.search import store_words
from fivefold.store.sql.statements import write_rows
from fivefold.store.tables.entities import Attributes, Entity, EntityType
from fivefold.usecases.audit import record as audit
from fivefold.usecases.ingest.ownerships import OwnerChanges, OwnersRow, change_owners, find_owners, rows_with_owners
from fivefold.usecases.levels.groups.reach import mark_linked
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import FIELDS, EntityRow, problems_of_new_names, refuse_bad_rows
from fivefold.usecases.shared.flow_triggers import TriggerEvent, behind, field_cause, note

AT_ONCE = 20
"""The most entities of a call that counts as an event; a larger call waits behind events."""


@dataclass(frozen=True)
class RowCounts:
    """How many rows were new, changed something, or were already known.

    Attributes:
        without_from: how many new ones have no first moment, and begin when they are stored.
        names: for entities of a file, the identifiers of new ones, and stored ones that are other spellings of them.
        amount_checks: checks of the amounts, for transactions of a file.
    """

    new: int
    changed: int
    same: int
    without_from: int = 0
    names: Sequence[str] = field(default=(), compare=False)
    amount_checks: AmountChecks = field(default_factory=AmountChecks, compare=False)

    @property
    def details(self) -> dict[str, int]:
        """The counts in the audit log."""
        return {"new": self.new, "changed": self.changed, "same": self.same}


def put_entities(context: Context, type_name: str, rows: Sequence[EntityRow], *, from_file: bool = False) -> RowCounts:
    """Add entities, or change attributes and owners of existing ones; new and changed ones become due.

    Args:
        context: who sends them.
        type_name: their type.
        rows: one for each entity.
        from_file: whether they come from a file, which is an import for flows.

    Raises:
        NotFoundError: there is no such type.
        InvalidDataError: a name, a field or an owner is invalid, or an entity would own itself; nothing is stored.
    """
    now = context.now()
    with context.writing() as session:
        if owner_rows := rows_with_owners(rows):
            # Before any type: a cycle may go through several, and a change of types locks the organisation first.
            lock_organisation(session, context.organisation_id)
        kind = type_named(session, context.organisation_id, type_name, locked=True)
        refuse_bad_rows(rows, FIELDS.validate_python(kind.fields), own := ENTITY if from_file else "external_id")
        owners = find_owners(session, context.actor, type_name, owner_rows, "owner", now)
        there = entities_named(session, kind.id, [row.external_id for row in rows])
        new = [(number, row.external_id) for number, row in enumerate(rows) if row.external_id not in there]
        if problems := problems_of_new_names(new, own):
            raise InvalidDataError(problems)
        attributes = latest_attributes(session, [entity.id for entity in there.values()])
        numbers = {name: entity.id for name, entity in there.items()}
        numbers |= (added := _add_new(session, kind, [row for row in rows if row.external_id not in there], now))
        owner_changes = change_owners(session, numbers, owner_rows, owners, "owner", now)
        versions = dict(one for row in rows if (one := _change(session, row, there, attributes, now)) is not None)
        others = versions.keys() | (owner_changes.spans.keys() - set(added.values()))
        added_ids = [Subject(one, kind.organisation_id, kind.id) for one in added.values()]
        changed = [Subject(one, kind.organisation_id, kind.id) for one in others]
        new_or_changed = {*added.values(), *versions}
        written_rows = [(number, row) for row in rows if (number := numbers[row.external_id]) in new_or_changed]
        texts = (
            (number, row.external_id, {**attributes.get(number, (0, {}))[1], **row.attributes})
            for number, row in written_rows
        )
        store_words(session, kind, texts, known_ids=list(versions))
        priority = BULK if len(rows) > AT_ONCE else EVENT
        record_activity(session, owner_changes.owners | owner_changes.spans.keys(), now)
        with behind(session, kind.organisation_id, [] if from_file else [context.actor.name]):
            due.mark(session, added_ids, Reason.NEW, now, priority)
            mark_linked(session, [*changed, *subjects(session, owner_changes.owners)], Reason.ATTRIBUTE, now, priority)
        put_attributes = [(numbers[row.external_id], row.attributes) for _, row in written_rows]
        fields = _field_events(context, put_attributes, attributes, {**dict.fromkeys(added.values(), 1), **versions})
        news = ("import", _import_events("attributes", {*added.values(), *others}, now))
        note(session, kind.organisation_id, kind.id, *(news if from_file else ("field", fields)), now)
        names = _with_other_spellings(session, kind.id, added) if from_file else ()
        counts = RowCounts(len(added_ids), len(changed), len(rows) - len(added_ids) - len(changed), names=names)
        if added_ids or changed:
            before = attributes.get(changed[0].entity_id, (0, {}))[1] if changed else {}
            sealed = merge_digests(
                digests(session, "entities", added.values()),
                digests(session, "attributes", [*((one, 1) for one in added.values()), *versions.items()]),
                digests(session, "ownerships", owner_changes.written),
            )
            _record(session, context, counts, rows, before, [*added_ids, *changed], owner_changes, sealed)
        return counts


def put_owners(context: Context, type_name: str, rows: Sequence[OwnersRow]) -> RowCounts:
    """Add owners of existing entities, or correct the times of their ownerships; other ownerships stay.

    For flows that is an import: only files have such rows.

    Raises:
        NotFoundError: there is no such type.
        InvalidDataError: an entity, an owner or a moment is invalid, or an entity would own itself.
    """
    now = context.now()
    with context.writing() as session:
        lock_organisation(session, context.organisation_id)  # before any type, as in `put_entities`
        kind = type_named(session, context.organisation_id, type_name, locked=True)
        there = entities_named(session, kind.id, [row.external_id for row in rows])
        problems = [
            Problem(
                row.row, ENTITY, f"is {short_text(row.external_id)}: there is no such {type_name}", "an existing one"
            )
            for row in rows
            if row.external_id not in there
        ]
        if problems:
            raise InvalidDataError(problems)
        owners = find_owners(session, context.actor, type_name, rows, "owner_id", now)
        numbers = {name: entity.id for name, entity in there.items()}
        owner_changes = change_owners(session, numbers, rows, owners, "owner_id", now)
        priority = BULK if len(rows) > AT_ONCE else EVENT
        concerned = subjects(session, owner_changes.owners | owner_changes.spans.keys())
        record_activity(session, (one.entity_id for one in concerned), now)
        mark_linked(session, concerned, Reason.ATTRIBUTE, now, priority)
        events = _import_events("owners", owner_changes.spans.keys(), now)
        note(session, kind.organisation_id, kind.id, "import", events, now)
        counts = RowCounts(
            owner_changes.new, owner_changes.changed, len(rows) - owner_changes.new - owner_changes.changed
        )
        if owner_changes.spans:
            sealed = digests(session, "ownerships", owner_changes.written)
            context.record(
                session,
                "owners.put",
                ("entity", None),
                details=counts.details,
                bulk=audit.bulk_of(owner_changes.new + owner_changes.changed, sealed),
                rows=sealed,
            )
        return counts


def _record(
    session: Session,
    context: Context,
    counts: RowCounts,
    rows: Sequence[EntityRow],
    before: Mapping[str, Any],
    subjects: Sequence[Subject],
    owner_changes: OwnerChanges,
    written_rows: Digests,
) -> None:
    """Record the call: for one entity with its attributes and owners, for many with their digests."""
    many = len(rows) > 1
    context.record(
        session,
        "entities.put",
        ("entity", None if many else subjects[0].entity_id),
        before=None if many else {"attributes": _content(before), **_owners_by_number(owner_changes.before)},
        after=None
        if many
        else {"attributes": _content({**before, **rows[0].attributes}), **_owners_by_number(owner_changes.spans)},
        details=counts.details | ({} if owner_changes.ended_us is None else {ENDED_US: owner_changes.ended_us}),
        bulk=audit.bulk_of(len(rows), written_rows) if many else None,
        rows=written_rows,
    )


def _owners_by_number(spans: Mapping[int, Sequence[OwnershipSpan]]) -> dict[str, str]:
    """List the owners of the one entity whose owners changed, by numbers: names would outlive an owner's erasure."""
    return {"owners": "; ".join(_owners_lines(spans))} if spans else {}


def _owners_lines(spans: Mapping[int, Sequence[OwnershipSpan]]) -> list[str]:
    return [
        f"{entity} of {span.owner_id} from {span.from_us} until {span.until_us}"
        for entity, of_entity in sorted(spans.items())
        for span in of_entity
    ]


def latest_attributes(session: Session, entity_ids: Sequence[int]) -> dict[int, tuple[int, dict[str, Any]]]:
    """Return the latest version of the attributes of each entity: its number and the attributes."""
    latest: dict[int, tuple[int, dict[str, Any]]] = {}
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
        latest |= {entity_id: (number, json.loads(content)) for entity_id, number, content in rows}
    return latest


def _add_new(session: Session, kind: EntityType, rows: Sequence[EntityRow], now: int) -> dict[str, int]:
    """Add entities with their first attributes; return their numbers by name."""
    if not rows:
        return {}
    columns = ("organisation_id", "type_id", "external_id", "created_us", "salt")
    of, salts = (kind.organisation_id, kind.id), new_salts(2 * len(rows))
    new = [(*of, row.external_id, now, salts.pop()) for row in rows]
    write_rows(session, "entities", columns, new)
    numbers = dict(entity_numbers(session, kind.id, [row.external_id for row in rows]).iter_rows())
    contents = (
        (numbers[row.external_id], 1, now, _content(row.attributes), salt)
        for row, salt in zip(rows, salts, strict=True)
    )
    write_rows(session, "attributes", ("entity_id", "number", "known_us", "content", "salt"), contents)
    return numbers


def _with_other_spellings(session: Session, type_id: int, added: Collection[str]) -> list[str]:
    """Return the names of new entities, and stored names that are other spellings of them, found by the index."""
    spellings = other_spellings(pl.Series(list(added), dtype=pl.String))
    stored = entity_numbers(session, type_id, spellings)["external_id"].to_list() if spellings else []
    return [*added, *stored]


def _change(
    session: Session,
    row: EntityRow,
    there: Mapping[str, Entity],
    attributes: Mapping[int, tuple[int, dict[str, Any]]],
    now: int,
) -> tuple[int, int] | None:
    """Store changed attributes, and return the numbers of the entity and of the version; None without a change."""
    entity = there.get(row.external_id)
    if entity is None:
        return None
    number, before = attributes.get(entity.id, (0, {}))
    content = _content({**before, **row.attributes})
    if content == _content(before):
        return None
    session.add(Attributes(entity_id=entity.id, number=number + 1, known_us=now, content=content))
    return entity.id, number + 1


def _import_events(table: str, entity_ids: Collection[int], now: int) -> Iterator[TriggerEvent]:
    """Yield an event for each entity that a part of a file changes."""
    cause = f"import:{table}-{min(entity_ids, default=0)}.{now}"
    return (TriggerEvent(entity, cause, {}) for entity in entity_ids)


def _field_events(
    context: Context,
    put_attributes: Sequence[tuple[int, Mapping[str, Any]]],
    attributes: Mapping[int, tuple[int, dict[str, Any]]],
    versions: Mapping[int, int],
) -> Iterator[TriggerEvent]:
    """Yield an event with the changed fields of each entity; *versions* are the numbers of the new attributes."""
    for entity, new_attributes in put_attributes:
        before = attributes.get(entity, (0, {}))[1]
        fields = changed_fields(before, {**before, **new_attributes})
        yield TriggerEvent(entity, field_cause(versions[entity]), {"fields": fields, "by": context.actor.name})


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the names of the changed fields; a text of only blanks counts as missing, as in rules.

    >>> changed_fields({"country": "NO", "income": 3}, {"country": "SE", "income": 3, "pep": None, "job": " "})
    ['country']
    """
    names = sorted({*before, *after})
    return [
        name for name in names if _content_without_blanks(before.get(name)) != _content_without_blanks(after.get(name))
    ]


def _content_without_blanks(value: Any) -> str:
    is_blank = isinstance(value, str) and not value.strip()
    return _content({"": None if is_blank else value})


def _content(attributes: Mapping[str, Any]) -> str:
    present = {name: value for name, value in attributes.items() if value is not None}
    return json.dumps(present, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
