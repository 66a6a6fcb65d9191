"""Items of the queue: rows of several sources, and people's work on them. Nothing here begins or ends a transaction.

Every source of items about entities is read by an index, in the order of arrival or due date, and all are merged in
memory: a page costs the same however many others wait.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BindParameter,
    CompoundSelect,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    tuple_,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import NO_PLACE, Key, Page, Part, first_page
from fivefold.store.queue.sources import (
    SOURCES,
    VERSIONS,
    WITHOUT_ENTITY,
    ItemSource,
    Kind,
    number_parameter,
    source_moments,
)
from fivefold.store.sql.json_text import JSONText
from fivefold.store.tables.accounts import Member, TokenRequest
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.events import MaterialChange, Policy, ValidationRun
from fivefold.store.tables.flows import FlowAction, FlowRun, FlowVersion
from fivefold.store.tables.groups import GroupVersion
from fivefold.store.tables.levels import OverrideRow, Standing
from fivefold.store.tables.queue import QueueWork
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Proposal, RulesetVersion

DAYS: Final[Mapping[Kind, int]] = {
    Kind.OVERRIDE: 0,
    Kind.CHANGE: 2,
    **dict.fromkeys(VERSIONS, 2),
    Kind.TOKEN: 2,
    Kind.VALIDATION: 30,
    Kind.MATERIAL: 30,
    Kind.CHALLENGE: 0,
    Kind.QUESTION: 0,
    Kind.FLOW_REVIEW: 0,
    Kind.FAILURE: 1,
    Kind.QUARANTINE: 1,
    Kind.RISE: 5,
    Kind.REVIEW: 0,
}
"""The days from an item's arrival until it is due; overdue reviews are due at once, and some kinds have own dates."""
MOST_COUNTED: Final = 10_000


class QueueOrder(StrEnum):
    """The order of the queue: by due date, or newest first."""

    DUE = "due"
    NEWEST = "newest"


class ItemName(NamedTuple):
    """The name of an item: its kind, and two numbers whose meaning depends on the kind."""

    kind: Kind
    number: int
    step: int


@dataclass(frozen=True, kw_only=True)
class ItemFilter:
    """Which items are listed; empty or None sets no condition.

    Attributes:
        kinds: at least one.
        now_us: the current time; `latest_us` is the moment after which nothing can have happened.
        member_id: the member to whom items are assigned.
        unassigned: for each source, in their order, the roles that see its items. Lists items that are assigned to no
            one, to a member who has left, or to one without these roles. Empty for no condition.
        type_id: the type of the entities.
        levels: the numbers of the current levels of the entities.
        flow_id: the flow of questions and reviews; other items belong to none.
        since_us: items that arrived at that moment or later.
        proposal_kinds: the kinds of changes that the reader may see; None for all.
        asked: the roles of questions that the reader may answer.
        reader: the reader, as the audit log names them, who does not see an item that another person must decide; empty
            to leave none out.
        name: the name of the only item to list, completed or not.
    """

    organisation_id: int
    kinds: Sequence[Kind]
    now_us: int
    latest_us: int
    member_id: int | None = None
    unassigned: tuple[tuple[str, ...], ...] = ()
    type_id: int | None = None
    levels: Sequence[int] = ()
    flow_id: int | None = None
    since_us: int | None = None
    proposal_kinds: Sequence[str] | None = None
    asked: Sequence[str] = ()
    reader: str = ""
    name: ItemName | None = None


