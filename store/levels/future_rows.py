"""Rows that a fast clock dated after now: counted and repaired. Nothing here begins or ends a transaction.

History is not changed: assessments, transitions, decisions, the audit log. See `usecases.levels.clock_repair`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    case,
    delete,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.orm import Session, aliased

from fivefold.domain.clock import SECOND_US
from fivefold.store.audit.bound_rows import TABLES, Digests, digests, merge_digests
from fivefold.store.audit.standings import COLUMNS
from fivefold.store.ingest.future_moments import FutureMoment, future_moments, redate_moments
from fivefold.store.levels.assessment_queue import PLANNED, Reason
from fivefold.store.queue.sources import Kind
from fivefold.store.rulesets.activations import begin_again
from fivefold.store.sql.arrays import among
from fivefold.store.sql.clocks import IS_AHEAD
from fivefold.store.sql.statements import UNSEEN
from fivefold.store.tables.entities import (
    Attributes,
    Correction,
    Entity,
    ListVersionRow,
    Ownership,
    Record,
    Screening,
    Tag,
    Transaction,
    ValueScore,
)
from fivefold.store.tables.events import Delivery, Endpoint
from fivefold.store.tables.flows import FlowRun
from fivefold.store.tables.groups import GroupSize, NamedGroup
from fivefold.store.tables.levels import Assessment, AssessmentInputs, DueMark, Standing
from fivefold.store.tables.queue import QueueWork
from fivefold.store.tables.rulesets import Activation, ThresholdReview

LONGEST_WAIT_US: Final = 12 * 3_600_000_000
"""No delivery waits longer until its next attempt."""
LONGEST_WAIT_TO_RETRY_US: Final = 1_280 * SECOND_US
"""The longest wait of a run of a flow, or of an entity, that is tried again; a run not tried yet does not wait."""
MARKS: Final = "entities due"
WITHOUT_ENTITY: Final[Mapping[str, tuple[str, str]]] = {
    "activations": ("activation", "activations"),
    "deliveries": ("endpoint", "deliveries"),
    "reviews of thresholds": ("threshold_review", "reviews"),
    "runs of flows": ("flow_run", "runs"),
    "sizes of groups": ("group", "sizes"),
}
"""The kinds of `FutureRows` that a repair mends by themselves, without an entity.

