"""The sources of the queue's items: rows of nine kinds, each read by an index in the order of the queue."""

from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, BindParameter, and_, bindparam, case, func, literal, null, select
from sqlalchemy.orm import aliased

from fivefold.domain.clock import DAY_US
from fivefold.store.flows.runs import WAITING
from fivefold.store.levels.assessment_queue import BULK, EVENT
from fivefold.store.tables.flows import FlowAction, FlowRow, FlowRun
from fivefold.store.tables.levels import IS_FAILED, IS_RISE, Assessment, DueMark, OverrideRow, Standing, Transition
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Proposal


class Kind(StrEnum):
    """The kinds of items, the more urgent first."""

    OVERRIDE = "override"
    CHANGE = "change"
    CHALLENGE = "challenge"
    QUESTION = "question"
    FLOW_REVIEW = "flow_review"
    FAILURE = "failure"
    QUARANTINE = "quarantine"
    RISE = "rise"
    REVIEW = "review"


RISES_US: Final = 30 * DAY_US
"""How long a rise waits unless it is put away."""
DECISION_US: Final = 2 * DAY_US
"""How long another person has to decide about an override, which may end sooner."""
REVIEW_US: Final = DAY_US
"""A level that was to be recomputed at a moment is overdue after this long."""


class ItemSource(NamedTuple):
    """The source of items of a kind.

    Attributes:
        columns: number, step, when the item arrived, the entity, and then those of `store.queue.items.ItemRow` that are
            the source's own, from `from_level` to `version_id`.
        conditions: under which an item waits; moments are parameters.
        join: another table of the columns, and its condition.
        due: when an item is due, if each has a date of its own; None if all of the kind have the same days.
        asks: the role that the source's items ask; None if the kind alone decides who sees them.
    """

    kind: Kind
    columns: tuple[Any, ...]
    conditions: tuple[Any, ...]
    join: tuple[Any, Any] | None = None
    due: Any = None
    asks: str | None = None

    @property
    def number(self) -> Any:
        """The first number of an item's name."""
        return self.columns[0]

    @property
    def step(self) -> Any:
        """The second number of an item's name."""
        return self.columns[1]

    @property
    def since(self) -> Any:
        """The column with the moment when an item arrived."""
        return self.columns[2]

    @property
    def table(self) -> Any:
        """The table whose rows are items."""
        return self.columns[0].class_


_NO_RUN: Final = (null(), null())
"""The run and its version of an item that no flow caused."""
ASKED_ROLES: Final = ("investigator", "publisher")
"""The roles that steps of flows ask, a source for each: an index has them in the order of their due dates."""


def number_parameter(name: str) -> BindParameter[int]:
    """Make a parameter of a statement for a moment, or another large number."""
    return bindparam(name, type_=BigInteger)


def _override_source() -> ItemSource:
    row = OverrideRow
    columns = (
        *(row.id, literal(0, BigInteger), row.requested_us, row.entity_id),
        *(null(), row.level, row.reason, null(), row.requested_by, *_NO_RUN),
    )
    latest_us = row.requested_us + DECISION_US
    due_us = case((row.until_us < latest_us, row.until_us), else_=latest_us)
    return ItemSource(Kind.OVERRIDE, columns, (row.state == "requested",), due=due_us)


def _change_source() -> ItemSource:
    row = Proposal
    columns = (
        *(row.id, literal(0, BigInteger), row.proposed_us, row.entity_id),
        *(null(), null(), row.reason, row.kind + ": " + row.subject, row.proposed_by, *_NO_RUN),
    )
    return ItemSource(Kind.CHANGE, columns, (row.state == "proposed",))


def _challenge_source() -> ItemSource:
    row = Challenge
    columns = (
        *(row.id, literal(0, BigInteger), row.opened_us, row.entity_id),
        *(null(), null(), row.words, null(), row.opened_by, *_NO_RUN),
    )
    return ItemSource(Kind.CHALLENGE, columns, (row.state == "open",), due=row.due_us)


