"""The serving version of the value model, as the platform knows it, and the entities that it has to value again.

The registry decides which version serves, and each process asks it; levels are read from a database that does not know
it. So a promotion on this machine, or the first worker that notices one elsewhere, records it here, and from then on
each value of another version names the serving one. Nothing here begins or ends a transaction.

A number alone does not identify a version: a new registry begins with 1 again. So versions are compared by their
content hash too, if it is known.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from fivefold.domain.provenance import may_be_same_model
from fivefold.store.levels import markings
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.portfolio.values import is_valued_otherwise
from fivefold.store.sql.arrays import among
from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.levels import Champion, Marking, Standing

_ROW: Final = 1


def begin_champion(session: Session, model: str, version: int, now_us: int, content_hash: str | None = None) -> None:
    """Record the serving version, and begin to mark entities due that another version valued, in all organisations.

    No entity is marked here. An unfinished marking of the previous version ends: a type has at most one open marking.

    Args:
        session: to read and write with.
        model: its name.
        version: its number.
        now_us: the present.
        content_hash: the content hash of its model; None if the registry lacks it.
    """
    serves = version_of(_note(session, model, version, now_us, content_hash))
    session.execute(delete(Marking).where(Marking.model.is_not(None)))
    for kind in session.scalars(select(EntityType).order_by(EntityType.id)):
        others = select(Standing.entity_id).where(Standing.type_id == kind.id)
        if session.scalar(others.where(is_valued_otherwise(Standing.entity_id, *serves)).limit(1)) is not None:
            session.add(_marking(kind.organisation_id, kind.id, now_us, serves))


def _note(session: Session, model: str, version: int, now_us: int, content_hash: str | None) -> Champion:
    """Record the version; a concurrent call waits until this one ends."""
    new = INSERTS[session.get_bind().dialect.name](Champion)
    new = new.values(id=_ROW, model=model, model_version=version, since_us=now_us)
    session.execute(new.on_conflict_do_nothing(index_elements=["id"]))
    locked = select(Champion).with_for_update().execution_options(populate_existing=True)
    row = session.scalars(locked).one()
    if not is_recorded_as(row, model, version, content_hash):
        row.model, row.model_version, row.since_us, row.content_hash = model, version, now_us, None
    row.content_hash = content_hash or row.content_hash
    session.flush()
    return row


def is_recorded_as(champion: Champion, model: str, version: int, content_hash: str | None) -> bool:
    """Return whether the recorded serving version is this one."""
    has_number = (champion.model, champion.model_version) == (model, version)
    return has_number and may_be_same_model(champion.content_hash, content_hash)


def version_of(champion: Champion) -> tuple[str, int, str | None]:
    """Return the name, the number and the content hash of the recorded version."""
    return champion.model, champion.model_version, champion.content_hash


def value_again(session: Session, organisation_id: int, type_id: int, entity_ids: Sequence[int], now_us: int) -> None:
    """Let workers that loaded the serving version mark those of some entities that it did not value last.

    Nothing is added if no version serves, if it valued all of them last, or if an open marking has yet to reach them.
    """
    champion = session.get(Champion, _ROW)
    if champion is None:
        return
    serves = version_of(champion)
    others = select(func.min(Standing.entity_id)).where(among(session, Standing.entity_id, entity_ids))
    first = session.scalar(others.where(is_valued_otherwise(Standing.entity_id, *serves)))
    if first is None:
        return
    of = (Marking.type_id == type_id, *_marks_for(*serves), Marking.reached_id < first)
    if session.scalar(select(Marking.id).where(*of).limit(1)) is None:
        session.add(_marking(organisation_id, type_id, now_us, serves, reached_id=first - 1))


def recorded_champion(session: Session) -> Champion | None:
    """Return the recorded serving version; None if none was ever recorded, or it was withdrawn."""
    return session.get(Champion, _ROW)


def end_champion(session: Session, model: str, version: int, since_us: int) -> bool:
    """Delete the record and the markings of a withdrawn serving version; return False if it is no longer recorded.

    No entity waits for it any more. If it serves again, it begins as any other.
    """
    is_recorded = (Champion.model == model, Champion.model_version == version, Champion.since_us == since_us)
    ended: Any = session.execute(delete(Champion).where(*is_recorded))
    if not ended.rowcount:
        return False
    session.execute(delete(Marking).where(Marking.model.is_not(None)))
    return True


def _marking(
    organisation_id: int, type_id: int, now_us: int, serves: tuple[str, int, str | None], *, reached_id: int = 0
) -> Marking:
    """Make a marking of the entities that this version did not value."""
    model, version, content_hash = serves
    return Marking(
        organisation_id=organisation_id,
        type_id=type_id,
        reasons=int(Reason.VALUE),
        from_us=0,
        begun_us=now_us,
        reached_id=reached_id,
        model=model,
        model_version=version,
        model_hash=content_hash,
    )


def _marks_for(model: str, version: int, content_hash: str | None) -> tuple[ColumnElement[bool], ...]:
    is_of_model = Marking.model_hash.is_not_distinct_from(content_hash)
    return Marking.model == model, Marking.model_version == version, is_of_model


def next_marking(session: Session, model: str, version: int, content_hash: str) -> Marking | None:
    """Lock the oldest open marking of a version; None if there is none, or another process has it."""
    of = _marks_for(model, version, content_hash)
    number = session.scalar(select(Marking.id).where(*of).order_by(Marking.id).limit(1))
    return None if number is None else markings.lock_marking(session, number)