class ItemRow(NamedTuple):
    """An item with its entity and people's work on it.

    Attributes:
        since_us: when it arrived.
        from_level: the level before a rise, and `to_level` the one after it; `to_level` is also the level that an
            override requests.
        level: the entity's current level.
        detail: a reason or an error, by the kind; the step of a question, the action of a review of a flow.
        about: the subject of a change; the status of a failure; the name of a flow, or of the policy, group, ruleset or
            flow of a waiting version; the role of a token; the kind of a material change.
        by: who requested it; of a question who called the run.
        run_id: the run of a question or of a review of a flow; `version_id` is the version of the run.
        own_due_us: its due date, if items of the kind have their own.
    """

    kind: str
    number: int
    step: int
    since_us: int
    entity_id: int | None
    entity_type: str | None
    external_id: str | None
    level: int | None
    from_level: int | None
    to_level: int | None
    detail: str | None
    about: str | None
    by: str | None
    run_id: int | None
    version_id: int | None
    member_id: int | None
    member: str | None
    member_left_us: int | None
    member_roles: list[str] | None
    done_us: int | None
    revision: int | None
    own_due_us: int | None

    @property
    def due_us(self) -> int:
        """The moment at which it is due."""
        return self.since_us + DAYS[Kind(self.kind)] * DAY_US if self.own_due_us is None else self.own_due_us


class _Shape(NamedTuple):
    """Which conditions `ItemFilter` has: statements of one shape differ only in values, and are built once."""

    of_member: bool
    unassigned: tuple[tuple[str, ...], ...]
    of_type: bool
    of_levels: bool
    of_flow: bool
    since: bool
    proposal_kinds: bool
    named: bool


def items_among(session: Session, item_filter: ItemFilter, order: QueueOrder, part: Part) -> Page[ItemRow]:
    """List items by due date, or the newest first.

    Items of erased entities are left out. ConfigError if the part does not begin after a key of this list.
    """
    behind, values = None, _values(item_filter)
    if part.most is not None:
        values["most"] = part.most + 1
    if part.after is not None:
        behind = name_in_key(part.after)
        values |= {"after_number": behind.number, "after_step": behind.step}
    items: list[ItemRow] = []
    for place in _places(item_filter):
        if part.after is not None:
            values["edge_us"] = max(-(2**63), int(part.after[0]) - _offset_us(SOURCES[place].kind, order))
        kind = None if behind is None else behind.kind
        statement = _list_statement(place, _shape(item_filter), order, kind, part.most is not None)
        items += [ItemRow(*row) for row in session.execute(statement, values)]
    items.sort(key=lambda row: key_of_item(row, order), reverse=order is QueueOrder.NEWEST)
    return first_page(items, lambda row: key_of_item(row, order), part.most)


def key_of_item(row: ItemRow, order: QueueOrder) -> Key:
    """Return the key of an item in an order: the moment when it is due or arrived, its kind, and its numbers."""
    at_us = row.due_us if order is QueueOrder.DUE else row.since_us
    return item_key(ItemName(Kind(row.kind), row.number, row.step), at_us)


def item_key(name: ItemName, at_us: int) -> Key:
    """Return the key of an item in an order from the moment at which it is due, or arrived."""
    return (at_us, list(Kind).index(name.kind), name.number, name.step)


def _offset_us(kind: Kind, order: QueueOrder) -> int:
    """Return the difference between a source's moments and those of the list."""
    return DAYS[kind] * DAY_US if order is QueueOrder.DUE else 0


def name_in_key(after: Key) -> ItemName:
    """Return the item of a key; ConfigError if it is not a key of the queue."""
    if len(after) != 4 or not all(type(value) is int for value in after) or not 0 <= int(after[1]) < len(Kind):
        raise ConfigError(NO_PLACE)
    return ItemName(list(Kind)[int(after[1])], int(after[2]), int(after[3]))


def _shape(item_filter: ItemFilter) -> _Shape:
    """Return the conditions of a filter, without their values."""
    return _Shape(
        of_member=item_filter.member_id is not None,
        unassigned=item_filter.unassigned,
        of_type=item_filter.type_id is not None,
        of_levels=bool(item_filter.levels),
        of_flow=item_filter.flow_id is not None,
        since=item_filter.since_us is not None,
        proposal_kinds=item_filter.proposal_kinds is not None,
        named=item_filter.name is not None,
    )


