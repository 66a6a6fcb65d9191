"""The time that people took to decide, and reopened decisions, from stored moments. Begins no transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, literal, or_, select, union_all
from sqlalchemy.orm import Session, aliased

from fivefold.store.changes.proposals import APPROVED, REFUSED
from fivefold.store.levels.overrides import is_decided_by_person
from fivefold.store.queue.sources import Kind
from fivefold.store.tables.entities import Record
from fivefold.store.tables.levels import OverrideRow, Transition
from fivefold.store.tables.queue import QueueWork
from fivefold.store.tables.rulesets import Proposal


@dataclass(frozen=True)
class HandlingTimes:
    """The number of decisions of a kind, with the median and the ninth decile of their times; microseconds."""

    decided: int
    median_us: int
    nine_of_ten_us: int


def handling_times(session: Session, organisation_id: int, from_us: int, until_us: int) -> dict[str, HandlingTimes]:
    """Measure the decisions of a period, by kind: override, change, rise, alert and case; a kind without any is absent.

    A rise is measured from the level change until it is put away, a case from its opening to its close.
    """

    def within(moment: Any) -> Any:
        return and_(moment >= from_us, moment < until_us)

    rise = (Transition.entity_id == QueueWork.number) & (Transition.number == QueueWork.step)
    every = union_all(
        select(
            literal(Kind.OVERRIDE.value).label("kind"),
            (OverrideRow.decided_us - OverrideRow.requested_us).label("took"),
        ).where(OverrideRow.organisation_id == organisation_id, within(OverrideRow.decided_us), is_decided_by_person()),
        select(literal(Kind.CHANGE.value), Proposal.decided_us - Proposal.proposed_us).where(
            Proposal.organisation_id == organisation_id,
            Proposal.state.in_((APPROVED, REFUSED)),
            within(Proposal.decided_us),
        ),
        select(literal(Kind.RISE.value), QueueWork.done_us - Transition.at_us)
        .join(Transition, rise)
        .where(
            QueueWork.organisation_id == organisation_id,
            QueueWork.kind == Kind.RISE.value,
            within(QueueWork.done_us),
        ),
        select(Record.kind, Record.closed_us - Record.opened_us).where(
            Record.organisation_id == organisation_id, within(Record.closed_us)
        ),
    ).subquery()
    own = every.c.kind
    place = func.row_number().over(partition_by=own, order_by=every.c.took).label("place")
    numbered = select(own, every.c.took, place, func.count().over(partition_by=own).label("decided")).subquery()
    half, nine = (numbered.c.decided + 1) // 2, (numbered.c.decided * 9 + 9) // 10
    rows = session.execute(
        select(numbered.c.kind, numbered.c.decided, numbered.c.place, numbered.c.took)
        .where(or_(numbered.c.place == half, numbered.c.place == nine))
        .order_by(numbered.c.kind, numbered.c.place)
    )
    times: dict[str, HandlingTimes] = {}
    for kind, count, _, took in rows:
        first = times[kind].median_us if kind in times else took
        times[kind] = HandlingTimes(count, first, took)
    return times


def count_reopened(
    session: Session, organisation_id: int, from_us: int, until_us: int, within_us: int
) -> Mapping[str, int]:
    """Count the decisions of a period that were reopened within *within_us*: overrides and changes.

    An override is reopened if it was refused and requested again for the same entity, or approved and ended by a
    person; a change if it was refused and proposed again.
    """
    again, anew = aliased(OverrideRow), aliased(Proposal)
    asked_again = (
        select(again.id)
        .where(
            again.entity_id == OverrideRow.entity_id,
            again.requested_us >= OverrideRow.decided_us,
            again.requested_us < OverrideRow.decided_us + within_us,
        )
        .exists()
    )
    proposed_again = (
        select(anew.id)
        .where(
            anew.organisation_id == organisation_id,
            anew.kind == Proposal.kind,
            anew.subject == Proposal.subject,
            anew.proposed_us >= Proposal.decided_us,
            anew.proposed_us < Proposal.decided_us + within_us,
        )
        .exists()
    )
    overrides = (
        select(literal(Kind.OVERRIDE.value).label("kind"), func.count().label("entities"))
        .select_from(OverrideRow)
        .where(
            OverrideRow.organisation_id == organisation_id,
            OverrideRow.decided_us >= from_us,
            OverrideRow.decided_us < until_us,
            is_decided_by_person(),
            or_(
                and_(OverrideRow.state == "refused", asked_again),
                OverrideRow.revoked_us < OverrideRow.decided_us + within_us,
            ),
        )
    )
    changes = (
        select(literal(Kind.CHANGE.value), func.count())
        .select_from(Proposal)
        .where(
            Proposal.organisation_id == organisation_id,
            Proposal.state == REFUSED,
            Proposal.decided_us >= from_us,
            Proposal.decided_us < until_us,
            proposed_again,
        )
    )
    return {row.kind: row.entities for row in session.execute(union_all(overrides, changes))}
