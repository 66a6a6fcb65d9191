"""Levels, why they are so, and what they were."""

from datetime import datetime
from typing import Any

from fivefold.client.answers.base import Answer, ValueSeen, Version


class OverrideInForce(Answer):
    """The level that people gave instead of the rules."""

    id: int
    level: str
    reason: str
    until: datetime | None
    requested_by: str
    approved_by: str


class FiredRule(Answer):
    """A rule that gave something; `points` is exact, as text."""

    title: str
    rationale: str | None
    case: str | None
    values: tuple[ValueSeen, ...]
    points: str
    floor: str | None


class Reasons(Answer):
    """What held, in one line and rule by rule; `score` is exact, as text."""

    line: str
    score: str
    rules: tuple[FiredRule, ...]


class Level(Answer):
    """Where an entity stands.

    A program's token sees what stands before `rules_level`; a person's all but the last two; a publisher's everything.
    What the token may not see is not in `model_fields_set`, and so differs from what there is not.

    Attributes:
        level: in force; None where there is none yet.
        status: `assessed`, or why there is no level.
        rules_level: what the rules say beneath an override.
        assessment: names it, for `Levels.reasons`.
        refreshing: something happened since, and it is computed again.
        breakdown: every rule, with its case and its exact points, that add up to the total.
    """

    type: str
    external_id: str
    level: str | None
    status: str
    since: datetime | None
    may_move_down_on: datetime | None
    stale_rates_days: int | None
    rules_level: str | None = None
    assessed_at: datetime | None = None
    assessment: str | None = None
    source: str | None = None
    decided_by: Version | None = None
    override: OverrideInForce | None = None
    refreshing: bool = False
    failing: bool = False
    reasons: Reasons | None = None
    problem: str | None = None
    breakdown: dict[str, Any] | None = None


class HistoryLine(Answer):
    """An assessment of an entity; `reached` where the level became another one."""

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
    """The reasons of an assessment; null once they were erased."""

    assessment: str
    reasons: Reasons | None


class CurrentLevel(Answer):
    """A line of the list of levels: what is stored, and nobody is assessed for it."""

    external_id: str
    level: str | None
    rules_level: str | None
    overridden: bool
    status: str
    score: float | None
    segment: str | None
    expected_value: float | None
    currency: str | None
    since: datetime | None
    assessed_at: datetime
    due_at: datetime | None
    assessment: str


class LevelReached(Answer):
    """A level that an entity reached, and why in one line."""

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
    """An input that would be changed: what it is now, which way, and to what."""

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


class WhatIf(Answer):
    """What would move a level; no answers where nothing within reach does."""

    assessment: str
    as_of: datetime
    direction: str
    level: str | None
    wished: str | None
    beyond: bool
    overridden: bool
    answers: tuple[WhatIfAnswer, ...]


class WhatIfOfEntity(Answer):
    """The same of an entity; None where it has no assessment."""

    what_if: WhatIf | None
