"""Settings of organisations. Nothing here begins or ends a transaction."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.entities import OrganisationSettings


def settings_row(session: Session, organisation_id: int, *, locked: bool = False) -> OrganisationSettings:
    """Find the settings of an organisation; ConflictError if its levels are not chosen yet.

    *locked* locks them until the transaction ends.
    """
    row = session.get(OrganisationSettings, organisation_id, with_for_update=locked or None)
    if row is None:
        raise ConflictError("the organisation has not chosen its levels yet; that comes first")
    return row


def levels_of(session: Session, organisation_id: int) -> tuple[str, ...]:
    """Give the names of the levels, lowest first."""
    return tuple(settings_row(session, organisation_id).levels)


def base_currency_of(session: Session, organisation_id: int) -> str:
    """Give the currency that everything is converted into."""
    return settings_row(session, organisation_id).base_currency


def where_two_people_promote(session: Session) -> dict[int, str]:
    """Map to names the organisations that require a second person before a value model becomes champion."""
    of = OrganisationSettings.organisation_id == Organisation.id
    statement = select(Organisation.id, Organisation.name).join(OrganisationSettings, of)
    return dict(
        session.execute(statement.where(OrganisationSettings.two_people_promote).order_by(Organisation.id)).all()
    )
