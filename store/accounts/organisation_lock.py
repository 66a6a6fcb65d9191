"""One lock for an organisation: for decisions that may be made once, or in one order only."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.store.tables.accounts import Organisation


def lock_organisation(session: Session, organisation_id: int) -> None:
    """Lock an organisation until the transaction ends.

    Transactions that only add rows of the organisation do not wait. On SQLite there is one writer anyway.
    """
    session.execute(select(Organisation.id).where(Organisation.id == organisation_id).with_for_update(key_share=True))
