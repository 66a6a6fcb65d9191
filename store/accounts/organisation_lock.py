"""One lock for an organisation: what may be decided once, or in one order only, is decided under it."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.store.tables.accounts import Organisation


def lock_organisation(session: Session, organisation_id: int) -> None:
    """Keep others that hold the same organisation waiting until the transaction ends.

    Whoever merely adds rows that belong to it does not wait. On SQLite there is one writer anyway.
    """
    session.execute(select(Organisation.id).where(Organisation.id == organisation_id).with_for_update(key_share=True))
