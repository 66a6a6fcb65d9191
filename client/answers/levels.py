"""Levels, their reasons and their history, and the groups that entities belong to."""

from datetime import datetime
from typing import Any

from fivefold.client.answers.base import Answer, InputSeen, Version


class OverrideInForce(Answer):
    """The level that people set in place of the rules' level."""

    id: int
    level: str
    reason: str
    until: datetime | None
    requested_by: str
    approved_by: str


class FiredRule(Answer):
    """A rule that fired; `points` is exact, as text. `unknown`: it gave that as what it looks at was not known."""

    title: str
    rationale: str | None
    case: str | None
    values: tuple[InputSeen, ...]
    points: str
    floor: str | None
    unknown: bool = False


class Reasons(Answer):
    """The reasons of a level, in one line and rule by rule; `score` is exact, as text."""

    line: str
    score: str
    rules: tuple[FiredRule, ...]


class Level(Answer):
    """An entity's level.

    A program's token sees the fields before `rules_level`; a person's sees all but the last two; a publisher's sees
    all. Fields that the token may not see are not in `model_fields_set`, which tells them from fields without a value.

    Attributes:
        level: the level in force; None before the first assessment.
        status: `assessed`, or why there is no level or the one from before.
        may_move_down_on: from when a lower level can follow, where time alone holds the level; None elsewhere.
        rules_level: what holds, or would hold without an override.
        assessment: its name, for `Levels.reasons`.
        refreshing: whether the level is being recomputed because of newer events, or could not be for this answer.
        failing: whether it could not be computed the last time that was tried.
        kept_by: the names of other rulesets that keep the entity, until it is known that they do not apply.
        breakdown: every rule, with its case and its exact points, which add up to the total.
    """

    type: str
    external_id: str
    level: str | None
    status: str
    since: datetime | None
    may_move_down_on: datetime | None
    stale_rates_days: int | None
    refreshing: bool
    failing: bool
    rules_level: str | None = None
    assessed_at: datetime | None = None
    assessment: str | None = None
    source: str | None = None
    decided_by: Version | None = None
    kept_by: tuple[str, ...] = ()
    override: OverrideInForce | None = None
    reasons: Reasons | None = None
    problem: str | None = None
    breakdown: dict[str, Any] | None = None


class HistoryLine(Answer):
    """An assessment of an entity; `reached` if the level changed with it."""

    assessment: str
    at: datetime
    level: str | None
    rules_level: str | None
    status: str
    source: str
    decided_by: Version | None
    reached: bool
    line: str


class ReasonsOfAssessment(Answer):
    """The reasons of an assessment; null after they were erased."""

    assessment: str
    reasons: Reasons | None


class CurrentLevel(Answer):
    """A line of the list of levels, as stored; listing does not assess."""

    external_id: str
    level: str | None
    rules_level: str | None
    overridden: bool
    status: str
    failing: bool
    score: float | None
    segment: str | None
    expected_value: float | None
    currency: str | None
    since: datetime | None
    assessed_at: datetime
    due_at: datetime | None
    assessment: str


class LevelReached(Answer):
    """A level that an entity reached, with the reason in one line."""

    type: str
    external_id: str
    direction: str
    from_level: str | None
    to_level: str | None
    at: datetime
    source: str
    assessment: str
    line: str


class WhatIfInput(Answer):
    """An input of a what-if answer: its value now, the direction of the change, and the new value."""

    factors: tuple[str, ...]
    name: str
    now: str
    towards: str
    then: str | None


class WhatIfAnswer(Answer):
    """A smallest change of one factor, or of two, that moves the level."""

    changes: tuple[WhatIfInput, ...]
    level: str
    held_until: datetime | None


class WhatIfHold(Answer):
    """What holds a level beneath something else, and until when; `until` is None where no end is known.

    `by` is as in `WhatIf.held_by`, or rules: what they say once a floor that is part of `WhatIf.level` has ended.
    """

    by: str
    level: str
    until: datetime | None


class WhatIf(Answer):
    """The changes that would move a level; no answers if no change within reach does.

    Attributes:
        level: the rules' level.
        level_in_force: `held_by` says what holds it beside the rules, and `held_until` until when.
        held_by: override, cooldown or floor, or one of them that has ended: ended override.
        held_beneath: what would hold without that, each above the next.
    """

    assessment: str
    as_of: datetime
    direction: str
    level: str | None
    level_in_force: str | None
    held_by: str | None
    held_until: datetime | None
    held_beneath: tuple[WhatIfHold, ...]
    wished: str | None
    beyond: bool
    overridden: bool
    answers: tuple[WhatIfAnswer, ...]


class WhatIfOfEntity(Answer):
    """The same for an entity; None if it has no assessment. `erased_at`: when what was personal of it was erased."""

    what_if: WhatIf | None
    erased_at: datetime | None


class GroupNow(Answer):
    """The current state of a group: its version in force, and its number of members."""

    name: str
    title: str
    entity_type: str
    purpose: str
    active: int | None
    proposed: int | None
    members: int
    unknown: int
    settled: bool


class Member(Answer):
    """A member of a group; `unknown` if the facts do not decide now whether it still is one."""

    external_id: str
    since: datetime
    unknown: bool


class Move(Answer):
    """An entity's entry into a group, or its exit."""

    external_id: str
    at: datetime
    entered: bool
    unknown: bool
    version: int | None


class DaySize(Answer):
    """The numbers of members and of undecided entities of a group on a day (UTC)."""

    day: str
    members: int
    unknown: int


class EntityGroup(Answer):
    """A group that an entity belongs to."""

    name: str
    purpose: str
    since: datetime
    unknown: bool
