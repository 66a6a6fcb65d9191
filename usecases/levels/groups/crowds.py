"""Crowds: what too many share, so that nothing is known of those who share it; a change of links may make or end one.

Nothing here begins or ends a transaction.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from fivefold.domain.clock import HOUR_US
from fivefold.risk.facts.groups.links import MOST_LINKED
from fivefold.store.ingest.links import ShareCount, StoredLink, links_at, share_counts
from fivefold.store.levels.assessment_queue import Subject
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.levels.groups.reach import MOST_MARKED, AffectedEntities, reached_by


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