By kind: the subject of the entry in the audit log, and the name of their count in its details.
"""


class FutureRows(NamedTuple):
    """Rows of one kind and organisation that are dated after now: their number, and the latest, in microseconds."""

    organisation_id: int
    kind: str
    entries: int
    latest_us: int


class AffectedEntity(NamedTuple):
    """An entity with a row that is dated after now."""

    entity_id: int
    organisation_id: int
    type_id: int
    erased: bool


_LATER_OF_RECORD: Final[Any] = case((Record.closed_us > Record.opened_us, Record.closed_us), else_=Record.opened_us)
"""A record that was opened long ago may have been closed by a fast clock: its outcome is unknown until then."""

# A transaction's own date comes from its sender, and may be slightly ahead; `recorded_us` is from our own clock.
_STAMPS: Final[Sequence[tuple[str, Any, Any, Sequence[Any]]]] = (
    ("assessments", Standing, Standing.assessed_us, ()),
    ("value scores", ValueScore, ValueScore.as_of_us, ()),
    ("attributes", Attributes, Attributes.known_us, (Attributes.known_us,)),
    ("transactions", Transaction, Transaction.recorded_us, (Transaction.recorded_us,)),
    ("corrections", Correction, Correction.recorded_us, (Correction.recorded_us,)),
    ("tags", Tag, Tag.from_us, (Tag.from_us,)),
    ("ownerships", Ownership, Ownership.from_us, (Ownership.from_us,)),
    ("screenings", Screening, Screening.at_us, (Screening.at_us, Screening.recorded_us)),
    ("cases and alerts", Record, _LATER_OF_RECORD, (Record.opened_us, Record.closed_us)),
)
"""Kind, table, the instant that is compared with now, and the instants that are repaired if it is a fact."""


_ALL_REASONS: Final = sum(Reason)


def count_future_rows(session: Session, latest_us: int) -> list[FutureRows]:
    """Count rows dated after a moment, by organisation and kind; reads whole tables."""
    return sorted([*count_waits(session, latest_us), *count_dated_rows(session, latest_us)])


def count_waits(session: Session, latest_us: int) -> list[FutureRows]:
    """Count rows that wait for a later moment than *latest_us*, as `count_future_rows` does."""
    return [
        FutureRows(organisation_id, kind, entries, moment)
        for kind, statement in _waiting(latest_us).items()
        for organisation_id, entries, moment in session.execute(statement)
    ]


def count_dated_rows(session: Session, latest_us: int) -> list[FutureRows]:
    """Count the rows of entities that are dated after a moment, as `count_future_rows` does."""
    counts: list[FutureRows] = []
    for kind, table, stamp, _ in _STAMPS:
        statement = (
            select(Entity.organisation_id, literal_column(f"'{kind}'"), func.count(), func.max(stamp))
            .join(table, table.entity_id == Entity.id)
            .where(stamp > latest_us)
            .group_by(Entity.organisation_id)
        )
        counts += [FutureRows(*row) for row in session.execute(statement)]
    ahead: dict[tuple[int, str], list[int]] = {}
    for each in future_moments(session, latest_us):
        ahead.setdefault((each.organisation_id, each.kind), []).append(each.at_us)
    return [*counts, *(FutureRows(*key, len(moments), max(moments)) for key, moments in ahead.items())]


def _waiting(latest_us: int) -> dict[str, Any]:
    """Return, by kind, the statements that count what waits for a later moment, by organisation, with the latest.

    Sizes of groups do not wait: they were counted on a day that is still to come.
    """
    asked_or_due = case((_asks_later(latest_us), FlowRun.asked_us), else_=FlowRun.due_us)
    runs = or_(_asks_later(latest_us), _begins_later(latest_us))
    of_endpoint = Endpoint.id == Delivery.endpoint_id
    of_group = NamedGroup.id == GroupSize.group_id
    reviewed, reached, counted = ThresholdReview.requested_us, Activation.reached_us, GroupSize.at_us
    by_kind = {
        MARKS: (DueMark.organisation_id, DueMark.due_us, [_is_due_later(latest_us)]),
        "activations": (Activation.organisation_id, reached, _goes_on_later(latest_us)),
        "deliveries": (Endpoint.organisation_id, Delivery.next_us, [of_endpoint, _is_sent_later(latest_us)]),
        "reviews of thresholds": (ThresholdReview.organisation_id, reviewed, [reviewed > latest_us]),
        "runs of flows": (FlowRun.organisation_id, asked_or_due, [runs]),
        "sizes of groups": (NamedGroup.organisation_id, counted, [of_group, counted > latest_us]),
    }
    return {
        kind: select(organisation, func.count(), func.max(moment)).where(*where).group_by(organisation)
        for kind, (organisation, moment, where) in by_kind.items()
    }


def affected_entities(
    session: Session,
    organisation_id: int,
    latest_us: int,
    moments: Sequence[FutureMoment],
    between: tuple[int, int],
    most: int,
) -> list[AffectedEntity]:
    """List entities with rows dated after a moment, or due then without a reason to wait, or with one of the *moments*.

    In the order of their numbers, at most *most*: those after the first number of *between*, up to the second.
    """
    after_id, last_id = between
    by_marks = select(DueMark.entity_id).where(_is_due_later(latest_us))
    by_moments = select(Entity.id).where(among(session, Entity.id, sorted({each.entity_id for each in moments})))
    by_stamps = (select(table.entity_id.label("id")).where(stamp > latest_us) for _, table, stamp, _ in _STAMPS)
    ids = union(by_moments, by_marks, *by_stamps).subquery()
    statement = (
        select(Entity.id, Entity.organisation_id, Entity.type_id, Entity.erased_us.is_not(None))
        .where(Entity.organisation_id == organisation_id, Entity.id.in_(select(ids.c.id)))
        .where(Entity.id > after_id, Entity.id <= last_id)
        .order_by(Entity.id)
        .limit(most)
    )
    return [AffectedEntity(*row) for row in session.execute(statement)]


def restore_levels(session: Session, entity_ids: Sequence[int], latest_us: int, now_us: int) -> dict[str, Any]:
    """Reset entities to their state before the first assessment that is dated ahead.

    Returns details for the audit log, by entity number as text: `stands`, the number of the newest assessment and the
    standing; `since`, the moment from which the level counts. Empty if no entity was reset.

    The level stays the one that was announced, since a receiver must learn of each change; the next assessment moves
    it. The earlier rules' level and its time are taken from the inputs of that first assessment.
    """
    statement = select(Standing).where(Standing.entity_id.in_(entity_ids), Standing.assessed_us > latest_us)
    rows = session.scalars(statement.order_by(Standing.entity_id).with_for_update()).all()
    before = _before(session, [row.entity_id for row in rows], latest_us)
    for row in rows:
        if row.entity_id in before:
            row.rules_level, row.entered_us, row.floor, row.hard_floor, row.floors_lost = before[row.entity_id]
        elif row.entered_us is not None:
            row.entered_us = min(row.entered_us, now_us)
        row.assessed_us, row.may_move_down_us, row.status = now_us, None, "failed"
        row.digest = None
        row.level_since_us = min(row.level_since_us, now_us)
    stands = {str(row.entity_id): [row.number, *(getattr(row, name) for name in COLUMNS)] for row in rows}
    return {"stands": stands, "since": {str(row.entity_id): row.level_since_us for row in rows}} if rows else {}


_HeldLevel = tuple[int | None, int | None, int, int, str | None]
"""The rules' level, since when it held, the floors in force, and since when they rest on unknown facts."""


