"""The audit log of one organisation, page by page. Nothing here begins or ends a transaction."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.sql.conditions import where_given
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
    query = where_given(
        query,
        (AuditEntry.actor, wanted.actor),
        (AuditEntry.action, wanted.action),
        (AuditEntry.subject_kind, wanted.subject_kind),
        (AuditEntry.subject_id, None if wanted.subject_kind is None else wanted.subject_id),
        moment=AuditEntry.at_us,
        since_us=wanted.since_us,
        until_us=wanted.until_us,
    )
    return scalars_of(session, query, (AuditEntry.at_us, AuditEntry.number), part, descending=True)
