"""The settlement of a challenge: the outcome is confirmed, facts were corrected, or a person overrode the rules.

Nothing is corrected or overridden here: that is done before, in the ordinary ways, with all their requirements. The
settling person must be another one than those who decided on the contested outcome.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical
from fivefold.risk.compiler.value_types import inputs_of as inputs_of_condition
from fivefold.risk.compiler.value_types import inputs_of_group, linked_source
from fivefold.risk.facts.inputs import direct_parts_of, everything_in, part_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import DaysSince, FieldInput, Linked, ScreeningInput, TagInput
from fivefold.store.ingest.entities import subject_of
from fivefold.store.ingest.ownerships import owned_numbers
from fivefold.store.levels.levels import assessment_of, current_level, first_assessment_from, override_in_force
from fivefold.store.levels.overrides import ended_us, held_overrides, live_overrides, override_numbered
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
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.accounts.second_person import has_sole_operator, is_member, refuse_nobody, refuse_same_person
from fivefold.usecases.levels.content.breakdowns import breakdown_text, inputs_of
from fivefold.usecases.levels.overrides import state_of
from fivefold.usecases.levels.replay import made_again
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.levels.worker import assess_now
from fivefold.usecases.recourse.challenges import ChallengeLine, challenge_line, record_unchanged, row_of
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason, refuse_unseen_moment

Outcome = Literal["confirmed", "corrected", "overridden"]
MOST_FACTS, MOST_FACT_CHARACTERS = 100, 200


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """How a challenge is settled.

    Attributes:
        outcome: confirmed: the assessment is upheld. corrected: facts were corrected, and it was assessed again.
            overridden: a person set a level instead of the rules, or revoked such a decision.
        reason: why, for the organisation.
        answer: shown to the person concerned besides the fixed words; empty for nothing.
        facts: the corrected ones, each its kind and its name, such as `field income` or `transaction t-1`.
        override: the number of one that was approved since the challenge was opened; or of the contested one, if that
            was revoked since, or has ended.
        expected_opened_us: when the challenge was opened that was looked at; None not to ask.
    """

    outcome: Outcome
    reason: str
    answer: str = ""
    facts: Sequence[str] = ()
    override: int | None = None
    expected_opened_us: int | None = None


def settle_challenge(
    context: Context, number: int, settlement: Settlement, *, valuer: EntityScorer | None = None
) -> ChallengeLine:
    """Settle an open challenge. Unless it is confirmed, the entity is assessed at once, and the result is recorded.

    Raises:
        NotFoundError: there is no such challenge or override.
        ConfigError: the reason is empty, or an argument does not belong to the outcome.
        ConflictError: it was settled; it is another challenge than the caller saw; the actor is not a member, or took
            part in the contested decision; the record has changed; no such fact changed since the assessment; the
            override was neither approved nor revoked since the challenge was opened, nor is it a contested one that has
            ended, or it is not another decision by other people; the new assessment has the same result as before
            that change; or the rules read no such fact, or give the same without its correction.
    """
    valid_settlement = _checked(settlement)
    now = context.now()
    if valid_settlement.outcome != CONFIRMED:
        with context.reading() as session:
            row = challenge_numbered(session, context.organisation_id, number)
            _change_of(session, context, row, valid_settlement, now)
            subject = subject_of(session.get_one(Entity, row.entity_id))
        result = assess_now(context.engine, subject, clock=context.now, valuer=valuer, actor=context.actor.name)
        if result is None or result.failed:
            raise ConflictError(
                f"the entity of challenge {number} could not be assessed just now; settle it once that is possible"
            )
    with context.writing() as session:
        row = challenge_numbered(session, context.organisation_id, number, locked=True)
        change = _change_of(session, context, row, valid_settlement, now)
        settled_number = None if change is None else _new_number(session, row, change.last_us, now)
        if change is not None and settled_number is not None and valid_settlement.facts:
            _refuse_no_difference(session, row, settled_number, change, valid_settlement.facts)
        row.settled_number = settled_number
        row.state, row.settled_by, row.settled_us = valid_settlement.outcome, context.actor.name, now
        row.reason, row.answer = valid_settlement.reason, valid_settlement.answer or None
        row.facts, row.override_id = list(valid_settlement.facts) or None, valid_settlement.override
        context.record(
            session,
            f"challenge.{valid_settlement.outcome}",
            ("challenge", row.id),
            after={"reason": row.reason, "facts": list(valid_settlement.facts)},
            details={
                "entity_id": row.entity_id,
                "assessment": f"{row.entity_id}.{row.number}",
                "new_number": row.settled_number,
                "override": row.override_id,
            },
            rows=row_of(session, row),
        )
        return challenge_line(session, context.organisation_id, number, now)


def own_contested_override(context: Context, number: int) -> int | None:
    """Return the number of the override that a challenge contests, if the actor took part in it; otherwise None.

    Such a person cannot settle the challenge. NotFoundError if there is no such challenge.
    """
    with context.reading() as session:
        row = challenge_numbered(session, context.organisation_id, number)
        assessment = assessment_of(session, row.organisation_id, row.entity_id, row.number)
        contested = None if assessment is None else _contested(session, assessment)
        if contested is None or has_sole_operator(session, context.organisation_id):
            return None
        return contested.id if context.actor.name in _people(contested) else None


def _checked(settlement: Settlement) -> Settlement:
    """Check that the arguments belong to the outcome, and are well formed."""
    facts = tuple(each.strip() for each in settlement.facts)
    if settlement.outcome not in {CONFIRMED, CORRECTED, OVERRIDDEN}:
        raise ConfigError(f"the outcome is {settlement.outcome!r}; it must be confirmed, corrected or overridden")
    if bool(facts) != (settlement.outcome == CORRECTED):
        raise ConfigError(
            "facts names the corrected facts: required for the outcome corrected, and not allowed otherwise"
        )
    if (settlement.override is not None) != (settlement.outcome == OVERRIDDEN):
        raise ConfigError(
            "override names an override by its number: required for the outcome overridden, and not allowed otherwise"
        )
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
    return replace(
        settlement,
        reason=checked_reason(settlement.reason),
        answer=checked_reason(settlement.answer, "the answer") if settlement.answer.strip() else "",
        facts=facts,
    )


class _Change(NamedTuple):
    """When the first and the last fact or override that a settlement names changed, microseconds."""

    first_us: int
    last_us: int


def _change_of(
    session: Session, context: Context, row: Challenge, settlement: Settlement, now_us: int
) -> _Change | None:
    """Return when everything that the settlement names changed; None if the contested assessment is confirmed.

    ConflictError unless this person can settle this challenge in this way.
    """
    refuse_unseen_moment(f"challenge {row.id}", settlement.expected_opened_us, row.opened_us)
    if row.state != OPEN:
        raise ConflictError(
            f"challenge {row.id} was settled already: {row.state} by {row.settled_by}"
            f" on {day_text(row.settled_us or 0)[:10]}"
        )
    assessment = assessment_of(session, row.organisation_id, row.entity_id, row.number)
    if assessment is None or not record_unchanged(session, row):
        raise ConflictError(
            f"the record that challenge {row.id} contests has changed since it was opened;"
            " `fivefold audit verify` shows the change"
        )
    contested = _contested(session, assessment)
    _refuse_deciders(session, context, settlement.outcome, contested)
    if settlement.outcome == CORRECTED:
        return _change_of_facts(session, assessment, settlement.facts)
    if settlement.override is not None:
        changed_us = _override_changed_us(session, row, settlement.override, contested, now_us)
        return _Change(changed_us, changed_us)
    return None


def _contested(session: Session, assessment: Assessment) -> OverrideRow | None:
    """Find the override that an assessment shows; None if it shows none."""
    number = override_of(session, assessment)
    return None if number is None else override_in_force(session, number)


def _refuse_deciders(session: Session, context: Context, outcome: Outcome, contested: OverrideRow | None) -> None:
    """Refuse a person who requested or approved the contested override, and an unknown person.

    The person behind an account of the machine is unknown, so a decision by one cannot be confirmed by anyone, nor left
    in force beside corrected facts: such a challenge is settled when two members decide on another override, or it
    ends.
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


