"""Named groups and their members."""

from collections.abc import Sequence
from typing import Final

from fivefold.client.answers.groups import DaySize, EntityGroup, GroupNow, Member, Move
from fivefold.client.calls import Call
from fivefold.client.connection import Connection
from fivefold.client.pages import Pages

GROUPS: Final[Call[list[GroupNow]]] = Call("GET", "/v1/groups", list[GroupNow])
MEMBERS: Final[Call[Member]] = Call("GET", "/v1/groups/{group}/members", Member, query=("limit",), has_pages=True)
MOVES: Final[Call[Move]] = Call("GET", "/v1/groups/{group}/moves", Move, query=("limit",), has_pages=True)
SIZES: Final[Call[list[DaySize]]] = Call("GET", "/v1/groups/{group}/sizes", list[DaySize])
OF_ENTITY: Final[Call[list[EntityGroup]]] = Call("GET", "/v1/entities/{type}/{external_id}/groups", list[EntityGroup])


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
