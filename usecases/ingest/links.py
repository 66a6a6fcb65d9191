"""Intake of links between entities; a repeated one is recognised. The entities at both ends become due."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.domain.text import control_in, perhaps
from fivefold.features.reading.columns import short_text
from fivefold.risk.facts.groups.links import MOST_LINKED
from fivefold.store.audit.bound_rows import digests
from fivefold.store.ingest.entities import entity_numbers, lock_entities, record_activity, type_named
from fivefold.store.ingest.links import StoredLink, links_at, links_from, write_links
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason, Subject
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.accounts.entity_types import how_to_declare_links
from fivefold.usecases.audit import record as audit
from fivefold.usecases.ingest.bulk_facts import repeated_otherwise
from fivefold.usecases.ingest.entities import AT_ONCE, RowCounts
from fivefold.usecases.levels.groups.reach import Crowds, mark_linked, reached_by
from fivefold.usecases.levels.lowering import HOW, Concern, LoweringGuard
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import MOST_CHARACTERS, storable
from fivefold.usecases.shared.flow_triggers import behind
from fivefold.usecases.shared.inputs import LATEST_US

NAME = f"text of 1 to {MOST_CHARACTERS} characters, without control characters"
MOMENT = "a moment before the year 9000"


@dataclass(frozen=True)
class LinkRow:
    """A link from an entity to another one, or to a shared value; to nothing if `to` is None.

    It begins at `from_us`. Without that, it is the latest stored link between these two. If there is none, it has no
    beginning; if that one ended, it begins now. It ends at `until_us`, or has no end.
    """

    external_id: str
    link: str
    to: str | None = None
    from_us: int | None = None
    until_us: int | None = None


def put_links(context: Context, type_name: str, rows: Sequence[LinkRow], *, from_file: bool = False) -> RowCounts:
    """Add links of entities of a type, or set when they begin or end. The times of the same link do not overlap.

    With *from_file* they are history: what changes by them is not attributed to the actor.

    Raises:
        NotFoundError: there is no such type.
        InvalidDataError: invalid rows, each named; then nothing was stored.
    """
    now = context.now()
    problems = [problem for number, row in enumerate(rows) for problem in _problems_of(number, row)]
    problems += repeated_otherwise(
        rows, "to", lambda row: (row.external_id, row.link, row.to, row.from_us), lambda row: row.until_us
    )
    with context.writing() as session:
        kind = type_named(session, context.organisation_id, type_name, locked=True)
        numbers = _numbers(session, kind, rows, problems)
        changes = _LinkChanges(kind, numbers, now)
        ids = {numbers[row.external_id] for row in rows}
        lock_entities(session, {*ids, *_ends_of(kind, numbers, rows)})
        changes.begin(links_from(session, ids))
        counts, problems = changes.take(rows)
        if problems:
            raise InvalidDataError(problems)
        if changes.concerned:
            with behind(session, kind.organisation_id, [] if from_file else [context.actor.name]):
                _store(session, context, rows, changes, counts)
        return counts


def _problems_of(number: int, row: LinkRow) -> Iterator[Problem]:
    """Yield the problems of a row's names and moments."""
    for name, text in (("from", row.external_id), ("type", row.link), ("to", row.to)):
        if text is None and name == "to":
            continue
        if not isinstance(text, str) or not 1 <= len(text) <= MOST_CHARACTERS or not storable(text) or control_in(text):
            yield Problem(number, name, f"is {short_text(text)}", NAME)
    for name, moment in (("valid_from", row.from_us), ("valid_until", row.until_us)):
        if moment is not None and moment >= LATEST_US:
            yield Problem(number, name, "is too late", MOMENT)


def _ends_of(kind: EntityType, numbers: Mapping[str, int], rows: Sequence[LinkRow]) -> set[int]:
    """Return the numbers of the entities to which directed links lead."""
    links = kind.links or {}
    return {numbers[row.to] for row in rows if row.to is not None and links[row.link] == "directed"}


