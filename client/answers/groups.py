"""Named groups, their members, and who entered or left."""

from datetime import datetime

from fivefold.client.answers.base import Answer


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
