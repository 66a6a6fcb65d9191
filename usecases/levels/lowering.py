"""What would lower a level: found by assessing whom a change of facts is about, without the change and with it.

What one person records may raise a level. To take back what holds a level up - the end of a tag, another state of a
case or an alert, a clean screening after a hit - needs a second person wherever it would lower the level or a floor. A
first clean screening answers what was unknown, and takes nothing back.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import case, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, InvalidRulesetError
from fivefold.store.accounts.organisation import levels_of, settings_row
from fivefold.store.ingest import facts
from fivefold.store.ingest.entities import subjects
from fivefold.store.ingest.ownerships import owner_numbers
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.rulesets.proposals import needs_two_people
from fivefold.store.tables.entities import Entity, EntityType, Record
from fivefold.usecases.accounts.second_person import has_sole_operator, is_member
from fivefold.usecases.levels.assess import RulesLevel, levels_by_rules
from fivefold.usecases.levels.groups.reach import reached_by
from fivefold.usecases.shared.actors import Actor

HOW = (
    "two people take back what holds a level up: a member sends this alone, with their own token and a reason,"
    " and another member approves it (/v1/proposals)"
)
"""What to do instead."""


@dataclass(frozen=True)
class Concern:
    """How a change concerns an entity.

    Attributes:
        at_us: from when on it shows, microseconds.
        takes_back: it takes back something that was said before.
    """

    at_us: int
    takes_back: bool = False


@dataclass(frozen=True, kw_only=True)
class Fall:
    """An entity whose level or floor a change would lower.

    Attributes:
        before: level, floor and hard floor by the rules, without the change: names, empty for none.
        after: the same with it; None where it cannot be computed.
        through: the entities that the change is about: itself, what it owns, or whom it is linked to.
    """

    entity_type: str
    external_id: str
    before: tuple[str, str, str] | None
    after: tuple[str, str, str] | None
    through: frozenset[int]

    def __str__(self) -> str:
        """Say it in words."""
        who = f"{self.entity_type} {self.external_id!r}"
        if self.before is None or self.after is None:
            return f"what {who} would fall to cannot be computed"
        for what, before, after in zip(("level", "floor", "hard floor"), self.before, self.after, strict=True):
            if before != after:
                return f"the {what} of {who} would fall from {before} to {after or 'none'}"
        raise AssertionError("nothing falls")


class WouldLowerError(ConflictError):
    """A change of facts that would lower a level or a floor, and that one person alone may not make.

    Attributes:
        falls: whose.
    """

    def __init__(self, falls: list[Fall]) -> None:
        """Say whose, and what to do."""
        self.falls = falls
        super().__init__(f"{falls[0]}; {HOW}")


class LoweringGuard:
    """Looks at whom a change is about before it is made; `falls` looks again after it, in the same transaction.

    Each is looked at when the change shows, and when the last of its tags that end by themselves is over: otherwise one
    person could let a tag end tomorrow while a case holds the level, and close the case while the tag still does.
    """

    def __init__(self, session: Session, actor: Actor, part: str, about: Mapping[int, Concern], now_us: int) -> None:
        """Look at those who were ever assessed, at who owns them, and at those in whose groups they are.

        Args:
            session: in the transaction of the change.
            actor: who makes it.
            part: of what is known: tags, screenings, cases, alerts or links.
            about: whom it is about, by their numbers.
            now_us: the present, microseconds.
        """
        self._session, self._actor, self._part = session, actor, part
        self._concerns: dict[int, Concern] = {}
        self._through: dict[int, set[int]] = {}
        if about and _needs_two(session, actor):
            self._concerns = self._concerned(about, now_us)
        self._moments = self._moments_of_all()
        self._before = self._levels()

    def falls(self) -> list[Fall]:
        """Tell whose level or floor the change lowers."""
        if not self._before:
            return []
        after = self._levels()
        names = ("", *levels_of(self._session, self._actor.organisation_id))
        falls: dict[int, Fall] = {}
        for (entity, at_us), before in self._before.items():
            if entity not in falls and _falls(before, after[entity, at_us], self._concerns[entity].takes_back):
                row = self._session.get_one(Entity, entity)
                kind = self._session.get_one(EntityType, row.type_id).name
                falls[entity] = Fall(
                    entity_type=kind,
                    external_id=row.external_id,
                    before=_with_level_names(before, names),
                    after=_with_level_names(after[entity, at_us], names),
                    through=frozenset(self._through[entity]),
                )
        return list(falls.values())

    def refuse_falls(self) -> None:
        """Raise WouldLower where the change lowers any level or floor: nothing of its transaction stays."""
        self._session.flush()
        if falls := self.falls():
            raise WouldLowerError(falls)

    def _concerned(self, about: Mapping[int, Concern], now_us: int) -> dict[int, Concern]:
        """Add the owners, and who is linked; leave out who was never assessed: they have no level that could fall.

        Where so many are linked that everybody of the type is marked, none of them is looked at.
        """
        owners = owner_numbers(self._session, about)
        self._through = {entity: {entity} for entity in about}
        concerns = dict(about)
        pairs = loading.owned(self._session, sorted(owners)).select("fact_of", "entity")
        for owned, owner in pairs.iter_rows():
            if owned in about and owned != owner:
                others = [about[owned], *([concerns[owner]] if owner in concerns else [])]
                concerns[owner] = Concern(
                    max(other.at_us for other in others), any(other.takes_back for other in others)
                )
                self._through.setdefault(owner, set()).add(owned)
        everyone = subjects(self._session, concerns)
        for linked in reached_by(self._session, everyone, now_us).others:
            concerns[linked] = Concern(
                max(other.at_us for other in about.values()), any(other.takes_back for other in about.values())
            )
            self._through[linked] = set(about)
        standing = loading.current_levels(self._session, sorted(concerns))
        last = dict(standing.select("entity", "assessed_us").iter_rows())
        return {
            entity: Concern(max(concern.at_us, now_us, last[entity]), concern.takes_back)
            for entity, concern in concerns.items()
            if entity in last
        }

    def _moments_of_all(self) -> dict[tuple[int, int], list[int]]:
        """Give whom to look at together: by type and moment."""
        moments = {entity: {concern.at_us} for entity, concern in self._concerns.items()}
        for _, entity, _, begin, end in facts.tags(self._session, sorted(moments)):
            if end is not None and begin <= self._concerns[entity].at_us < end:
                moments[entity] = {self._concerns[entity].at_us, max(*moments[entity], end)}
        groups: dict[tuple[int, int], list[int]] = {}
        for entity, when in moments.items():
            type_id = self._session.get_one(Entity, entity).type_id
            for at_us in sorted(when):
                groups.setdefault((type_id, at_us), []).append(entity)
        return groups

    def _levels(self) -> dict[tuple[int, int], RulesLevel | None]:
        """Give what the rules say of everyone at each moment that concerns them; None where that is not known."""
        levels: dict[tuple[int, int], RulesLevel | None] = {}
        for (type_id, at_us), ids in self._moments.items():
            try:
                computed = levels_by_rules(self._session, self._actor.organisation_id, type_id, ids, at_us, self._part)
            except InvalidRulesetError:  # a list is missing: no entity is assessed, and nothing is known
                computed = {}
            if computed is not None:
                levels |= {(entity, at_us): computed.get(entity) for entity in ids}
        return levels


@contextmanager
def dated_far_back(session: Session, record_ids: Iterable[int]) -> Iterator[None]:
    """Let cases and alerts lie in 1970 while this lasts, and then where they were put.

    One that is put at an earlier moment than before leaves every window earlier, and decays earlier: what that comes to
    without another word is what these records hold up now and would not hold up from so long ago.
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


def _needs_two(session: Session, actor: Actor) -> bool:
    """Tell whether a change that lowers a level needs a second person, if *actor* makes it."""
    of = actor.organisation_id
    if not needs_two_people(session, of) or has_sole_operator(session, of):
        return False
    return is_member(actor.name) or not settings_row(session, of).programs_lower_levels


def _falls(before: RulesLevel | None, after: RulesLevel | None, takes_back: bool) -> bool:
    if before is None or after is None:
        return takes_back
    return any(now < then for then, now in zip(before, after, strict=True))


def _with_level_names(levels: RulesLevel | None, names: tuple[str, ...]) -> tuple[str, str, str] | None:
    return None if levels is None else (names[levels[0]], names[levels[1]], names[levels[2]])
