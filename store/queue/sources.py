"""Where items of the queue are: rows of seven kinds, each read by an index in the order of the queue."""

from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, BindParameter, and_, bindparam, func, literal, null

from fivefold.domain.clock import DAY_US
from fivefold.store.levels.assessment_queue import BULK, EVENT
from fivefold.store.tables.levels import IS_FAILED, IS_RISE, Assessment, DueMark, OverrideRow, Standing, Transition
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Proposal


class Kind(StrEnum):
    """What waits, the more urgent first."""

    OVERRIDE = "override"
    CHANGE = "change"
    CHALLENGE = "challenge"
    FAILURE = "failure"
    QUARANTINE = "quarantine"
    RISE = "rise"
    REVIEW = "review"


RISES_US: Final = 30 * DAY_US
"""A rise that nobody put away waits this long."""
REVIEW_US: Final = DAY_US
"""A level that is to be computed again at a moment, and still was not after this long, is overdue."""


class Source(NamedTuple):
    """Where items of a kind are.

    Attributes:
        columns: number, step, when the item came, the entity, and then those of `store.queue.items.ItemRow` that are
            the source's own, from `from_level` to `by`.
        conditions: under which an item waits; moments are parameters.
        join: another table of which there are columns, and on what.
        due: when an item is due, where each has a date of its own; None where all of the kind have the same days.
    """

    kind: Kind
    columns: tuple[Any, ...]
    conditions: tuple[Any, ...]
    join: tuple[Any, Any] | None = None
    due: Any = None

    @property
    def number(self) -> Any:
        """Give the first number that names an item."""
        return self.columns[0]

    @property
    def step(self) -> Any:
        """Give the second number that names an item."""
        return self.columns[1]

    @property
    def since(self) -> Any:
        """Tell when an item came."""
        return self.columns[2]

    @property
    def table(self) -> Any:
        """Give the table whose rows are items."""
        return self.columns[0].class_


def number_parameter(name: str) -> BindParameter[int]:
    """Give a parameter of a statement: a moment, or another large number."""
    return bindparam(name, type_=BigInteger)


def _override_source() -> Source:
    row = OverrideRow
    columns = (
        *(row.id, literal(0, BigInteger), row.requested_us, row.entity_id),
        *(null(), row.level, row.reason, null(), row.requested_by),
    )
    return Source(Kind.OVERRIDE, columns, (row.state == "requested",))


def _change_source() -> Source:
    row = Proposal
    columns = (
        *(row.id, literal(0, BigInteger), row.proposed_us, row.entity_id),
        *(null(), null(), row.reason, row.kind + ": " + row.subject, row.proposed_by),
    )
    return Source(Kind.CHANGE, columns, (row.state == "proposed",))


def _challenge_source() -> Source:
    row = Challenge
    columns = (
        *(row.id, literal(0, BigInteger), row.opened_us, row.entity_id),
        *(null(), null(), row.words, null(), row.opened_by),
    )
    return Source(Kind.CHALLENGE, columns, (row.state == "open",), due=row.due_us)


def _failure_sources() -> tuple[Source, Source]:
    """Give those that are no level in full, and those that are dated after now."""
    row = Standing
    columns = (
        *(row.entity_id, row.number, row.assessed_us, row.entity_id),
        *(null(), null(), null(), row.status, null()),
    )
    ahead = (*columns[:7], literal("ahead"), columns[8])
    failed = row.status.in_(("failed", "unclassified", "undetermined"))
    return (
        Source(Kind.FAILURE, columns, (IS_FAILED,)),
        Source(Kind.FAILURE, ahead, (row.assessed_us > number_parameter("latest_us"), ~failed)),
    )


def _quarantine_source() -> Source:
    row = DueMark
    columns = (
        *(row.entity_id, row.revision, func.coalesce(row.due_us, 0), row.entity_id),
        *(null(), null(), row.error, null(), null()),
    )
    return Source(Kind.QUARANTINE, columns, (row.quarantined,))


def _rise_source() -> Source:
    columns = (
        *(Transition.entity_id, Transition.number, Transition.at_us, Transition.entity_id),
        *(Transition.from_level, Transition.to_level, null(), Assessment.status, null()),
    )
    same = and_(Assessment.entity_id == Transition.entity_id, Assessment.number == Transition.number)
    return Source(Kind.RISE, columns, (IS_RISE, Transition.at_us > number_parameter("rises_us")), (Assessment, same))


def _review_sources() -> tuple[Source, ...]:
    """Give overdue reviews, one source for each priority: an index has them in the order of when they were due."""
    row = DueMark
    columns = (
        *(row.entity_id, row.due_us, row.due_us, row.entity_id),
        *(null(), null(), null(), null(), null()),
    )
    late = (~row.quarantined, row.due_us <= number_parameter("late_us"))
    return tuple(Source(Kind.REVIEW, columns, (*late, row.priority == priority)) for priority in (EVENT, BULK))


SOURCES: Final = (
    _override_source(),
    _change_source(),
    _challenge_source(),
    *_failure_sources(),
    _quarantine_source(),
    _rise_source(),
    *_review_sources(),
)
"""Every place where something waits, in the order of the kinds."""
