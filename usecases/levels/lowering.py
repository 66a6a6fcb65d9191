"""Changes of facts that would lower a level: found by assessing the entities concerned without the change and with it.

One person alone may record what raises a level. Taking back what holds a level up - the end of a tag, another state of
a case or an alert, a clean screening after a hit - needs a second person wherever it would lower the level or a floor.
A first clean screening answers what was unknown, and takes nothing back.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Final

from sqlalchemy import case, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, InvalidRulesetError
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical
from fivefold.risk.facts.portfolio import NamedList
from fivefold.store.accounts.organisation import levels_of, settings_row
from fivefold.store.changes.proposals import needs_two_people
from fivefold.store.ingest import facts
from fivefold.store.ingest.entities import subjects
from fivefold.store.ingest.links import links_from, touched_by_links
from fivefold.store.ingest.ownerships import owner_numbers
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.rulesets.rulesets import active_versions
from fivefold.store.tables.entities import Entity, EntityType, Record
from fivefold.usecases.accounts.lists import lists_of
from fivefold.usecases.accounts.second_person import has_sole_operator, is_member, is_program
from fivefold.usecases.levels.assess import RulesLevel, levels_by_rules
from fivefold.usecases.levels.groups.links import followed_by, read_linked
from fivefold.usecases.levels.groups.reach import reached_by
from fivefold.usecases.levels.portfolio import parts_of
from fivefold.usecases.shared.context import Context

HOW = (
    "two people take back what holds a level up: a member sends this alone, with their own token and a reason,"
    " and another member approves it (/v1/proposals)"
)
"""What to do instead of a refused change."""

MOST_MOMENTS: Final = 100
"""The most moments at which an entity is assessed; a change that concerns it at more of them needs two people."""


@dataclass(frozen=True)
class Concern:
    """How a change concerns an entity.

    Attributes:
        at_us: the moments from which the facts with the change may differ in another way, microseconds.
        ends_us: the moments at which a new fact ends: from then on all is as without it, so they matter only where
            another change concerns the entity as well.
        takes_back: whether it takes back an earlier fact.
    """

    at_us: frozenset[int]
    ends_us: frozenset[int] = frozenset()
    takes_back: bool = False

    @classmethod
    def of_new(cls, now_us: int, from_us: int | None = None, until_us: int | None = None) -> "Concern":
        """Return the concern of a new fact, from a moment, or from now on, until an end if it has one; microseconds."""
        return cls(_from(now_us, from_us), frozenset() if until_us is None else _from(now_us, until_us))

    @classmethod
    def of_change(cls, now_us: int, *moments_us: int | None) -> "Concern":
        """Return the concern of a changed start or end: now, and the old and new moments to come; None for none."""
        return cls(_from(now_us, *moments_us), takes_back=True)

    def __or__(self, other: "Concern") -> "Concern":
        """Combine two concerns of the same entity."""
        if self == other:
            return self
        moments = self.at_us | self.ends_us | other.at_us | other.ends_us
        return Concern(moments, takes_back=self.takes_back or other.takes_back)


def _from(now_us: int, *moments_us: int | None) -> frozenset[int]:
    return frozenset({now_us, *(at for at in moments_us if at is not None and at > now_us)})


@dataclass(frozen=True, kw_only=True)
class Fall:
    """An entity whose level or floor a change would lower.

    Attributes:
        entity: its number.
        before: the names of level, floor and hard floor by the rules, without the change; empty for none. None where
            they cannot be computed.
        after: the same with the change.
        through: the entities that the change is about: itself, what it owns, or what it is linked to.
        why: why they cannot be computed, if known.
    """

    entity_type: str
    external_id: str
    entity: int
    before: tuple[str, str, str] | None
    after: tuple[str, str, str] | None
    through: frozenset[int]
    why: str = ""

    def __str__(self) -> str:
        """Return the fall in words."""
        who = f"{self.entity_type} {self.external_id!r}"
        if self.before is None or self.after is None:
            return f"what {who} would fall to cannot be computed" + (f", as {self.why}" if self.why else "")
        for what, before, after in zip(("level", "floor", "hard floor"), self.before, self.after, strict=True):
            if before != after:
                return f"the {what} of {who} would fall from {before} to {after or 'none'}"
        raise AssertionError("nothing falls")


class HiddenFall(Fall):
    """A fall as programs may see it: without the entity, and without what falls from where to where."""

    def __str__(self) -> str:
        """Return words that only say that something would fall."""
        return "a level, or what holds one up, would fall"


class WouldLowerError(ConflictError):
    """A change of facts that would lower a level or a floor, and that one person alone may not make.

    Attributes:
        falls: the falls, at least one.
    """

    def __init__(self, falls: list[Fall]) -> None:
        """Name the first fall, and what to do instead."""
        self.falls = falls
        super().__init__(f"{falls[0]}; {HOW}")


class LoweringGuard:
    """Computes the levels of the entities concerned before a change; `falls` does so again after it, and compares.

    Both are in the transaction of the change. Each entity is assessed at every moment of its concern, and whenever one
    of its tags or links begins or ends by itself; where something is taken back, tags and links of its group count too.
    Otherwise one person could let a tag end tomorrow while a case holds the level, and close the case while the tag
    still does. An entity with too many moments or linked entities is not assessed, and counts as lowered.
    """

    def __init__(
        self, session: Session, context: Context, part: str, about: Mapping[int, Concern], now_us: int
    ) -> None:
        """Compute the levels of the entities, of their owners and of those whose groups contain them, if ever assessed.

        Args:
            session: in the transaction of the change.
            context: who makes the change, and whether by a tool.
            part: the kind of facts that changes: tags, screenings, cases, alerts or links.
            about: how the change concerns each entity, by number.
            now_us: the present, microseconds.
        """
        self._session, self._organisation_id, self._part = session, context.organisation_id, part
        self._kind_of_fall = HiddenFall if is_program(context.actor.name) else Fall
        self._concerns: dict[int, Concern] = {}
        self._through: dict[int, set[int]] = {}
        self._unseen: dict[int, str] = {}
        if about and _needs_two(session, context):
            self._concerns = self._concerned(about, now_us)
        self._moments = self._moments_of_all()
        self._lists = self._lists_read()
        self._before = self._levels()

    def falls(self) -> list[Fall]:
        """Return the entities whose level or floor the change lowers, by number."""
        falls = {entity: self._fall(entity, why=why) for entity, why in self._unseen.items()}
        after = self._levels() if self._before else {}
        for (entity, at_us), before in self._before.items():
            if entity not in falls and _falls(before, after[entity, at_us], self._concerns[entity].takes_back):
                falls[entity] = self._fall(entity, before, after[entity, at_us])
        return [falls[entity] for entity in sorted(falls)]

    def _fall(
        self, entity: int, before: RulesLevel | None = None, after: RulesLevel | None = None, why: str = ""
    ) -> Fall:
        names = ("", *levels_of(self._session, self._organisation_id))
        row = self._session.get_one(Entity, entity)
        return self._kind_of_fall(
            entity_type=self._session.get_one(EntityType, row.type_id).name,
            external_id=row.external_id,
            entity=entity,
            before=_with_level_names(before, names),
            after=_with_level_names(after, names),
            through=frozenset(self._through[entity]),
            why=why,
        )

    def refuse_falls(self) -> None:
        """Raise WouldLowerError if the change lowers any level or floor, so that its transaction is rolled back."""
        self._session.flush()
        if falls := self.falls():
            raise WouldLowerError(falls)

    def _concerned(self, about: Mapping[int, Concern], now_us: int) -> dict[int, Concern]:
        """Add owners and linked entities; leave out entities never assessed, which have no level that could fall.

        Where so many are linked that the whole type is marked, none of them is assessed, so one person alone takes
        nothing back there.
        """
        owners = owner_numbers(self._session, about)
        self._through = {entity: {entity} for entity in about}
        concerns = dict(about)
        pairs = loading.fact_owners(self._session, sorted(owners)).select("fact_of", "entity")
        for owned, owner in pairs.iter_rows():
            if owned in about and owned != owner:
                concerns[owner] = concerns.get(owner, about[owned]) | about[owned]
                self._through.setdefault(owner, set()).add(owned)
        everyone = subjects(self._session, concerns)
        reached = reached_by(self._session, everyone, now_us)
        hubs = [
            one.entity_id for one in everyone if one.type_id in reached.types and concerns[one.entity_id].takes_back
        ]
        if hubs and any(self._follows(type_id) for type_id in reached.types):
            self._unseen = dict.fromkeys(touched_by_links(self._session, hubs), "too many are linked to look at them")
        if reached.others:
            concerns |= dict.fromkeys(reached.others, reduce(or_, about.values()))
            self._through |= {linked: set(about) for linked in reached.others}
        standing = loading.current_levels(self._session, sorted(concerns))
        last = dict(standing.select("entity", "assessed_us").iter_rows())
        return {
            entity: replace(concern, at_us=frozenset(max(at, now_us, last[entity]) for at in concern.at_us))
            for entity, concern in concerns.items()
            if entity in last
        }

    def _follows(self, type_id: int) -> bool:
        """Check whether an active ruleset of a type reads the part that changes, and follows links."""
        rulesets = self._rulesets(type_id)
        return any(self._part in parts_of(ruleset) and followed_by([ruleset]) for ruleset in rulesets)

    def _rulesets(self, type_id: int) -> list[AnalysedRuleset]:
        versions = active_versions(self._session, self._organisation_id, type_id)
        return [analyse_canonical(version.canonical) for version in versions]

    def _moments_of_all(self) -> dict[tuple[int, int], list[int]]:
        """Return the entities to assess together, by type and moment; an entity with too many moments is left out."""
        moments = {entity: set(concern.at_us) for entity, concern in self._concerns.items()}
        spans: list[tuple[int, int | None, int | None]]
        spans = [(entity, begin, end) for _, entity, _, begin, end in facts.tags(self._session, sorted(moments))]
        spans += [(link.entity_id, link.from_us, link.until_us) for link in links_from(self._session, moments)]
        for entity, *ends in spans:
            first = min(self._concerns[entity].at_us)
            moments[entity] |= {at for at in ends if at is not None and at > first}
        for entity, of_group in self._moments_of_groups().items():
            moments[entity] |= {at for at in of_group if at > min(self._concerns[entity].at_us)}
        groups: dict[tuple[int, int], list[int]] = {}
        for entity, when in moments.items():
            if len(when) > MOST_MOMENTS:
                self._unseen[entity] = f"there are more than {MOST_MOMENTS} moments to look at"
                continue
            type_id = self._session.get_one(Entity, entity).type_id
            for at_us in sorted(when):
                groups.setdefault((type_id, at_us), []).append(entity)
        return groups

    def _moments_of_groups(self) -> dict[int, set[int]]:
        """Return when links and tags of a group begin or end, by the entity of which something is taken back."""
        moments: dict[int, set[int]] = {}
        by_type: dict[int, list[int]] = {}
        taken_back = [entity for entity, concern in self._concerns.items() if concern.takes_back]
        for one in subjects(self._session, touched_by_links(self._session, taken_back)):
            by_type.setdefault(one.type_id, []).append(one.entity_id)
        for type_id, ids in by_type.items():
            first = min(at for entity in ids for at in self._concerns[entity].at_us)
            rulesets = self._rulesets(type_id)
            groups = read_linked(self._session, type_id, ids, rulesets, first)
            if groups is None:
                continue
            reads_tags = any("tags" in parts_of(ruleset) for ruleset in rulesets)
            of_tags: dict[int, set[int]] = {}
            for _, member, _, begin, end in facts.tags(self._session, groups.everyone()) if reads_tags else ():
                of_tags.setdefault(member, set()).update(at for at in (begin, end) if at is not None and at > first)
            of_links = groups.moments(first)
            for entity in ids:
                of_members = (of_tags.get(one, set()) for one in groups.members[entity])
                moments[entity] = of_links[entity].union(*of_members)
        return moments

    def _lists_read(self) -> dict[str, NamedList]:
        """Read the lists once for all moments, before and after: the change touches no list.

        Only types with an active ruleset that reads the changed part need lists.
        """
        of_types = [self._rulesets(type_id) for type_id in sorted({type_id for type_id, _ in self._moments})]
        readers = (one for each in of_types if any(self._part in parts_of(other) for other in each) for one in each)
        return lists_of(self._session, self._organisation_id, readers)

    def _levels(self) -> dict[tuple[int, int], RulesLevel | None]:
        """Return the result of the rules by entity and moment; None where it is not known."""
        levels: dict[tuple[int, int], RulesLevel | None] = {}
        for (type_id, at_us), ids in self._moments.items():
            try:
                of_rules = (self._session, self._organisation_id, type_id, ids, at_us, self._part, self._lists)
                computed = levels_by_rules(*of_rules)
            except InvalidRulesetError:  # a list is missing: no entity is assessed, and nothing is known
                computed = {}
            if computed is not None:
                levels |= {(entity, at_us): computed.get(entity) for entity in ids}
        return levels


@contextmanager
def dated_far_back(session: Session, record_ids: Iterable[int]) -> Iterator[None]:
    """Date cases and alerts in 1970 within this context, and restore their dates at its end.

    A record that is moved to an earlier moment leaves every window earlier, and decays earlier. Levels computed with it
    in 1970 show what it holds up now, and would no longer hold up after so long a time.
    """
    nested = session.begin_nested()
    try:
        closed = case((Record.closed_us.is_not(None), 0))
        for number in record_ids:
            moved = update(Record).where(Record.id == number).values(opened_us=0, closed_us=closed)
            session.execute(moved.execution_options(synchronize_session=False))
        yield
    finally:
        nested.rollback()


def _needs_two(session: Session, context: Context) -> bool:
    """Check whether a change that lowers a level needs a second person.

    A change by a tool always does, whatever the organisation chose: perhaps no person saw what the agent requested.
    """
    if context.by_tool:
        return True
    of = context.organisation_id
    if not needs_two_people(session, of) or has_sole_operator(session, of):
        return False
    return is_member(context.actor.name) or not settings_row(session, of).programs_lower_levels


def _falls(before: RulesLevel | None, after: RulesLevel | None, takes_back: bool) -> bool:
    if before is None or after is None:
        return takes_back
    return any(now < then for then, now in zip(before, after, strict=True))


def _with_level_names(levels: RulesLevel | None, names: tuple[str, ...]) -> tuple[str, str, str] | None:
    return None if levels is None else (names[levels[0]], names[levels[1]], names[levels[2]])
