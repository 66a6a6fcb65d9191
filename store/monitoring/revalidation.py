"""Validations, and the material changes that require one. Nothing here begins or ends a transaction."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.events import MaterialChange, ValidationRun


def latest_run(session: Session, organisation_id: int) -> ValidationRun | None:
    """Find the validation with the latest end; among several, the last one made."""
    statement = select(ValidationRun).where(ValidationRun.organisation_id == organisation_id)
    return session.scalar(statement.order_by(ValidationRun.until_us.desc(), ValidationRun.id.desc()).limit(1))


@dataclass(frozen=True)
class Reviews:
    """The reviews of an organisation.

    Attributes:
        begins_us: when the organisation was created: periods before that need no review.
        signed_until_us: the latest end of a signed-off validation; None without one.
    """

    begins_us: int
    signed_until_us: int | None


def reviews_by_organisation(session: Session) -> dict[int, Reviews]:
    """Read the reviews of all organisations."""
    return {number: Reviews(begins_us, until_us) for number, begins_us, until_us in session.execute(_REVIEWS)}


def reviews_of(session: Session, organisation_id: int) -> Reviews:
    """Read the reviews of an organisation."""
    _, begins_us, until_us = session.execute(_REVIEWS.where(Organisation.id == organisation_id)).one()
    return Reviews(begins_us, until_us)


_REVIEWS = (
    select(Organisation.id, Organisation.created_us, func.max(ValidationRun.until_us))
    .outerjoin(ValidationRun, (ValidationRun.organisation_id == Organisation.id) & ValidationRun.signed_us.is_not(None))
    .group_by(Organisation.id, Organisation.created_us)
)


def runs_of(session: Session, organisation_id: int, part: Part) -> Page[ValidationRun]:
    """List the validations of an organisation, the newest first."""
    statement = select(ValidationRun).where(ValidationRun.organisation_id == organisation_id)
    return scalars_of(session, statement, (ValidationRun.id,), part, descending=True)


def runs_by_time(session: Session, organisation_id: int, part: Part, made_after_us: int | None) -> Page[ValidationRun]:
    """List the validations of an organisation, the latest end first: all, or those made after a moment."""
    statement = select(ValidationRun).where(ValidationRun.organisation_id == organisation_id)
    if made_after_us is not None:
        statement = statement.where(ValidationRun.made_us > made_after_us)
    return scalars_of(session, statement, (ValidationRun.until_us, ValidationRun.id), part, descending=True)


def run_numbered(session: Session, organisation_id: int, number: int) -> ValidationRun:
    """Find a validation; NotFoundError if the organisation has none of that number."""
    row = session.get(ValidationRun, number)
    if row is None or row.organisation_id != organisation_id:
        raise NotFoundError(f"there is no validation {number}")
    return row


def locked_run(session: Session, organisation_id: int, number: int) -> ValidationRun:
    """Find a validation, and lock it; NotFoundError if the organisation has none of that number."""
    run_numbered(session, organisation_id, number)
    return session.get_one(ValidationRun, number, with_for_update=True, populate_existing=True)


def change_numbered(session: Session, organisation_id: int, number: int) -> MaterialChange:
    """Find a material change, and lock it; NotFoundError if the organisation has none of that number."""
    row = session.get(MaterialChange, number, with_for_update=True)
    if row is None or row.organisation_id != organisation_id:
        raise NotFoundError(f"there is no material change {number}")
    return row


def changes_of(
    session: Session,
    organisation_id: int,
    part: Part = WHOLE,
    *,
    signed: bool | None = None,
    oldest_first: bool = False,
) -> Page[MaterialChange]:
    """List the material changes of an organisation, the newest first unless *oldest_first*.

    *signed*: True for those that are signed off, False for the open ones; None for both.
    """
    statement = select(MaterialChange).where(MaterialChange.organisation_id == organisation_id)
    if signed is not None:
        signed_us = MaterialChange.signed_us
        statement = statement.where(signed_us.is_not(None) if signed else signed_us.is_(None))
    return scalars_of(session, statement, (MaterialChange.id,), part, descending=not oldest_first)


def count_open_changes(session: Session, organisation_id: int) -> int:
    """Count the material changes that are not signed off."""
    statement = select(func.count()).where(
        MaterialChange.organisation_id == organisation_id, MaterialChange.signed_us.is_(None)
    )
    return session.scalar(statement) or 0
