"""The serving version of the value model, as the platform knows it, and the entities that it has to value again.

The registry decides which version serves, and each process asks it; levels are read from a database that does not know
it. So a promotion on this machine, or the first worker that notices one elsewhere, records it here, and from then on
each value of another version names the serving one. Nothing here begins or ends a transaction.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fivefold.store.levels import markings
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.value_scores import is_valued_otherwise
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.levels import Champion, Marking, Standing

_ROW: Final = 1
_INSERT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def begin_champion(session: Session, model: str, version: int, now_us: int) -> None:
    """Record the serving version, and begin to mark entities due that another version valued, in all organisations.

    No entity is marked here. An unfinished marking of the previous version ends: a type has at most one open marking.
    """
    _note(session, model, version, now_us)
    session.execute(delete(Marking).where(Marking.model.is_not(None)))
    for kind in session.scalars(select(EntityType).order_by(EntityType.id)):
        others = select(Standing.entity_id).where(Standing.type_id == kind.id)
        others = others.where(is_valued_otherwise(Standing.entity_id, model, version))
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
                model=model,
                model_version=version,
            )
        )


def _note(session: Session, model: str, version: int, now_us: int) -> None:
    """Record the version; a concurrent call waits for this transaction to end."""
    new = _INSERT[session.get_bind().dialect.name](Champion)
    new = new.values(id=_ROW, model=model, model_version=version, since_us=now_us)
    is_other = (Champion.model != new.excluded.model) | (Champion.model_version != new.excluded.model_version)
    values = {"model": model, "model_version": version, "since_us": now_us}
    session.execute(new.on_conflict_do_update(index_elements=["id"], set_=values, where=is_other))


def next_marking(session: Session, model: str, version: int) -> Marking | None:
    """Lock the oldest open marking of a version; None if there is none, or another process has it."""
    of = (Marking.model == model, Marking.model_version == version)
    number = session.scalar(select(Marking.id).where(*of).order_by(Marking.id).limit(1))
    return None if number is None else markings.lock_marking(session, number)
