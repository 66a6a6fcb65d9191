"""Items of the queue: rows of six sources, and what people did about each. Nothing here begins or ends a transaction.

Every source is read by an index in the order of when its items came, and they are merged in memory: a page costs the
same however many others wait.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, BindParameter, Select, and_, case, func, literal, null, or_, select, tuple_
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import NO_PLACE, Key, Page, Part, cut
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.events import Member
from fivefold.store.tables.levels import IS_FAILED, IS_RISE, Assessment, DueMark, OverrideRow, Standing, Transition
from fivefold.store.tables.proposals import Proposal
from fivefold.store.tables.queue import QueueWork


class Kind(StrEnum):
    """What waits, the more urgent first."""

    OVERRIDE = "override"
    CHANGE = "change"
    FAILURE = "failure"
    QUARANTINE = "quarantine"
    RISE = "rise"
    REVIEW = "review"


DAYS: Final[Mapping[Kind, int]] = {
    Kind.OVERRIDE: 2,
    Kind.CHANGE: 2,
    Kind.FAILURE: 1,
    Kind.QUARANTINE: 1,
    Kind.RISE: 5,
    Kind.REVIEW: 0,
}
"""An item is to be dealt with this long after it came; an overdue review at once."""
RISES_US: Final = 30 * DAY_US
"""A rise that nobody put away waits this long."""
REVIEW_US: Final = DAY_US
"""A level that is to be computed again at a moment, and still was not after this long, is overdue."""
MOST_COUNTED: Final = 10_000


class QueueOrder(StrEnum):
    """The order of the queue: what is due first, or what came last."""

    DUE = "due"
    NEWEST = "newest"


class ItemName(NamedTuple):
    """What names an item: its kind, and two numbers whose meaning depends on that."""

    kind: Kind
    number: int
    step: int


@dataclass(frozen=True, kw_only=True)
class WantedItems:
    """Which items are listed; empty or None is no condition.

    Attributes:
        kinds: at least one.
        now_us: the present; `latest_us` is the moment after which nothing can have happened.
        member_id: assigned to this member.
        unassigned: assigned to nobody, or to a person who has left.
        type_id: of the entities.
        levels: the numbers of the present levels of the entities.
        since_us: they came then or later.
        proposal_kinds: of changes that the reader may see; None for all.
        name: this one alone, whether a person is done with it or not.
    """

    organisation_id: int
    kinds: Sequence[Kind]
    now_us: int
    latest_us: int
    member_id: int | None = None
    unassigned: bool = False
    type_id: int | None = None
    levels: Sequence[int] = ()
    since_us: int | None = None
    proposal_kinds: Sequence[str] | None = None
    name: ItemName | None = None


class ItemRow(NamedTuple):
    """An item with whom it is about and what people did about it.

    Attributes:
        since_us: when it came.
        from_level: of a rise, as `to_level`; of an override `to_level` is what is asked for.
        level: the present one.
        detail: the breakdown of an assessment, a reason, or an error, by its kind.
        about: what a change is about; the status of a failure.
        by: who asked for it.
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
    member_id: int | None
    member: str | None
    member_left_us: int | None
    done_us: int | None
    revision: int | None


@dataclass(frozen=True)
class _Source:
    """Where items of a kind are: their columns, and the conditions under which one waits."""

    kind: Kind
    columns: tuple[Any, ...]
    conditions: tuple[Any, ...]
    joins: Callable[[Select[Any]], Select[Any]] | None = None

    @property
    def since(self) -> Any:
        return self.columns[2]


def items_among(session: Session, wanted: WantedItems, order: QueueOrder, part: Part) -> Page[ItemRow]:
    """List items in the order of when they are due, or those that came last first.

    Those of erased entities are left out. ConfigError if the part begins behind no key of this list.
    """
    found: list[ItemRow] = []
    for source in _sources(wanted):
        statement = _statement(source, wanted)
        if part.after is not None:
            statement = statement.where(_behind(source, order, part.after))
        keys = [source.since, *(each for each in source.columns[:2] if not isinstance(each, BindParameter))]
        statement = statement.order_by(*(key.desc() if order is QueueOrder.NEWEST else key for key in keys))
        if part.most is not None:
            statement = statement.limit(part.most + 1)
        found += [ItemRow(*row) for row in session.execute(statement)]
    found.sort(key=lambda row: key_of_item(row, order), reverse=order is QueueOrder.NEWEST)
    return cut(found, lambda row: key_of_item(row, order), part.most)


def key_of_item(row: ItemRow, order: QueueOrder) -> Key:
    """Give the place of an item in an order: when it is due or came, its kind, and its numbers."""
    return place_of(ItemName(Kind(row.kind), row.number, row.step), row.since_us, order)


def place_of(name: ItemName, since_us: int, order: QueueOrder) -> Key:
    """Give the place in an order of an item that came at a moment."""
    return (since_us + _offset_us(name.kind, order), list(Kind).index(name.kind), name.number, name.step)


