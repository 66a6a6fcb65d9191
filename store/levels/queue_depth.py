"""How many entities of an organisation are due, and how many are quarantined. Begins and ends no transaction."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.store.tables.levels import DueMark


@dataclass(frozen=True)
class QueueDepth:
    """What an organisation's workers have before them.

    Attributes:
        due: how many entities are to be assessed.
        oldest_us: since when the first of them is due.
        quarantined: how many failed too often to be tried again.
    """

    due: int
    oldest_us: int | None
    quarantined: int


def queue_depth(session: Session, organisation_id: int, now_us: int) -> QueueDepth:
    """Count what is due now in an organisation."""
    due = DueMark.quarantined.is_(False) & (DueMark.due_us <= now_us)
    row = session.execute(
        select(
            func.count().filter(due), func.min(DueMark.due_us).filter(due), func.count().filter(DueMark.quarantined)
        ).where(DueMark.organisation_id == organisation_id)
    ).one()
    return QueueDepth(*row)
