"""Levels and values of stored entities, and the groups that they belong to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

from fivefold.client.answers import Answer, InputSeen, Version
from fivefold.client.calls import Call, Moment
from fivefold.client.connection import Connection, Pages
from fivefold.client.parts.scoring import CustomerValue, PortfolioValue, RealisedDay, ValueOfEntity


class OverrideInForce(Answer):
    """The level that people set in place of the rules' level."""

    id: int
    level: str
    reason: str
    until: datetime | None
    requested_by: str
    approved_by: str


class FiredRule(Answer):
    """A rule that fired; `points` is exact, as text. `unknown` if it gave them because its input was not known."""

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
        status: `assessed`, or why there is no level, or only an earlier one.
        may_move_down_on: when a lower level can follow, if time alone holds the level; otherwise None.
        rules_level: the level that holds, or would hold without an override.
        assessment: the name of the assessment, for `Levels.reasons`.
        refreshing: whether the level is being recomputed because of newer events, or could not be for this answer.
        failing: whether the last attempt to compute it failed.
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
    """The reasons of an assessment; null after they were erased or removed by the retention policy, as `gone` says."""

    assessment: str
    reasons: Reasons | None
    gone: str | None = None


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
    """A hold on a level beneath another hold; `until` is its end, or None if the end is unknown.

    `by` is as in `WhatIf.held_by`, or rules: their level once a floor that is part of `WhatIf.level` has ended.
    """

    by: str
    level: str
    until: datetime | None


class WhatIf(Answer):
    """The changes that would move a level; no answers if no change within reach does.

    Attributes:
        level: the rules' level.
        level_in_force: the level in force; `held_by` says what holds it beside the rules, and `held_until` until when.
        held_by: override, cooldown or floor, or one of them that has ended, such as `ended override`.
        held_beneath: the holds that would apply without that one, each above the next.
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
    """The same for an entity; None if it has no assessment. `erased_at`: when its personal data was erased."""

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


Freshness = Literal["stored", "refresh", "now"]

_ENTITY: Final = "/v1/entities/{type}/{external_id}"
RISK: Final[Call[Level]] = Call("GET", f"{_ENTITY}/risk", Level, query=("freshness",))
HISTORY: Final[Call[HistoryLine]] = Call("GET", f"{_ENTITY}/history", HistoryLine, query=("limit",), has_pages=True)
REASONS: Final[Call[ReasonsOfAssessment]] = Call("GET", "/v1/assessments/{assessment}", ReasonsOfAssessment)
WHAT_IF: Final[Call[WhatIfOfEntity]] = Call("GET", f"{_ENTITY}/what-if", WhatIfOfEntity, query=("direction", "level"))
CURRENT: Final[Call[CurrentLevel]] = Call(
    "GET",
    "/v1/levels",
    CurrentLevel,
    query=("type", "order", "level", "segment", "status", "failing", "ruleset", "since", "limit"),
    has_pages=True,
)
TRANSITIONS: Final[Call[LevelReached]] = Call(
    "GET",
    "/v1/transitions",
    LevelReached,
    query=("type", "direction", "to", "since", "until", "limit"),
    has_pages=True,
)
VALUE: Final[Call[ValueOfEntity | None]] = Call("GET", f"{_ENTITY}/value", ValueOfEntity | None)
VALUES: Final[Call[CustomerValue]] = Call(
    "GET", "/v1/values", CustomerValue, query=("type", "segment", "limit"), has_pages=True
)
REALISED: Final[Call[RealisedDay]] = Call(
    "GET", "/v1/models/{version}/realised", RealisedDay, query=("limit",), has_pages=True
)
SEGMENTS: Final[Call[PortfolioValue]] = Call("GET", "/v1/segments", PortfolioValue, query=("type",))
GROUPS: Final[Call[list[GroupNow]]] = Call("GET", "/v1/groups", list[GroupNow])
MEMBERS: Final[Call[Member]] = Call("GET", "/v1/groups/{group}/members", Member, query=("limit",), has_pages=True)
MOVES: Final[Call[Move]] = Call("GET", "/v1/groups/{group}/moves", Move, query=("limit",), has_pages=True)
SIZES: Final[Call[list[DaySize]]] = Call("GET", "/v1/groups/{group}/sizes", list[DaySize])
OF_ENTITY: Final[Call[list[EntityGroup]]] = Call("GET", f"{_ENTITY}/groups", list[EntityGroup])


class Levels:
    """Levels of entities, their reasons and their history."""

    def __init__(self, connection: Connection) -> None:
        """Call over *connection*."""
        self._connection = connection

    def get(self, type_: str, external_id: str, freshness: Freshness = "refresh") -> Level:
        """Show an entity's level.

        Args:
            type_: the type of the entity.
            external_id: the identifier of the entity.
            freshness: `stored` returns the stored level; `refresh` does too, and recomputes it in the background; `now`
                recomputes it first.
        """
        return self._connection.ask(RISK, {"type": type_, "external_id": external_id}, {"freshness": freshness})

    def history(self, type_: str, external_id: str, *, limit: int | None = None) -> Pages[HistoryLine]:
        """List an entity's assessments, the latest first."""
        return self._connection.pages(HISTORY, {"type": type_, "external_id": external_id}, limit=limit)

    def reasons(self, assessment: str) -> ReasonsOfAssessment:
        """Show the reasons of an assessment, such as 12.3."""
        return self._connection.ask(REASONS, {"assessment": assessment})

    def what_if(
        self, type_: str, external_id: str, direction: Literal["down", "up"] = "down", level: str | None = None
    ) -> WhatIfOfEntity:
        """Find the smallest changes of one factor, or of two, that would move an entity's level."""
        query = {"direction": direction, "level": level}
        return self._connection.ask(WHAT_IF, {"type": type_, "external_id": external_id}, query)

    def current(
        self,
        type_: str,
        *,
        order: Literal["risk", "latest", "value"] = "risk",
        level: Sequence[str] = (),
        segment: Sequence[str] = (),
        status: Sequence[str] = (),
        failing: bool | None = None,
        ruleset: str | None = None,
        since: Moment | None = None,
        limit: int | None = None,
    ) -> Pages[CurrentLevel]:
        """List the stored levels of the entities of a type; *failing* selects by that field, None selects both."""
        query = {"type": type_, "order": order, "failing": failing, "ruleset": ruleset, "since": since}
        among = {"level": level, "segment": segment, "status": status}
        return self._connection.pages(CURRENT, None, {**query, **among}, limit)

    def transitions(
        self,
        *,
        type_: str | None = None,
        direction: Sequence[str] = (),
        to: Sequence[str] = (),
        since: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
    ) -> Pages[LevelReached]:
        """List the levels that entities reached: rises first, then falls, then first levels."""
        query = {"type": type_, "direction": direction, "to": to, "since": since, "until": until}
        return self._connection.pages(TRANSITIONS, None, query, limit)


