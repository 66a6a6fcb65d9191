"""Links between entities, and the entities linked to one at a moment: over several steps, each once, and by which."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import polars as pl

from fivefold.risk.facts.portfolio import NOT_READ
from fivefold.risk.facts.reading import read_field, refuse_link, refuse_missing
from fivefold.risk.language.expressions import LinkedGroup
from fivefold.risk.language.ruleset import LinkType

MOST_LINKED: Final = 1_000
"""An entity that is linked to more entities has no group: a device in a shop tells nothing about its users."""

BEGINS, ENDS = "valid_from", "valid_until"
TYPE, FROM, TO = "type", "from", "to"

NOTHING_KNOWN: Final = "nothing known"
TOO_MANY: Final = "too many"
UNREADABLE: Final = "not read"


class Neighbourhood(NamedTuple):
    """The entities that an entity is linked to.

    Attributes:
        members: the linked entities that are known, in alphabetical order.
        through: the things that it shares with them, for links to something shared.
        unknown: why further members may be missing; empty if all are known.
        looked: the entities that the search reached, the entity itself among them.
        whose: the entity on the way whose links are not known; empty if that is the entity itself.
    """

    members: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    unknown: str = ""
    looked: tuple[str, ...] = ()
    whose: str = ""


class _Link(NamedTuple):
    """A link as seen from one end: where it leads (None for nowhere), from when, until when."""

    leads: str | None
    begins: int | None
    ends: int | None

    def holds(self, as_of: int) -> bool:
        """Check whether the link exists at a moment; its end is not included."""
        return (self.begins is None or self.begins <= as_of) and (self.ends is None or as_of < self.ends)

    def after(self, as_of: int) -> list[int]:
        """Return the moments after *as_of* at which the link begins or ends."""
        return [at for at in (self.begins, self.ends) if at is not None and at > as_of]


@dataclass(frozen=True)
class _Ends:
    """The links of one type, from both ends, and the ends of links with unreadable moments."""

    forward: Mapping[str, list[_Link]]
    backward: Mapping[str, list[_Link]]
    spoilt: frozenset[str]


@dataclass(frozen=True, eq=False)  # computed properties are cached by instance
class Links:
    """Links of all types.

    Attributes:
        frame: `type`, `from`, `to`, and perhaps `valid_from` (null: from the start) and `valid_until` (not
            included). One of the two ends may be missing: then the other is known to have no such link. A row with
            `NOT_READ` is about its `from` alone, and may be of any type.

    Raises:
        FileFormatError: on first use, if a column is missing, or the ends are not identifiers.
    """

    frame: pl.DataFrame

    @cached_property
    def _types(self) -> Mapping[str, _Ends]:
        frame = self._sound
        refuse_missing("links", frame.schema, (TYPE, FROM, TO), {}, frozenset())
        for name in (FROM, TO):
            refuse_link("links", name, frame.schema[name])
        texts = [read_field(frame[name], "text")[0].to_list() for name in (TYPE, FROM, TO)]
        (begins, wrong_begin), (ends, wrong_end) = (_moments(frame, name) for name in (BEGINS, ENDS))
        ends_by_type: dict[str, tuple[dict[str, list[_Link]], dict[str, list[_Link]], set[str]]] = {}
        for kind, start, end, begin, until, *wrong in zip(*texts, begins, ends, wrong_begin, wrong_end, strict=True):
            forward, backward, spoilt = ends_by_type.setdefault(kind, ({}, {}, set()))
            if any(wrong):
                spoilt.update(one for one in (start, end) if one is not None)
                continue
            if begin is not None and until is not None and until <= begin:
                continue  # a link that was taken back never held, so it tells nothing about either end
            if start is not None:
                forward.setdefault(start, []).append(_Link(end, begin, until))
            if end is not None:
                backward.setdefault(end, []).append(_Link(start, begin, until))
        return {
            kind: _Ends(forward, backward, frozenset(spoilt))
            for kind, (forward, backward, spoilt) in ends_by_type.items()
        }

    def unreadable_moments(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Yield each moment that cannot be read: the link's type, its ends, the column and the value."""
        frame = self._sound
        for column in (BEGINS, ENDS):
            wrong = _moments(frame, column)[1]
            for row in frame.filter(pl.Series(wrong, dtype=pl.Boolean)).iter_rows(named=True):
                yield str(row[TYPE]), str(row[FROM] or ""), str(row[TO] or ""), column, str(row[column])

    @cached_property
    def _sound(self) -> pl.DataFrame:
        return self.frame.filter(pl.col(NOT_READ).is_null()) if NOT_READ in self.frame.columns else self.frame

    @cached_property
    def _torn(self) -> frozenset[str]:
        """The entities with a row of which nothing else could be read."""
        rows = self.frame.filter(pl.col(NOT_READ).is_not_null()) if NOT_READ in self.frame.columns else None
        return frozenset() if rows is None else frozenset(rows[FROM].cast(pl.String).drop_nulls())

    def _of_type(self, name: str) -> _Ends:
        return self._types.get(name, _NO_LINKS)

    @cached_property
    def _neighbourhoods(self) -> dict[Any, Neighbourhood]:
        return {}

    def neighbourhood(self, entity: str, as_of: int, group: LinkedGroup, declared: LinkType) -> Neighbourhood:
        """Find the entities linked to one at a moment, by a group's terms; results are cached."""
        key = (entity, as_of, group.by, group.way, group.steps, declared)
        if key not in self._neighbourhoods:
            search = _Search(self._of_type(group.by), self._torn, as_of, group, declared, self._shared)
            self._neighbourhoods[key] = search.neighbourhood(entity)
        return self._neighbourhoods[key]

    @cached_property
    def _shared(self) -> dict[Any, list[str] | None]:
        """The entities that share something at a moment; None if they are too many."""
        return {}

    def next_change(self, entity: str, as_of: int, group: LinkedGroup, declared: LinkType) -> int | None:
        """Find the first later moment at which a link begins or ends that may change an entity's neighbourhood."""
        ends = self._of_type(group.by)
        later: list[int] = []
        for one in self.neighbourhood(entity, as_of, group, declared).looked:
            for side in _sides(ends, group, declared):
                later += [at for link in side.get(one, ()) for at in link.after(as_of)]
            if declared.kind == "shared":
                own = (link for link in ends.forward.get(one, ()) if link.holds(as_of))
                things = {link.leads for link in own if link.leads is not None}
                later += [at for thing in things if (at := self._next_of_shared(ends, thing, as_of)) is not None]
        return min(later, default=None)

    def _next_of_shared(self, ends: _Ends, thing: str, as_of: int) -> int | None:
        """Find the next moment at which an entity begins or ceases to share something; cached."""
        key = (id(ends), thing, as_of)
        if key not in self._coming:
            moments = (at for link in ends.backward.get(thing, ()) for at in link.after(as_of))
            self._coming[key] = min(moments, default=None)
        return self._coming[key]

    @cached_property
    def _coming(self) -> dict[Any, int | None]:
        return {}


