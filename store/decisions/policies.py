"""Policies and their versions. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.events import Policy

PROPOSED, ACTIVE, RETIRED = "proposed", "active", "retired"
"""The states of a version."""


def policy_versions(
    session: Session, organisation_id: int, name: str | None = None, part: Part = WHOLE
) -> Page[Policy]:
    """List the versions of one policy, or of all: by name, the newest first."""
    statement = select(Policy).where(Policy.organisation_id == organisation_id)
    if name is not None:
        statement = statement.where(Policy.name == name)
    return scalars_of(session, statement, (Policy.name, -Policy.number), part)


def policy_numbered(session: Session, organisation_id: int, name: str, number: int) -> Policy:
    """Find a version; NotFoundError where the organisation has none of that name and number."""
    of = (Policy.organisation_id == organisation_id, Policy.name == name, Policy.number == number)
    row = session.scalar(select(Policy).where(*of))
    if row is None:
        raise NotFoundError(f"there is no version {number} of a policy {name!r}")
    return row


def active_policy(session: Session, organisation_id: int, name: str) -> Policy | None:
    """Find the version of a policy that is in force."""
    of = (Policy.organisation_id == organisation_id, Policy.name == name, Policy.state == ACTIVE)
    return session.scalar(select(Policy).where(*of))


def active_policies(session: Session, organisation_id: int) -> Sequence[Policy]:
    """Read the versions that are in force, by name."""
    of = (Policy.organisation_id == organisation_id, Policy.state == ACTIVE)
    return session.scalars(select(Policy).where(*of).order_by(Policy.name)).all()
