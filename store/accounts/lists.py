"""Stored named lists: a row for each version. Nothing here begins or ends a transaction."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.entities import ListVersionRow


def list_rows(
    session: Session, organisation_id: int, name: str | None = None, part: Part = WHOLE
) -> Page[ListVersionRow]:
    """Read the versions of all lists of an organisation, or of one: by name, the oldest version first."""
    statement = select(ListVersionRow).where(ListVersionRow.organisation_id == organisation_id)
    if name is not None:
        statement = statement.where(ListVersionRow.name == name)
    return scalars_of(session, statement, (ListVersionRow.name, ListVersionRow.since_us), part)
