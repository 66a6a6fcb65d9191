"""All events about one entity, ordered by one of two clocks. Nothing here begins or ends a transaction.

Every source is read in order, up to the length of a page, all of them by one statement; they are merged in memory.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import NO_PLACE, Key, Page, Part, first_page
from fivefold.store.ingest.tags import goes_on, lasts_on, of_proposal
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import (
    BIG,
    Attributes,
    Correction,
    Entity,
    Link,
    Ownership,
    Record,
    Screening,
    Tag,
    ValueScore,
)
from fivefold.store.tables.events import Decision, Policy
from fivefold.store.tables.flows import FLOW_ACTOR, FlowAction, FlowRow, FlowRun, StepOutcome
from fivefold.store.tables.groups import GroupMove, NamedGroup
from fivefold.store.tables.levels import Assessment, AssessmentInputs, OverrideRow, Transition
from fivefold.store.tables.queue import QueueWork
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Proposal


class Clock(StrEnum):
    """The order of the timeline: by when events happened, or by when they were known here."""

    HAPPENED = "happened"
    KNOWN = "known"


class EventKind(StrEnum):
    """The kinds of events about an entity."""

    ATTRIBUTES = "attributes"
    TAG_SET = "tag_set"
    TAG_ENDED = "tag_ended"
    SCREENING = "screening"
    OPENED = "case_opened"
    CLOSED = "case_closed"
    OWNED = "owned_from"
    SOLD = "owned_until"
    CORRECTION = "correction"
    LEVEL = "level"
    VALUE = "value"
    ASKED = "override_requested"
    DECIDED = "override_decided"
    REVOKED = "override_ended"
    DECISION = "decision"
    WORK = "queue"
    CONTESTED = "challenge_opened"
    SETTLED = "challenge_settled"
    ANSWERED = "challenge_answered"
    LINKED = "linked"
    UNLINKED = "link_ended"
    TAKEN_BACK = "link_taken_back"
    TAG_MOVED = "tag_end_moved"
    FLOW = "flow"
    FLOW_BACK = "flow_taken_back"
    FLOW_ANSWER = "flow_answered"
    ENTERED = "group_entered"
    LEFT = "group_left"


class EventRow(NamedTuple):
    """One event, with the columns that its kind has, as text.

    Attributes:
        number: unique among the events of the kind.
        happened_us: when it happened.
        known_us: when it was known here; None if that is not stored.
        about: such as the tag, the number of a case, or a name; for a level, the status of its assessment.
        before: the state before; a level by number.
        after: the state since then; a level by number.
        reason: why it happened; for a level, the stored data of its assessment's breakdown.
        by: who did it.
        content: the inputs of a level's assessment; the answer of a decision; the data of a flow's action.
        run: the run in which a flow acted, or which a person answered.
        step: the step of a flow that a person answered; for an action, its name.
        proposed_by: who proposed a tag, or the end of an override, that another person approved.
    """

    kind: str
    number: int
    happened_us: int
    known_us: int | None
    about: str | None
    before: str | None
    after: str | None
    reason: str | None
    by: str | None
    content: str | None
    run: int | None
    step: str | None
    proposed_by: str | None


class _Source(NamedTuple):
    kind: EventKind
    number: Any
    happened_at: Any
    known_at: Any
    statement: Select[Any]


def events_of(
    session: Session, entity_id: int, kinds: Sequence[EventKind], clock: Clock, now_us: int, part: Part, by_people: bool
) -> Page[EventRow]:
    """List the events about an entity up to now, the latest by a clock first.

    *by_people* leaves out ends of tags without a known author. ConfigError if the part does not begin after a key of
    this list.
    """
    values: dict[str, Any] = {"entity_id": entity_id, "now_us": now_us}
    place = None
    if part.after is not None:
        if len(part.after) != 3 or not all(type(value) is int for value in part.after):
            raise ConfigError(NO_PLACE)
        values["moment"], place, values["number"] = (int(value) for value in part.after)
    if part.most is not None:
        values["most"] = part.most + 1
    statement = _statement(frozenset(kinds), clock, place, part.most is not None, by_people)
    events = [EventRow(*row) for row in session.execute(statement, values)]
    events.sort(key=lambda row: _key(row, clock), reverse=True)
    return first_page(events, lambda row: _key(row, clock), part.most)


@lru_cache(maxsize=128)
def _statement(
    kinds: frozenset[EventKind], clock: Clock, place: int | None, is_cut: bool, by_people: bool
) -> CompoundSelect[Any]:
    """Select the events of some kinds; cached, as building it takes several times as long as running it.

    Args:
        kinds: the kinds.
        clock: the clock that orders them.
        place: among the kinds, of the event after which the page begins; None for the first page.
        is_cut: each kind returns no more than the page takes.
        by_people: leave out ends of tags without a known author.
    """
    branches: list[Any] = []
    for source in (*_facts(), *_links(), *_assessed(), *_by_people(), *_contested(), *_by_flows()):
        if source.kind not in kinds:
            continue
        at = source.happened_at if clock is Clock.HAPPENED else func.coalesce(source.known_at, source.happened_at)
        statement = source.statement.where(at <= _NOW)
        if by_people and source.kind is EventKind.TAG_ENDED:
            statement = statement.where(Tag.ended_by.is_not(None))
        if place is not None:
            statement = statement.where(_behind(source, at, place))
        statement = statement.order_by(at.desc(), source.number.desc())
        if is_cut:
            statement = statement.limit(bindparam("most", type_=Integer))
        branches.append(select(statement.subquery()))
    return union_all(*branches)


_ENTITY: Final[Any] = bindparam("entity_id", type_=BIG)
_NOW: Final[Any] = bindparam("now_us", type_=BigInteger)
_MOMENT: Final[Any] = bindparam("moment", type_=BigInteger)
_NUMBER: Final[Any] = bindparam("number", type_=BigInteger)


def _key(row: EventRow, clock: Clock) -> Key:
    moment_us = row.happened_us if row.known_us is None else row.known_us
    return (row.happened_us if clock is Clock.HAPPENED else moment_us, _place(EventKind(row.kind)), row.number)


def _place(kind: EventKind) -> int:
    return list(EventKind).index(kind)


def _behind(source: _Source, at: Any, place: int) -> Any:
    """Select the events after another one: by its moment, its place among the kinds, and its number."""
    if _place(source.kind) == place:
        return tuple_(at, source.number) < tuple_(_MOMENT, _NUMBER)
    return at <= _MOMENT if _place(source.kind) < place else at < _MOMENT


def _source(kind: EventKind, number: Any, clocks: tuple[Any, Any], *details: Any, table: Any = None) -> _Source:
    """Select about, before, after, reason, by, content, run, step and proposed_by as text; missing ones are null.

    The run is a number.
    """
    happened_at, known_at = clocks
    names = ("about", "before", "after", "reason", "by_whom", "content", "run", "step", "proposed_by")
    columns = [*details, *[null()] * (len(names) - len(details))]
    kinds = dict.fromkeys(names, Text) | {"run": BigInteger}
    statement: Select[Any] = select(
        literal(kind.value).label("kind"),
        cast(number, BigInteger).label("number"),
        happened_at.label("happened_us"),
        cast(known_at, BigInteger).label("known_us"),
        *(cast(each, kinds[name]).label(name) for name, each in zip(names, columns, strict=True)),
    ).select_from(number.class_ if table is None else table)
    return _Source(kind, number, happened_at, known_at, statement)


def _facts() -> list[_Source]:
    """The sources of stored facts: attributes, tags, screenings, cases, ownerships, corrections."""
    before = aliased(Attributes)
    attributes = _source(
        EventKind.ATTRIBUTES, Attributes.number, (Attributes.known_us,) * 2, null(), before.content, Attributes.content
    )
    earlier = and_(before.entity_id == Attributes.entity_id, before.number == Attributes.number - 1)
    screening = (Screening.at_us, Screening.recorded_us)
    ownership_events = [
        _source(kind, Ownership.id, (at, null()), Entity.external_id, Ownership.owner_id)
        for kind, at in ((EventKind.OWNED, Ownership.from_us), (EventKind.SOLD, Ownership.until_us))
    ]
    other = case((Ownership.owner_id == _ENTITY, Ownership.entity_id), else_=Ownership.owner_id)
    ours = or_(Ownership.owner_id == _ENTITY, Ownership.entity_id == _ENTITY)
    by_flow = and_(
        FlowAction.entity_id == Record.entity_id,
        FlowAction.kind == "case",
        Record.kind == "case",
        Record.external_id == literal("flow-") + cast(FlowAction.run_id, Text) + literal("-") + FlowAction.action,
    )
    opener = literal(FLOW_ACTOR) + FlowRow.name
    opened_columns = (Record.external_id, Record.kind, null(), null(), opener)
    opened_source = _source(EventKind.OPENED, Record.id, (Record.opened_us, null()), *opened_columns)
    closed_columns = (Record.external_id, Record.kind, Record.outcome)
    corrected = (Correction.transaction_id, null(), Correction.kind, Correction.reason, Correction.actor)
    return [
        _of(attributes, Attributes.entity_id == _ENTITY, lambda rows: rows.outerjoin(before, earlier)),
        *_tags(),
        _of(
            _source(EventKind.SCREENING, Screening.id, screening, Screening.screening, null(), Screening.found),
            Screening.entity_id == _ENTITY,
        ),
        _of(
            opened_source,
            Record.entity_id == _ENTITY,
            lambda rows: rows.outerjoin(FlowAction, by_flow).outerjoin(FlowRow, FlowRow.id == FlowAction.flow_id),
        ),
        _of(
            _source(EventKind.CLOSED, Record.id, (Record.closed_us, null()), *closed_columns),
            Record.entity_id == _ENTITY,
        ),
        *(_of(each, ours, lambda rows: rows.join(Entity, Entity.id == other)) for each in ownership_events),
        _of(
            _source(EventKind.CORRECTION, Correction.id, (Correction.known_us, Correction.recorded_us), *corrected),
            Correction.entity_id == _ENTITY,
        ),
    ]


def _tags() -> list[_Source]:
    """The sources of tags: set, continued with another end, and ended."""
    # Only a file that the machine imports gives a tag another beginning than the moment at which it was set.
    set_clocks = (Tag.from_us, case((not_(Tag.set_by.startswith("cli:")), Tag.from_us)))
    set_columns = (Tag.tag, null(), Tag.until_us, Tag.set_reason, Tag.set_by)
    ended_columns = (Tag.tag, null(), null(), Tag.end_reason, Tag.ended_by)
    ways = (
        (EventKind.TAG_SET, not_(goes_on()), set_clocks, set_columns),
        (EventKind.TAG_MOVED, goes_on(), set_clocks, set_columns),
        (EventKind.TAG_ENDED, not_(lasts_on()), (Tag.until_us, null()), ended_columns),
    )
    return [
        _of(
            _source(
                *(kind, Tag.id, clocks, *columns),
                *(null(), null(), null(), of_proposal(Proposal.proposed_by, clocks[0], columns[-1])),
            ),
            and_(Tag.entity_id == _ENTITY, which),
        )
        for kind, which, clocks, columns in ways
    ]


def _links() -> list[_Source]:
    """The sources of links from and to an entity; a link that ends where it begins was undone."""
    other = aliased(Entity)
    at_other_end = case((Link.entity_id == _ENTITY, Link.other_id), else_=Link.entity_id)
    way = case(
        (Link.thing.is_not(None), "shared"),
        (Link.other_id.is_(None), "none"),
        (Link.entity_id == _ENTITY, "to"),
        else_="from",
    )
    what = (Link.link, way, func.coalesce(Link.thing, other.external_id), null())
    began = func.coalesce(Link.from_us, Link.recorded_us)
    ours = or_(Link.entity_id == _ENTITY, Link.other_id == _ENTITY)
    never_held = and_(Link.from_us.is_not(None), Link.until_us <= Link.from_us)
    each = (
        (_source(EventKind.LINKED, Link.id, (began, Link.recorded_us), *what, Link.set_by), ours),
        (_source(EventKind.UNLINKED, Link.id, (Link.until_us, null()), *what), and_(ours, not_(never_held))),
        (_source(EventKind.TAKEN_BACK, Link.id, (Link.until_us, null()), *what), and_(ours, never_held)),
    )
    return [_of(source, which, lambda rows: rows.outerjoin(other, other.id == at_other_end)) for source, which in each]


def _assessed() -> list[_Source]:
    """The sources of assessments: levels reached, and values."""
    transition = (Assessment.status, Transition.from_level, Transition.to_level)
    level = (*transition, Assessment.breakdown, Transition.source, AssessmentInputs.content)
    same, inputs = (
        and_(table.entity_id == Transition.entity_id, table.number == Transition.number)
        for table in (Assessment, AssessmentInputs)
    )
    value = (ValueScore.model, null(), ValueScore.score, func.coalesce(ValueScore.segment, ValueScore.failure))
    return [
        _of(
            _source(EventKind.LEVEL, Transition.number, (Transition.at_us,) * 2, *level),
            Transition.entity_id == _ENTITY,
            lambda rows: rows.outerjoin(Assessment, same).outerjoin(AssessmentInputs, inputs),
        ),
        _of(
            _source(EventKind.VALUE, ValueScore.as_of_us, (ValueScore.as_of_us,) * 2, *value),
            ValueScore.entity_id == _ENTITY,
        ),
    ]


def _by_people() -> list[_Source]:
    """The sources of people's acts: overrides, decisions, and work on the queue."""
    row = OverrideRow
    of = row.entity_id == _ENTITY
    decided = case((row.state == "revoked", "approved"), else_=row.state)  # what was approved may have been ended since
    decision = (Policy.name, null(), Decision.action, null(), Decision.actor, Decision.answer)
    request = (null(), null(), row.level, row.reason, row.requested_by)
    work = (QueueWork.kind, null(), QueueWork.done_us, null(), QueueWork.changed_by)
    return [
        _of(
            _source(EventKind.ASKED, row.id, (row.requested_us,) * 2, *request),
            of,
        ),
        _of(
            _source(
                EventKind.DECIDED,
                row.id,
                (row.decided_us,) * 2,
                *(decided, null(), row.level, row.decision_reason, row.decided_by),
            ),
            of,
        ),
        _of(
            _source(
                EventKind.REVOKED,
                row.id,
                (row.revoked_us,) * 2,
                *(null(), null(), row.level, row.revocation_reason, row.revoked_by),
                *(null(), null(), null(), of_proposal(Proposal.proposed_by, row.revoked_us, row.revoked_by)),
            ),
            of,
        ),
        _of(
            _source(EventKind.DECISION, Decision.id, (Decision.at_us,) * 2, *decision),
            Decision.entity_id == _ENTITY,
            lambda rows: rows.join(Policy, Policy.id == Decision.policy_id),
        ),
        _of(
            _source(EventKind.WORK, QueueWork.changed_us, (QueueWork.changed_us,) * 2, *work),
            QueueWork.entity_id == _ENTITY,
        ),
    ]


