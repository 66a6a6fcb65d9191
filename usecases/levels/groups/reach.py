"""The entities that a fact concerns through links: those whose groups contain the entity that the fact is about.

Links are followed as the active rulesets follow them. Of a crowd, which too many entities share, nothing is known; a
change of links may make or end a crowd.
They are found and marked due in the transaction of the fact. Nothing here begins or ends a transaction.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import HOUR_US
from fivefold.flows.groups.analysis import analyse_canonical_group
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.facts.groups.links import MOST_LINKED
from fivefold.store.groups.groups import canonicals_of_type
from fivefold.store.ingest.entities import subjects
from fivefold.store.ingest.links import ShareCount, StoredLink, links_at, share_counts, touched_by_links
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import EVENT, Reason, Subject
from fivefold.store.levels.markings import mark_everybody_once
from fivefold.store.rulesets.rulesets import active_versions
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.levels.groups.links import Followed, followed_by

MOST_MARKED: Final = 2_000
"""The most other entities that a fact marks in its own transaction. Where more are linked, workers mark the whole type
instead, part by part: a marking that has not begun serves all facts that arrive meanwhile."""
TIMES_AS_MANY: Final = 10
"""A call about many entities marks up to this many times as many others in its own transaction."""


@dataclass
class AffectedEntities:
    """The entities to assess again.

    Attributes:
        others: entities beyond those from which the search began.
        types: types of which every entity is assessed again, as too many are linked to follow them.
    """

    others: set[int] = field(default_factory=set)
    types: set[int] = field(default_factory=set)

    def add(self, more: "AffectedEntities") -> None:
        """Add the entities and types of another one."""
        self.others |= more.others
        self.types |= more.types

    def mark(self, session: Session, concerned: Iterable[Subject], reason: Reason, due_us: int, priority: int) -> None:
        """Mark them due with the entities that a fact is about, in one order, so that callers do not deadlock."""
        due.mark(session, [*concerned, *subjects(session, self.others)], reason, due_us, priority)
        for type_id in sorted(self.types):
            mark_everybody_once(session, session.get_one(EntityType, type_id), reason, due_us)


def mark_linked(
    session: Session,
    concerned: Iterable[Subject],
    reason: Reason,
    due_us: int,
    priority: int = EVENT,
    before: AffectedEntities | None = None,
) -> None:
    """Mark entities due, and the entities whose groups contain them.

    A call that changes a link marks both of its ends. Either it has ended when our own mark is set: then the entities
    it links to are found and marked as well. Or it waits for us, and marks them after us. *before* are the entities
    that were reached before a change of links.
    """
    subjects_marked = list(concerned)
    reached = reached_by(session, subjects_marked, due_us)
    if before is not None:
        reached.add(before)
    reached.mark(session, subjects_marked, reason, due_us, priority)
    later = reached_by(session, subjects_marked, due_us)
    later.others -= reached.others
    later.types -= reached.types
    if later.others or later.types:
        later.mark(session, (), reason, due_us, priority)


def reached_by(session: Session, concerned: Iterable[Subject], now_us: int) -> AffectedEntities:
    """Find the entities whose groups contain an entity, directly or over several steps.

    A group that is unknown, as too many share a thing, stays unknown whatever happens to one of them, so its entities
    are left out. A call that changes links therefore searches both before the change and after it.

    Args:
        session: in the transaction of the fact.
        concerned: the entities that the fact is about.
        now_us: the present.
    """
    subjects_of_fact = list(concerned)
    ids = {subject.entity_id for subject in subjects_of_fact}
    touched = set(touched_by_links(session, ids)) if ids else set()
    begin_by_type: dict[tuple[int, int], set[int]] = {}
    for subject in subjects_of_fact:
        if subject.entity_id in touched:
            begin_by_type.setdefault((subject.type_id, subject.organisation_id), set()).add(subject.entity_id)
    reached = AffectedEntities()
    for (type_id, organisation_id), begin in sorted(begin_by_type.items()):
        reached.add(_reached_in(session, organisation_id, type_id, begin, len(ids), now_us))
    reached.others -= ids
    return reached


def _reached_in(
    session: Session, organisation_id: int, type_id: int, begin: Collection[int], about: int, now_us: int
) -> AffectedEntities:
    _hold_what_decides(session, type_id)
    rulesets = [analyse_canonical(version.canonical) for version in active_versions(session, organisation_id, type_id)]
    named = [analyse_canonical_group(canonical) for canonical in canonicals_of_type(session, type_id)]
    reached = AffectedEntities()
    for way in followed_by([*rulesets, *named]):
        search = _Search(session, type_id, way, now_us, max(MOST_MARKED, TIMES_AS_MANY * about))
        entity_ids = search.follow(begin)
        if entity_ids is None:
            return AffectedEntities(types={type_id})
        reached.others |= entity_ids
    return reached


def _hold_what_decides(session: Session, type_id: int) -> None:
    """Make changes of the rulesets and groups of a type wait until the transaction ends.

    Otherwise a fact would miss entities whose groups begin to count meanwhile, and that are assessed before it is seen.
    """
    statement = select(EntityType.id).where(EntityType.id == type_id)
    session.execute(statement.with_for_update(key_share=True, read=True))


@dataclass
class _Search:
    """Follows links of one type back to the entities whose groups they form.

    Attributes:
        most: how many other entities may be reached; where there are more, they are not followed.
    """

    session: Session
    type_id: int
    way: Followed
    now_us: int
    most: int

    def follow(self, begin: Collection[int]) -> set[int] | None:
        """Return the entities that are reached; None if there are more than are followed."""
        reached, last = set(begin), sorted(begin)
        for _ in range(self.way.steps):
            following = set[int]()
            for end, other, followed in (
                ("other_id", "entity_id", self.way.forward and not self.way.shared),
                ("entity_id", "other_id", self.way.backward),
            ):
                if followed and last:
                    rows = self._rows(end, last)
                    if rows is None:
                        return None
                    following |= set(rows[other].drop_nulls())
            if self.way.shared and last:
                sharing = self._sharing(last)
                if sharing is None:
                    return None
                following |= sharing
            last = sorted(following - reached)
            reached |= following
            if len(reached) > self.most + len(begin):
                return None
        return reached - set(begin)

    def _rows(self, end: str, ids: Collection[int]) -> pl.DataFrame | None:
        """Read the links at some ends that hold now or begin later; None if there are too many.

        Links that ended within the last hour are included: the clock of a worker may be behind.
        """
        most = self.most + 1
        rows = links_at(self.session, self.type_id, self.way.link, end, sorted(ids), self.now_us - HOUR_US, most)
        live = rows.filter(pl.col("until_us").is_null() | (pl.col("until_us") > self.now_us - HOUR_US))
        return live if len(live) < most else None

    def _sharing(self, ids: Collection[int]) -> set[int] | None:
        """Return the entities that share a thing with some entities, except things that too many share.

        None if that cannot be determined, as too many share a thing.
        """
        own = self._rows("entity_id", ids)
        if own is None:
            return None
        things = own["thing"].drop_nulls().unique().to_list()
        if not things:
            return set()
        rows = links_at(
            self.session, self.type_id, self.way.link, "thing", sorted(things), self.now_us - HOUR_US, MOST_LINKED + 3
        )
        at = self.now_us
        begun = pl.col("from_us").is_null() | (pl.col("from_us") <= at)
        current_links = rows.filter(begun & (pl.col("until_us").is_null() | (pl.col("until_us") > at)))
        counts = {str(thing): count for thing, count in current_links["thing"].value_counts().iter_rows()}
        crowded = {thing for thing, count in counts.items() if count > MOST_LINKED + 1}
        several = {thing for thing, count in rows["thing"].value_counts().iter_rows() if count >= MOST_LINKED + 3}
        if several - crowded:  # not all of them were read, and it is not known that they are too many
            return None
        live = rows.filter(pl.col("until_us").is_null() | (pl.col("until_us") > at - HOUR_US))
        return set(live.filter(~pl.col("thing").is_in(sorted(crowded)))["entity_id"])


@dataclass(frozen=True)
class Crowds:
    """The shared things that are a crowd, or may become one by a call that changes links.

    Attributes:
        before: how many shared each thing before the call, by type of link and thing.
        shortened: the things with a link that ends earlier than before.
    """

    session: Session
    kind: EntityType
    now_us: int
    before: Mapping[tuple[str, str], ShareCount]
    shortened: frozenset[tuple[str, str]]

    @classmethod
    def read(
        cls,
        session: Session,
        kind: EntityType,
        near: Iterable[tuple[str, str]],
        changes: Iterable[tuple[StoredLink | None, StoredLink]],
        now_us: int,
    ) -> "Crowds":
        """Count the entities that share each thing, before links change.

        Args:
            session: in the transaction.
            kind: the type of the entities.
            near: types of links and things that too many share, or may share after the call.
            changes: each link before, None for a new one, and after the call.
            now_us: the present.
        """
        shortened = {
            (link.link, link.thing)
            for before, link in changes
            if before is not None and link.thing is not None and _ends_earlier(link, before)
        }
        counts = dict(_counts(session, kind, near, now_us))
        return cls(session, kind, now_us, counts, frozenset(shortened))

    def affected(self) -> AffectedEntities:
        """Find the entities of which less, or more, is known after the call than before, now or as time passes.

        Where a crowd stays a crowd, they are assessed again only if it may end earlier than their assessments assumed.
        """
        affected = AffectedEntities()
        after = dict(_counts(self.session, self.kind, self.before, self.now_us))
        for key, before in self.before.items():
            if _is_crowd(before.now) != _is_crowd(after[key].now) or (
                _is_crowd(after[key].now) and key in self.shortened and not _is_crowd(after[key].lasting)
            ):
                affected.add(self._sharing(*key))
        return affected

    def _sharing(self, link: str, thing: str) -> AffectedEntities:
        """Find the entities that share a thing now or later, and the entities whose groups contain them."""
        since_us = self.now_us - HOUR_US  # the clock of a worker may be behind
        rows = links_at(self.session, self.kind.id, link, "thing", [thing], since_us, MOST_MARKED + 1)
        others = {
            entity
            for entity, until_us in rows.select("entity_id", "until_us").iter_rows()
            if _is_live(until_us, since_us)
        }
        if len(others) > MOST_MARKED:
            return AffectedEntities(types={self.kind.id})
        subjects = [Subject(entity, self.kind.organisation_id, self.kind.id) for entity in sorted(others)]
        affected = reached_by(self.session, subjects, self.now_us)
        affected.others |= others
        return affected


def _counts(
    session: Session, kind: EntityType, keys: Iterable[tuple[str, str]], now_us: int
) -> Iterator[tuple[tuple[str, str], ShareCount]]:
    by_link: dict[str, list[str]] = {}
    for link, thing in keys:
        by_link.setdefault(link, []).append(thing)
    for link, things in by_link.items():
        counts = share_counts(session, kind.id, link, things, now_us)
        yield from (((link, thing), counts.get(thing, ShareCount(0, 0))) for thing in things)


def _is_crowd(entities: int) -> bool:
    return entities > MOST_LINKED + 1


def _is_live(until_us: int | None, since_us: int) -> bool:
    return until_us is None or until_us > since_us


def _ends_earlier(link: StoredLink, before: StoredLink) -> bool:
    return link.until_us is not None and (before.until_us is None or link.until_us < before.until_us)
