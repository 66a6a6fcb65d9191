"""Records of what people read before they decide: that they opened the reasons of an assessment, and how long before.

It is stored with people's requests and decisions about overrides on the pages, as evidence that a person looked and did
not just press a button. Nothing else that people do on pages is stored.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fivefold.domain.clock import SECOND_US
from fivefold.domain.errors import StoreError
from fivefold.store.tables.levels import Opening, OverrideReading, OverrideRow, Standing
from fivefold.usecases.shared.context import Context

NOTE_BUSY_SECONDS: Final = 2
"""How long a page that shows reasons waits for other writers before it leaves the opening unrecorded."""


@dataclass(frozen=True, kw_only=True)
class ReadRecord:
    """What a person had read when they acted.

    Attributes:
        act: requested, approved or refused.
        actor: who acted.
        assessment: in force then, such as 12.3; None if there was none.
        opened: the newest assessment whose reasons were opened in the same session; None if no opening is recorded.
        seconds: since these were opened; None if no opening is recorded.
    """

    act: str
    actor: str
    assessment: str | None
    opened: str | None
    seconds: int | None


def note_opened(context: Context, session_id: int, assessment: str) -> None:
    """Record that the reasons of an assessment, such as 12.3, are shown in a session; the first time counts.

    A database that cannot write within `NOTE_BUSY_SECONDS` does not keep anyone from reading: nothing is recorded then.
    """
    entity_id, _, number = assessment.partition(".")
    key = (session_id, int(entity_id), int(number))
    with context.reading() as session:
        if session.get(Opening, key) is not None:
            return
    with suppress(StoreError, IntegrityError), context.writing(NOTE_BUSY_SECONDS) as session:
        if session.get(Opening, key) is None:
            row = Opening(session_id=key[0], entity_id=key[1], number=key[2], opened_us=context.now())
            session.add(row)
            session.flush()


def keep_reading(
    session: Session, override: OverrideRow, act: str, actor: str, session_id: int, now_us: int
) -> dict[str, str | int | None]:
    """Store what was read in a session, in the transaction of the act itself; return it as for the audit log.

    Entries of older programs have no `opened`: there `seconds` are of the assessment in force.
    """
    standing = session.get(Standing, override.entity_id)
    of = (Opening.session_id == session_id, Opening.entity_id == override.entity_id)
    opening = session.scalar(select(Opening).where(*of).order_by(Opening.number.desc()).limit(1))
    row = OverrideReading(
        override_id=override.id,
        act=act,
        actor=actor,
        number=None if standing is None else standing.number,
        opened_number=None if opening is None else opening.number,
        seconds=None if opening is None else max(0, (now_us - opening.opened_us) // SECOND_US),
    )
    session.add(row)
    assessment, opened = (_assessment(override.entity_id, each) for each in (row.number, row.opened_number))
    return {"assessment": assessment, "opened": opened, "seconds": row.seconds}


def readings_of(context: Context, overrides: Sequence[int]) -> dict[int, list[ReadRecord]]:
    """Return what was read, by the numbers of overrides; those requested or decided by programs have no reading."""
    readings: dict[int, list[ReadRecord]] = {}
    if not overrides:
        return readings
    with context.reading() as session:
        statement = (
            select(OverrideReading, OverrideRow.entity_id)
            .join(OverrideRow, OverrideRow.id == OverrideReading.override_id)
            .where(OverrideRow.organisation_id == context.organisation_id, OverrideReading.override_id.in_(overrides))
            .order_by(OverrideReading.override_id, OverrideReading.act.desc())
        )
        for row, entity_id in session.execute(statement):
            reading = ReadRecord(
                act=row.act,
                actor=row.actor,
                assessment=_assessment(entity_id, row.number),
                opened=_assessment(entity_id, row.opened_number),
                seconds=row.seconds,
            )
            readings.setdefault(row.override_id, []).append(reading)
    return readings


def _assessment(entity_id: int, number: int | None) -> str | None:
    return None if number is None else f"{entity_id}.{number}"