def _offset_us(kind: Kind, order: QueueOrder) -> int:
    return DAYS[kind] * DAY_US if order is QueueOrder.DUE else 0


def name_in_key(after: Key) -> ItemName:
    """Give the item whose place a key is; ConfigError where it is no key of the queue."""
    if len(after) != 4 or not all(type(value) is int for value in after) or not 0 <= int(after[1]) < len(Kind):
        raise ConfigError(NO_PLACE)
    return ItemName(list(Kind)[int(after[1])], int(after[2]), int(after[3]))


def _behind(source: _Source, order: QueueOrder, after: Key) -> Any:
    """Select what comes after a key of the merged list, in terms of the source's own columns."""
    name = name_in_key(after)
    edge = literal(int(after[0]) - _offset_us(source.kind, order), BigInteger)
    place, present = list(Kind).index(source.kind), list(Kind).index(name.kind)
    newest = order is QueueOrder.NEWEST
    if place == present:
        own = tuple_(source.since, *source.columns[:2])
        numbers = (literal(number, BigInteger) for number in (name.number, name.step))
        return own < tuple_(edge, *numbers) if newest else own > tuple_(edge, *numbers)
    if newest:
        return source.since <= edge if place < present else source.since < edge
    return source.since >= edge if place > present else source.since > edge


def _statement(source: _Source, wanted: WantedItems) -> Select[Any]:
    number, step, since, entity_id, *details = source.columns
    columns = [literal(source.kind.value), number, step, since]
    columns += [Entity.id, EntityType.name, Entity.external_id, Standing.level]
    work = (QueueWork.member_id, Member.name, Member.left_us, QueueWork.done_us, QueueWork.revision)
    statement: Select[Any] = select(*columns, *details, *work).select_from(number.class_)
    if source.joins is not None:
        statement = source.joins(statement)
    outer = source.kind is Kind.CHANGE  # which may be about nobody in particular
    statement = (
        statement.join(Entity, Entity.id == entity_id, isouter=outer)
        .join(EntityType, EntityType.id == Entity.type_id, isouter=outer)
        .where(Entity.erased_us.is_(None))
    )
    if number.class_ is not Standing:
        statement = statement.outerjoin(Standing, Standing.entity_id == entity_id)
    statement = _with_work(statement, source, wanted).where(*source.conditions)
    if wanted.type_id is not None:
        statement = statement.where(Entity.type_id == wanted.type_id)
    if wanted.levels:
        statement = statement.where(Standing.level.in_(wanted.levels))
    if wanted.since_us is not None:
        statement = statement.where(since >= wanted.since_us)
    if wanted.name is not None:
        statement = statement.where(number == wanted.name.number, step == wanted.name.step)
    return statement


def _with_work(statement: Select[Any], source: _Source, wanted: WantedItems) -> Select[Any]:
    number, step = source.columns[:2]
    statement = statement.outerjoin(
        QueueWork,
        and_(
            QueueWork.organisation_id == wanted.organisation_id,
            QueueWork.kind == source.kind.value,
            QueueWork.number == number,
            QueueWork.step == step,
        ),
    ).outerjoin(Member, Member.id == QueueWork.member_id)
    if wanted.name is None:
        statement = statement.where(QueueWork.done_us.is_(None))
    if wanted.member_id is not None:
        statement = statement.where(QueueWork.member_id == wanted.member_id)
    if wanted.unassigned:
        statement = statement.where(or_(QueueWork.member_id.is_(None), Member.left_us.is_not(None)))
    return statement


def _sources(wanted: WantedItems) -> list[_Source]:
    kinds = wanted.kinds if wanted.name is None else {wanted.name.kind} & set(wanted.kinds)
    return [source for kind in Kind if kind in kinds for source in _OF_KIND[kind](wanted)]


def _rises(wanted: WantedItems) -> list[_Source]:
    columns = (
        *(Transition.entity_id, Transition.number, Transition.at_us, Transition.entity_id),
        *(Transition.from_level, Transition.to_level, Assessment.breakdown, Assessment.status, null()),
    )
    conditions = (
        Transition.organisation_id == wanted.organisation_id,
        IS_RISE,
        Transition.at_us > wanted.now_us - RISES_US,
    )
    same = and_(Assessment.entity_id == Transition.entity_id, Assessment.number == Transition.number)
    return [_Source(Kind.RISE, columns, conditions, lambda statement: statement.outerjoin(Assessment, same))]


def _overrides(wanted: WantedItems) -> list[_Source]:
    row = OverrideRow
    columns = (
        *(row.id, literal(0, BigInteger), row.requested_us, row.entity_id),
        *(null(), row.level, row.reason, null(), row.requested_by),
    )
    return [_Source(Kind.OVERRIDE, columns, (row.organisation_id == wanted.organisation_id, row.state == "requested"))]