def _change_of_facts(session: Session, assessment: Assessment, facts: Sequence[str]) -> _Change:
    """Return when the first and the last of the corrected facts changed; ConflictError for one that did not change."""
    entities = {assessment.entity_id, *owned_numbers(session, assessment.entity_id)}
    moments = []
    for each in facts:
        kind, _, name = each.partition(" ")
        changed_us = changed_facts.changed_us(session, entities, kind, name.strip(), assessment.as_of_us)
        if changed_us is None:
            raise ConflictError(
                f"no {kind} {name.strip()!r} was added, changed or ended since assessment"
                f" {assessment.entity_id}.{assessment.number}; correct it first, in the ordinary way"
            )
        moments.append(changed_us)
    return _Change(min(moments), max(moments))


def _override_changed_us(
    session: Session, row: Challenge, number: int, contested: OverrideRow | None, now_us: int
) -> int:
    """Return when the override was decided, or since when none is in force; ConflictError for any other."""
    override = override_numbered(session, row.organisation_id, number)
    if override.entity_id != row.entity_id:
        raise ConflictError(f"override {number} is about another entity than challenge {row.id}")
    if contested is not None and number == contested.id:
        return _ended_us(session, row, contested, now_us)
    decided_us = override.decided_us or 0
    if state_of(override, now_us) != "live" or decided_us < row.opened_us:
        raise ConflictError(
            f"override {number} is {state_of(override, now_us)}; it must have been approved since challenge {row.id}"
            " was opened, and be in force"
        )
    if contested is not None:
        _refuse_same_decision(session, override, contested)
    return decided_us