class Values:
    """Values of stored customers."""

    def __init__(self, connection: Connection) -> None:
        """Call over *connection*."""
        self._connection = connection

    def get(self, type_: str, external_id: str) -> ValueOfEntity | None:
        """Show an entity's value with its breakdown; None if it never had a value."""
        return self._connection.ask(VALUE, {"type": type_, "external_id": external_id})

    def list(self, type_: str, *, segment: Sequence[str] = (), limit: int | None = None) -> Pages[CustomerValue]:
        """List the customers of a type by expected value, the highest first."""
        return self._connection.pages(VALUES, None, {"type": type_, "segment": segment}, limit)

    def segments(self, type_: str) -> PortfolioValue:
        """Count the customers of a type, and add up their expected values, by segment."""
        return self._connection.ask(SEGMENTS, query={"type": type_})

    def realised(self, version: int, *, limit: int | None = None) -> Pages[RealisedDay]:
        """List a model version's predictions and the realised values, by day, the latest first.

        Only for publishers and administrators. For each type of entities, the first day that does not wait is its
        verdict.
        """
        return self._connection.pages(REALISED, {"version": version}, limit=limit)


class Groups:
    """Named groups of entities, as far as the token's role may see them."""

    def __init__(self, connection: Connection) -> None:
        """Call over *connection*."""
        self._connection = connection

    def list(self) -> "Sequence[GroupNow]":
        """List the groups by name."""
        return self._connection.ask(GROUPS)

    def members(self, group: str, *, limit: int | None = None) -> Pages[Member]:
        """List the members of a group, in the order in which they were added to the platform."""
        return self._connection.pages(MEMBERS, {"group": group}, limit=limit)

    def moves(self, group: str, *, limit: int | None = None) -> Pages[Move]:
        """List the entities that entered or left a group, the latest first."""
        return self._connection.pages(MOVES, {"group": group}, limit=limit)

    def sizes(self, group: str) -> "Sequence[DaySize]":
        """Return a group's number of members on each counted day of the last 400."""
        return self._connection.ask(SIZES, {"group": group})

    def of(self, type_: str, external_id: str) -> "Sequence[EntityGroup]":
        """List the groups that an entity belongs to, by name."""
        return self._connection.ask(OF_ENTITY, {"type": type_, "external_id": external_id})
