"""Erasure: personal data is removed everywhere, unless a legal hold keeps it; `again` repeats both after a restore."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from hashlib import sha256
from pathlib import Path

import structlog
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import (
    ConfigError,
    ConflictError,
    StoreError,
    UnknownOutcomeError,
)
from fivefold.store.accounts.idempotency import forget_answers
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.audit import history_reading
from fivefold.store.audit.bound_rows import digests, merge_digests
from fivefold.store.audit.chain import Entry
from fivefold.store.audit.log import append_all, erase_values
from fivefold.store.erasure import erase as erasing
from fivefold.store.evidence.archive import forget_archives_of
from fivefold.store.ingest.entities import entity_named, no_entity, subject_of, subjects
from fivefold.store.ingest.links import one_of_each_sharing
from fivefold.store.levels.assessment_queue import Reason, mark
from fivefold.store.sql.clocks import clock_of
from fivefold.store.sql.database import empty_write_ahead_log
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.usecases.audit.history import ranges_text
from fivefold.usecases.audit.record import entry_of_rows
from fivefold.usecases.erasure.register import (
    Numbered,
    add_hold,
    holds_on,
    line_of_transaction,
    newest_holds,
    read_register,
    refuse_registered_hold,
)
from fivefold.usecases.levels.groups.reach import mark_linked, reached_by
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context

log = structlog.get_logger("fivefold.erasure")
MOST_REASON_CHARACTERS = 500
_NOTHING = "; nothing was erased"


@dataclass(frozen=True)
class ErasureResult:
    """The erased entities, itself first, by number, and how many audit entries lost their values."""

    entity_ids: tuple[int, ...]
    entries: int


@dataclass(frozen=True)
class ErasurePreview:
    """What would be erased, and why it would be refused.

    Attributes:
        entity_ids: the entities, itself first, by number.
        rows: how many rows of each table would be deleted or emptied.
        entries: how many audit entries would lose their values.
        obstacles: what forbids it now; the first is the reason for a refusal.
    """

    entity_ids: tuple[int, ...]
    rows: Mapping[str, int]
    entries: int
    obstacles: tuple[str, ...]


class HoldChange(StrEnum):
    """The result of a change of an entity's legal hold."""

    PUT = "put"
    RELEASED = "released"
    NONE = "none"
    """It was to be released, and there was none."""


def set_legal_hold(
    context: Context,
    type_name: str,
    external_id: str,
    until_us: int,
    reason: str,
    register: Path,
    *,
    for_line: int | None = None,
) -> HoldChange:
    """Set a legal hold on an entity: it cannot be erased before the hold ends. A later hold replaces an earlier one.

    A past moment releases it; without a hold in the database or in the register nothing changes. A hold is written to
    the register before it takes effect, and a release afterwards: at worst the register has a hold that perhaps never
    took effect, and keeps data that could be removed.

    *for_line*: the line of the register whose hold a restore lost, because its entity is not in the database. This
    hold, on the entity that was sent again, replaces it, so `erase_again` does not list that line while this hold or a
    later one on that entity lasts as long. If a later restore brings the former entity back, it gets its hold all the
    same. A past moment releases the lost hold too.

    Raises:
        NotFoundError: without such an entity.
        ConfigError: without a reason, or the register cannot be read, or *for_line* has no hold of this organisation
            that is in force, or one that lasts longer, or one whose entity is in the database.
    """
    if not 1 <= len(reason.strip()) <= MOST_REASON_CHARACTERS:
        raise ConfigError(f"a legal hold needs a reason of 1 to {MOST_REASON_CHARACTERS} characters")
    now = context.now()
    with line_of_transaction(register) as line, context.writing() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id, stays=True)
        before = {"until_us": entity.hold_until_us, "reason": entity.hold_reason}
        register_entry = (_organisation_name(session, context.organisation_id), numbered(entity))
        in_place_of = None if for_line is None else _held_by_line(register, register_entry[0], for_line, until_us, now)
        if in_place_of is not None:
            _require_lost(session, context, in_place_of, f"line {for_line} of {register}")
        is_over = until_us <= now and in_place_of is None
        if is_over and entity.hold_until_us is None and not holds_on(register, register_entry[0], [register_entry[1]]):
            return HoldChange.NONE
        put_hold(session, context, entity, (until_us, reason), before, now)
        if until_us > now:
            line.add_hold(*register_entry, until_us, now, in_place_of)
    if until_us > now:
        return HoldChange.PUT
    add_hold(register, *register_entry, until_us, now)
    if in_place_of is not None:
        add_hold(register, register_entry[0], in_place_of, until_us, now)
    return HoldChange.RELEASED


