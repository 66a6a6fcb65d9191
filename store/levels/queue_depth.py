"""The work that the workers of an organisation have ahead. Nothing here begins or ends a transaction."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.store.levels.markings import waiting_counts
from fivefold.store.tables.levels import DueMark


@dataclass(frozen=True)
class QueueDepth:
    """The work that an organisation's workers have ahead.

    Attributes:
        due: how many entities are to be assessed.
        oldest_us: since when the first of them is due.
        quarantined: how many failed too often to be tried again.
    """

    due: int
    oldest_us: int | None
    quarantined: int


def queue_depth(session: Session, organisation_id: int, now_us: int) -> QueueDepth:
    """Count the due entities of an organisation, including those that a change has yet to mark."""
    is_due = DueMark.quarantined.is_(False) & (DueMark.due_us <= now_us)
    entities, oldest_us, quarantined = session.execute(
        select(
            func.count().filter(is_due),
            func.min(DueMark.due_us).filter(is_due),
            func.count().filter(DueMark.quarantined),
        ).where(DueMark.organisation_id == organisation_id)
    ).one()
    for count in waiting_counts(session, now_us, organisation_id):
        entities += count.entities
        oldest_us = count.oldest_us if oldest_us is None else min(oldest_us, count.oldest_us)
    return QueueDepth(entities, oldest_us, quarantined)