def _ended_us(session: Session, row: Challenge, contested: OverrideRow, now_us: int) -> int:
    """Return since when no override is in force: the contested one ended, and so did all that replaced it.

    ConflictError unless the contested one ended by itself, or was revoked since the challenge was opened.
    """
    state = state_of(contested, now_us)
    if state == "revoked" and (contested.revoked_us or 0) < row.opened_us:
        raise ConflictError(
            f"override {contested.id} is the contested one, and was revoked before challenge {row.id} was opened;"
            " another one must be approved"
        )
    if state not in {"expired", "revoked"}:
        raise ConflictError(
            f"override {contested.id} is the contested one; it must be revoked or have ended, or another one"
            " must be approved"
        )
    for other in live_overrides(session, row.entity_id, now_us):
        raise ConflictError(
            f"override {other.id} is in force since override {contested.id} ended, which is contested; settle the"
            " challenge with that one"
        )
    return max(ended_us(each) or 0 for each in held_overrides(session, row.entity_id))


def _refuse_same_decision(session: Session, override: OverrideRow, contested: OverrideRow) -> None:
    """Refuse an override that is not another decision by other people than the contested one."""
    before, people = _people(contested), _people(override)
    sole = has_sole_operator(session, override.organisation_id)
    # Members may confirm by a new decision what an account of the machine decided, as nobody can confirm that itself.
    can_stand = sole or all(map(is_member, before))
    if can_stand and (override.level, override.until_us) == (contested.level, contested.until_us):
        raise ConflictError(
            f"override {override.id} has the level and the end of override {contested.id}, which is contested: that"
            " is the same decision; settle the challenge as confirmed"
        )
    if sole:
        return
    both = sorted(before & people)
    if both:
        raise ConflictError(
            f"{both[0]} took part in override {contested.id}, which is contested, and in override {override.id}: two"
            " other people must decide again"
        )
    if len(people) < 2 or not all(map(is_member, people)):
        raise ConflictError(
            f"override {override.id} was not decided by two members, so nothing shows that it is a decision of other"
            f" people than override {contested.id}, which is contested"
        )


def _refuse_no_difference(session: Session, row: Challenge, number: int, change: _Change, facts: Sequence[str]) -> None:
    """Raise ConflictError if the facts made no difference to an assessment since the last one before they changed."""
    first = first_assessment_from(session, row.entity_id, change.first_us, after=row.number)
    of = (session, row.organisation_id, row.entity_id)
    before, new_row = assessment_of(*of, row.number if first is None else first - 1), assessment_of(*of, number)
    if before is not None and new_row is not None:
        refuse_no_difference(session, before, new_row, facts)


def _new_number(session: Session, row: Challenge, changed_us: int, now_us: int) -> int:
    """Return the first assessment after the change; an earlier one does not reflect it."""
    standing = current_level(session, row.entity_id)
    if standing is None or standing.assessed_us < now_us:
        raise ConflictError(f"the entity of challenge {row.id} was not assessed again yet; settle it once it is")
    number = first_assessment_from(session, row.entity_id, changed_us, after=row.number)
    if number is None:
        raise ConflictError(
            f"the new assessment has the same result as assessment {row.entity_id}.{standing.number},"
            " which is older than the change: no input of the rules differs; settle the challenge as"
            " confirmed, or correct what is wrong first"
        )
    return number


_KINDS: Final[Mapping[str | None, str]] = {
    "transactions": "transaction",
    "indicators": "transaction",
    "values": "transaction",
    "cases": "case",
    "alerts": "alert",
    "tags": "tag",
    "screenings": "screening",
}
"""The kinds of facts from which each part of a portfolio is made."""


