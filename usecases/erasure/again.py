"""Holds and erasures are repeated from the register after a restore: holds first, then erasures.

The register is a file outside the database, with numbers only. A database that is restored from a backup again contains
data erased since, and lacks holds set since. A number may belong to another entity after a restore, so the register
also names an entity by a digest of its salt; an entity that it does not name for certain is left alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text, resolve_now
from fivefold.domain.errors import ConflictError, FivefoldError
from fivefold.domain.text import count_text
from fivefold.store.erasure import erase as erasing
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.usecases.erasure.erase import (
    erase_and_record,
    forget_late_answers,
    may_be,
    overwrite,
    permitted,
    put_hold,
    refuse_held,
    refuse_taken,
)
from fivefold.usecases.erasure.register import (
    CutLine,
    ErasureLine,
    HoldLine,
    Numbered,
    is_replaced,
    newest_erasures,
    newest_holds,
    read_register,
)
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True)
class RepeatedErasures:
    """The result of a repetition after a restore.

    Attributes:
        erased: how many entities were there again, and erased.
        holds: how many holds were put again.
        lost_holds: lines whose holds are neither over nor replaced, and whose entities the database does not have.
        lost_erasures: lines of erasures with entities that the database does not have.
    """

    erased: int
    holds: int
    lost_holds: tuple[str, ...] = ()
    lost_erasures: tuple[str, ...] = ()


def erase_again(engine: Engine, who: str, register: Path, *, now_us: int | None = None) -> RepeatedErasures:
    """Repeat the holds and erasures of the register after a restore, for the entities that exist.

    The register's last line about each entity's hold is applied first, so nothing on hold is erased. For each entity,
    the last line that erases it counts. A line that fails does not stop later ones.

    Raises:
        ConfigError: the register cannot be read; then nothing was done. A last line that is cut off only failed.
        FivefoldError: lines failed, each named at the end; all other lines were carried out.
    """
    now = resolve_now(now_us)
    lines = read_register(register)
    holds = erased = 0
    lost_holds, lost_erasures = [], []
    failed: dict[ErasureLine | HoldLine | CutLine, str] = {
        line: f"line {line.number} is cut off: what it says is not known" for line in lines if isinstance(line, CutLine)
    }
    both: list[ErasureLine | HoldLine] = [*newest_holds(lines), *newest_erasures(lines)]
    for line in both:
        try:
            if isinstance(line, HoldLine):
                done, lost = _hold_again(engine, who, line, now)
                holds += done
                lost_holds += [_named(line, lost)] if lost and not is_replaced(line, lines) else []
            else:
                done, lost = _erase_line(engine, who, line, now)
                erased += done
                lost_erasures += [_named(line, lost)] if lost else []
        except Exception as error:  # noqa: BLE001 (the lines after it must be carried out all the same)
            failed[line] = _failure_of(line, error)
    failures = list(failed.values())
    try:
        _forget_late_answers(engine, who, {line.organisation for line in newest_erasures(lines)})
        overwrite(engine)
    except FivefoldError as error:
        if not failed:
            raise
        failures.append(f"after the lines, so that not all that was erased is overwritten yet: {error}")
    if failed:
        raise FivefoldError(
            f"some lines of {register} could not be repeated{_not_done(failed, now)}; {erased} of the entities of the"
            f" other lines were there again, and erased; {_holds_put(holds)}:\n"
            + "\n".join([*failures, *(f"{line}: not in the database" for line in (*lost_holds, *lost_erasures))])
        )
    return RepeatedErasures(erased, holds, tuple(lost_holds), tuple(lost_erasures))


def _holds_put(holds: int) -> str:
    return "1 legal hold was put again" if holds == 1 else f"{holds} legal holds were put again"


def _not_done(failed: Iterable[ErasureLine | HoldLine | CutLine], now: int) -> str:
    """Describe the consequences of lines that failed; a line that is cut off has none."""
    lines = list(failed)
    untils = [line.until_us for line in lines if isinstance(line, HoldLine)]
    erasures = sum(isinstance(line, ErasureLine) for line in lines)
    counts = {
        "not in force": sum(until > now for until in untils),
        "not released": sum(until <= now for until in untils),
    }
    parts = [f"the data of {count_text(erasures, 'line')} are still there"] if erasures else []
    parts += [
        f"{count_text(count, 'legal hold')} {'is' if count == 1 else 'are'} {what}"
        for what, count in counts.items()
        if count
    ]
    return f": {', and '.join(parts)}" if parts else ""


def _failure_of(line: ErasureLine | HoldLine, error: Exception) -> str:
    why = str(error) if isinstance(error, FivefoldError) else type(error).__name__  # a database may name values
    entities = [line.entity] if isinstance(line, HoldLine) else line.entities
    return f"{_named(line, [entity.number for entity in entities])}: {why}"


def _named(line: ErasureLine | HoldLine, numbers: Sequence[int]) -> str:
    """Name a line, and those of its entities that it is about."""
    numbers_text = ", ".join(map(str, numbers))
    if isinstance(line, HoldLine):
        what = f"hold on entity {numbers_text} of {day_text(line.at_us)} until {day_text(line.until_us)}"
    else:
        what = f"entities {numbers_text}"
    return f"line {line.number}, {line.organisation}, {what}"


def _find(session: Session, organisation: str, named: Sequence[Numbered]) -> tuple[int, list[Entity], list[int]]:
    """Find the organisation, those entities that exist, erased or not, and the numbers of those that do not."""
    of = session.scalar(select(Organisation.id).where(Organisation.name == organisation))
    rows = [(each, None if of is None else erasing.entity_by_id(session, of, each.number)) for each in named]
    matching = [(each.number, row) for each, row in rows if row is not None and may_be(row, each)]
    matching_numbers = {number for number, _ in matching}
    lost = [each.number for each in named if each.number not in matching_numbers]
    return of or 0, [row for _, row in matching], lost


def _refuse_doubtful(session: Session, entities: Sequence[Entity], named: Sequence[Numbered]) -> None:
    """Refuse entities that a line of an earlier version names by number and moment alone: they may be others now."""
    if all(each.salt_digest is not None for each in named):
        return
    names = ", ".join(
        f"entity {entity.id} is {session.get_one(EntityType, entity.type_id).name} {entity.external_id!r} now"
        for entity in entities
    )
    raise ConflictError(
        f"an earlier version wrote it, so the number may be another entity's since a restore: {names}; nothing was"
        " done; if it is the right one, give `fivefold erase` or `fivefold hold` for it, otherwise take the line away"
    )


def _hold_again(engine: Engine, who: str, line: HoldLine, now: int) -> tuple[int, list[int]]:
    """Put a hold of the register again, if it changes anything; return how many, and the entity if it is lost."""
    with writing(engine) as session:
        of, matching, _ = _find(session, line.organisation, [line.entity])
        entities = [entity for entity in matching if entity.erased_us is None]
        if not entities:
            return 0, [line.entity.number] if line.until_us > now else []
        (entity,) = entities
        before = {"until_us": entity.hold_until_us, "reason": entity.hold_reason}
        was_held = entity.hold_until_us is not None and entity.hold_until_us > now
        if entity.hold_until_us == line.until_us or (line.until_us <= now and not was_held):
            return 0, []
        _refuse_doubtful(session, entities, [line.entity])
        reason = f"as the register of erasures and holds says, line {line.number}"
        put_hold(session, Context(engine, Actor(of, who)), entity, (line.until_us, reason), before, now)
        return 1, []


def _erase_line(engine: Engine, who: str, line: ErasureLine, now: int) -> tuple[int, list[int]]:
    """Erase the entities of a line again, if that is still allowed; return how many, and the numbers of the lost."""
    with writing(engine) as session, permitted():
        of, matching, lost = _find(session, line.organisation, line.entities)
        entities = [entity for entity in matching if entity.erased_us is None]
        if entities:
            context = Context(engine, Actor(of, who))
            _refuse_doubtful(session, entities, line.entities)
            refuse_held(entities, now)
            _refuse_active(session, entities, line.at_us, now)
            refuse_taken(session, entities)
            erase_and_record(session, context, entities, now)
    return len(entities), lost


def _forget_late_answers(engine: Engine, who: str, organisations: Iterable[str]) -> None:
    """Empty late answers even if nothing is erased again: an erasure that lost its connection at its end could not."""
    with reading(engine) as session:
        of = list(session.scalars(select(Organisation.id).where(Organisation.name.in_(organisations))))
    for number in of:
        forget_late_answers(Context(engine, Actor(number, who)))


def _refuse_active(session: Session, entities: Sequence[Entity], erased_us: int, now: int) -> None:
    """Refuse data that changed since they were erased: something happened to them.

    An end since that was planned before does not count.
    """
    last = erasing.last_activity_us(session, [entity.id for entity in entities], now, planned=False)
    if last > erased_us:
        raise ConflictError(
            f"something happened on {day_text(last)[:10]}, after it was erased: a fact was sent again under the old"
            " name; nothing was erased; `fivefold erase` removes it once retention is over"
        )
