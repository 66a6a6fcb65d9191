"""The settlement of a challenge: the outcome stands, facts were corrected, or a person decides instead of the rules.

Nothing is corrected or overridden here: that is done before, in the ordinary ways, with all that they ask for. Who
settles is a person, and another one than those who decided what is contested.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.store.ingest.entities import subject_of
from fivefold.store.ingest.ownerships import owned_numbers
from fivefold.store.levels.levels import assessment_of, current_level, first_assessment_from, override_in_force
from fivefold.store.levels.overrides import live_overrides, override_numbered
from fivefold.store.recourse import changed_facts
from fivefold.store.recourse.challenges import (
    CONFIRMED,
    CORRECTED,
    OPEN,
    OVERRIDDEN,
    challenge_numbered,
    override_of,
)
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import Assessment, OverrideRow
from fivefold.store.tables.recourse import Challenge
from fivefold.usecases.accounts.second_person import has_sole_operator, is_member, refuse_nobody, refuse_same_person
from fivefold.usecases.levels.overrides import state_of
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.levels.worker import assess_now
from fivefold.usecases.recourse.challenges import ChallengeLine, challenge_line, record_unchanged, row_of
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason

Outcome = Literal["confirmed", "corrected", "overridden"]
MOST_FACTS, MOST_FACT_CHARACTERS = 100, 200


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """How a challenge is settled.

    Attributes:
        outcome: confirmed: the assessment stands. corrected: facts were corrected, and it was made again. overridden:
            a person decided on a level instead of the rules, or took such a decision back.
        reason: why, for the organisation.
        answer: what the person concerned is shown besides the fixed words; nothing where it is empty.
        facts: that were corrected, each its kind and its name, such as `field income` or `transaction t-1`.
        override: the number of one that was approved since the challenge was opened; or of the contested one, if that
            was revoked since, or is over.
    """

    outcome: Outcome
    reason: str
    answer: str = ""
    facts: Sequence[str] = ()
    override: int | None = None


def settle_challenge(
    context: Context, number: int, settlement: Settlement, *, valuer: EntityScorer | None = None
) -> ChallengeLine:
    """Settle an open challenge. Unless it is confirmed, the entity is assessed at once, and the result is recorded.

    Raises:
        NotFoundError: there is no such challenge or override.
        ConfigError: the reason is empty, or what is given does not belong to the outcome.
        ConflictError: it was settled; who acts is no member, or decided what is contested; the record is not what it
            was; no such fact changed since the assessment; the override was neither approved nor revoked since the
            challenge was opened, nor is it a contested one that is over, or it is no other decision of other people;
            or assessed again it comes to the same as before that change.
    """
    checked = _checked(settlement)
    now = context.now()
    if checked.outcome != CONFIRMED:
        with context.reading() as session:
            row = challenge_numbered(session, context.organisation_id, number)
            _changed_us(session, context, row, checked, now)
            subject = subject_of(session.get_one(Entity, row.entity_id))
        done = assess_now(context.engine, subject, clock=context.clock, valuer=valuer, actor=context.actor.name)
        if done is None or done.failed:
            raise ConflictError(
                f"the entity of challenge {number} could not be assessed just now; settle it once that is possible"
            )
    with context.writing() as session:
        row = challenge_numbered(session, context.organisation_id, number, locked=True)
        changed = _changed_us(session, context, row, checked, now)
        row.settled_number = None if changed is None else _new_number(session, row, changed, now)
        row.state, row.settled_by, row.settled_us = checked.outcome, context.actor.name, now
        row.reason, row.answer = checked.reason, checked.answer or None
        row.facts, row.override_id = list(checked.facts) or None, checked.override
        context.record(
            session,
            f"challenge.{checked.outcome}",
            ("challenge", row.id),
            after={"reason": row.reason, "facts": list(checked.facts)},
            details={
                "entity_id": row.entity_id,
                "assessment": f"{row.entity_id}.{row.number}",
                "new_number": row.settled_number,
                "override": row.override_id,
            },
            rows=row_of(session, row),
        )
        return challenge_line(session, context.organisation_id, number, now)


def _checked(given: Settlement) -> Settlement:
    facts = tuple(each.strip() for each in given.facts)
    if given.outcome not in {CONFIRMED, CORRECTED, OVERRIDDEN}:
        raise ConfigError(f"the outcome is {given.outcome!r}; it must be confirmed, corrected or overridden")
    if bool(facts) != (given.outcome == CORRECTED):
        raise ConfigError("facts name what was corrected: where the outcome is corrected, and nowhere else")
    if (given.override is not None) != (given.outcome == OVERRIDDEN):
        raise ConfigError("override is the number of an override where the outcome is overridden, and nowhere else")
    if len(facts) > MOST_FACTS:
        raise ConfigError(f"there are {len(facts)} facts; at most {MOST_FACTS} can be named")
    for each in facts:
        kind, _, name = each.partition(" ")
        if kind not in changed_facts.KINDS or not name.strip() or len(each) > MOST_FACT_CHARACTERS:
            kinds = ", ".join(changed_facts.KINDS)
            raise ConfigError(
                f"the fact {each[:MOST_FACT_CHARACTERS]!r} must be its kind and its name, such as 'field income';"
                f" kinds are {kinds}"
            )
    return Settlement(
        outcome=given.outcome,
        reason=checked_reason(given.reason),
        answer=checked_reason(given.answer, "the answer") if given.answer.strip() else "",
        facts=facts,
        override=given.override,
    )


def _changed_us(session: Session, context: Context, row: Challenge, given: Settlement, now_us: int) -> int | None:
    """Return since when all is changed that the settlement names; None where the contested assessment stands.

    ConflictError unless this person can settle this challenge in this way.
    """
    if row.state != OPEN:
        raise ConflictError(
            f"challenge {row.id} was settled already: {row.state} by {row.settled_by}"
            f" on {day_text(row.settled_us or 0)[:10]}"
        )
    assessment = assessment_of(session, row.organisation_id, row.entity_id, row.number)
    if assessment is None or not record_unchanged(session, row):
        raise ConflictError(
            f"the record that challenge {row.id} contests is not what it was when it was opened;"
            " `fivefold audit verify` tells what changed"
        )
    number = override_of(session, assessment)
    contested = None if number is None else override_in_force(session, number)
    _refuse_deciders(session, context, given.outcome, contested)
    if given.outcome == CORRECTED:
        return _facts_changed_us(session, assessment, given.facts)
    if given.override is not None:
        return _override_changed_us(session, row, given.override, contested, now_us)
    return None


def _refuse_deciders(session: Session, context: Context, outcome: Outcome, contested: OverrideRow | None) -> None:
    """Refuse who asked for the override that is contested or approved it, and who is no known person.

    Who is behind an account of the machine nobody knows, so what one decided nobody can confirm, nor leave in force
    beside corrected facts: that two members decide on another override, or that it ends, settles such a challenge.
    """
    refuse_nobody(session, context.actor)
    if contested is None:
        return
    people = _people(contested)
    members = {name for name in people if is_member(name)}
    what = f"took part in override {contested.id}, which is contested: another person settles it"
    refuse_same_person(session, context.actor, members, what)
    unknown = sorted(people - members)
    if unknown and outcome != OVERRIDDEN and not has_sole_operator(session, context.organisation_id):
        raise ConflictError(
            f"{unknown[0]} took part in override {contested.id}, which is contested, and is not a member, so nothing"
            f" shows that {context.actor.name} is another person; let two members decide on an override again, or this"
            " one end, and settle the challenge as overridden"
        )


def _people(override: OverrideRow) -> set[str]:
    return {name for name in (override.requested_by, override.decided_by) if name is not None}


def _facts_changed_us(session: Session, assessment: Assessment, facts: Sequence[str]) -> int:
    entities = {assessment.entity_id, *owned_numbers(session, assessment.entity_id)}
    latest = assessment.as_of_us
    for each in facts:
        kind, _, name = each.partition(" ")
        changed = changed_facts.changed_us(session, entities, kind, name.strip(), assessment.as_of_us)
        if changed is None:
            raise ConflictError(
                f"the {kind} {name.strip()!r} is as it was at assessment {assessment.entity_id}.{assessment.number};"
                " correct it first, in the ordinary way"
            )
        latest = max(latest, changed)
    return latest


def _override_changed_us(
    session: Session, row: Challenge, number: int, contested: OverrideRow | None, now_us: int
) -> int:
    override = override_numbered(session, row.organisation_id, number)
    if override.entity_id != row.entity_id:
        raise ConflictError(f"override {number} is about another entity than challenge {row.id}")
    if contested is not None and number == contested.id:
        return _ended_us(session, row, contested, now_us)
    decided = override.decided_us or 0
    if state_of(override, now_us) != "live" or decided < row.opened_us:
        raise ConflictError(
            f"override {number} is {state_of(override, now_us)}; it must have been approved since challenge {row.id}"
            " was opened, and hold"
        )
    if contested is not None:
        _refuse_same_decision(session, override, contested)
    return decided


def _ended_us(session: Session, row: Challenge, contested: OverrideRow, now_us: int) -> int:
    """Return when the contested override ended: by itself, or as it was revoked since the challenge was opened."""
    state, revoked = state_of(contested, now_us), contested.revoked_us or 0
    if state != "expired" and (state != "revoked" or revoked < row.opened_us):
        raise ConflictError(
            f"override {contested.id} is what is contested; it must be revoked or over, or another one approved"
        )
    for other in live_overrides(session, row.entity_id, now_us):
        raise ConflictError(
            f"override {other.id} holds since override {contested.id} ended, which is contested: settle the challenge"
            " with that one"
        )
    return contested.until_us or 0 if state == "expired" else revoked


def _refuse_same_decision(session: Session, override: OverrideRow, contested: OverrideRow) -> None:
    """Refuse an override that is no other decision of other people than the one that is contested."""
    before, people = _people(contested), _people(override)
    sole = has_sole_operator(session, override.organisation_id)
    # What nobody can confirm, as an account of the machine decided it, members may decide on anew as it was.
    can_stand = sole or all(map(is_member, before))
    if can_stand and (override.level, override.until_us) == (contested.level, contested.until_us):
        raise ConflictError(
            f"override {override.id} has the level and the end of override {contested.id}, which is contested: that"
            " is no other decision; settle the challenge as confirmed"
        )
    if sole:
        return
    both = sorted(before & people)
    if both:
        raise ConflictError(
            f"{both[0]} took part in override {contested.id}, which is contested, and in override {override.id}: two"
            " other people decide anew"
        )
    if len(people) < 2 or not all(map(is_member, people)):
        raise ConflictError(
            f"override {override.id} was not decided by two members, so nothing says that it is a decision of other"
            f" people than override {contested.id}, which is contested"
        )


def _new_number(session: Session, row: Challenge, changed_us: int, now_us: int) -> int:
    """Return the first assessment since the change; that of before it says nothing about what was changed."""
    standing = current_level(session, row.entity_id)
    if standing is None or standing.assessed_us < now_us:
        raise ConflictError(f"the entity of challenge {row.id} was not assessed again yet; settle it once it is")
    number = first_assessment_from(session, row.entity_id, changed_us, after=row.number)
    if number is None:
        raise ConflictError(
            f"assessed again, the entity comes to the very same as in assessment {row.entity_id}.{standing.number},"
            " which is of before that change: nothing that the rules look at is different; settle the challenge as"
            " confirmed, or correct what is wrong first"
        )
    return number