def _held_by_line(register: Path, organisation: str, number: int, until_us: int, now: int) -> Numbered:
    """Find the entity of a line whose hold is in force, and ends no later than *until_us*, a future moment."""
    lines = newest_holds(read_register(register)) if register.is_file() else ()
    mine = (each for each in lines if each.organisation == organisation and each.until_us > now)
    line = next((each for each in mine if each.number == number), None)
    if line is None:
        raise ConfigError(
            f"line {number} of {register} has no legal hold of {organisation} that is in force; nothing was changed;"
            " `fivefold erase-again` lists the lines whose entities are not in the database"
        )
    if now < until_us < line.until_us:
        raise ConfigError(
            f"the legal hold of line {number} of {register} lasts until {day_text(line.until_us)}; a hold in its place"
            " must last as long; nothing was changed"
        )
    return line.entity


def _require_lost(session: Session, context: Context, holder: Numbered, line: str) -> None:
    """Raise ConfigError if the database has the entity of a line of the register."""
    entity = erasing.entity_by_id(session, context.organisation_id, holder.number)
    if entity is not None and entity.erased_us is None and may_be(entity, holder):
        kind = session.get_one(EntityType, entity.type_id).name
        raise ConfigError(
            f"{line} is about {kind} {entity.external_id!r}, which is in the database, so its hold is not lost; nothing"
            " was changed; give the hold without --for-line, or the line of a lost one, as `fivefold erase-again` lists"
            " them"
        )


def numbered(entity: Entity) -> Numbered:
    """Name an entity as the register does. Once it is erased it has another salt, and another name there."""
    digest = None if entity.salt is None else sha256(f"register\n{entity.salt}".encode()).hexdigest()
    return Numbered(entity.id, entity.created_us, digest)


def may_be(entity: Entity, named: Numbered) -> bool:
    """Return whether an entity may be the one that the register names; an erased one has another salt."""
    if entity.erased_us is not None or named.salt_digest is None:
        return entity.created_us == named.created_us
    return numbered(entity) == named


def put_hold(
    session: Session,
    context: Context,
    entity: Entity,
    hold: tuple[int, str],
    before: dict[str, int | str | None],
    now: int,
) -> None:
    """Store a hold and record it; the same hold again changes nothing."""
    if (entity.hold_until_us, entity.hold_reason) == hold:
        return
    entity.hold_until_us, entity.hold_reason = hold
    context.record(
        session,
        "hold.put" if hold[0] > now else "hold.released",
        ("entity", entity.id),
        before=before,
        after={"until_us": hold[0], "reason": hold[1]},
        rows=digests(session, "entities", [entity.id]),
    )


def _organisation_name(session: Session, organisation_id: int) -> str:
    return session.get_one(Organisation, organisation_id).name


