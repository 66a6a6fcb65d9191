"""Figures of peers that people attached to validations. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.store.tables.events import PeerFile


def peer_files_of(session: Session, validation_id: int) -> Sequence[PeerFile]:
    """List those of a validation, the first attached comes first."""
    statement = select(PeerFile).where(PeerFile.validation_id == validation_id)
    return session.scalars(statement.order_by(PeerFile.id)).all()