def _numbers(session: Session, kind: EntityType, rows: Sequence[LinkRow], problems: list[Problem]) -> Mapping[str, int]:
    """Find the entities that the rows name; InvalidDataError for every problem."""
    declared = kind.links or {}
    directed = [declared.get(row.link) == "directed" for row in rows]
    names = {row.external_id for row in rows} | {
        row.to for row, leads in zip(rows, directed, strict=True) if leads and row.to is not None
    }
    entities = entity_numbers(session, kind.id, [name for name in names if isinstance(name, str) and storable(name)])
    numbers = dict(entities.select("external_id", "entity_id").iter_rows())
    for number, (row, leads) in enumerate(zip(rows, directed, strict=True)):
        if row.link not in declared:
            there = ", ".join(declared) or "none yet"
            problem = f"is {short_text(row.link)}, which {kind.name} does not declare{perhaps(row.link, declared)}"
            problems.append(Problem(number, "type", problem, f"{there}; {how_to_declare_links(kind.name)}"))
        for name, end in (("from", row.external_id), ("to", row.to if leads else None)):
            if end is not None and end not in numbers:
                problem = f"is {short_text(end)}: there is no such {kind.name}"
                problems.append(Problem(number, name, problem, "an existing one"))
        if leads and row.to == row.external_id:
            problems.append(Problem(number, "to", "is the entity itself", "another entity, or nothing"))
    if problems:
        raise InvalidDataError(sorted(problems, key=lambda problem: problem.row))
    return numbers


@dataclass
class _LinkChanges:
    """The links of some entities, while rows change them.

    Attributes:
        concerned: how new and changed links concern the entities at their ends.
    """

    kind: EntityType
    numbers: Mapping[str, int]
    now_us: int
    concerned: dict[int, Concern] = field(default_factory=dict)
    _before: dict[int, StoredLink] = field(default_factory=dict)
    _links: dict[tuple[int, str, int | None, str | None], list[StoredLink]] = field(default_factory=dict)

    def begin(self, there: Sequence[StoredLink]) -> None:
        """Begin with the stored links."""
        for one in there:
            self._links.setdefault(one.ends, []).append(one)
            self._before[one.id or 0] = one

    def take(self, rows: Sequence[LinkRow]) -> tuple[RowCounts, list[Problem]]:
        """Apply rows; return the counts and the problems."""
        new = changed_count = 0
        problems = []
        for number, row in enumerate(rows):
            new_link = self._requested_link(row)
            spans = self._links.setdefault(new_link.ends, [])
            places = self._places(spans, row)
            if len(places) > 1:
                problem = "overlaps several known times of this link"
                problems.append(Problem(number, "valid_from", problem, "one of them, or a time apart"))
                continue
            place = places[0] if places else None
            before = None if place is None else spans[place]
            new_link = new_link._replace(from_us=self._begins(spans, place, row))
            if None not in (new_link.from_us, new_link.until_us) and (new_link.until_us or 0) < (new_link.from_us or 0):
                problem = f"is before it began, on {day_text(new_link.from_us or 0)}"
                problems.append(Problem(number, "valid_until", problem, "that moment or a later one"))
                continue
            if place is None:
                spans.append(new_link)
                new += 1
            elif spans[place] == new_link._replace(id=spans[place].id):
                continue
            else:
                spans[place] = new_link._replace(id=spans[place].id)
                changed_count += 1
            self._note(new_link, before)
        return RowCounts(new, changed_count, len(rows) - new - changed_count), problems

    def _requested_link(self, row: LinkRow) -> StoredLink:
        leads = (self.kind.links or {})[row.link] == "directed"
        other = self.numbers[row.to] if leads and row.to is not None else None
        thing = None if leads else row.to
        return StoredLink(self.numbers[row.external_id], row.link, other, thing, row.from_us, row.until_us)

    def _places(self, spans: Sequence[StoredLink], row: LinkRow) -> list[int]:
        """Find the known times that a row may be about: one, several, or none if it is new."""
        if row.from_us is not None:
            return [place for place, span in enumerate(spans) if _overlap(span, row)]
        if not spans:
            return []
        latest = max(range(len(spans)), key=lambda place: (spans[place].from_us is not None, spans[place].from_us))
        return [latest] if self._goes_on(spans[latest].until_us) or not self._goes_on(row.until_us) else []

    def _begins(self, spans: Sequence[StoredLink], place: int | None, row: LinkRow) -> int | None:
        if row.from_us is not None:
            return row.from_us
        if place is not None:
            return spans[place].from_us
        return self.now_us if spans else None

    def _goes_on(self, until_us: int | None) -> bool:
        return until_us is None or until_us > self.now_us

    def _note(self, link: StoredLink, before: StoredLink | None) -> None:
        concern = Concern.of_new(self.now_us, link.from_us, link.until_us)
        if before is not None:
            concern = Concern.of_change(self.now_us, before.from_us, before.until_us, link.from_us, link.until_us)
        for one in (link.entity_id, link.other_id):
            if one is not None:
                self.concerned[one] = self.concerned.get(one, concern) | concern

    @property
    def pairs(self) -> list[tuple[StoredLink | None, StoredLink]]:
        """The new and changed links, each as a pair of before, None for a new one, and after."""
        return [(self._before.get(one.id or 0), one) for one in (*self.new_links, *self.changed_links)]

    @property
    def new_links(self) -> list[StoredLink]:
        """The new links."""
        return [one for spans in self._links.values() for one in spans if one.id is None]

    @property
    def changed_links(self) -> list[StoredLink]:
        """The links with changed times."""
        return [one for spans in self._links.values() for one in spans if one.id and one != self._before[one.id]]


