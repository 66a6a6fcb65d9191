"""How much there is to do, and what failed too often to be tried by itself. Nothing here begins a transaction."""

from dataclasses import dataclass
from typing import cast

from sqlalchemy import Table, func, select
from sqlalchemy.orm import Session

from fivefold.store.tables.levels import DueMark

_MARKS = cast("Table", DueMark.__table__)


@dataclass(frozen=True)
class Backlog:
    """How much there is to do: how many are due, since when the oldest is, and how many are quarantined."""

    due: int
    oldest_us: int | None
    quarantined: int


def backlog(session: Session, now_us: int) -> Backlog:
    """Count what is due now, in all organisations."""
    row = session.execute(
        select(
            func.count().filter(_MARKS.c.quarantined.is_(False), _MARKS.c.due_us <= now_us),
            func.min(_MARKS.c.due_us).filter(_MARKS.c.quarantined.is_(False), _MARKS.c.due_us <= now_us),
            func.count().filter(_MARKS.c.quarantined),
        )
    ).one()
    return Backlog(*row)
