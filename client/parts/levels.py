"""Levels and values of stored entities, and the groups that they belong to."""

from collections.abc import Sequence
from typing import Final, Literal

from fivefold.client.answers.levels import (
    CurrentLevel,
    DaySize,
    EntityGroup,
    GroupNow,
    HistoryLine,
    Level,
    LevelReached,
    Member,
    Move,
    ReasonsOfAssessment,
    WhatIfOfEntity,
)
from fivefold.client.answers.value import CustomerValue, PortfolioValue, RealisedDay, ValueOfEntity
from fivefold.client.calls import Call
from fivefold.client.connection import Connection, Pages
from fivefold.client.parts.entities import Moment

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
            type_: of the entity.
            external_id: of the entity.
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
        """List the stored levels of the entities of a type; *failing* as the field of a level, None for both."""
        query = {"type": type_, "order": order, "failing": failing, "ruleset": ruleset, "since": since}
        among = {"level": list(level), "segment": list(segment), "status": list(status)}
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
        query = {"type": type_, "direction": list(direction), "to": list(to), "since": since, "until": until}
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
        return self._connection.pages(VALUES, None, {"type": type_, "segment": [*segment]}, limit)

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
