"""The audit log of one organisation, page by page. Nothing here begins or ends a transaction."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.audit import AuditEntry


@dataclass(frozen=True, kw_only=True)
class WantedEntries:
    """Which entries of an organisation are listed; None is no condition.

    Attributes:
        subject_id: counts only with a kind.
        since_us: they were written then or later.
        until_us: they were written before.
    """

    organisation_id: int
    actor: str | None = None
    action: str | None = None
    subject_kind: str | None = None
    subject_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None


def latest_entries(session: Session, organisation_id: int, part: Part) -> Page[AuditEntry]:
    """Read entries, the newest first."""
    query = select(AuditEntry).where(AuditEntry.organisation_id == organisation_id)
    return scalars_of(session, query, (AuditEntry.number,), part, descending=True)


def entries_among(session: Session, wanted: WantedEntries, part: Part) -> Page[AuditEntry]:
    """Read the entries that are wanted, those of the latest moment first."""
    query = select(AuditEntry).where(AuditEntry.organisation_id == wanted.organisation_id)
    if wanted.actor is not None:
        query = query.where(AuditEntry.actor == wanted.actor)
    if wanted.action is not None:
        query = query.where(AuditEntry.action == wanted.action)
    if wanted.subject_kind is not None:
        query = query.where(AuditEntry.subject_kind == wanted.subject_kind)
        if wanted.subject_id is not None:
            query = query.where(AuditEntry.subject_id == wanted.subject_id)
    if wanted.since_us is not None:
        query = query.where(AuditEntry.at_us >= wanted.since_us)
    if wanted.until_us is not None:
        query = query.where(AuditEntry.at_us < wanted.until_us)
    return scalars_of(session, query, (AuditEntry.at_us, AuditEntry.number), part, descending=True)
