"""Challenges: the contested assessment, and the hash of its record. Nothing here begins or ends a transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.store.audit.standings import COLUMNS, standing_in
from fivefold.store.levels.levels import assessments_named
from fivefold.store.sql.arrays import among
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import Assessment, AssessmentInputs, Standing
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import RulesetVersion

OPEN, CONFIRMED, CORRECTED, OVERRIDDEN = "open", "confirmed", "corrected", "overridden"

_RECORDED: Final = (
    *("entity_id", "number", "organisation_id", "as_of_us", "version_id", "source", "status", "level", "rules_level"),
    *("floor", "score", "engine", "breakdown", "batch"),
)
"""Columns of an assessment in the hash of its record: listed explicitly, so a new column changes no old hash."""


def challenge_numbered(session: Session, organisation_id: int, number: int, *, locked: bool = False) -> Challenge:
    """Find a challenge; *locked* locks it and its entity, also against erasure, until the transaction ends.

    NotFoundError if the organisation has none of that number.
    """
    statement = select(Challenge.entity_id).join(Entity, Entity.id == Challenge.entity_id)
    of = (Challenge.id == number, Challenge.organisation_id == organisation_id, Entity.erased_us.is_(None))
    statement = statement.where(*of)
    challenge = session.scalar(statement.with_for_update(key_share=True, of=Entity) if locked else statement)
    row = (
        None if challenge is None else session.get(Challenge, number, with_for_update=locked, populate_existing=locked)
    )
    if row is None:
        raise NotFoundError(f"there is no challenge {number}")
    return row


def challenges_of(session: Session, entity_id: int, number: int) -> Sequence[Challenge]:
    """List the challenges of one assessment, the first one first."""
    of = (Challenge.entity_id == entity_id, Challenge.number == number)
    return session.scalars(select(Challenge).where(*of).order_by(Challenge.id)).all()


@dataclass(frozen=True)
class ChallengeWithEntity:
    """A challenge, its entity, and the number of the entity's latest assessment; None if it no longer has one."""

    challenge: Challenge
    external_id: str
    type_name: str
    newest_number: int | None


@dataclass(frozen=True, kw_only=True)
class ChallengeFilter:
    """Which challenges of an organisation are listed; None sets no condition.

    Attributes:
        due_before_us: due before this moment; microseconds.
    """

    organisation_id: int
    number: int | None = None
    state: str | None = None
    type_id: int | None = None
    entity_id: int | None = None
    due_before_us: int | None = None


def challenges_among(session: Session, challenge_filter: ChallengeFilter, part: Part) -> Page[ChallengeWithEntity]:
    """List the challenges that match a filter, ordered by due date; without those of erased entities."""
    statement = (
        select(Challenge, Entity.external_id, EntityType.name, Standing.number)
        .join(Entity, Entity.id == Challenge.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
        .outerjoin(Standing, Standing.entity_id == Challenge.entity_id)
        .where(Challenge.organisation_id == challenge_filter.organisation_id, Entity.erased_us.is_(None))
    )
    conditions = (
        (Challenge.id, challenge_filter.number),
        (Challenge.state, challenge_filter.state),
        (Entity.type_id, challenge_filter.type_id),
        (Challenge.entity_id, challenge_filter.entity_id),
    )
    for column, value in conditions:
        if value is not None:
            statement = statement.where(column == value)
    if challenge_filter.due_before_us is not None:
        statement = statement.where(Challenge.due_us < challenge_filter.due_before_us)
    keys = (Challenge.due_us, Challenge.id)
    return rows_of(session, statement, keys, part).map(lambda row: ChallengeWithEntity(*row))


def record_sha256(session: Session, assessment: Assessment) -> str:
    """Hash an assessment with all that it rests on: its row, inputs with the lists' versions, breakdown, and ruleset.

    Absent values are left out: a column added later, which older rows lack, changes no hash.
    """
    version = None if assessment.version_id is None else session.get(RulesetVersion, assessment.version_id)
    return _sha256_of(assessment, _content_of(session, assessment), None if version is None else version.canonical)


def unchanged_records(session: Session, organisation_id: int, challenges: Iterable[Challenge]) -> set[int]:
    """Return the numbers of challenges whose records have the same hash as at the opening; reads them together."""
    contested = {each.id: each for each in challenges}
    names = sorted({(each.entity_id, each.number) for each in contested.values()})
    assessments = assessments_named(session, organisation_id, names)
    by_version = among(session, RulesetVersion.id, sorted({row.version_id for row, _ in assessments if row.version_id}))
    statement = select(RulesetVersion.id, RulesetVersion.canonical).where(by_version)
    canonicals = {row.id: row.canonical for row in session.execute(statement)}
    hashes = {
        (row.entity_id, row.number): _sha256_of(row, content, canonicals.get(row.version_id))
        for row, content in assessments
    }
    return {
        number for number, each in contested.items() if hashes.get((each.entity_id, each.number)) == each.record_sha256
    }


def _sha256_of(assessment: Assessment, inputs: str | None, ruleset: str | None) -> str:
    row = {name: getattr(assessment, name) for name in _RECORDED}
    there = {name: value for name, value in {**row, "inputs": inputs, "ruleset": ruleset}.items() if value is not None}
    return sha256(canonical_json(there).encode()).hexdigest()


def override_of(session: Session, assessment: Assessment) -> int | None:
    """Return the number of the override in force in an assessment; None without one."""
    stands = standing_in(_content_of(session, assessment))
    number: int | None = None if stands is None else stands[COLUMNS.index("override_id")]
    return number


def _content_of(session: Session, assessment: Assessment) -> str | None:
    inputs = session.get(AssessmentInputs, (assessment.entity_id, assessment.number), populate_existing=True)
    return None if inputs is None else inputs.content
