"""Challenges: a person contests an assessment, its record is preserved, and another person settles it by a date.

An assessment has at most one open challenge. While one is open, nothing of the record that it contests can be erased;
each time it is read, a hash proves that the record is unchanged. Settling is in `usecases.recourse.settlement`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.audit.bound_rows import Digests, digests
from fivefold.store.ingest.entities import entity_named, type_named
from fivefold.store.levels.levels import assessment_of
from fivefold.store.recourse import challenges as stored
from fivefold.store.recourse.challenges import OPEN, ChallengeFilter, ChallengeWithEntity
from fivefold.store.sql.clocks import latest_us
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import Assessment
from fivefold.store.tables.recourse import Challenge
from fivefold.usecases.accounts.settings import settings_of
from fivefold.usecases.levels.content.breakdowns import gone_text
from fivefold.usecases.levels.read import find_assessment
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_moment, checked_reason, require_known

STATES: Final = (OPEN, stored.CONFIRMED, stored.CORRECTED, stored.OVERRIDDEN)


@schema("Challenge")
@dataclass(frozen=True, kw_only=True)
class ChallengeLine:
    """A challenge. `reason` is of the settlement and for the organisation; `answer` is for the person concerned.

    Attributes:
        assessment: the contested one, such as 12.3.
        is_newest: no later assessment of the entity had another result.
        words: of the person.
        due_us: by when it is to be settled.
        overdue: it is open, and was due.
        record_unchanged: the contested record is byte for byte the same as when it was opened.
        state: open, confirmed, corrected or overridden.
        facts: the corrected ones.
        new_assessment: the first one after all changes that the settlement names; None if the contested one is
            confirmed.
        override: the override that replaced the rules' level, or that was revoked; None for none.
    """

    id: int
    assessment: str
    is_newest: bool
    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    words: str
    received_us: Annotated[Moment, shown_as("received_at")]
    opened_us: Annotated[Moment, shown_as("opened_at")]
    opened_by: str
    due_us: Annotated[Moment, shown_as("due_at")]
    overdue: bool
    record_sha256: str
    record_unchanged: bool
    state: str
    settled_by: str | None
    settled_us: Annotated[Moment | None, shown_as("settled_at")]
    reason: str | None
    answer: str | None
    facts: tuple[str, ...]
    new_assessment: str | None
    override: int | None


@dataclass(frozen=True, kw_only=True)
class ChallengeSummary:
    """A challenge in a list of many, without the comparison of its record."""

    id: int
    assessment: str
    entity_type: str
    external_id: str
    words: str
    received_us: int
    due_us: int
    overdue: bool
    state: str
    settled_by: str | None
    settled_us: int | None


@dataclass(frozen=True, kw_only=True)
class ChallengeFilters:
    """Which challenges are listed; None sets no condition.

    Attributes:
        state: one of `STATES`.
        type_name: the type of their entities.
        entity: type and identifier of their entity.
        due_before_us: due before this moment; microseconds.
    """

    state: str | None = None
    type_name: str | None = None
    entity: tuple[str, str] | None = None
    due_before_us: int | None = None


EVERY: Final = ChallengeFilters()


def open_challenge(context: Context, assessment: str, words: str, received_us: int | None = None) -> ChallengeLine:
    """Open a challenge of an assessment, such as 12.3; the same words received at the same time are the same challenge.

    Args:
        context: who records it.
        assessment: the number of the assessment.
        words: the person's words.
        received_us: when these were received; None for now. It is due after the organisation's number of days.

    Raises:
        NotFoundError: there is no such assessment.
        ConfigError: there are no words, or the moment is invalid, or in the future.
        ConflictError: another challenge of this assessment is open, or the assessment is later than the words.
    """
    now, person_words = context.now(), checked_reason(words, "the words of the challenge")
    received_at = now if received_us is None else checked_moment(received_us, "received")
    with context.writing() as session:
        row = find_assessment(session, context.actor, assessment)
        entity = session.get_one(Entity, row.entity_id)
        session.refresh(entity, with_for_update={"key_share": True})  # it cannot be erased meanwhile
        if entity.erased_us is not None:
            raise NotFoundError(f"there is no assessment {assessment!r}")
        session.refresh(row)  # now that nothing can be removed from it any more
        if row.breakdown is None:
            raise ConflictError(
                f"assessment {assessment} {gone_text(session, row)}: its inputs were removed, so nobody can"
                " check whether it was right; the present level can be contested"
            )
        _refuse_moment(session, row, received_at, now)
        same = _open_or_same(session, row, person_words, received_at if received_us is not None else None)
        if same is not None:
            return challenge_line(session, context.organisation_id, same.id, now)
        days = settings_of(session, context.organisation_id).challenge_days
        challenge = Challenge(
            organisation_id=context.organisation_id,
            entity_id=row.entity_id,
            number=row.number,
            words=person_words,
            received_us=received_at,
            opened_us=now,
            opened_by=context.actor.name,
            due_us=received_at + days * DAY_US,
            record_sha256=stored.record_sha256(session, row),
            state=OPEN,
        )
        session.add(challenge)
        session.flush()
        context.record(
            session,
            "challenge.opened",
            ("challenge", challenge.id),
            details={"entity_id": row.entity_id, "assessment": assessment, "due_us": challenge.due_us},
            rows=row_of(session, challenge),
        )
        return challenge_line(session, context.organisation_id, challenge.id, now)


def _open_or_same(session: Session, row: Assessment, words: str, received_us: int | None) -> Challenge | None:
    """Find the challenge that is being opened again; ConflictError if another one is open."""
    for each in stored.challenges_of(session, row.entity_id, row.number):
        if each.words == words and (each.received_us == received_us or (received_us is None and each.state == OPEN)):
            return each
        if each.state == OPEN:
            raise ConflictError(
                f"challenge {each.id} of assessment {row.entity_id}.{row.number} is open, and due on"
                f" {day_text(each.due_us)[:10]}; it is settled before another one is opened"
            )
    return None


def _refuse_moment(session: Session, row: Assessment, received_us: int, now_us: int) -> None:
    if received_us > latest_us(session, now_us, received_us):
        raise ConfigError(f"received is {day_text(received_us)}, which is in the future")
    if received_us // DAY_US < row.as_of_us // DAY_US:
        raise ConflictError(
            f"assessment {row.entity_id}.{row.number} is of {day_text(row.as_of_us)[:10]}, but the challenge was"
            f" received on {day_text(received_us)[:10]}: it contests an earlier one"
        )


def row_of(session: Session, row: Challenge) -> Digests:
    """Hash a challenge as stored, for the entry of the audit log that binds it."""
    return digests(session, "challenges", [row.id])


def list_challenges(context: Context, filters: ChallengeFilters = EVERY, part: Part = WHOLE) -> Page[ChallengeLine]:
    """List challenges, ordered by due date; without those of erased entities.

    ConfigError if there is no such state; NotFoundError if a named type or entity does not exist.
    """
    now = context.now()
    with context.reading() as session:
        page = _find_challenges(session, context, filters, part)
        whole = stored.unchanged_records(session, context.organisation_id, (row.challenge for row in page))
        return page.map(lambda row: _line(row, now, unchanged=row.challenge.id in whole))


def summarise_challenges(context: Context, filters: ChallengeFilters, part: Part = WHOLE) -> Page[ChallengeSummary]:
    """List challenges as `list_challenges` does, in one statement however many there are."""
    now = context.now()
    with context.reading() as session:
        return _find_challenges(session, context, filters, part).map(lambda row: _summary(row, now))


def _find_challenges(
    session: Session, context: Context, filters: ChallengeFilters, part: Part
) -> Page[ChallengeWithEntity]:
    """Check the filters, and read the challenges that match."""
    require_known("state", [filters.state], STATES)
    of = context.organisation_id
    challenge_filter = ChallengeFilter(
        organisation_id=of,
        state=filters.state,
        type_id=None if filters.type_name is None else type_named(session, of, filters.type_name).id,
        entity_id=None if filters.entity is None else entity_named(session, of, *filters.entity).id,
        due_before_us=filters.due_before_us,
    )
    return stored.challenges_among(session, challenge_filter, part)


def _summary(entry: ChallengeWithEntity, now_us: int) -> ChallengeSummary:
    """Describe a challenge without its record."""
    row = entry.challenge
    return row_as(
        ChallengeSummary,
        row,
        assessment=f"{row.entity_id}.{row.number}",
        entity_type=entry.type_name,
        external_id=entry.external_id,
        overdue=is_overdue(row, now_us),
    )


def is_overdue(row: Challenge, now_us: int) -> bool:
    """Return whether a challenge is open, and was due."""
    return row.state == OPEN and row.due_us <= now_us


def read_challenge(context: Context, number: int) -> ChallengeLine:
    """Show a challenge; NotFoundError if there is none of that number."""
    now = context.now()
    with context.reading() as session:
        return challenge_line(session, context.organisation_id, number, now)


def challenge_line(session: Session, organisation_id: int, number: int, now_us: int) -> ChallengeLine:
    """Show one challenge; NotFoundError if there is none of that number."""
    challenge_filter = ChallengeFilter(organisation_id=organisation_id, number=number)
    rows: Sequence[ChallengeWithEntity] = stored.challenges_among(session, challenge_filter, WHOLE)
    if not rows:
        raise NotFoundError(f"there is no challenge {number}")
    return _line(rows[0], now_us, unchanged=record_unchanged(session, rows[0].challenge))


def _line(entry: ChallengeWithEntity, now_us: int, *, unchanged: bool) -> ChallengeLine:
    """Describe a challenge, with the comparison of its record."""
    row = entry.challenge
    new_number = row.settled_number
    return row_as(
        ChallengeLine,
        row,
        assessment=f"{row.entity_id}.{row.number}",
        is_newest=entry.newest_number == row.number,
        entity_type=entry.type_name,
        external_id=entry.external_id,
        overdue=is_overdue(row, now_us),
        record_unchanged=unchanged,
        facts=tuple(row.facts or ()),
        new_assessment=None if new_number is None else f"{row.entity_id}.{new_number}",
        override=row.override_id,
    )


def record_unchanged(session: Session, row: Challenge) -> bool:
    """Return whether the contested assessment and everything it rests on are as when the challenge was opened."""
    assessment = assessment_of(session, row.organisation_id, row.entity_id, row.number)
    return assessment is not None and stored.record_sha256(session, assessment) == row.record_sha256
