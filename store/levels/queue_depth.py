"""How much the workers of an organisation have before them. Nothing here begins or ends a transaction."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.store.levels.markings import waiting_counts
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
    """Count what is due now in an organisation, and whom a change has yet to mark."""
    due = DueMark.quarantined.is_(False) & (DueMark.due_us <= now_us)
    entities, oldest_us, quarantined = session.execute(
        select(
            func.count().filter(due), func.min(DueMark.due_us).filter(due), func.count().filter(DueMark.quarantined)
        ).where(DueMark.organisation_id == organisation_id)
    ).one()
    for waiting in waiting_counts(session, now_us, organisation_id):
        entities += waiting.entities
        oldest_us = waiting.oldest_us if oldest_us is None else min(oldest_us, waiting.oldest_us)
    return QueueDepth(entities, oldest_us, quarantined)