def _changes(wanted: WantedItems) -> list[_Source]:
    row = Proposal
    columns = (
        *(row.id, literal(0, BigInteger), row.proposed_us, row.entity_id),
        *(null(), null(), row.reason, row.kind + ": " + row.subject, row.proposed_by),
    )
    conditions: tuple[Any, ...] = (row.organisation_id == wanted.organisation_id, row.state == "proposed")
    if wanted.proposal_kinds is not None:
        conditions = (*conditions, row.kind.in_(wanted.proposal_kinds))
    return [_Source(Kind.CHANGE, columns, conditions)]


def _failures(wanted: WantedItems) -> list[_Source]:
    """Give those that are no level in full, and those that are dated after now."""
    row = Standing
    of = row.organisation_id == wanted.organisation_id
    columns = (
        *(row.entity_id, row.number, row.assessed_us, row.entity_id),
        *(null(), null(), null(), row.status, null()),
    )
    later = row.assessed_us > wanted.latest_us
    ahead = (*columns[:7], literal("ahead"), columns[8])
    return [
        _Source(Kind.FAILURE, columns, (of, IS_FAILED)),
        _Source(Kind.FAILURE, ahead, (of, later, ~_FAILED)),
    ]


_FAILED = Standing.status.in_(("failed", "unclassified", "undetermined"))


def _quarantined(wanted: WantedItems) -> list[_Source]:
    row = DueMark
    columns = (
        *(row.entity_id, row.revision, func.coalesce(row.due_us, 0), row.entity_id),
        *(null(), null(), row.error, null(), null()),
    )
    return [_Source(Kind.QUARANTINE, columns, (row.organisation_id == wanted.organisation_id, row.quarantined))]


def _reviews(wanted: WantedItems) -> list[_Source]:
    row = DueMark
    columns = (
        *(row.entity_id, row.due_us, row.due_us, row.entity_id),
        *(null(), null(), null(), null(), null()),
    )
    late = row.due_us <= wanted.now_us - REVIEW_US
    return [_Source(Kind.REVIEW, columns, (row.organisation_id == wanted.organisation_id, ~row.quarantined, late))]


_OF_KIND: Final[Mapping[Kind, Callable[[WantedItems], list[_Source]]]] = {
    Kind.OVERRIDE: _overrides,
    Kind.CHANGE: _changes,
    Kind.FAILURE: _failures,
    Kind.QUARANTINE: _quarantined,
    Kind.RISE: _rises,
    Kind.REVIEW: _reviews,
}


class Counted(NamedTuple):
    """How many items of a kind are overdue, are due within a day, and are due later; `capped` where there are more."""

    overdue: int
    today: int
    later: int
    capped: bool


def count_items(session: Session, wanted: WantedItems) -> dict[Kind, Counted]:
    """Count the items of each kind by when they are due, up to `MOST_COUNTED` of each."""
    counts: dict[Kind, Counted] = {}
    for source in _sources(wanted):
        statement = _statement(source, wanted).with_only_columns(
            source.since.label("since_us"), maintain_column_froms=True
        )
        some = statement.limit(MOST_COUNTED + 1).subquery()
        edge = literal(wanted.now_us - DAYS[source.kind] * DAY_US, BigInteger)
        late, soon = some.c.since_us <= edge, some.c.since_us <= edge + DAY_US
        sums = (func.sum(case((condition, 1), else_=0)) for condition in (late, soon))
        row = session.execute(select(*sums, func.count(some.c.since_us))).one()
        overdue, within, every = (int(number or 0) for number in row)
        before = counts.get(source.kind, Counted(0, 0, 0, False))
        counts[source.kind] = Counted(
            before.overdue + overdue,
            before.today + within - overdue,
            before.later + every - within,
            before.capped or every > MOST_COUNTED,
        )
    return counts


def work_on(session: Session, organisation_id: int, name: ItemName) -> QueueWork | None:
    """Find what people did about an item, and lock it until the transaction ends."""
    key = (organisation_id, name.kind.value, name.number, name.step)
    return session.get(QueueWork, key, with_for_update=True, populate_existing=True)


def subject_of(session: Session, organisation_id: int, name: ItemName) -> tuple[str, int, int | None] | None:
    """Find what an item is or was about: kind and number of its subject, and the entity; None where there is none."""
    if name.kind is Kind.OVERRIDE:
        row: OverrideRow | Proposal | None = session.get(OverrideRow, name.number)
        return None if row is None or row.organisation_id != organisation_id else ("override", row.id, row.entity_id)
    if name.kind is Kind.CHANGE:
        row = session.get(Proposal, name.number) if name.number < 2**31 else None
        return None if row is None or row.organisation_id != organisation_id else ("proposal", row.id, row.entity_id)
    entity = session.get(Entity, name.number)
    if entity is None or entity.organisation_id != organisation_id or entity.erased_us is not None:
        return None
    return "entity", entity.id, entity.id