def _overlap(span: StoredLink, row: LinkRow) -> bool:
    """Return whether both have a moment in common, or begin at the same moment."""
    if span.from_us == row.from_us:
        return True
    ends_after = row.until_us is None or span.from_us is None or span.from_us < row.until_us
    return ends_after and (span.until_us is None or row.from_us is None or row.from_us < span.until_us)


def _store(
    session: Session, context: Context, rows: Sequence[LinkRow], changes: _LinkChanges, counts: RowCounts
) -> None:
    """Store new and changed links; mark the entities concerned; record the call once."""
    kind, now = changes.kind, changes.now_us
    subjects = [Subject(entity, kind.organisation_id, kind.id) for entity in sorted(changes.concerned)]
    new_links, changed_links = changes.new_links, changes.changed_links
    before = reached_by(session, subjects, now)
    about = dict(changes.concerned)
    sharing, near = _sharing(session, kind, [*new_links, *changed_links], changes)
    for entity, concern in sharing.items():
        about[entity] = about.get(entity, concern) | concern
    crowds = Crowds.read(session, kind, near, changes.pairs, now)
    watch = LoweringGuard(session, context, "links", about, now)
    of = (kind.organisation_id, kind.id)
    row_ids = write_links(session, of, new_links, changed_links, (context.actor.name, now))
    session.flush()
    if falls := watch.falls():
        through = {
            name for name, one in changes.numbers.items() if one in {one for fall in falls for one in fall.through}
        }
        row_numbers = [number for number, row in enumerate(rows) if {row.external_id, row.to} & through]
        problem = f"needs a second person: {falls[0]}"
        raise InvalidDataError([Problem(number, "to", problem, HOW) for number in row_numbers or range(len(rows))])
    record_activity(session, changes.concerned, now)
    before.add(crowds.affected())
    before.others -= changes.concerned.keys()
    priority = BULK if len(subjects) > AT_ONCE else EVENT
    mark_linked(session, subjects, Reason.ATTRIBUTE, now, priority, before)
    sealed = digests(session, "links", row_ids)
    context.record(
        session,
        "links.put",
        ("entity", None),
        details=counts.details,
        bulk=audit.bulk_of(counts.new + counts.changed, sealed),
        rows=sealed,
    )


def _sharing(
    session: Session, kind: EntityType, links: Sequence[StoredLink], changes: _LinkChanges
) -> tuple[dict[int, Concern], list[tuple[str, str]]]:
    """Return the entities that already share a value with new and changed links: the group of each may change.

    All of them are returned, unless too many share the value even without these links. Return also the values that are
    shared by too many, or may be with these links.
    """
    things: dict[str, dict[str, Concern]] = {}
    for one in links:
        if one.thing is not None:
            concerns, concern = things.setdefault(one.link, {}), changes.concerned[one.entity_id]
            concerns[one.thing] = concerns.get(one.thing, concern) | concern
    sharing: dict[int, Concern] = {}
    near: list[tuple[str, str]] = []
    most = MOST_LINKED + 1 + len(links)
    for link, concerns in things.items():
        rows = links_at(session, kind.id, link, "thing", sorted(concerns), changes.now_us, most)
        for entity, thing in rows.select("entity_id", "thing").iter_rows():
            sharing[entity] = sharing.get(entity, concerns[thing]) | concerns[thing]
        if len(rows) + len(links) > MOST_LINKED + 1:
            shared = Counter(rows["thing"].to_list()) + Counter(one.thing for one in links if one.link == link)
            near += [(link, thing) for thing in concerns if shared[thing] > MOST_LINKED + 1]
    return sharing, near