def _contested() -> list[_Source]:
    """The sources of challenges and statements; that a statement was given is only in the audit log."""
    row, reply, of = Challenge, AuditEntry, Challenge.entity_id == _ENTITY
    is_reply = and_(
        reply.organisation_id == row.organisation_id,
        reply.subject_kind == "challenge",
        reply.subject_id == cast(row.id, Text),
        reply.action == "challenge.answered",
    )
    words = (row.id, null(), null(), row.words, row.opened_by)
    settled = (row.id, null(), row.state, row.reason, row.settled_by)
    return [
        _of(_source(EventKind.CONTESTED, row.id, (row.received_us, row.opened_us), *words), of),
        _of(_source(EventKind.SETTLED, row.id, (row.settled_us,) * 2, *settled), of),
        _of(
            _source(EventKind.ANSWERED, reply.number, (reply.at_us,) * 2, row.id, null(), null(), null(), reply.actor),
            of,
            lambda rows: rows.join(row, is_reply),
        ),
    ]


def _by_flows() -> list[_Source]:
    """The sources of flows' actions, of people's answers and undone actions, and of moves into groups and out of them.

    Actions are found by the runs of the entity.
    """
    action, step, move = FlowAction, StepOutcome, GroupMove
    done = (FlowRow.name, null(), action.kind, null(), literal(FLOW_ACTOR) + FlowRow.name, action.content)
    back = (FlowRow.name, null(), action.kind, action.taken_back_reason, action.taken_back_by, action.content)
    named = (action.run_id, action.action)
    answer = (FlowRow.name, null(), null(), null(), step.actor, step.outcome, step.run_id, step.step)
    move_number = cast(move.group_id, BigInteger) * _MOST_MOVES + move.number
    at_step = and_(FlowRun.entity_id == _ENTITY, step.kind == "person", FlowRun.acting, FlowRun.removed_by.is_(None))

    def of_run(rows: Any) -> Any:
        return rows.join(FlowRun, FlowRun.id == action.run_id).join(FlowRow, FlowRow.id == FlowRun.flow_id)

    return [
        _of(
            _source(EventKind.FLOW, action.id, (action.at_us,) * 2, *done, *named), FlowRun.entity_id == _ENTITY, of_run
        ),
        _of(
            _source(EventKind.FLOW_BACK, action.id, (action.taken_back_us,) * 2, *back, *named),
            FlowRun.entity_id == _ENTITY,
            of_run,
        ),
        _of(
            _source(EventKind.FLOW_ANSWER, step.run_id, (step.at_us,) * 2, *answer),
            and_(step.entity_id == _ENTITY, at_step),
            lambda rows: rows.join(FlowRun, FlowRun.id == step.run_id).join(FlowRow, FlowRow.id == FlowRun.flow_id),
        ),
        *(
            _of(
                _source(kind, move_number, (move.at_us,) * 2, NamedGroup.name, table=move),
                and_(move.entity_id == _ENTITY, move.entered if entered else not_(move.entered)),
                lambda rows: rows.join(NamedGroup, NamedGroup.id == move.group_id),
            )
            for kind, entered in ((EventKind.ENTERED, True), (EventKind.LEFT, False))
        ),
    ]