def erase_entity(context: Context, type_name: str, external_id: str, register: Path) -> ErasureResult:
    """Erase an entity and those that only it owns. Levels and history stay without a name; the audit chain stays valid.

    Entities with other present or past owners are kept. While the entity is among their present owners, events of these
    count for its retention, and a legal hold on them holds.

    Args:
        context: whose organisation it is for.
        type_name: of the entity.
        external_id: of the entity; afterwards nothing can be found by it.
        register: the file of erasures; it gets a line once everything was removed, and first is searched for holds on
            the other owners.

    Raises:
        NotFoundError: there is no such entity.
        ConfigError: the register cannot be read.
        ConflictError: retention is not over, or a legal hold is on it; the message says until when. Or a case, an alert
            or a challenge about it is open, or a challenge about one that owns or owned it; or another entity has the
            name that it would get.
        StoreError: the database or the register cannot be written; nothing was erased.
        UnknownOutcomeError: it may have been erased; the register has it, so `erase_again` erases it if it was not.
    """
    try:
        with _nothing_erased():
            with context.reading() as session:  # before anything is locked: it may take minutes
                entities = _erasable(session, context, type_name, external_id, register, context.now(), locked=False)
                seals = seals_without(session, context.actor, [entity.id for entity in entities])
            now = context.now()  # events that came meanwhile are activity too
            with line_of_transaction(register) as line, context.writing() as session, permitted():
                entities = _erasable(session, context, type_name, external_id, register, now, locked=True)
                named = [numbered(entity) for entity in entities]
                erased = erase_and_record(session, context, entities, now, seals)
                session.flush()
                line.add_erasure(_organisation_name(session, context.organisation_id), named, now)
    except UnknownOutcomeError:
        forget_late_answers(context)
        raise
    forget_late_answers(context)
    overwrite(context.engine)
    return erased


def preview_erasure(context: Context, type_name: str, external_id: str, register: Path) -> ErasurePreview:
    """Return what `erase_entity` would erase, and what forbids it; nothing is stored.

    NotFoundError without such an entity; ConfigError if the register cannot be read.
    """
    now = context.now()
    with context.reading() as session:
        entities, also_owned, owners = _concerned(session, context, type_name, external_id, now, locked=False)
        ids = [entity.id for entity in entities]
        seals = sealing(session, context.organisation_id, history_reading.batches_of(session, ids))
        about = {*erasing.entries_about(session, context.organisation_id, ids), *seals}
        obstacles = []
        for check in _checks(session, entities, also_owned, owners, register, now):
            try:
                check()
            except ConflictError as error:
                obstacles.append(str(error).replace(_NOTHING, ""))
        return ErasurePreview(tuple(ids), erasing.count_rows(session, ids), len(about), tuple(obstacles))


def _erasable(
    session: Session, context: Context, type_name: str, external_id: str, register: Path, now: int, *, locked: bool
) -> list[Entity]:
    """Return the entities that are erased with the named one; ConflictError if any must be kept."""
    entities, also_owned, owners = _concerned(session, context, type_name, external_id, now, locked=locked)
    for check in _checks(session, entities, also_owned, owners, register, now):
        check()
    return entities


def _concerned(
    session: Session, context: Context, type_name: str, external_id: str, now: int, *, locked: bool
) -> tuple[list[Entity], list[Entity], list[int]]:
    """Find an entity and what it owns or owned, as `store.erasure.erase.with_owned` gives them."""
    row = entity_named(session, context.organisation_id, type_name, external_id)
    concerned = erasing.with_owned(session, row, now, locked=locked)
    if row not in concerned[0]:  # it was erased, perhaps a moment ago
        raise no_entity(session, context.organisation_id, type_name, external_id)
    return concerned


def _checks(
    session: Session,
    entities: Sequence[Entity],
    also_owned: Sequence[Entity],
    owners: Sequence[int],
    register: Path,
    now: int,
) -> list[Callable[[], None]]:
    """Return the checks to make before an erasure; each raises ConflictError."""
    all_entities, organisation = [*entities, *also_owned], _organisation_name(session, entities[0].organisation_id)
    others = [numbered(each) for each in all_entities if (each.hold_until_us or 0) <= now]
    return [
        partial(refuse_held, all_entities, now),
        partial(refuse_registered_hold, register, organisation, others, now),
        partial(_refuse_contested, session, all_entities, owners),
        partial(_refuse_open, session, all_entities),
        partial(_refuse_kept, session, all_entities, now),
        partial(refuse_taken, session, entities),
    ]


