"""The serving version of the value model, as the platform knows it, and the entities that it has to value again.

The registry decides which version serves, and each process asks it; levels are read from a database that does not know
it. So a promotion on this machine, or the first worker that notices one elsewhere, records it here, and from then on
each value of another version names the serving one. Nothing here begins or ends a transaction.

A number alone names no version: a registry that was made anew begins with 1 again. Values keep the number alone, so
where another model is found to have it, everybody is marked.
"""

from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from fivefold.store.levels import markings
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.portfolio.values import is_valued_otherwise
from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.levels import Champion, Marking, Standing

_ROW: Final = 1
_NO_VERSION: Final = 0
"""Versions are counted from 1."""


def begin_champion(
    session: Session, model: str, version: int, now_us: int, content_hash: str | None = None, *, anew: bool = False
) -> None:
    """Record the serving version, and begin to mark entities due that another version valued, in all organisations.

    No entity is marked here. An unfinished marking of the previous version ends: a type has at most one open marking.

    Args:
        session: to read and write with.
        model: its name.
        version: its number.
        now_us: the present.
        content_hash: of the loaded model; None where it was not loaded, by a promotion.
        anew: the caller used another model under this number until now. Everybody is marked then, as where the recorded
            hash is another one.
    """
    anew = _note(session, model, version, now_us, content_hash) or anew
    session.execute(delete(Marking).where(Marking.model.is_not(None)))
    marked_for = (None, None) if anew else (model, version)
    for kind in session.scalars(select(EntityType).order_by(EntityType.id)):
        others = select(Standing.entity_id).where(Standing.type_id == kind.id)
        others = others.where(is_valued_otherwise(Standing.entity_id, model, _NO_VERSION if anew else version))
        if session.scalar(others.limit(1)) is None:
            continue
        session.add(
            Marking(
                organisation_id=kind.organisation_id,
                type_id=kind.id,
                reasons=int(Reason.VALUE),
                from_us=0,
                begun_us=now_us,
                reached_id=0,
                model=marked_for[0],
                model_version=marked_for[1],
            )
        )


def _note(session: Session, model: str, version: int, now_us: int, content_hash: str | None) -> bool:
    """Record the version, and tell if its number was another model's; a concurrent call waits until this one ends."""
    new = INSERTS[session.get_bind().dialect.name](Champion)
    new = new.values(id=_ROW, model=model, model_version=version, since_us=now_us)
    session.execute(new.on_conflict_do_nothing(index_elements=["id"]))
    locked = select(Champion).with_for_update().execution_options(populate_existing=True)
    row = session.scalars(locked).one()
    has_number = (row.model, row.model_version) == (model, version)
    is_another = has_number and None not in {row.content_hash, content_hash} and row.content_hash != content_hash
    if is_another or not has_number:
        row.model, row.model_version, row.since_us, row.content_hash = model, version, now_us, None
    row.content_hash = content_hash or row.content_hash
    session.flush()
    return is_another


def next_marking(session: Session, model: str, version: int) -> Marking | None:
    """Lock the oldest open marking of a version; None if there is none, or another process has it."""
    of = (Marking.model == model, Marking.model_version == version)
    number = session.scalar(select(Marking.id).where(*of).order_by(Marking.id).limit(1))
    return None if number is None else markings.lock_marking(session, number)
