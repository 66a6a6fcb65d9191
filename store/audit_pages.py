"""The audit log of one organisation, page by page. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.audit_tables import AuditEntry


def entries_before(session: Session, organisation_id: int, number: int | None, most: int) -> Sequence[AuditEntry]:
    """Read up to *most* entries before a number, or the last ones, the newest first."""
    wanted = select(AuditEntry).where(AuditEntry.organisation_id == organisation_id)
    if number is not None:
        wanted = wanted.where(AuditEntry.number < number)
    return session.scalars(wanted.order_by(AuditEntry.number.desc()).limit(most)).all()