def _values(item_filter: ItemFilter) -> dict[str, Any]:
    """Return the values of the parameters; a statement takes those that it has."""
    return {
        **source_moments(item_filter.now_us, item_filter.latest_us),
        "organisation_id": item_filter.organisation_id,
        "member_id": item_filter.member_id,
        "type_id": item_filter.type_id,
        "levels": list(item_filter.levels),
        "flow_id": item_filter.flow_id,
        "reader": item_filter.reader,
        "reader_quoted": f'"{item_filter.reader}"',
        "since_us": item_filter.since_us,
        "proposal_kinds": list(item_filter.proposal_kinds or ()),
        "number": None if item_filter.name is None else item_filter.name.number,
        "step": None if item_filter.name is None else item_filter.name.step,
    }


@lru_cache(maxsize=512)
def _list_statement(
    place: int, shape: _Shape, order: QueueOrder, behind: Kind | None, is_cut: bool
) -> Select[*tuple[Any, ...]]:
    """List the items of a source; cached, as building it takes several times as long as running it.

    Args:
        place: the place of the source.
        shape: the conditions.
        order: the order of the items.
        behind: the kind of the item after which the page begins; None for the first page.
        is_cut: whether the source returns no more than the page takes.
    """
    source = SOURCES[place]
    number, step, since, _, *details = source.columns
    columns = [literal(source.kind.value), number, step, since]
    columns += [Entity.id, EntityType.name, Entity.external_id, Standing.level]
    work = (QueueWork.member_id, Member.name, Member.left_us, Member.roles, QueueWork.done_us, QueueWork.revision)
    own_due = null() if source.due is None else source.due
    statement: Select[*tuple[Any, ...]] = select(*columns, *details, *work, own_due).select_from(source.table)
    if source.join is not None:
        statement = statement.outerjoin(*source.join)
    statement = _of_entity(statement, source).join(
        EntityType, EntityType.id == Entity.type_id, isouter=source.kind in WITHOUT_ENTITY
    )
    statement = _with_level(_with_work(statement, source), source)
    statement = _narrowed(statement.outerjoin(Member, Member.id == QueueWork.member_id), place, shape)
    if behind is not None:
        statement = statement.where(_behind(source, order, behind))
    keys = [_moment_of(source, order), *(each for each in (number, step) if not isinstance(each, BindParameter))]
    statement = statement.order_by(*(key.desc() if order is QueueOrder.NEWEST else key for key in keys))
    return statement.limit(bindparam("most", type_=Integer)) if is_cut else statement


@lru_cache(maxsize=128)
def _count_statement(places: tuple[int, ...], shape: _Shape) -> CompoundSelect[*tuple[Any, ...]]:
    """Count the items of sources, a row for each."""
    return union_all(*(_count_in_source(place, shape) for place in places))


def _count_in_source(place: int, shape: _Shape) -> Select[*tuple[Any, ...]]:
    """Count the items of a source, without tables that no condition needs."""
    source = SOURCES[place]
    ages = _moment_of(source, QueueOrder.DUE).label("since_us")
    statement: Select[*tuple[Any, ...]] = select(ages).select_from(source.table)
    statement = _of_entity(statement, source)
    if shape.of_member or shape.unassigned:
        statement = _with_work(statement, source)
    if shape.of_levels:
        statement = _with_level(statement, source)
    if shape.unassigned:
        statement = statement.outerjoin(Member, Member.id == QueueWork.member_id)
    some = _narrowed(statement, place, shape).limit(bindparam("most", type_=Integer)).subquery()
    edges = (number_parameter(f"{edge}_{source.kind}") for edge in ("overdue", "today"))
    sums = (func.sum(case((some.c.since_us <= edge, 1), else_=0)) for edge in edges)
    return select(literal(place, Integer), *sums, func.count(some.c.since_us))


def _moment_of(source: ItemSource, order: QueueOrder) -> Any:
    """Return the column by which a source is ordered: its items' own dates, or when they arrived."""
    return source.since if source.due is None or order is QueueOrder.NEWEST else source.due


def _of_entity(statement: Select[*tuple[Any, ...]], source: ItemSource) -> Select[*tuple[Any, ...]]:
    """Leave out the items of erased entities; some items have no single entity."""
    outer = source.kind in WITHOUT_ENTITY
    return statement.join(Entity, Entity.id == source.columns[3], isouter=outer).where(Entity.erased_us.is_(None))


