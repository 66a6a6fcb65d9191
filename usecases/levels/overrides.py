"""Overrides: a level that one person requests and another approves; the level by the rules stays known beneath it.

Revoking an override that lies below the level of the rules raises the level, so one person does it. Revoking any other
override may lower the level, now or at the next assessment, so it is proposed (`usecases.changes`) and another person
approves it.

At most a set part of the portfolio may be below the level of the rules. This cap is checked at approval, one
approval at a time. No override may lie below a live floor; where the engine finds a higher floor later, the floor wins.
An override ends by itself at its instant, and the worker assesses the entity again then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.governance.validate.measures import above_cap
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.ingest.entities import entity_named, no_entity, subject_of
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.overrides import (
    OverrideWithLevel,
    count_below,
    count_with_level,
    live_overrides,
    override_numbered,
    overrides_with_levels,
    requested_beside,
    undecided_override,
)
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import OverrideRow, Standing
from fivefold.usecases.accounts.readings import keep_reading
from fivefold.usecases.accounts.second_person import refuse_same_person
from fivefold.usecases.accounts.settings import Settings, locked_settings, settings_of
from fivefold.usecases.levels.read import find_assessment
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.flow_triggers import behind
from fivefold.usecases.shared.inputs import checked_moment, checked_reason, refuse_unseen_moment, require_known

PAST_END: Final = "its own end passed before a person decided"
"""Why fivefold refuses an override that was requested."""


@schema("Override")
@dataclass(frozen=True, kw_only=True)
class OverrideLine:
    """An override, with what would hold without it; `below_floor`: a live floor is higher, and holds instead.

    Attributes:
        level: the level requested.
        rules_level: the level without it; None for no level.
        present_level: the level in force at the last assessment.
        below_floor: whether a live floor is higher, and holds instead.
        state: requested, refused, live, expired or revoked.
        until_us: the exact moment of its end; None for no end.
    """

    id: int
    entity_type: str
    external_id: str
    level: str
    rules_level: str | None
    present_level: str | None
    below_floor: bool
    reason: str
    until_us: Annotated[Moment | None, shown_as("until")]
    state: str
    requested_by: str
    requested_us: Annotated[Moment, shown_as("requested_at")]
    decided_by: str | None
    decided_us: Annotated[Moment | None, shown_as("decided_at")]
    decision_reason: str | None
    revoked_by: str | None
    revoked_us: Annotated[Moment | None, shown_as("revoked_at")]
    revocation_reason: str | None


@dataclass(frozen=True)
class OverrideCap:
    """How many entities stand below what the rules say, of how many with a level, and how many percent may.

    Attributes:
        below: how many live overrides are below the level by the rules.
        with_level: how many entities have a level.
        percent: the most percent of these that may be below.
    """

    below: int
    with_level: int
    percent: int


def overrides_of(
    context: Context, type_name: str | None = None, external_id: str | None = None, part: Part = WHOLE
) -> Page[OverrideLine]:
    """List the overrides of one entity, or of all if none is named, the newest first.

    NotFoundError if the named entity does not exist.
    """
    now = context.now()
    with context.reading() as session:
        entity_id = None
        if type_name is not None and external_id is not None:
            entity_id = entity_named(session, context.organisation_id, type_name, external_id).id
        names = levels_of(session, context.organisation_id)
        rows = overrides_with_levels(session, context.organisation_id, entity_id, part=part)
        return rows.map(lambda each: line_of(each, names, now))


def read_override(context: Context, number: int) -> OverrideLine:
    """Return an override; NotFoundError if none has that number."""
    now = context.now()
    with context.reading() as session:
        override = override_numbered(session, context.organisation_id, number)
        return override_line(session, override, now)


def cap_of(context: Context) -> OverrideCap:
    """Return how much of the portfolio is overridden downwards, and how much may be."""
    now = context.now()
    with context.reading() as session:
        below = count_below(session, context.organisation_id, now, without=0)
        percent = settings_of(session, context.organisation_id).override_cap_percent
        return OverrideCap(below, count_with_level(session, context.organisation_id), percent)


def waiting_beside(context: Context, numbers: Sequence[int]) -> set[int]:
    """Return the overrides among *numbers* that wait for a decision while another one of the same entity waits too.

    The last one approved ends the earlier ones.
    """
    with context.reading() as session:
        return requested_beside(session, context.organisation_id, numbers)


def lowest_level(context: Context, type_name: str, external_id: str) -> int:
    """Return the number of the lowest level that an override of an entity may have: 1, or that of a live floor."""
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        return max(1, _floor_of(session, entity.id))


def override_line(session: Session, override: OverrideRow, now_us: int) -> OverrideLine:
    """Return one override as it is listed."""
    (row,) = overrides_with_levels(session, override.organisation_id, number=override.id)
    return line_of(row, levels_of(session, override.organisation_id), now_us)


def line_of(row: OverrideWithLevel, names: Sequence[str], now_us: int) -> OverrideLine:
    """Return an override as it is listed; one of an erased entity is no longer live."""
    override, standing = row.override, row.standing
    state = state_of(override, now_us)
    return row_as(
        OverrideLine,
        override,
        entity_type=row.type_name,
        external_id=row.entity.external_id,
        level=names[override.level - 1],
        rules_level=None if standing is None else _name(names, standing.rules_level),
        present_level=None if standing is None else _name(names, standing.level),
        below_floor=standing is not None and override.level < standing.hard_floor,
        state="expired" if row.entity.erased_us is not None and state == "live" else state,
    )


def _name(names: Sequence[str], level: int | None) -> str | None:
    return None if level is None else names[level - 1]


def state_of(override: OverrideRow, now_us: int) -> str:
    """Return the state of an override: requested, refused, live, expired or revoked."""
    if override.state != "approved":
        return override.state
    return "live" if override.until_us is None or override.until_us > now_us else "expired"


def request_override(
    context: Context,
    type_name: str,
    external_id: str,
    level: str,
    reason: str,
    until_us: int | None = None,
    *,
    read_in: int | None = None,
) -> OverrideLine:
    """Request a level; nothing changes until another person approves it.

    If the same request of the same person still waits for a decision, it is returned, and no second one is made.

    Args:
        context: who requests it.
        type_name: the type of the entity.
        external_id: the external name of the entity.
        level: the level.
        reason: why.
        until_us: when it ends; None for never.
        read_in: the session of the console in which the actor read before; likewise in the other acts.

    Raises:
        NotFoundError: there is no such entity.
        ConfigError: the level does not exist, the reason is empty, or the end is not a moment.
        ConflictError: no ruleset was written yet, the end is past, or the level is below a live floor.
    """
    now = context.now()
    why = checked_reason(reason)
    with context.writing() as session:
        settings = settings_of(session, context.organisation_id)
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        session.refresh(entity, with_for_update={"key_share": True})  # it cannot be erased meanwhile
        if entity.erased_us is not None:
            raise no_entity(session, context.organisation_id, type_name, external_id)
        if settings.locked_us is None:
            raise ConflictError("there is no ruleset yet, so the levels may still change; nobody has one to override")
        override = OverrideRow(
            organisation_id=context.organisation_id,
            entity_id=entity.id,
            level=_number(settings, level),
            reason=why,
            until_us=until_us,
            state="requested",
            requested_by=context.actor.name,
            requested_us=now,
        )
        _refuse_past_end(until_us, now)
        if (present := undecided_override(session, override)) is not None:
            return override_line(session, present, now)
        _refuse_below_floor(session, override, settings)
        session.add(override)
        session.flush()
        _record(session, context, "override.requested", override, {"reason": why, "at_us": now}, read_in=read_in)
        return override_line(session, override, now)


def _number(settings: Settings, level: str) -> int:
    require_known("level", [level], settings.levels)
    return settings.levels.index(level) + 1


def _refuse_past_end(until_us: int | None, now_us: int) -> None:
    if until_us is not None and checked_moment(until_us, "until_us") <= now_us:
        raise ConflictError(f"until is {day_text(until_us)}, which is past; the end of an override must lie ahead")


def _refuse_below_floor(session: Session, override: OverrideRow, settings: Settings) -> None:
    floor = _floor_of(session, override.entity_id)
    if override.level < floor:
        raise ConflictError(
            f"a floor keeps the level at {settings.levels[floor - 1]} or above;"
            f" an override cannot go below it, to {settings.levels[override.level - 1]}"
        )


def _floor_of(session: Session, entity_id: int) -> int:
    """Return the number of the floor that no override goes below; 0 for none."""
    standing = session.get(Standing, entity_id, populate_existing=True)
    return 0 if standing is None else standing.hard_floor


def approve_override(
    context: Context,
    override_id: int,
    reason: str = "",
    *,
    read_in: int | None = None,
    expected_assessment: str | None = None,
    expected_requested_us: int | None = None,
) -> OverrideLine:
    """Approve a level that another person requested; it revokes the live override of the same entity.

    *expected_assessment*: the assessment whose reasons were read, such as 12.3, 0 for none; None for no check.
    *expected_requested_us*: when the override that was read had been requested; None for no check.

    Raises:
        NotFoundError: there is no such override.
        ConflictError: the actor requested it; it was decided; its end is past; it is below a live floor; the level, the
            level without it, the floor or the override differs from the one that was read; or too much of the portfolio
            would be below the level by the rules.
    """
    now = context.now()
    why = checked_reason(reason) if reason else None
    with context.writing() as session:
        settings = locked_settings(session, context.organisation_id)  # one approval at a time: the cap is counted
        override = _to_decide(session, context, override_id, expected_requested_us)
        _refuse_past_end(override.until_us, now)
        _refuse_below_floor(session, override, settings)
        _refuse_other_reasons(session, override, context.actor, expected_assessment)
        _refuse_above_cap(session, override, settings, now)
        replaced = [_revoke(older, context, f"replaced by override {override.id}", now) for older in
                    live_overrides(session, override.entity_id, now)]  # fmt: skip
        override.state, override.decided_by, override.decided_us = "approved", context.actor.name, now
        override.decision_reason = why
        _mark(session, override, now)
        details = {"reason": why, "at_us": now}
        _record(session, context, "override.approved", override, details, replaced, read_in=read_in)
        return override_line(session, override, now)


def _to_decide(session: Session, context: Context, override_id: int, expected_us: int | None) -> OverrideRow:
    override = override_numbered(session, context.organisation_id, override_id)
    refuse_unseen_moment(f"override {override_id}", expected_us, override.requested_us)
    if override.state != "requested":
        raise ConflictError(f"override {override_id} was {override.state} already")
    what = f"asked for override {override_id}: another person decides"
    refuse_same_person(session, context.actor, (override.requested_by,), what)
    return override


def _refuse_other_reasons(session: Session, override: OverrideRow, actor: Actor, expected: str | None) -> None:
    """Raise ConflictError if the level or floors differ from those that were read; a newer equal assessment passes."""
    standing = session.get(Standing, override.entity_id)
    present = "0" if standing is None else f"{standing.entity_id}.{standing.number}"
    if expected is None or expected == present:
        return
    if "0" in {expected, present}:
        was, now = ("none" if each == "0" else each for each in (expected, present))
        raise ConflictError(f"the assessment is {now} now; it was {was} when it was looked at")
    try:
        earlier = find_assessment(session, actor, expected)
    except NotFoundError:
        raise ConflictError(f"the assessment {expected} that was looked at is kept no more: look again") from None
    if earlier.entity_id != override.entity_id:
        raise ConflictError(f"the assessment {expected} that was looked at is of another entity: look again")
    later = find_assessment(session, actor, present)
    names = ("none", *levels_of(session, override.organisation_id))
    for what, was_number, number in (
        ("the level without the override", earlier.rules_level, later.rules_level),
        ("the floor", earlier.floor, later.floor),
        ("the level", earlier.level, later.level),
    ):
        was, now = names[was_number or 0], names[number or 0]
        if was != now:
            raise ConflictError(f"{what} is {now} now; it was {was} in the assessment {expected} that was looked at")


def _refuse_above_cap(session: Session, override: OverrideRow, settings: Settings, now_us: int) -> None:
    standing = session.get(Standing, override.entity_id)
    if standing is None or standing.rules_level is None or override.level >= standing.rules_level:
        return
    below = count_below(session, override.organisation_id, now_us, without=override.entity_id) + 1
    of = count_with_level(session, override.organisation_id)
    if above_cap(below, of, settings.override_cap_percent):
        raise ConflictError(
            f"{below} of {of} entities would stand below what the rules say;"
            f" at most {settings.override_cap_percent} % may"
        )


def refuse_override(
    context: Context,
    override_id: int,
    reason: str,
    *,
    read_in: int | None = None,
    expected_requested_us: int | None = None,
) -> OverrideLine:
    """Refuse a level that another person requested; *expected_requested_us* is as in `approve_override`.

    Raises:
        NotFoundError: there is no such override.
        ConfigError: the reason is empty.
        ConflictError: the actor requested it; it was decided; or it is not the override that was read.
    """
    now = context.now()
    why = checked_reason(reason)
    with context.writing() as session:
        locked_settings(session, context.organisation_id)
        override = _to_decide(session, context, override_id, expected_requested_us)
        _refuse(session, context, override, why, now, read_in)
        return override_line(session, override, now)


def refuse_past_end(context: Context, override_id: int) -> None:
    """Refuse a level whose own end passed before a person decided; ConflictError if a person decided meanwhile."""
    now = context.now()
    with context.writing() as session:
        locked_settings(session, context.organisation_id)
        override = override_numbered(session, context.organisation_id, override_id)
        if override.state != "requested" or override.until_us is None or override.until_us > now:
            raise ConflictError(f"override {override_id} is not one that waits past its own end")
        _refuse(session, context, override, PAST_END, now)


def _refuse(
    session: Session, context: Context, override: OverrideRow, why: str, now: int, read_in: int | None = None
) -> None:
    override.state, override.decided_by, override.decided_us = "refused", context.actor.name, now
    override.decision_reason = why
    _record(session, context, "override.refused", override, {"reason": why, "at_us": now}, read_in=read_in)


@dataclass(frozen=True)
class LevelsWithout:
    """The level of an override, and the level by the rules without it; None for no level."""

    level: str
    rules_level: str | None


def levels_without(session: Session, actor: Actor, override_id: int) -> LevelsWithout:
    """Return the level of an override and the one without it; NotFoundError if the override does not exist."""
    override = override_numbered(session, actor.organisation_id, override_id)
    line = override_line(session, override, now_us=0)
    return LevelsWithout(line.level, line.rules_level)


def raises_without(session: Session, actor: Actor, override_id: int) -> bool:
    """Check whether the end of an override raises the level: it lies below the level by the rules.

    False while the level by the rules is unknown: there is none, or the status of the last assessment is not assessed.

    Raises:
        NotFoundError: there is no such override.
    """
    override = override_numbered(session, actor.organisation_id, override_id)
    standing = session.get(Standing, override.entity_id, populate_existing=True, with_for_update=True)
    if standing is None or standing.status != "assessed" or standing.rules_level is None:
        return False
    return override.level < standing.rules_level


def revoke_override_in(
    session: Session, context: Context, override_id: int, why: str, now_us: int, *, marks: bool = True
) -> OverrideLine:
    """End a live override: the level by the rules holds again once a worker has assessed the entity.

    *marks*: whether the entity becomes due.

    Raises:
        NotFoundError: there is no such override.
        ConflictError: it is not live: not approved, revoked, or ended by itself.
    """
    locked_settings(session, context.organisation_id)
    override = override_numbered(session, context.organisation_id, override_id)
    if state_of(override, now_us) != "live":
        raise ConflictError(
            f"override {override_id} is {state_of(override, now_us)}; only one that holds can be revoked"
        )
    _revoke(override, context, why, now_us)
    if marks:
        _mark(session, override, now_us)
    _record(session, context, "override.revoked", override, {"reason": why, "at_us": now_us})
    return override_line(session, override, now_us)


def _revoke(override: OverrideRow, context: Context, why: str, now_us: int) -> int:
    override.state, override.revoked_by, override.revoked_us = "revoked", context.actor.name, now_us
    override.revocation_reason = why
    return override.id


def _mark(session: Session, override: OverrideRow, now_us: int) -> None:
    subject = subject_of(session.get_one(Entity, override.entity_id))
    people = (override.requested_by, override.decided_by, override.revoked_by)
    with behind(session, override.organisation_id, people):
        due.mark(session, [subject], Reason.OVERRIDE, now_us)


def _record(
    session: Session,
    context: Context,
    action: str,
    override: OverrideRow,
    after: Mapping[str, str | int | None],
    replaced: list[int] | None = None,
    read_in: int | None = None,
) -> None:
    details: dict[str, Any] = {
        "entity_id": override.entity_id,
        "level": override.level,
        "until_us": override.until_us,
        "replaced": replaced or [],
    }
    if read_in is not None:
        act = action.partition(".")[2]
        details["read"] = keep_reading(session, override, act, context.actor.name, read_in, context.now())
    context.record(session, action, ("override", override.id), after=after, details=details)
