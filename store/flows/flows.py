"""Flows by name, with the acting version, the newest version and the draft of each; and when each runs next.

Nothing here begins or ends a transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

from sqlalchemy import bindparam, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.text import perhaps
from fivefold.store.flows.runs import QUEUED, RUNNING, WAITING
from fivefold.store.rulesets.activations import present_after
from fivefold.store.sql.arrays import among
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.flows import FlowDraft, FlowRow, FlowRun, FlowSchedule, FlowVersion
from fivefold.store.tables.groups import GroupMember, NamedGroup

_NAMED: Final = select(FlowRow).where(FlowRow.organisation_id == bindparam("of"), FlowRow.name == bindparam("name"))
"""Built once, as each call of a flow uses it."""


def flow_or_none(session: Session, organisation_id: int, name: str) -> FlowRow | None:
    """Find a flow by its name."""
    return session.scalar(_NAMED, {"of": organisation_id, "name": name})


def flow_named(session: Session, organisation_id: int, name: str) -> FlowRow:
    """Find a flow by its name; NotFoundError if the organisation has none of that name."""
    row = flow_or_none(session, organisation_id, name)
    if row is None:
        names = session.scalars(select(FlowRow.name).where(FlowRow.organisation_id == organisation_id))
        raise NotFoundError(f"there is no flow {name!r}{perhaps(name, names)}")
    return row


def names_of_flows(session: Session, organisation_id: int) -> tuple[str, ...]:
    """Return the names of all flows of an organisation, in their order."""
    of = select(FlowRow.name).where(FlowRow.organisation_id == organisation_id)
    return tuple(session.scalars(of.order_by(FlowRow.name)))


def draft_of_flow(session: Session, flow: FlowRow) -> FlowDraft:
    """Find the draft of a flow; NotFoundError if it has none."""
    row = session.get(FlowDraft, flow.id)
    if row is None:
        raise NotFoundError(f"there is no draft of the flow {flow.name}")
    return row


@dataclass(frozen=True, kw_only=True)
class FlowState:
    """A flow with the numbers of its versions, and its draft; None for each that does not exist."""

    flow: FlowRow
    entity_type: str
    active: FlowVersion | None
    shadow: int | None
    newest: int | None
    draft_revision: int | None
    draft_editors: Sequence[str] | None
    drafted_us: int | None


def flow_states(
    session: Session, organisation_id: int, type_id: int | None = None, part: Part = WHOLE, *, name: str | None = None
) -> Page[FlowState]:
    """List flows by name with their state, of one type or of all, or one by its name, in one statement."""
    versions, active, shadow = aliased(FlowVersion), aliased(FlowVersion), aliased(FlowVersion)
    newest = select(func.max(versions.number)).where(versions.flow_id == FlowRow.id)
    statement = (
        select(
            FlowRow,
            EntityType.name,
            active,
            shadow.number,
            newest.scalar_subquery(),
            FlowDraft.revision,
            FlowDraft.editors,
            FlowDraft.edited_us,
        )
        .join(EntityType, EntityType.id == FlowRow.type_id)
        .outerjoin(active, active.id == FlowRow.active_version_id)
        .outerjoin(shadow, shadow.id == FlowRow.shadow_version_id)
        .outerjoin(FlowDraft, FlowDraft.flow_id == FlowRow.id)
        .where(FlowRow.organisation_id == organisation_id)
    )
    if type_id is not None:
        statement = statement.where(FlowRow.type_id == type_id)
    if name is not None:
        statement = statement.where(FlowRow.name == name)
    names = [field.name for field in fields(FlowState)]
    page = rows_of(session, statement, (FlowRow.name, FlowRow.id), part)
    return page.map(lambda row: FlowState(**dict(zip(names, row, strict=True))))


@dataclass(frozen=True, kw_only=True)
class ActingVersion:
    """An acting version: the names of its organisation and flow, its number, and its canonical form."""

    organisation: str
    flow: str
    version: int
    canonical: str


def acting_versions(session: Session) -> list[ActingVersion]:
    """List the acting versions of all organisations, by their names."""
    statement = (
        select(Organisation.name, FlowRow.name, FlowVersion.number, FlowVersion.canonical)
        .join(FlowRow, FlowRow.organisation_id == Organisation.id)
        .join(FlowVersion, FlowVersion.id == FlowRow.active_version_id)
        .order_by(Organisation.name, FlowRow.name)
    )
    return [
        ActingVersion(organisation=organisation, flow=flow, version=version, canonical=canonical)
        for organisation, flow, version, canonical in session.execute(statement)
    ]


def versions_in_force(session: Session, organisation_id: int) -> list[tuple[FlowRow, FlowVersion]]:
    """List the versions that act or run as a shadow, with their flows, by name."""
    runs = or_(FlowVersion.id == FlowRow.active_version_id, FlowVersion.id == FlowRow.shadow_version_id)
    statement = select(FlowRow, FlowVersion).join(FlowVersion, runs).where(FlowRow.organisation_id == organisation_id)
    return [(flow, version) for flow, version in session.execute(statement.order_by(FlowRow.name, FlowVersion.id))]


def replaced_with_runs(session: Session, organisation_id: int) -> list[tuple[FlowRow, FlowVersion]]:
    """List versions that no longer act but have open acting runs, of flows with an acting version; by name."""
    open_runs = exists().where(
        FlowRun.flow_id == FlowRow.id,
        FlowRun.state.in_((QUEUED, RUNNING, WAITING)),
        FlowRun.version_id == FlowVersion.id,
        FlowRun.acting,
    )
    statement = (
        select(FlowRow, FlowVersion)
        .join(FlowVersion, FlowVersion.flow_id == FlowRow.id)
        .where(FlowRow.organisation_id == organisation_id, FlowVersion.id != FlowRow.active_version_id, open_runs)
        .order_by(FlowRow.name, FlowVersion.id)
    )
    return [(flow, version) for flow, version in session.execute(statement)]


def schedules_of(session: Session, flow_id: int, *, locked: bool = False) -> list[FlowSchedule]:
    """List the schedules of a flow; *locked* locks them until the transaction ends."""
    statement = select(FlowSchedule).where(FlowSchedule.flow_id == flow_id).order_by(FlowSchedule.id)
    return list(session.scalars(statement.with_for_update() if locked else statement))


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
    """List the numbers of the next entities of a type, above *after_id*; with a *group*, only its members."""
    statement = select(Entity.id).where(*present_after(type_id, after_id)).order_by(Entity.id).limit(most)
    if group is not None:
        statement = (
            statement.join(GroupMember, GroupMember.entity_id == Entity.id)
            .join(NamedGroup, NamedGroup.id == GroupMember.group_id)
            .where(GroupMember.is_member, NamedGroup.type_id == type_id, NamedGroup.name == group)
        )
    return session.scalars(statement).all()
