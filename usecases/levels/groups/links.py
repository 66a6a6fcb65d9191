"""Stored links as the engine follows them: the links of some entities, over the steps that rulesets name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import polars as pl
from sqlalchemy.orm import Session

from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.facts.groups.links import BEGINS, ENDS, FROM, MOST_LINKED, TO, TYPE, Links
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.language.expressions import Linked
from fivefold.store.ingest.links import links_at

MOST_READ: Final = MOST_LINKED + 3
"""How many links of one end are read: more than enough to know that they are too many."""
AT_ONCE: Final = 250
"""How many ends are read at once: each may have `MOST_READ` links, and each of these as many again."""


class Followed(NamedTuple):
    """How rulesets follow the links of one type, all of them together.

    Attributes:
        link: the type.
        shared: whether they lead to shared things, and not to entities.
        forward: whether they are followed from their start.
        backward: whether they are followed from their end.
        steps: the most links followed in a row.
    """

    link: str
    shared: bool
    forward: bool
    backward: bool
    steps: int


def followed_by(rulesets: Iterable[Analysed[Any]]) -> list[Followed]:
    """Return how rulesets, or policies, follow links, by type; empty if they follow none."""
    ways: dict[tuple[str, bool], Followed] = {}
    for analysed in rulesets:
        for each in Needs.of(analysed).everything():
            if not isinstance(each, Linked):
                continue
            group = each.linked
            shared = analysed.definition.links[group.by].kind == "shared"
            before = ways.get((group.by, shared), Followed(group.by, shared, False, False, 0))
            ways[group.by, shared] = Followed(
                group.by,
                shared,
                before.forward or shared or group.way in ("to", "both"),
                before.backward or (not shared and group.way in ("from", "both")),
                max(before.steps, group.steps),
            )
    return list(ways.values())


@dataclass(frozen=True)
class LinkedEntities:
    """The entities that some entities are linked to.

    Attributes:
        links: the links, as the engine follows them.
        members: the entities that each one may be linked to, unless they are too many.
    """

    links: Links
    members: Mapping[int, frozenset[int]]

    def everyone(self) -> list[int]:
        """Return the numbers of the entities and of those they are linked to."""
        return sorted({*self.members, *(one for members in self.members.values() for one in members)})

    def moments(self, after_us: int) -> dict[int, set[int]]:
        """Return by entity when links of its group begin or end after a moment, those to shared things included."""
        ends: dict[str, set[str]] = {}
        moments: dict[str, set[int]] = {}
        times = (pl.col(name).to_physical() for name in _MOMENTS)
        for start, end, *at in self.links.frame.select(FROM, TO, *times).iter_rows():
            for one in (start, end):
                if one is not None:
                    moments.setdefault(one, set()).update(each for each in at if each is not None and each > after_us)
                    ends.setdefault(start, set()).add(one)
        by_entity: dict[int, set[int]] = {}
        for entity, members in self.members.items():
            group = {str(one) for one in (entity, *members)}
            group |= set().union(*(ends.get(one, set()) for one in group))
            by_entity[entity] = set().union(*(moments.get(one, set()) for one in group))
        return by_entity

    def summed(self, counts: Mapping[int, int]) -> dict[int, int]:
        """Add up the counts of each entity and of those it is linked to, each of these as one more."""
        return {
            entity: len(members) + sum(counts.get(one, 0) for one in (entity, *members))
            for entity, members in self.members.items()
        }


def read_linked(
    session: Session,
    type_id: int,
    entity_ids: Iterable[int],
    rulesets: Sequence[Analysed[Any]],
    as_of_us: int,
    *,
    earlier: bool = False,
) -> LinkedEntities | None:
    """Read the links of entities of a type, as far as rulesets follow them; None if they follow none.

    An entity linked to too many is not followed further: nothing is known of its group.

    Args:
        session: to read with.
        type_id: the type of the entities.
        entity_ids: their numbers.
        rulesets: the rulesets, groups or policies that follow links.
        as_of_us: the moment.
        earlier: whether earlier moments count too: then links of all times are followed.
    """
    ways = followed_by(rulesets)
    if not ways:
        return None
    frames: list[pl.DataFrame] = []
    members: dict[int, set[int]] = {entity: set() for entity in entity_ids}
    for way in ways:
        reading = _Reading(session, type_id, way, None if earlier else as_of_us)
        for entity, reached in reading.follow(members).items():
            members[entity] |= reached - {entity}
        frames += reading.frames
    empty = pl.DataFrame(schema={TYPE: pl.String, FROM: pl.String, TO: pl.String, **_MOMENTS})
    links = Links(pl.concat([empty, *frames]).unique(maintain_order=True))
    return LinkedEntities(links, {entity: frozenset(those) for entity, those in members.items()})


_MOMENTS: Final[Mapping[str, Any]] = {BEGINS: pl.Datetime("us"), ENDS: pl.Datetime("us")}


@dataclass
class _Reading:
    """Reads the links of one type, step by step, of all entities together.

    Attributes:
        at_us: the moment at which a link must hold to be followed; None for any moment.
        frames: the links read, as the engine takes them.
    """

    session: Session
    type_id: int
    way: Followed
    at_us: int | None
    frames: list[pl.DataFrame] = field(default_factory=list)
    others: dict[int, list[int]] = field(default_factory=dict)
    sharing: dict[str, list[int]] = field(default_factory=dict)

    def follow(self, entity_ids: Iterable[int]) -> dict[int, set[int]]:
        """Return the entities that each one reaches, itself included; where too many, only those of fewer steps."""
        reached = {entity: {entity} for entity in entity_ids}
        last = {entity: [entity] for entity in reached}
        for _ in range(self.way.steps):
            self._read([one for those in last.values() for one in those])
            following: dict[int, list[int]] = {}
            for entity, those in last.items():
                new = {other for one in those for other in self.others[one]} - reached[entity]
                if self.at_us is not None and len(reached[entity]) + len(new) > MOST_LINKED + 1:
                    continue
                reached[entity] |= new
                if new:
                    following[entity] = sorted(new)
            last = following
        return reached

    def _read(self, entity_ids: Iterable[int]) -> None:
        """Read the links of entities that were not read yet, and the entities at their other ends."""
        new = sorted(set(entity_ids) - self.others.keys())
        for begin in range(0, len(new), AT_ONCE):
            part = new[begin : begin + AT_ONCE]
            self.others |= {entity: [] for entity in part}
            if self.way.shared:
                self._read_shared(part)
            for end, followed in (("entity_id", self.way.forward), ("other_id", self.way.backward)):
                if followed and not self.way.shared:
                    rows = self._rows(end, part)
                    other = "other_id" if end == "entity_id" else "entity_id"
                    for one, at_end in self._there(rows).select(end, other).drop_nulls().iter_rows():
                        self.others[one].append(at_end)

    def _read_shared(self, part: Sequence[int]) -> None:
        things = self._there(self._rows("entity_id", part)).select("entity_id", "thing").drop_nulls()
        new = sorted(set(things["thing"]) - self.sharing.keys())
        for begin in range(0, len(new), AT_ONCE):
            names = new[begin : begin + AT_ONCE]
            self.sharing |= {thing: [] for thing in names}
            for thing, entity in self._there(self._rows("thing", names)).select("thing", "entity_id").iter_rows():
                self.sharing[thing].append(entity)
        for entity, thing in things.iter_rows():
            self.others[entity] += self.sharing[thing]

    def _rows(self, end: str, ids: Sequence[int] | Sequence[str]) -> pl.DataFrame:
        """Read links by one end, and keep them. All links of an entity to shared things are read, however many."""
        most = MOST_ALL if self.way.shared and end == "entity_id" else MOST_READ
        rows = links_at(self.session, self.type_id, self.way.link, end, ids, self.at_us, most)
        to = pl.col("thing") if self.way.shared else pl.col("other_id").cast(pl.String)
        times = (
            pl.col(name).cast(pl.Datetime("us")).alias(to) for name, to in (("from_us", BEGINS), ("until_us", ENDS))
        )
        named = (pl.lit(self.way.link).alias(TYPE), pl.col("entity_id").cast(pl.String).alias(FROM), to.alias(TO))
        self.frames.append(rows.select(*named, *times))
        return rows

    def _there(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Leave out the links that do not hold at the moment."""
        if self.at_us is None:
            return rows
        begun = pl.col("from_us").is_null() | (pl.col("from_us") <= self.at_us)
        return rows.filter(begun & (pl.col("until_us").is_null() | (pl.col("until_us") > self.at_us)))


MOST_ALL: Final = 2**31
"""No limit."""
