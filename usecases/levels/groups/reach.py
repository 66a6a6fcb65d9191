"""Whom a fact concerns through links: those in whose groups an entity is, as the rulesets that decide follow links.

Of crowds, which too many share, nothing is known; a change of links may make or end one.
Found in the transaction of the fact, and marked due in it. Nothing here begins or ends a transaction.
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
"""So many others a fact marks in its own transaction; where more are linked, everybody of the type is marked instead,
part by part, by workers: however many facts come meanwhile, one marking that has not begun stands for all of them."""
TIMES_AS_MANY: Final = 10
"""A call about many entities marks this many times more in its own transaction."""


@dataclass
class AffectedEntities:
    """Who has to be looked at again.

    Attributes:
        others: entities, beside those that it began from.
        types: of which everybody has to be, since too many are linked to follow them.
    """

    others: set[int] = field(default_factory=set)
    types: set[int] = field(default_factory=set)

    def add(self, more: "AffectedEntities") -> None:
        """Take in those of another one."""
        self.others |= more.others
        self.types |= more.types

    def mark(self, session: Session, concerned: Iterable[Subject], reason: Reason, due_us: int, priority: int) -> None:
        """Mark them due, with those whom a fact is about, in one order, so that concurrent callers do not deadlock."""
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
    """Mark entities due, and those in whose groups they are.

    A call that changes a link marks both of its ends. So either it is done by the time that our own mark is set, and
    whom it leads to is found and marked as well; or it waits for us, and marks them after us. *before* are those who
    were reached before such a call.
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
    """Find those whose groups an entity is in, directly or over several steps.

    A group that is unknown, as too many share something, stays so whatever happens to one of them: these are left out.
    So a call that changes links asks before it and after it.

    Args:
        session: in the transaction of the fact.
        concerned: whom the fact is about.
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
    """Let changes of what decides on a type wait until the transaction ends.

    Otherwise a fact would not reach those whose groups begin to count meanwhile, and they might be looked at before it.
    """
    statement = select(EntityType.id).where(EntityType.id == type_id)
    session.execute(statement.with_for_update(key_share=True, read=True))


@dataclass
class _Search:
    """Follows links of one type back to those whose groups they make.

    Attributes:
        most: others; where there are more, they are not followed.
    """

    session: Session
    type_id: int
    way: Followed
    now_us: int
    most: int

    def follow(self, begin: Collection[int]) -> set[int] | None:
        """Give those who are reached; None where they are more than are followed."""
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
        """Read the links at some ends that are there, or that begin later; None where there are too many.

        Those that ended within the last hour are among them: the clock of who assesses may be behind.
        """
        most = self.most + 1
        rows = links_at(self.session, self.type_id, self.way.link, end, sorted(ids), self.now_us - HOUR_US, most)
        live = rows.filter(pl.col("until_us").is_null() | (pl.col("until_us") > self.now_us - HOUR_US))
        return live if len(live) < most else None

    def _sharing(self, ids: Collection[int]) -> set[int] | None:
        """Give those who share something with some entities, but for what too many share."""
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
    """What links lead to that too many share, or may after a call that changes links.

    Attributes:
        before: by type of link and thing, how many shared it before the call.
        shortened: things of which a link ends earlier than before.
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
        """Read how many share something, before links change.

        Args:
            session: in the transaction.
            kind: the type of the entities.
            near: types of links and things that are shared by too many, or may be after the call.
            changes: links as they were, None for new ones, and as they are to be.
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
        """Find those of whom less, or more, is known after the call than before it, now or as time passes.

        Of what is a crowd and stays one, they are looked at again only where it may end earlier than they know.
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
        """Find those who share something now or later, and those in whose groups they are."""
        since_us = self.now_us - HOUR_US  # the clock of who assesses may be behind
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