_MOST_MOVES: Final[Any] = literal(1 << 31, BigInteger)
"""Above the number of any move: a group's number times this keeps the moves of different groups distinct."""


def _of(source: _Source, condition: Any, join: Any = None) -> _Source:
    statement = source.statement if join is None else join(source.statement)
    return source._replace(statement=statement.where(condition))


LABELS: Final[Mapping[str, frozenset[EventKind]]] = {
    "facts": frozenset(
        {
            *(
                EventKind.ATTRIBUTES,
                EventKind.TAG_SET,
                EventKind.TAG_MOVED,
                EventKind.TAG_ENDED,
                EventKind.SCREENING,
                EventKind.OPENED,
                EventKind.CLOSED,
            ),
            *(
                EventKind.OWNED,
                EventKind.SOLD,
                EventKind.CORRECTION,
                EventKind.LINKED,
                EventKind.UNLINKED,
                EventKind.TAKEN_BACK,
            ),
        }
    ),
    "levels": frozenset({EventKind.LEVEL}),
    "scores": frozenset({EventKind.VALUE}),
    "overrides": frozenset({EventKind.ASKED, EventKind.DECIDED, EventKind.REVOKED}),
    "decisions": frozenset({EventKind.DECISION}),
    "challenges": frozenset({EventKind.CONTESTED, EventKind.SETTLED, EventKind.ANSWERED}),
    "flows": frozenset({EventKind.FLOW, EventKind.FLOW_BACK, EventKind.FLOW_ANSWER}),
    "groups": frozenset({EventKind.ENTERED, EventKind.LEFT}),
    "people": frozenset(
        {
            *(EventKind.WORK, EventKind.ASKED, EventKind.DECIDED, EventKind.REVOKED, EventKind.TAG_SET),
            *(EventKind.TAG_MOVED, EventKind.TAG_ENDED, EventKind.FLOW_BACK, EventKind.FLOW_ANSWER),
            *(EventKind.CONTESTED, EventKind.SETTLED, EventKind.ANSWERED),
        }
    ),
}
"""Groups of kinds, as people select them."""