_NO_LINKS: Final = _Ends({}, {}, frozenset())


def _moments(frame: pl.DataFrame, name: str) -> tuple[list[int | None], list[bool]]:
    """Read moments, and return which could not be read."""
    if name not in frame.columns:
        return [None] * len(frame), [False] * len(frame)
    moments, wrong = read_field(frame[name], "date")
    return moments.to_list(), [False] * len(frame) if wrong is None else wrong.is_not_null().to_list()


def _sides(ends: _Ends, group: LinkedGroup, declared: LinkType) -> list[Mapping[str, list[_Link]]]:
    """Return the links that a group follows, by the end at which they start."""
    if declared.kind == "shared":
        return [ends.forward]
    ways = ((ends.forward, ("to", "both")), (ends.backward, ("from", "both")))
    return [side for side, those in ways if group.way in those]


@dataclass(frozen=True)
class _Search:
    """Follows links from entity to entity, nearest first."""

    ends: _Ends
    torn: frozenset[str]
    as_of: int
    group: LinkedGroup
    declared: LinkType
    shared: dict[Any, list[str] | None]

    def neighbourhood(self, entity: str) -> Neighbourhood:
        """Follow the links of one entity; every entity is visited once.

        If links of an entity on the way are unknown, the known ones are still followed. If there are too many, the
        search ends, and the members are those at fewer steps.
        """
        visited, last = {entity}, [entity]
        unknown = whose = ""
        for _ in range(self.group.steps):
            if not unknown:
                unknown, whose = self._first_unknown(last)
            following = self._following(last, visited)
            if following is None:
                unknown, whose = (unknown, whose) if unknown else (TOO_MANY, entity)
                break
            visited |= following.keys()
            last = [*following]
        through = sorted(self._lead_from(entity)) if self.declared.kind == "shared" else ()
        return Neighbourhood(
            tuple(sorted(visited - {entity})), tuple(through), unknown, tuple(visited), "" if whose == entity else whose
        )

    def _first_unknown(self, entities: Iterable[str]) -> tuple[str, str]:
        """Find the first entity whose links are not all known: why, and which one; both empty if there is none."""
        return next(((why, one) for one in entities if (why := self._unknown(one))), ("", ""))

    def _following(self, last: Iterable[str], visited: Collection[str]) -> dict[str, None] | None:
        """Return the entities one step from some that were not visited before; None if they are too many."""
        following: dict[str, None] = {}
        for one in last:
            for other in self._others(one):
                if other is None:
                    return None
                if other not in visited:
                    following[other] = None
                if len(visited) + len(following) > MOST_LINKED + 1:
                    return None
        return following

    def _unknown(self, entity: str) -> str:
        """Return why the direct links of an entity are not all known; empty if they are."""
        doubtful = self.ends.spoilt
        if entity in doubtful or entity in self.torn:
            return UNREADABLE
        if doubtful and self.declared.kind == "shared" and not doubtful.isdisjoint(self._lead_from(entity)):
            return UNREADABLE
        if self.declared.complete:
            return ""
        is_told = all(
            any(link.begins is None or link.begins <= self.as_of for link in side.get(entity, ()))
            for side in _sides(self.ends, self.group, self.declared)
        )
        return "" if is_told else NOTHING_KNOWN

    def _lead_from(self, entity: str) -> Iterator[str]:
        """Yield each direct target of an entity's links, once: for shared links the thing, not the sharers."""
        sides = _sides(self.ends, self.group, self.declared)
        links = (link for side in sides for link in side.get(entity, ()) if link.holds(self.as_of))
        yield from dict.fromkeys(link.leads for link in links if link.leads is not None)

    def _others(self, entity: str) -> Iterator[str | None]:
        """Yield the entities that are one step away; None if too many share one thing."""
        if self.declared.kind == "directed":
            yield from self._lead_from(entity)
            return
        for thing in self._lead_from(entity):
            sharing = self._sharing(thing)
            yield from [None] if sharing is None else sharing

    def _sharing(self, thing: str) -> list[str] | None:
        key = (self.group.by, thing, self.as_of)
        if key not in self.shared:
            names: dict[str, None] = {}
            for link in self.ends.backward.get(thing, ()):
                if link.leads is not None and link.holds(self.as_of):
                    names[link.leads] = None
                if len(names) > MOST_LINKED + 1:
                    break
            self.shared[key] = None if len(names) > MOST_LINKED + 1 else [*names]
        return self.shared[key]
