"""Validations that were made, changes that ask for one, and what waits. Nothing here begins or ends a transaction."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotThere
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.events import MaterialChange, ValidationRun
from fivefold.store.tables.levels import DueMark


def latest_run(session: Session, organisation_id: int) -> ValidationRun | None:
    """Find the validation that looks furthest; of several the one that was made last."""
    wanted = select(ValidationRun).where(ValidationRun.organisation_id == organisation_id)
    return session.scalar(wanted.order_by(ValidationRun.until_us.desc(), ValidationRun.id.desc()).limit(1))


def runs_of(session: Session, organisation_id: int, part: Part = WHOLE) -> Page[ValidationRun]:
    """List the validations of an organisation, the newest first."""
    wanted = select(ValidationRun).where(ValidationRun.organisation_id == organisation_id)
    return scalars_of(session, wanted, (ValidationRun.id,), part, descending=True)


def run_numbered(session: Session, organisation_id: int, number: int) -> ValidationRun:
    """Find a validation; NotThere where the organisation has none of that number."""
    found = session.get(ValidationRun, number)
    if found is None or found.organisation_id != organisation_id:
        raise NotThere(f"there is no validation {number}")
    return found


def change_numbered(session: Session, organisation_id: int, number: int) -> MaterialChange:
    """Find a material change, and lock it; NotThere where the organisation has none of that number."""
    found = session.get(MaterialChange, number, with_for_update=True)
    if found is None or found.organisation_id != organisation_id:
        raise NotThere(f"there is no material change {number}")
    return found


def changes_of(session: Session, organisation_id: int, part: Part = WHOLE) -> Page[MaterialChange]:
    """List the material changes of an organisation, the newest first."""
    wanted = select(MaterialChange).where(MaterialChange.organisation_id == organisation_id)
    return scalars_of(session, wanted, (MaterialChange.id,), part, descending=True)


def count_open_changes(session: Session, organisation_id: int) -> int:
    """Count the material changes that nobody signed off."""
    wanted = select(func.count()).where(
        MaterialChange.organisation_id == organisation_id, MaterialChange.signed_us.is_(None)
    )
    return session.scalar(wanted) or 0


@dataclass(frozen=True)
class Waiting:
    """What an organisation's workers have before them.

    Attributes:
        due: how many are to be assessed.
        oldest_us: since when the first of them is.
        quarantined: how many failed too often.
    """

    due: int
    oldest_us: int | None
    quarantined: int


def waiting_in(session: Session, organisation_id: int, now_us: int) -> Waiting:
    """Count what is due now in an organisation."""
    due = DueMark.quarantined.is_(False) & (DueMark.due_us <= now_us)
    row = session.execute(
        select(
            func.count().filter(due), func.min(DueMark.due_us).filter(due), func.count().filter(DueMark.quarantined)
        ).where(DueMark.organisation_id == organisation_id)
    ).one()
    return Waiting(*row)