def _question_sources() -> tuple[ItemSource, ...]:
    """The sources of waiting runs, of flows that are not off; answered and expired questions are left out."""
    row = FlowRun
    flow = select(FlowRow.name).where(FlowRow.id == row.flow_id, FlowRow.active_version_id.is_not(None))
    columns = (
        *(row.id, row.asked_us, row.asked_us, row.entity_id),
        *(null(), null(), row.stopped_at, flow.scalar_subquery(), func.nullif(row.actor, "system")),
        *(row.id, row.version_id),
    )
    open_still = (row.state == WAITING, row.due_us > number_parameter("now_us"), flow.exists())
    return tuple(
        ItemSource(Kind.QUESTION, columns, (row.asks == role, *open_still), due=row.due_us, asks=role)
        for role in ASKED_ROLES
    )


def _flow_review_source() -> ItemSource:
    """Reviews that flows requested, from the moment at which they enter the queue."""
    row = FlowAction
    flow = select(FlowRow.name).where(FlowRow.id == row.flow_id).scalar_subquery()
    version = select(FlowRun.version_id).where(FlowRun.id == row.run_id).scalar_subquery()
    columns = (
        *(row.id, literal(0, BigInteger), row.waits_us, row.entity_id),
        *(null(), null(), row.action, flow, null(), row.run_id, version),
    )
    is_open = (row.waits_us.is_not(None), row.taken_back_us.is_(None), row.done_us.is_(None))
    return ItemSource(Kind.FLOW_REVIEW, columns, (*is_open, row.waits_us <= number_parameter("now_us")), due=row.due_us)


def _failure_sources() -> tuple[ItemSource, ItemSource]:
    """The sources of assessments without a full level, and of those dated after now."""
    row = Standing
    columns = (
        *(row.entity_id, row.number, row.assessed_us, row.entity_id),
        *(null(), null(), null(), row.status, null(), *_NO_RUN),
    )
    ahead = (*columns[:7], literal("ahead"), *columns[8:])
    failed = row.status.in_(("failed", "unclassified", "undetermined"))
    return (
        ItemSource(Kind.FAILURE, columns, (IS_FAILED,)),
        ItemSource(Kind.FAILURE, ahead, (row.assessed_us > number_parameter("latest_us"), ~failed)),
    )


def _quarantine_source() -> ItemSource:
    row = DueMark
    columns = (
        *(row.entity_id, row.revision, func.coalesce(row.due_us, 0), row.entity_id),
        *(null(), null(), row.error, null(), null(), *_NO_RUN),
    )
    return ItemSource(Kind.QUARANTINE, columns, (row.quarantined,))


def _rise_source() -> ItemSource:
    """Rises that nobody made by an override, of those who have not fallen below since."""
    columns = (
        *(Transition.entity_id, Transition.number, Transition.at_us, Transition.entity_id),
        *(Transition.from_level, Transition.to_level, null(), Assessment.status, null(), *_NO_RUN),
    )
    same = and_(Assessment.entity_id == Transition.entity_id, Assessment.number == Transition.number)
    now = aliased(Standing)
    level = select(now.level).where(now.entity_id == Transition.entity_id).correlate_except(now).scalar_subquery()
    is_open = (Transition.source != "override", level >= Transition.to_level)
    since = Transition.at_us > number_parameter("rises_us")
    return ItemSource(Kind.RISE, columns, (IS_RISE, since, *is_open), (Assessment, same))


def _review_sources() -> tuple[ItemSource, ...]:
    """The sources of overdue reviews, one for each priority: an index has them in the order of their due dates."""
    row = DueMark
    columns = (
        *(row.entity_id, row.due_us, row.due_us, row.entity_id),
        *(null(), null(), null(), null(), null(), *_NO_RUN),
    )
    late = (~row.quarantined, row.due_us <= number_parameter("late_us"))
    return tuple(ItemSource(Kind.REVIEW, columns, (*late, row.priority == priority)) for priority in (EVENT, BULK))


SOURCES: Final = (
    _override_source(),
    _change_source(),
    _challenge_source(),
    *_question_sources(),
    _flow_review_source(),
    *_failure_sources(),
    _quarantine_source(),
    _rise_source(),
    *_review_sources(),
)
"""All sources, in the order of the kinds."""