def refuse_no_difference(session: Session, before: Assessment, new_row: Assessment, facts: Sequence[str]) -> None:
    """Raise ConflictError if the corrected facts made no difference to an assessment.

    Either the rules read none of them; or with these inputs as in the assessment *before* the correction, they give the
    same cases and points. Changes of the same inputs by time or by another fact, such as of a count of
    transactions, cannot be separated from the correction.
    """
    versions = {each.id: each for each in (_version(session, before), _version(session, new_row)) if each is not None}
    analysed = {number: analyse_canonical(each.canonical) for number, each in versions.items()}
    keys_by_version = {
        number: _keys_reading([*each.inputs, *each.signals], each, facts) for number, each in analysed.items()
    }
    name = f"{before.entity_id}.{new_row.number}"
    otherwise = "settle the challenge as confirmed, or correct what is wrong first"
    is_of_another = len({each.family_id for each in versions.values()}) > 1
    if is_of_another or new_row.version_id is None:
        # Which ruleset decides may itself depend on the facts.
        is_read = not keys_by_version or any(keys_by_version.values())
    else:
        is_read = bool(keys_by_version[new_row.version_id])
    if not is_read:
        raise ConflictError(
            f"the rules read none of {', '.join(facts)}, so their correction made no difference to assessment {name}:"
            f" {otherwise}"
        )
    if new_row.version_id is None:
        return
    is_same = _is_same_with(session, new_row, before, versions[new_row.version_id], keys_by_version[new_row.version_id])
    if is_same and is_of_another and before.version_id is not None:
        # The new ruleset may read none of the facts by which the earlier one applies.
        earlier = analysed[before.version_id]
        keys = _keys_reading(inputs_of_condition(earlier.ruleset.applies_to), earlier, facts)
        is_same = _is_same_with(session, before, new_row, versions[before.version_id], keys)
    if is_same:
        raise ConflictError(
            f"assessment {name} comes to the same without the correction of {', '.join(facts)}, so only something else"
            f" made a difference: {otherwise}"
        )


def _version(session: Session, row: Assessment) -> RulesetVersion | None:
    return None if row.version_id is None else session.get_one(RulesetVersion, row.version_id)


def _keys_reading(inputs: Iterable[LanguageModel], analysed: AnalysedRuleset, facts: Sequence[str]) -> frozenset[str]:
    """Return the keys of inputs, and of their parts, that read one of some facts."""
    parts = partial(direct_parts_of, names=analysed.names)
    everything = everything_in(inputs, parts)
    return frozenset(
        key
        for key, each in everything.items()
        if any(_reads(part, fact) for part in everything_in([each], parts).values() for fact in facts)
    )


def _reads(each: LanguageModel, fact: str) -> bool:
    """Return whether an input without parts reads a fact; facts of linked entities may be the entity's own too.

    >>> _reads(FieldInput(field="income"), "field income"), _reads(TagInput(tag="vips"), "tag vip")
    (True, False)
    """
    kind, _, name = fact.partition(" ")
    match each:
        case Linked(linked=group):
            return any(_reads(part, fact) for part in chain.from_iterable(map(_simple, inputs_of_group(group))))
        case FieldInput(field=own) | TagInput(tag=own) | ScreeningInput(screening=own):
            return (kind, name.strip()) == (next(iter(type(each).model_fields)), own)
        case DaysSince() if part_of(each) is None:
            return (kind, name.strip()) == ("field", linked_source(each))
    return _KINDS.get(part_of(each)) == kind


def _simple(each: Any) -> Iterator[LanguageModel]:
    """Yield both sides of a ratio, or the input itself; from linked entities nothing else is read."""
    yield from getattr(each, "ratio", (each,))


def _is_same_with(
    session: Session, row: Assessment, other: Assessment, version: RulesetVersion, keys: frozenset[str]
) -> bool:
    """Compute an assessment again with some inputs from another one; return whether the result is the same."""
    recorded, of_other = inputs_of(session, row), inputs_of(session, other)
    if recorded is None or of_other is None or other.version_id is None:
        return False
    if _columns_of(of_other, keys) != _columns_of(recorded, keys):  # such as of a value that could not be read
        return False
    values = recorded["inputs"]
    inputs = {name: of_other["inputs"][name] if _is_of(name, keys) else value for name, value in values.items()}
    if inputs == values:
        return True
    again = made_again(session, row, version.content_hash, {**recorded, "inputs": inputs})
    return _outcome(again) == _outcome(breakdown_text(session, row) or "{}")


def _outcome(breakdown: str) -> dict[str, Any]:
    """Return the result of a breakdown, without the values that it names: values that move no case decide nothing."""
    content: dict[str, Any] = json.loads(breakdown)
    rules = [{name: each[name] for name in _OF_RULE} for each in content.get("rules", ())]
    return {**{name: content.get(name) for name in _OF_ALL}, "rules": rules}


_OF_ALL: Final = ("status", "level", "rules_level", "score_level", "total", "floor")
_OF_RULE: Final = ("rule", "case", "points", "factor", "floor")


def _columns_of(recorded_inputs: Mapping[str, Any], keys: frozenset[str]) -> tuple[Any, ...]:
    """Return the columns of some inputs with their types, and the base currency."""
    columns = zip(recorded_inputs["inputs"], recorded_inputs["types"], strict=True)
    return (recorded_inputs["base"], frozenset(each for each in columns if _is_of(each[0], keys)))


def _is_of(column: str, keys: frozenset[str]) -> bool:
    """Return whether a column belongs to one of some inputs: its name is the key, with or without a suffix."""
    return column in keys or column[:-1] in keys