def _before(session: Session, entity_ids: Sequence[int], latest_us: int) -> dict[int, _HeldLevel]:
    """Return the state before the first assessment dated ahead, if it is stored."""
    first = (
        select(Assessment.entity_id, func.min(Assessment.number).label("number"))
        .where(Assessment.entity_id.in_(entity_ids), Assessment.as_of_us > latest_us)
        .group_by(Assessment.entity_id)
        .subquery()
    )
    same = and_(AssessmentInputs.entity_id == first.c.entity_id, AssessmentInputs.number == first.c.number)
    states: dict[int, _HeldLevel] = {}
    for entity_id, content in session.execute(
        select(AssessmentInputs.entity_id, AssessmentInputs.content).join(first, same)
    ):
        inputs = {} if content is None else json.loads(content)
        if "previous" in inputs:
            level, entered, *floors = inputs["previous"] or (None, None)
            floor, hard_floor, floors_lost = floors or (0, 0, None)
            states[entity_id] = (level, entered, floor, hard_floor, floors_lost)
    return states


def redate_facts(
    session: Session, entity_ids: Sequence[int], moments: Sequence[FutureMoment], latest_us: int, now_us: int
) -> tuple[int, Digests]:
    """Set facts that are dated ahead, and the entities' *moments*, to now; return how many, and their rows' digests."""
    fact_count, row_digests = len(moments), [redate_moments(session, moments, now_us)]
    for _, table, stamp, mended in _STAMPS:
        if mended:
            values = {each: case((each > now_us, now_us), else_=each) for each in mended}
            where = (table.entity_id.in_(entity_ids), stamp > latest_us)
            bound_table = TABLES.get(table.__tablename__)
            columns = [] if bound_table is None else [table.__table__.c[name] for name in bound_table.primary]
            keys = [tuple(row) for row in session.execute(select(*columns).where(*where))] if columns else []
            result: Any = session.execute(update(table).where(*where).values(values).execution_options(**UNSEEN))
            fact_count += result.rowcount
            if bound_table is not None:
                row_digests.append(digests(session, bound_table.name, keys))
    return fact_count, merge_digests(*row_digests)


def delete_value_scores(session: Session, entity_ids: Sequence[int], latest_us: int) -> int:
    """Delete value scores dated in the future; return how many."""
    where = (ValueScore.entity_id.in_(entity_ids), ValueScore.as_of_us > latest_us)
    result: Any = session.execute(delete(ValueScore).where(*where))
    if result.rowcount:
        _restore_values(session, entity_ids)
    return int(result.rowcount)


def _restore_values(session: Session, entity_ids: Sequence[int]) -> None:
    """Copy the latest of the remaining value scores into the current levels."""
    of = select(ValueScore).where(ValueScore.entity_id == Standing.entity_id).order_by(ValueScore.as_of_us.desc())
    columns = ("score", "segment", "expected_value", "currency")
    names = ("value_score", "segment", "expected_value", "value_currency")
    last = {
        name: of.with_only_columns(getattr(ValueScore, column)).limit(1).scalar_subquery()
        for name, column in zip(names, columns, strict=True)
    }
    session.execute(update(Standing).where(Standing.entity_id.in_(entity_ids)).values(last).execution_options(**UNSEEN))