def _with_level(statement: Select[*tuple[Any, ...]], source: ItemSource) -> Select[*tuple[Any, ...]]:
    if source.table is Standing:
        return statement
    return statement.outerjoin(Standing, Standing.entity_id == source.columns[3])


def _with_work(statement: Select[*tuple[Any, ...]], source: ItemSource) -> Select[*tuple[Any, ...]]:
    return statement.outerjoin(QueueWork, _is_work_on(source, QueueWork))


def _is_work_on(source: ItemSource, work: Any) -> Any:
    """Select the row of work on an item."""
    return and_(
        work.organisation_id == bindparam("organisation_id"),
        work.kind == source.kind.value,
        work.number == source.number,
        work.step == source.step,
    )


def _waits(source: ItemSource) -> Any:
    """Select the items that nobody completed.

    PostgreSQL takes `done_us IS NULL` after an outer join for rare, as it asks how many rows of work are not done, and
    then reads and sorts all items instead of some by their index.
    """
    work = aliased(QueueWork)
    return ~select(work.number).where(_is_work_on(source, work), work.done_us.is_not(None)).exists()


def _narrowed(statement: Select[*tuple[Any, ...]], place: int, shape: _Shape) -> Select[*tuple[Any, ...]]:
    """Select the waiting items of a source that match the conditions."""
    source = SOURCES[place]
    conditions = [*source.conditions, source.table.organisation_id == bindparam("organisation_id")]
    for maker in source.makers:
        is_list = isinstance(maker.type, JSONText)
        conditions.append(
            not_(type_coerce(maker, Text).contains(bindparam("reader_quoted")))
            if is_list
            else maker != bindparam("reader")
        )
    if shape.named:
        conditions += [source.number == number_parameter("number"), source.step == number_parameter("step")]
    else:
        conditions.append(QueueWork.done_us.is_(None) if shape.of_member else _waits(source))
    if shape.of_member:
        conditions.append(QueueWork.member_id == bindparam("member_id"))
    if shape.unassigned:
        roles = type_coerce(Member.roles, Text)
        sees = or_(*(roles.contains(f'"{role}"') for role in shape.unassigned[place]))
        conditions.append(or_(QueueWork.member_id.is_(None), Member.left_us.is_not(None), not_(sees)))
    if shape.of_type:
        conditions.append(Entity.type_id == bindparam("type_id"))
    if shape.of_levels:
        conditions.append(Standing.level.in_(bindparam("levels", expanding=True)))
    if shape.of_flow:
        conditions.append(source.table.flow_id == bindparam("flow_id"))
    if shape.since:
        conditions.append(source.since >= number_parameter("since_us"))
    if shape.proposal_kinds and source.kind is Kind.CHANGE:
        conditions.append(Proposal.kind.in_(bindparam("proposal_kinds", expanding=True)))
    return statement.where(*conditions)


def _behind(source: ItemSource, order: QueueOrder, kind: Kind) -> Any:
    """Select the items after one of the merged list, in terms of the source's own columns."""
    place, present, edge = list(Kind).index(source.kind), list(Kind).index(kind), number_parameter("edge_us")
    newest, moment = order is QueueOrder.NEWEST, _moment_of(source, order)
    if place == present:
        own = tuple_(moment, source.number, source.step)
        after = tuple_(edge, number_parameter("after_number"), number_parameter("after_step"))
        return own < after if newest else own > after
    if newest:
        return moment <= edge if place < present else moment < edge
    return moment >= edge if place > present else moment > edge


def _places(item_filter: ItemFilter) -> list[int]:
    """Return the places of the sources that may have matching items."""
    kinds = item_filter.kinds if item_filter.name is None else {item_filter.name.kind} & set(item_filter.kinds)
    return [
        place
        for place, source in enumerate(SOURCES)
        if source.kind in kinds
        and (source.asks is None or source.asks in item_filter.asked)
        and (item_filter.flow_id is None or source.kind in _OF_FLOWS)
    ]


class KindCount(NamedTuple):
    """How many items of a kind are overdue, due within a day, and due later; `capped` if there are more."""

    overdue: int
    today: int
    later: int
    capped: bool


