"""The audit log of one organisation, page by page. Nothing here begins or ends a transaction."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.audit import AuditEntry


def latest_entries(session: Session, organisation_id: int, part: Part) -> Page[AuditEntry]:
    """Read entries, the newest first."""
    query = select(AuditEntry).where(AuditEntry.organisation_id == organisation_id)
    return scalars_of(session, query, (AuditEntry.number,), part, descending=True)
