"""Named groups, who is in them, and who entered or left."""

from datetime import datetime

from fivefold.client.answers.base import Answer


class GroupNow(Answer):
    """A group as it is: its version in force, and how many members it has."""

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
    """A member of a group; `unknown` where the facts do not decide now whether it still is one."""

    external_id: str
    since: datetime
    unknown: bool


class Move(Answer):
    """An entity entered a group, or left it."""

    external_id: str
    at: datetime
    entered: bool
    unknown: bool
    version: int | None


class DaySize(Answer):
    """How many members a group had on a day (UTC), and of how many it was unknown."""

    day: str
    members: int
    unknown: int


class EntityGroup(Answer):
    """A group that an entity is a member of."""

    name: str
    purpose: str
    since: datetime
    unknown: bool
