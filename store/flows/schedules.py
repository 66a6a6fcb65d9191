"""Schedules of flows that act or run as a shadow: when each runs next. Nothing here begins or ends a transaction."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.store.rulesets.activations import present_after
from fivefold.store.sql.arrays import among
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.flows import FlowSchedule
from fivefold.store.tables.groups import GroupMember, NamedGroup


def schedules_of(session: Session, flow_id: int) -> list[FlowSchedule]:
    """List the schedules of a flow, locked until the transaction ends."""
    statement = select(FlowSchedule).where(FlowSchedule.flow_id == flow_id).order_by(FlowSchedule.id)
    return list(session.scalars(statement.with_for_update()))


def every_schedule(session: Session) -> Sequence[FlowSchedule]:
    """List all schedules of all organisations, in the order in which they are due."""
    return session.scalars(select(FlowSchedule).order_by(FlowSchedule.due_us, FlowSchedule.id)).all()


def lock_schedule(session: Session, number: int) -> FlowSchedule | None:
    """Lock a schedule until the transaction ends; None if it was deleted, or another process has it."""
    return session.scalar(select(FlowSchedule).where(FlowSchedule.id == number).with_for_update(skip_locked=True))


def next_runs(session: Session, flow_ids: Sequence[int]) -> dict[int, int]:
    """Return the next scheduled moment of each of some acting flows; flows without a schedule are left out."""
    of = (among(session, FlowSchedule.flow_id, sorted(flow_ids)), FlowSchedule.acting)
    rows = session.execute(
        select(FlowSchedule.flow_id, func.min(FlowSchedule.due_us)).where(*of).group_by(FlowSchedule.flow_id)
    )
    return {row[0]: row[1] for row in rows}


def entities_of_part(session: Session, type_id: int, after_id: int, most: int, group: str | None) -> Sequence[int]:
    """List the numbers of the next entities of a type after one; with a *group*, only its members."""
    statement = select(Entity.id).where(*present_after(type_id, after_id)).order_by(Entity.id).limit(most)
    if group is not None:
        statement = (
            statement.join(GroupMember, GroupMember.entity_id == Entity.id)
            .join(NamedGroup, NamedGroup.id == GroupMember.group_id)
            .where(GroupMember.is_member, NamedGroup.type_id == type_id, NamedGroup.name == group)
        )
    return session.scalars(statement).all()