def count_items(session: Session, item_filter: ItemFilter) -> dict[Kind, KindCount]:
    """Count the items of each kind by due date, up to `MOST_COUNTED` of each."""
    places, values = _places(item_filter), {**_values(item_filter), "most": MOST_COUNTED + 1}
    counts = {SOURCES[place].kind: KindCount(0, 0, 0, False) for place in places}
    if not places:
        return counts
    for kind in counts:
        overdue_us = item_filter.now_us - DAYS[kind] * DAY_US
        values |= {f"overdue_{kind}": overdue_us, f"today_{kind}": overdue_us + DAY_US}
    for place, *sums in session.execute(_count_statement(tuple(places), _shape(item_filter)), values):
        kind, (overdue, within, every) = SOURCES[place].kind, (int(number or 0) for number in sums)
        before = counts[kind]
        parts = (before.overdue + overdue, before.today + within - overdue, before.later + every - within)
        counts[kind] = KindCount(*parts, sum(parts) > MOST_COUNTED)
    return counts


def work_on(session: Session, organisation_id: int, name: ItemName) -> QueueWork | None:
    """Find people's work on an item, and lock it until the transaction ends."""
    key = (organisation_id, name.kind.value, name.number, name.step)
    return session.get(QueueWork, key, with_for_update=True, populate_existing=True)


_OF_FLOWS: Final[Mapping[Kind, tuple[type[FlowRun] | type[FlowAction], str]]] = {
    Kind.QUESTION: (FlowRun, "flow run"),
    Kind.FLOW_REVIEW: (FlowAction, "flow action"),
}
"""The tables of flows' items, and the names of their rows in the audit log."""


_DECIDED: Final[Mapping[Kind, tuple[type[Any], str, str]]] = {
    Kind.CHANGE: (Proposal, "proposal", "id"),
    Kind.POLICY: (Policy, "policy", "id"),
    Kind.GROUP: (GroupVersion, "group", "group_id"),
    Kind.RULESET: (RulesetVersion, "ruleset", "family_id"),
    Kind.FLOW: (FlowVersion, "flow", "flow_id"),
    Kind.TOKEN: (TokenRequest, "token_request", "id"),
    Kind.VALIDATION: (ValidationRun, "validation", "id"),
    Kind.MATERIAL: (MaterialChange, "material_change", "id"),
}
"""The tables of `WITHOUT_ENTITY`, the names of their rows in the audit log, and the column with their number there."""


def subject_of(session: Session, organisation_id: int, name: ItemName) -> tuple[str, int, int | None] | None:
    """Find the subject of an item, present or past: kind and number, and the entity; None without one."""
    if name.kind is Kind.OVERRIDE:
        row = session.get(OverrideRow, name.number)
        return None if row is None or row.organisation_id != organisation_id else ("override", row.id, row.entity_id)
    if name.kind in _DECIDED:
        decided, called, column = _DECIDED[name.kind]
        thing = session.get(decided, name.number) if name.number < 2**31 else None
        is_there = thing is not None and thing.organisation_id == organisation_id
        return (called, getattr(thing, column), getattr(thing, "entity_id", None)) if is_there else None
    if name.kind is Kind.CHALLENGE:
        of = (Challenge.id == name.number, Challenge.organisation_id == organisation_id, Entity.erased_us.is_(None))
        about = session.scalar(select(Challenge.entity_id).join(Entity, Entity.id == Challenge.entity_id).where(*of))
        return None if about is None else ("challenge", name.number, about)
    if name.kind in _OF_FLOWS:
        table, words = _OF_FLOWS[name.kind]
        of_flow = (table.id == name.number, table.organisation_id == organisation_id, Entity.erased_us.is_(None))
        about = session.scalar(select(table.entity_id).join(Entity, Entity.id == table.entity_id).where(*of_flow))
        return None if about is None else (words, name.number, about)
    entity = session.get(Entity, name.number)
    if entity is None or entity.organisation_id != organisation_id or entity.erased_us is not None:
        return None
    return "entity", entity.id, entity.id