def forget_late_answers(context: Context) -> None:
    """Empty the answers of requests, and archives, that began while an erasure was not committed yet.

    On PostgreSQL they ran concurrently, and could read erased data. A failure here is logged: the erasure holds.
    """
    try:
        with context.writing() as session:
            forget_answers(session, context.organisation_id)
            forget_archives_of(session, context.organisation_id)
    except StoreError as error:
        log.warning(
            "answers and archives that were made beside an erasure may have what was erased, while they are kept",
            error=str(error),
            organisation=context.organisation_id,
        )


def overwrite(engine: Engine) -> None:
    """Remove all traces of erased data from SQLite's files; warn if another program still reads from them.

    PostgreSQL keeps the data in dead rows until its next vacuum.
    """
    if not empty_write_ahead_log(engine):
        log.warning(
            "what was erased is in the files of the database until the next checkpoint, as another program reads them"
        )


@contextmanager
def _nothing_erased() -> Iterator[None]:
    """Let a failure of the database or the register report that nothing was erased, unless that is unknown."""
    try:
        yield
    except UnknownOutcomeError:
        raise
    except StoreError as error:
        raise type(error)(f"{error}{_NOTHING}") from error


@contextmanager
def permitted() -> Iterator[None]:
    """Explain who may erase if the database's role may not: by docs/audit.md a service has no right to."""
    try:
        yield
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise ConflictError(
                "this role of the database may not erase; give the command the FIVEFOLD_DATABASE_URL of the role that"
                " owns the tables; nothing was erased"
            ) from error
        raise


@dataclass(frozen=True)
class Seals:
    """The present seals of the batches of some entities, and the seals without these: read before anything is locked.

    A customer may have transactions in a hundred thousand batches, and the other transactions in these are read and
    sealed again. While an erasure holds its locks no transaction can be added, so only changes since are read then.

    Attributes:
        entity_ids: the entities.
        through: the number of the last entry of the audit log when this was read.
        former: the entries whose seals cover transactions of these entities.
        renewed: by batch, the entry that seals its remaining transactions.
    """

    entity_ids: tuple[int, ...]
    through: int
    former: tuple[int, ...]
    renewed: Mapping[int, Entry]


def sealing(session: Session, organisation_id: int, batches: Sequence[int], after: int = 0) -> dict[int, int]:
    """Find the entries after a number whose seals cover transactions of batches; return the batch of each."""
    batch_set = set(batches)
    entries = history_reading.sealing_entries(session, organisation_id, after) if batches else ()
    named = ((number, json.loads(details).get("batch")) for number, details in entries)
    return {number: batch for number, batch in named if batch in batch_set}


def seals_without(session: Session, actor: Actor, entity_ids: Sequence[int], before: Seals | None = None) -> Seals:
    """Read the seals of the batches of entities, and seal these batches without them; nothing is stored.

    *before*, read in an earlier transaction, is reused where no entry has changed it, if it is of the same entities.
    """
    ids, of = tuple(sorted(entity_ids)), actor.organisation_id
    if before is None or before.entity_ids != ids:
        before = Seals(ids, 0, (), {})
    through = history_reading.last_number(session, of)
    batches = history_reading.batches_of(session, ids)
    newer = sealing(session, of, batches, before.through)
    unchanged = set(batches) - set(newer.values())
    renewed = {batch: entry for batch, entry in before.renewed.items() if batch in unchanged}
    missing = [batch for batch in batches if batch not in renewed]
    about = (history_reading.SEALED, "transaction")
    for batch, lines in history_reading.lines_of_batches(session, missing, ids):
        renewed[batch] = entry_of_rows(session, actor, (*about, batch), lines, {})
    nothing_left = [batch for batch in missing if batch not in renewed]
    renewed |= {batch: entry_of_rows(session, actor, (*about, batch), (), {}) for batch in nothing_left}
    return Seals(ids, through, (*before.former, *newer), renewed)