def end_long_waits(session: Session, latest_us: int, now_us: int) -> None:
    """Make deliveries and runs of flows due that would wait longer than allowed. Leases end by themselves.

    Activations mark everybody of their type from now on. Reviews of thresholds for the fast clock's quarter are
    deleted: they begin again once it is over. So are sizes of groups of its days: a worker counts them on the day.

    A run that asked a person at a moment after *latest_us* asks from now on, for the same time. The item of the queue
    is named by that moment, and renamed too: so the person to whom the question is assigned keeps it.
    """
    begin_again(session, session.scalars(select(Activation.id).where(*_goes_on_later(latest_us))).all(), now_us)
    session.execute(delete(ThresholdReview).where(ThresholdReview.requested_us > latest_us))
    session.execute(delete(GroupSize).where(GroupSize.at_us > latest_us))
    begin = update(FlowRun).where(_begins_later(latest_us)).values(due_us=now_us)
    session.execute(begin.execution_options(**UNSEEN))
    asking = exists().where(FlowRun.id == QueueWork.number, FlowRun.asked_us == QueueWork.step, _asks_later(latest_us))
    assigned = update(QueueWork).where(QueueWork.kind == Kind.QUESTION.value, asking).values(step=now_us)
    session.execute(assigned.execution_options(**UNSEEN))
    due = {"due_us": FlowRun.due_us - FlowRun.asked_us + now_us, "asked_us": now_us}
    session.execute(update(FlowRun).where(_asks_later(latest_us)).values(due).execution_options(**UNSEEN))
    # Last, as it may take long; a delivery made in the meantime takes no harm.
    late = update(Delivery).where(_is_sent_later(latest_us)).values(next_us=now_us)
    session.execute(late.execution_options(**UNSEEN))


def _is_due_later(latest_us: int) -> ColumnElement[bool]:
    """The condition that a mark waits for a moment that a fast clock planned.

    Its reason is one that is never planned, or it failed and would wait longer than any retry does. A list makes an
    entity due later only while that version of the list, or one after it, is still to come. Or the mark waits for ever:
    an earlier release quarantined entities whose last assessment was dated after now.
    """
    comes = exists().where(
        ListVersionRow.organisation_id == DueMark.organisation_id, ListVersionRow.since_us >= DueMark.due_us
    )
    is_by_list = DueMark.reasons.bitwise_and(int(Reason.LIST)) != 0
    at_once = or_(DueMark.reasons.bitwise_and(~int(PLANNED) & _ALL_REASONS) != 0, and_(is_by_list, ~comes))
    tried = literal(latest_us + LONGEST_WAIT_TO_RETRY_US, BigInteger)
    later = and_(DueMark.due_us > latest_us, case((DueMark.attempts > 0, DueMark.due_us > tried), else_=at_once))
    given_up = and_(DueMark.quarantined, DueMark.error.startswith(IS_AHEAD))
    return or_(and_(DueMark.quarantined.is_(False), later), given_up)


def _goes_on_later(latest_us: int) -> tuple[ColumnElement[bool], ...]:
    """The conditions that an activation is to mark entities only from a later moment on."""
    return Activation.finished_us.is_(None), Activation.reached_us > latest_us


def _is_sent_later(latest_us: int) -> ColumnElement[bool]:
    """The condition that a delivery waits for a moment that a fast clock planned.

    A delivery not tried yet waits only for an earlier one of the same endpoint and entity that failed.
    """
    before = aliased(Delivery)
    follows = exists().where(
        before.endpoint_id == Delivery.endpoint_id,
        before.entity_id == Delivery.entity_id,
        before.event_number < Delivery.event_number,
        before.state == "waiting",
        before.attempts > 0,
    )
    waits = or_(Delivery.attempts > 0, follows)
    longest = case((waits, literal(latest_us + LONGEST_WAIT_US, BigInteger)), else_=literal(latest_us, BigInteger))
    return and_(Delivery.state == "waiting", Delivery.next_us > longest)


def _begins_later(latest_us: int) -> ColumnElement[bool]:
    """The condition that a run, answered or not, waits for a worker until a moment that a fast clock planned."""
    tried, new = (literal(latest_us + wait_us, BigInteger) for wait_us in (LONGEST_WAIT_TO_RETRY_US, 0))
    was_answered = and_(FlowRun.state == "waiting", FlowRun.asked_us.is_(None))
    is_for_worker = or_(FlowRun.state.in_(("queued", "running")), was_answered)
    return and_(is_for_worker, FlowRun.due_us > case((FlowRun.attempts > 0, tried), else_=new))


def _asks_later(latest_us: int) -> ColumnElement[bool]:
    """The condition that a run began to ask a person at a moment that is still to come."""
    return and_(FlowRun.state == "waiting", FlowRun.asked_us > latest_us)
