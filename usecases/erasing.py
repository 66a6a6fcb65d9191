"""Erasure: what is known of a person goes, everywhere, unless it must be kept; and again after a restore.

The register of erasures is a file outside the database, with numbers alone: a database that is restored from before
an erasure still has what was erased, and `erase_again` takes it out once more. An entity stands there with the moment
when it was added, since a number may be somebody else's after a restore.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from domain.clock import DAY_US, day_text, now_microseconds
from domain.errors import ActionRefused, ConfigError, FivefoldError, NotThere
from store import due, erasing
from store.database import writing
from store.due import Reason
from store.entities import entity_named
from store.entity_tables import Entity
from store.settings import settings_row
from store.tables import Organisation
from usecases import audit
from usecases.actors import Actor

MOST_REASON_CHARACTERS = 500


@dataclass(frozen=True)
class Erased:
    """What was erased: the numbers of the entity and of what it owned, and how many audit entries lost their values."""

    entity_ids: tuple[int, ...]
    entries: int


def hold(
    engine: Engine,
    actor: Actor,
    type_name: str,
    external_id: str,
    until_us: int,
    reason: str,
    *,
    now_us: int | None = None,
) -> None:
    """Put a legal hold on an entity: nobody erases it before it ends. A later hold replaces an earlier one.

    A moment that is past releases it. NotThere where there is no such entity; ConfigError without a reason.
    """
    if not 1 <= len(reason.strip()) <= MOST_REASON_CHARACTERS:
        raise ConfigError(f"a legal hold needs a reason of 1 to {MOST_REASON_CHARACTERS} characters")
    now = now_microseconds() if now_us is None else now_us
    with writing(engine) as session:
        entity = entity_named(session, actor.organisation_id, type_name, external_id, kept=True)
        before = {"until_us": entity.hold_until_us, "reason": entity.hold_reason}
        entity.hold_until_us, entity.hold_reason = until_us, reason
        audit.record(
            session,
            actor.organisation_id,
            "hold.put" if until_us > now else "hold.released",
            ("entity", entity.id),
            actor=actor.name,
            before=before,
            after={"until_us": until_us, "reason": reason},
        )


def erase_entity(
    engine: Engine, actor: Actor, type_name: str, external_id: str, register: Path, *, now_us: int | None = None
) -> Erased:
    """Erase an entity and what it owns. Levels and their history stay as numbers of nobody; the audit chain holds.

    Args:
        engine: the database.
        actor: whose organisation it is for.
        type_name: of the entity.
        external_id: of the entity; nothing is known by it afterwards.
        register: the file of erasures, which grows by a line before anything is gone.
        now_us: the present.

    Raises:
        NotThere: there is no such entity.
        ActionRefused: retention is not over, or a legal hold is on it; the message says until when. Or another entity
            has the name that would be left to it.
    """
    now = now_microseconds() if now_us is None else now_us
    with writing(engine) as session:
        found = entity_named(session, actor.organisation_id, type_name, external_id)
        entities = erasing.with_owned(session, found)
        if found not in entities:  # it was erased, perhaps just now
            raise NotThere(f"there is no {type_name} {external_id!r}")
        _refuse_kept(session, entities, now)
        _refuse_taken(session, entities)
        _register(register, session, entities, now)
        return _erase(session, actor, entities, now)


def _erase(session: Session, actor: Actor, entities: Sequence[Entity], now: int) -> Erased:
    owners = erasing.owners_of(session, entities)
    entries = erasing.erase(session, entities, now)
    due.mark(session, owners, Reason.ATTRIBUTE, now)
    ids = tuple(entity.id for entity in entities)
    audit.record(
        session,
        actor.organisation_id,
        "entity.erased",
        ("entity", ids[0]),
        actor=actor.name,
        details={"entities": list(ids), "entries": entries},
    )
    return Erased(ids, entries)


def _refuse_kept(session: Session, entities: Sequence[Entity], now: int) -> None:
    """Refuse what must be kept: five years and a day after the last activity by default (FATF recommendation 11)."""
    held = [entity for entity in entities if entity.hold_until_us is not None and entity.hold_until_us > now]
    if held:
        raise ActionRefused(f"a legal hold is on it until {day_text(held[0].hold_until_us or 0)}; nothing was erased")
    days = settings_row(session, entities[0].organisation_id).retention_days
    until = erasing.last_activity_us(session, [entity.id for entity in entities]) + days * DAY_US
    if until > now:
        raise ActionRefused(
            f"records are kept for {days:,} days after the last activity, here until {day_text(until)[:10]};"
            " nothing was erased"
        )


def _refuse_taken(session: Session, entities: Sequence[Entity]) -> None:
    taken = erasing.name_taken(session, entities)
    if taken is not None:
        raise ActionRefused(
            f"there is an entity {taken.external_id!r} already, which that of this number would be called;"
            " nothing was erased; erase the other one first"
        )


def _register(register: Path, session: Session, entities: Sequence[Entity], now: int) -> None:
    organisation = session.get_one(Organisation, entities[0].organisation_id).name
    line = {
        "organisation": organisation,
        "entities": [[entity.id, entity.created_us] for entity in entities],
        "at_us": now,
    }
    register.parent.mkdir(parents=True, exist_ok=True)
    with register.open("a", encoding="utf-8") as kept:
        kept.write(json.dumps(line) + "\n")
        kept.flush()
        os.fsync(kept.fileno())


def erase_again(engine: Engine, who: str, register: Path, *, now_us: int | None = None) -> int:
    """Erase once more whatever stands in the register and is there: after a backup was restored. Tell how many.

    A line that fails does not hold up those behind it.

    Raises:
        ConfigError: the register cannot be read; then nothing was erased.
        FivefoldError: lines failed, each named at the end; what the others name is erased.
    """
    now = now_microseconds() if now_us is None else now_us
    count, failed = 0, []
    for number, (organisation, ids) in enumerate(_read_register(register), 1):
        try:
            count += _erase_line(engine, who, organisation, ids, now)
        except Exception as error:  # noqa: BLE001 (whatever it is, those behind it are to be erased)
            # What a database says may name values.
            why = str(error) if isinstance(error, FivefoldError) else type(error).__name__
            of = ", ".join(str(entity_id) for entity_id, _ in ids)
            failed.append(f"line {number}, {organisation}, entities {of}: {why}")
    if failed:
        raise FivefoldError(
            f"some lines of {register} could not be erased again, and are still there; {count} of the entities that"
            " the others name were there again, and erased:\n" + "\n".join(failed)
        )
    return count


def _erase_line(engine: Engine, who: str, organisation: str, ids: Sequence[tuple[int, int]], now: int) -> int:
    with writing(engine) as session:
        number = session.scalar(select(Organisation.id).where(Organisation.name == organisation))
        entities = [
            entity
            for entity_id, created_us in ids
            if number is not None
            and (entity := erasing.numbered(session, number, entity_id)) is not None
            and entity.created_us == created_us
            and entity.erased_us is None
        ]
        if number is not None and entities:
            _refuse_taken(session, entities)
            _erase(session, Actor(number, who), entities, now)
        return len(entities)


def _read_register(register: Path) -> list[tuple[str, list[tuple[int, int]]]]:
    found = []
    for number, line in enumerate(register.read_text(encoding="utf-8").splitlines(), 1):
        try:
            said = json.loads(line)
            found.append((str(said["organisation"]), [(int(entity), int(at)) for entity, at in said["entities"]]))
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f"{register}, line {number}, is no line of a register of erasures") from None
    return found