def erase_and_record(
    session: Session, context: Context, entities: Sequence[Entity], now: int, prepared: Seals | None = None
) -> ErasureResult:
    """Erase entities, mark the remaining owners and linked entities due, and record it.

    *prepared*: the result of `seals_without` for them from before they were locked.
    """
    owners = erasing.remaining_owners(session, entities)
    ids = tuple(entity.id for entity in entities)
    about = erasing.entries_about(session, context.organisation_id, ids)
    seals = seals_without(session, context.actor, ids, prepared)
    linked_before = reached_by(session, [subject_of(entity) for entity in entities], now)  # before their links go
    sharing = one_of_each_sharing(session, ids, now)  # leads to those too many to be linked until now
    changed_rows = erasing.erase(session, entities, now)
    mark_linked(session, [*owners, *subjects(session, sharing)], Reason.ATTRIBUTE, now, before=linked_before)
    mark(session, owners, Reason.TRANSACTION, now)  # fewer count for them now, which ends a value without a model
    if seals.renewed:
        sealed_us = clock_of(context.engine).now_us()
        append_all(session, [replace(seals.renewed[batch], at_us=sealed_us) for batch in sorted(seals.renewed)])
    numbers = sorted({*about, *seals.former})
    entries = erase_values(session, context.organisation_id, numbers, now)
    context.record(
        session,
        "entity.erased",
        ("entity", ids[0]),
        details={"entities": list(ids), "entries": entries, "values": ranges_text(numbers)},
        rows=merge_digests(*(digests(session, table, keys) for table, keys in changed_rows.items())),
    )
    return ErasureResult(ids, entries)


def refuse_held(entities: Sequence[Entity], now: int) -> None:
    """Raise ConflictError if one of the entities is on hold."""
    on_hold = [entity for entity in entities if entity.hold_until_us is not None and entity.hold_until_us > now]
    if on_hold:
        raise ConflictError(f"a legal hold is on it until {day_text(on_hold[0].hold_until_us or 0)}{_NOTHING}")


def _refuse_contested(session: Session, entities: Sequence[Entity], owners: Sequence[int]) -> None:
    """Refuse data under an open challenge, which protects the record that it contests.

    That record also depends on the entities that its entity owns or owned.
    """
    contested = erasing.open_challenge(session, [*(entity.id for entity in entities), *owners])
    if contested is not None:
        raise ConflictError(
            f"challenge {contested.id} contests assessment {contested.entity_id}.{contested.number}, whose record is"
            f" kept until it is settled{_NOTHING}"
        )


def _refuse_open(session: Session, entities: Sequence[Entity]) -> None:
    """Refuse data about which a case or an alert is open: such activity has not ended."""
    under_way = erasing.open_record(session, [entity.id for entity in entities])
    if under_way is not None:
        raise ConflictError(f"the {under_way.kind} {under_way.external_id!r} about it is open{_NOTHING}")


def _refuse_kept(session: Session, entities: Sequence[Entity], now: int) -> None:
    """Refuse data that must be kept: by default five years and a day after the last activity (FATF 11, at least)."""
    days = settings_row(session, entities[0].organisation_id).retention_days
    until = erasing.last_activity_us(session, [entity.id for entity in entities], now) + days * DAY_US
    if until > now:
        raise ConflictError(
            f"records are kept for {days:,} days after the last activity, here until {day_text(until)[:10]}{_NOTHING}"
        )


def refuse_taken(session: Session, entities: Sequence[Entity]) -> None:
    """Raise ConflictError if another entity has the name that one of these would get."""
    reused = erasing.conflicting_entity(session, entities)
    if reused is not None:
        raise ConflictError(
            f"there is an entity {reused.external_id!r} already, the name that this one would get{_NOTHING}; erase the"
            " other one first"
        )
