"""Which version of the value model serves, as the platform knows it, and which entities it has to value anew.

The registry says what serves, and each process asks it for itself; a level is asked of a database that does not know
it. So a promotion on this machine, or the first worker that sees one of another, writes it down, and from then on each
value that another version gave names this one. Nothing here begins or ends a transaction.
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
    """Note that a version serves, and begin to mark due, in all organisations, the entities that another one valued.

    Nobody is marked here. A marking of the version before it ends, however far it was: one of a type is open at most.
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
    """Write it down; who does so at the same moment waits for this transaction to end."""
    new = _INSERT[session.get_bind().dialect.name](Champion)
    new = new.values(id=_ROW, model=model, model_version=version, since_us=now_us)
    is_other = (Champion.model != new.excluded.model) | (Champion.model_version != new.excluded.model_version)
    values = {"model": model, "model_version": version, "since_us": now_us}
    session.execute(new.on_conflict_do_update(index_elements=["id"], set_=values, where=is_other))


def next_marking(session: Session, model: str, version: int) -> Marking | None:
    """Lock the oldest open marking of a version; None where there is none, or another process has it."""
    of = (Marking.model == model, Marking.model_version == version)
    number = session.scalar(select(Marking.id).where(*of).order_by(Marking.id).limit(1))
    return None if number is None else markings.lock_marking(session, number)
