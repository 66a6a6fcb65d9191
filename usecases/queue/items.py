"""The queue: items that wait for a person, by due date, their assignees, and the next item.

An item waits as long as its subject does: an override until it is decided, a failure until the customer is assessed. A
rise waits until a person puts it away, and for 30 days at most. The question of a run waits until it is answered, or
its time is over. A review that a flow requested waits from a week before it is due, until a person does it, or undoes
the action. A proposal or a committed version waits for a person who took no part in it; those who did do not see it. A
version that never decided, or a validation that was not signed off, may be put away.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.paging import WHOLE, Key, Page, Part
from fivefold.flows.analysis import analyse_canonical_flow
from fivefold.flows.language import Flow
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.accounts.tokens import locked_member
from fivefold.store.flows.actions import action_numbered
from fivefold.store.flows.flows import flow_named, names_of_flows
from fivefold.store.flows.runs import version_and_flow
from fivefold.store.flows.versions import canonical_of
from fivefold.store.ingest.entities import type_named
from fivefold.store.queue import items as stored
from fivefold.store.queue.items import ItemFilter, ItemName, ItemRow, KindCount, QueueOrder
from fivefold.store.queue.sources import SOURCES, VERSIONS, WITHOUT_ENTITY, Kind
from fivefold.store.sql.clocks import ahead_message, latest_us
from fivefold.store.sql.database import add_alone
from fivefold.store.tables.accounts import Member
from fivefold.store.tables.flows import FlowRun
from fivefold.store.tables.queue import QueueWork
from fivefold.usecases.accounts.organisations import MemberLine
from fivefold.usecases.accounts.second_person import has_sole_operator
from fivefold.usecases.changes.contents import kinds_seen_by, named_subject
from fivefold.usecases.flows.runs.answering import ANSWERED_BY
from fivefold.usecases.flows.runs.reviews import finish_review_in
from fivefold.usecases.flows.runs.second_people import part_taken, question_at
from fivefold.usecases.levels.content.breakdowns import Name, lines_of
from fivefold.usecases.levels.explain import shown_line
from fivefold.usecases.portfolio.current_levels import level_numbers
from fivefold.usecases.queue.seen import SEEN_BY, kinds_for, roles_of
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import FEW_DIGITS, checked_reason, digits

_ROLES_OF_SOURCES: Final = tuple(tuple(sorted(roles_of(source.kind, source.asks))) for source in SOURCES)
PUT_AWAY: Final = (Kind.RISE, Kind.FLOW_REVIEW, Kind.RULESET, Kind.FLOW, Kind.VALIDATION)
"""Items that a person completes explicitly."""
MINE, UNASSIGNED = "mine", "unassigned"


@dataclass(frozen=True, kw_only=True)
class QueueFilters:
    """Which items are listed; empty or None sets no condition.

    Attributes:
        kinds: kinds of items, from `Kind`.
        assigned: mine, unassigned, or the number of a member.
        entity_type: the name of the type.
        levels: the names of present levels.
        flow: the name of the flow that asks a question or requests a review; other items are left out.
        since_us: the earliest moment at which they arrived.
        order: by due date, or newest first.
    """

    kinds: Sequence[str] = ()
    assigned: str = ""
    entity_type: str | None = None
    levels: Sequence[str] = ()
    flow: str | None = None
    since_us: int | None = None
    order: QueueOrder = QueueOrder.DUE


EVERYTHING = QueueFilters()


@dataclass(frozen=True, kw_only=True)
class QueueItem:
    """An item that waits for a person.

    `item` names it, such as `rise-12-3`. `kind`: override and change wait for another person's decision; a challenge is
    to be settled by a date of its own; a failure and a quarantine are failed assessments; a rise is to be investigated;
    a review is a level whose recomputation is overdue. A question is asked by a run of a flow; a flow_review is a
    review that a flow requested. A policy, a group, a ruleset, a flow, a token, a validation and a material change
    (`material`) wait for a second person.

    Attributes:
        item: its name, such as rise-12-3.
        kind: one of `Kind`.
        entity_type: None, like `external_id`, if it is about no single entity.
        level: the present level; None for no level.
        from_level: the level before a rise.
        to_level: the level after a rise, or the requested level of an override.
        reason: why it waits, in one line; for a challenge, the words of the person; empty if there is no reason.
        about: the subject of a change; the flow of a question or of a requested review; the name of a version that
            waits; the role of a requested token; the kind of a material change.
        version: the number of a version that waits; None for other items.
        assessment: the assessment of a rise, such as 12.3.
        asked_by: who requested an override or a change, recorded a challenge, or called the run of a question.
        run: the run of a flow that asks; the question is answered there.
        asks: the role whose members answer.
        look_at: for a question, the data that the flow describes as relevant; the run also has the values.
        since_us: when it arrived.
        due_us: when it is due.
        assigned_to: the number of a member; None for no one.
        assigned_name: the name of that member.
        has_left: whether that member has left.
        sees_no_more: whether that member has lost the roles that see such items.
        revision: the revision of people's work on it, for the next change.
    """

    item: str
    kind: str
    entity_type: Annotated[str | None, shown_as("type")]
    external_id: str | None
    level: str | None
    from_level: str | None
    to_level: str | None
    reason: str
    about: str
    version: int | None
    assessment: str | None
    asked_by: str | None
    run: int | None
    asks: str | None
    look_at: tuple[str, ...]
    since_us: Annotated[Moment, shown_as("since")]
    due_us: Annotated[Moment, shown_as("due")]
    assigned_to: int | None
    assigned_name: str | None
    has_left: bool
    sees_no_more: bool
    revision: int


@dataclass(frozen=True, kw_only=True)
class QueueCount:
    """How many items of a kind wait: overdue, due within 24 hours, and due later; of each kind up to 10,000.

    Attributes:
        today: how many are due within the next 24 hours.
        capped: whether there are more than are counted.
    """

    kind: str
    overdue: int
    today: int
    later: int
    capped: bool

    @property
    def total(self) -> int:
        """The number of waiting items."""
        return self.overdue + self.today + self.later


def list_items(context: Context, role: Role, filters: QueueFilters = EVERYTHING, part: Part = WHOLE) -> Page[QueueItem]:
    """List the waiting items, in the order of the filters.

    Raises:
        NotFoundError: there is no such type of entity, member or flow.
        ConfigError: there is no such kind or level, the role does not see the kind, or the part begins at no valid key.
    """
    with context.reading() as session:
        item_filter = _item_filter(session, context, role, filters, levels_of(session, context.organisation_id))
        page = stored.items_among(session, item_filter, filters.order, part)
        return page.map(_shower(session, context.organisation_id, page))


def count_items(context: Context, role: Role, filters: QueueFilters = EVERYTHING) -> list[QueueCount]:
    """Count the waiting items, by kind and by due date; errors as of `list_items`."""
    with context.reading() as session:
        names = levels_of(session, context.organisation_id)
        counts = stored.count_items(session, _item_filter(session, context, role, filters, names))
        return [QueueCount(kind=kind.value, **KindCount._asdict(count)) for kind, count in counts.items()]


def flows_that_ask(context: Context, role: Role) -> tuple[str, ...]:
    """Return the names of flows whose items a role may have in its queue; none if it sees no such items."""
    if not {Kind.QUESTION, Kind.FLOW_REVIEW} & set(kinds_for(role)):
        return ()
    with context.reading() as session:
        return names_of_flows(session, context.organisation_id)


def next_item(context: Context, role: Role, filters: QueueFilters, place: Key | None) -> tuple[QueueItem, Key] | None:
    """Return the item after a place in the queue, and its own place; None after the last one."""
    with context.reading() as session:
        item_filter = _item_filter(session, context, role, filters, levels_of(session, context.organisation_id))
        page = stored.items_among(session, item_filter, filters.order, Part(1, place))
        if not page:
            return None
        return _shower(session, context.organisation_id, page)(page[0]), stored.key_of_item(page[0], filters.order)


def item_at(place: Key) -> str:
    """Return the name of the item at a place in the queue; ConfigError if the place is invalid.

    >>> item_at((1_000, 14, 12, 3))
    'rise-12-3'
    """
    return _text_of(stored.name_in_key(place))


def key_of(item: QueueItem, order: QueueOrder) -> Key:
    """Return the place of an item in the queue of an order."""
    name = read_name(item.item)
    return stored.item_key(name, item.due_us if order is QueueOrder.DUE else item.since_us)


def read_item(context: Context, role: Role, item: str) -> QueueItem | None:
    """Return an item; None if it has left the queue. NotFoundError if there never was one of that name."""
    name = read_name(item)
    with context.reading() as session:
        if stored.subject_of(session, context.organisation_id, name) is None or not _sees(session, role, name):
            raise NotFoundError(f"there is no item {item!r} in the queue")
        row = _find_item(session, context, role, name)
        return None if row is None else _shower(session, context.organisation_id, [row])(row)


def role_sees(context: Context, role: Role, item: str) -> bool:
    """Return whether a role sees an item of a name, also after it has left the queue."""
    name = read_name(item)
    with context.reading() as session:
        return _sees(session, role, name)


def change_item(
    context: Context,
    role: Role,
    item: str,
    revision: int,
    *,
    assigned_to: int | None,
    done: bool = False,
    reason: str = "",
) -> QueueItem | None:
    """Assign an item to a member or to no one, or complete it; return None if it has left the queue by that.

    Args:
        context: who acts.
        role: the role of the actor.
        item: the name of the item.
        revision: the revision of the item that the person saw.
        assigned_to: the number of a member; None for no one.
        done: whether it is put away. This is for rises, reviews that a flow requested, versions of rulesets and flows,
            and validations; all others leave the queue when they are dealt with.
        reason: why a review counts as done; others may be put away without one.

    Raises:
        NotFoundError: there is no such item or member.
        ConfigError: the member does not see such items, the item cannot be put away, or a reason is missing or out of
            place.
        ConflictError: another person changed it meanwhile, it has left the queue, or the member has left; or the member
            called or caused the run that asks, answered for another role in it, or took part in what another person is
            to decide.
    """
    name, now = read_name(item), context.now()
    _check_reason(name.kind, done, reason)
    with context.writing() as session:
        subject = stored.subject_of(session, context.organisation_id, name)
        if subject is None or not _sees(session, role, name):
            raise NotFoundError(f"there is no item {item!r} in the queue")
        member = None if assigned_to is None else locked_member(session, context.organisation_id, assigned_to)
        work = stored.work_on(session, context.organisation_id, name)
        row = _find_item(session, context, role, name)
        if row is None:
            raise ConflictError(f"item {item} has left the queue, as its subject was dealt with")
        if (0 if work is None else work.revision) != revision:
            whose = f"assigned to {row.member}" if row.member else "not assigned"
            raise ConflictError(f"another person changed item {item} meanwhile: it is {whose} now")
        if member is not None:
            _refuse_assignee(session, member, name)
            if _find_item(session, context, role, name, f"member:{member.id}") is None:
                raise ConflictError(f"{member.name} took part in item {item}; another person decides about it")
        if work is None:
            work = QueueWork(organisation_id=context.organisation_id, revision=0, entity_id=subject[2], **_key(name))
        work.member_id, work.done_us = assigned_to, now if done else None
        work.revision, work.changed_us, work.changed_by = work.revision + 1, now, context.actor.name
        add_alone(session, work)
        details = {"item": item, "assigned_to": assigned_to, "revision": work.revision}
        if done and name.kind is Kind.FLOW_REVIEW:
            finish_review_in(session, context, action_numbered(session, context.organisation_id, name.number), reason)
        after = {"reason": reason} if reason and name.kind is not Kind.FLOW_REVIEW else None
        context.record(session, "queue.done" if done else "queue.assigned", subject[:2], after=after, details=details)
        row = _find_item(session, context, role, name)
        return None if row is None else _shower(session, context.organisation_id, [row])(row)


def _key(name: ItemName) -> dict[str, str | int]:
    return {"kind": name.kind.value, "number": name.number, "step": name.step}


def _sees(session: Session, role: Role, name: ItemName) -> bool:
    """Return whether a role sees an item: roles see the questions that they may answer."""
    run = session.get(FlowRun, name.number) if name.kind is Kind.QUESTION else None
    return role in roles_of(name.kind, None if run is None else run.asks)


def _check_reason(kind: Kind, done: bool, reason: str) -> None:
    if done and kind not in PUT_AWAY:
        raise ConfigError(f"an item of the kind {kind} leaves the queue only when it is dealt with")
    if done and kind is Kind.FLOW_REVIEW:
        checked_reason(reason)
    if reason and not done:
        raise ConfigError("give a reason only to complete an item, not to assign it")


def _refuse_assignee(session: Session, member: Member, name: ItemName) -> None:
    """Refuse a member who has left, does not see the item, or took part in the run that asks."""
    if member.left_us is not None:
        raise ConflictError(f"{member.name} has left; assign it to another person")
    run = session.get_one(FlowRun, name.number) if name.kind is Kind.QUESTION else None
    seen_by = roles_of(name.kind, None if run is None else run.asks)
    if not seen_by & {Role(role) for role in member.roles}:
        what = f"items of the kind {name.kind}" if run is None else f"questions to a member of the role {run.asks}"
        raise ConfigError(f"{member.name} is {', '.join(member.roles)}, and does not see {what}")
    if run is not None and run.asks is not None and run.stopped_at is not None:
        flow = analyse_canonical_flow(version_and_flow(session, run.version_id)[0].canonical).flow
        if part := part_taken(session, run, flow, f"member:{member.id}", run.stopped_at):
            raise ConflictError(f"{member.name} {part}; another person must answer it")


def read_name(item: str) -> ItemName:
    """Read the name of an item; NotFoundError if it is not a possible name.

    >>> read_name("rise-12-3")
    ItemName(kind=<Kind.RISE: 'rise'>, number=12, step=3)
    """
    kind, *numbers = item.split("-")
    plain = [number for text in numbers if (number := digits(text)) is not None]
    if kind not in set(Kind) or len(plain) != 2 or len(numbers) != 2:
        raise NotFoundError(f"there is no item {item[:60]!r} in the queue")
    return ItemName(Kind(kind), *plain)


def _text_of(name: ItemName) -> str:
    return f"{name.kind}-{name.number}-{name.step}"


def _find_item(
    session: Session, context: Context, role: Role, name: ItemName, reader: str | None = None
) -> ItemRow | None:
    """Find a waiting item as the actor, or another *reader*, sees it."""
    if role not in SEEN_BY[name.kind]:
        return None
    item_filter = _item_filter(session, context, role, QueueFilters(kinds=(name.kind,)), (), name, reader)
    rows = stored.items_among(session, item_filter, QueueOrder.DUE, Part(1))
    return rows[0] if rows and rows[0].done_us is None else None


def _item_filter(
    session: Session,
    context: Context,
    role: Role,
    filters: QueueFilters,
    levels: Sequence[str],
    name: ItemName | None = None,
    reader: str | None = None,
) -> ItemFilter:
    """Build the filter from names; ConfigError for a kind that the role does not see."""
    visible_kinds, now = kinds_for(role), context.now()
    for kind in filters.kinds:
        if kind not in visible_kinds:
            raise ConfigError(
                f"there is no kind {kind!r} in the queue of {role}s; there are {', '.join(visible_kinds)}"
            )
    of = context.organisation_id
    return ItemFilter(
        organisation_id=of,
        kinds=[Kind(kind) for kind in filters.kinds or visible_kinds],
        now_us=now,
        latest_us=latest_us(session, now),
        member_id=_member(session, context, filters.assigned),
        unassigned=_ROLES_OF_SOURCES if filters.assigned == UNASSIGNED else (),
        type_id=None if filters.entity_type is None else type_named(session, of, filters.entity_type).id,
        levels=level_numbers(filters.levels, levels),
        flow_id=None if filters.flow is None else flow_named(session, of, filters.flow).id,
        since_us=filters.since_us,
        proposal_kinds=kinds_seen_by(role),
        asked=[asked_role for asked_role, roles in ANSWERED_BY.items() if role in roles],
        reader="" if has_sole_operator(session, of) else reader or context.actor.name,
        name=name,
    )


def _member(session: Session, context: Context, assigned: str) -> int | None:
    """Read the number of a member from a filter: mine, unassigned, or a number."""
    if assigned in {"", UNASSIGNED}:
        return None
    number = own_number(context) if assigned == MINE else assigned
    if number is None:
        raise ConfigError(f"{context.actor.name} is not a member, so nothing can be assigned to them")
    plain = digits(str(number), FEW_DIGITS) or 0
    member = session.get(Member, plain)
    if member is None or member.organisation_id != context.organisation_id:
        raise NotFoundError(f"there is no member {assigned!r}")
    return plain


def may_take(member: MemberLine, items: Iterable[QueueItem]) -> bool:
    """Return whether a member has a role that sees one of some items; a member who has left takes none."""
    roles = {Role(role) for role in member.roles}
    return member.left_us is None and any(roles & roles_of(Kind(item.kind), item.asks) for item in items)


def own_number(context: Context) -> int | None:
    """Return the number of the acting member; None for a program or an account of the machine."""
    kind, _, number = context.actor.name.partition(":")
    return int(number) if kind == "member" else None


def _shower(session: Session, organisation_id: int, rows: Sequence[ItemRow]) -> Callable[[ItemRow], QueueItem]:
    """Read the reasons of rises, and the flows that ask; return a function that describes one of these rows."""
    names = (None, *levels_of(session, organisation_id))
    rises = [(row.number, row.step) for row in rows if row.kind == Kind.RISE]
    lines = lines_of(session, organisation_id, rises)
    texts = canonical_of(session, {row.version_id for row in rows if row.version_id is not None})
    flows = {number: analyse_canonical_flow(canonical).flow for number, canonical in texts.items()}
    return lambda row: _queue_item(row, names, lines, flows)


def _queue_item(
    row: ItemRow, names: Sequence[str | None], lines: Mapping[Name, str], flows: Mapping[int, Flow]
) -> QueueItem:
    """Return an item as it is listed, with the words of its kind."""
    kind, flow = Kind(row.kind), flows.get(row.version_id or 0)
    person_step = None if flow is None or kind is not Kind.QUESTION else question_at(flow, row.detail or "")
    reason = _line(row, lines) if kind is Kind.RISE else _REASONS[kind](row)
    asks = None if person_step is None else person_step.person.role
    if flow is not None:
        reason = flow.action(row.detail or "").title if person_step is None else person_step.person.question
    return QueueItem(
        item=_text_of(ItemName(kind, row.number, row.step)),
        kind=row.kind,
        entity_type=row.entity_type,
        external_id=row.external_id,
        level=names[row.level or 0],
        from_level=names[row.from_level or 0],
        to_level=names[row.to_level or 0],
        reason=reason,
        about=_about(row) if kind in WITHOUT_ENTITY or flow is not None else "",
        version=row.step if kind in VERSIONS else None,
        assessment=f"{row.number}.{row.step}" if kind is Kind.RISE else None,
        asked_by=row.by,
        run=row.run_id,
        asks=asks,
        look_at=() if person_step is None else person_step.person.words_looked_at,
        since_us=row.since_us,
        due_us=row.due_us,
        assigned_to=row.member_id,
        assigned_name=row.member,
        has_left=row.member_left_us is not None,
        sees_no_more=row.member_roles is not None and not set(row.member_roles) & roles_of(kind, asks),
        revision=row.revision or 0,
    )


def _about(row: ItemRow) -> str:
    return named_subject(row.about or "", row.entity_id, row.external_id)


def _line(row: ItemRow, lines: Mapping[Name, str]) -> str:
    """Return the arithmetic of the assessment in one line; empty once it was erased."""
    line = lines.get((row.number, row.step))
    return "" if line is None else shown_line(row.about or "", line)


def _failure(row: ItemRow) -> str:
    return ahead_message(row.since_us) if row.about == "ahead" else row.about or ""


def _detail(row: ItemRow) -> str:
    return row.detail or ""


_REASONS: Final[Mapping[Kind, Callable[[ItemRow], str]]] = {
    Kind.OVERRIDE: _detail,
    **dict.fromkeys(WITHOUT_ENTITY, _detail),
    Kind.CHALLENGE: _detail,
    Kind.QUESTION: _detail,
    Kind.FLOW_REVIEW: _detail,
    Kind.FAILURE: _failure,
    Kind.QUARANTINE: _detail,
    Kind.REVIEW: lambda _: "",
}
