"""Replays of versions of flows over history, and the entities that they treat differently.

Begins and ends no transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session, aliased

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.store.sql.arrays import among
from fivefold.store.sql.jobs import OPEN
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.flows import FlowReplay, FlowReplayPerson, FlowRow, FlowVersion


class ReplayRow(NamedTuple):
    """A replay with its flow, type, and the numbers of the versions."""

    job: FlowReplay
    flow: str
    entity_type: str
    version: int
    base_version: int | None


def _select_replays() -> Any:
    """Select replays with their flows, types and the numbers of the versions."""
    version, base = aliased(FlowVersion), aliased(FlowVersion)
    return (
        select(FlowReplay, FlowRow.name, EntityType.name, version.number, base.number)
        .join(FlowRow, FlowRow.id == FlowReplay.flow_id)
        .join(EntityType, EntityType.id == FlowRow.type_id)
        .join(version, version.id == FlowReplay.version_id)
        .outerjoin(base, base.id == FlowReplay.base_version_id)
    )


def replays_of(session: Session, flow_id: int, part: Part, version_id: int | None) -> Page[ReplayRow]:
    """List the replays of a flow, or of one version of it, the newest first."""
    statement = _select_replays().where(FlowReplay.flow_id == flow_id)
    if version_id is not None:
        statement = statement.where(FlowReplay.version_id == version_id)
    return rows_of(session, statement, (FlowReplay.id,), part, descending=True).map(lambda row: ReplayRow(*row))


def newest_done_replay(session: Session, version_id: int) -> FlowReplay | None:
    """Find the finished replay of a version that was requested last."""
    statement = select(FlowReplay).where(FlowReplay.version_id == version_id, FlowReplay.state == "done")
    return session.scalar(statement.order_by(FlowReplay.id.desc()).limit(1))


def newest_replay_beside(session: Session, version_id: int, base_version_id: int | None) -> FlowReplay | None:
    """Find the last requested of the finished replays of a version, compared with a base version, or with none."""
    of = (FlowReplay.version_id == version_id, FlowReplay.base_version_id == base_version_id)
    statement = select(FlowReplay).where(*of, FlowReplay.state == "done")
    return session.scalar(statement.order_by(FlowReplay.id.desc()).limit(1))


def open_replay(session: Session, version_id: int) -> FlowReplay | None:
    """Find a waiting or running replay of a version."""
    statement = select(FlowReplay).where(FlowReplay.version_id == version_id, FlowReplay.state.in_(OPEN))
    return session.scalar(statement.order_by(FlowReplay.id).limit(1))


def replay_numbered(session: Session, organisation_id: int, number: int, *, locked: bool = False) -> ReplayRow:
    """Find a replay; NotFoundError if the organisation has none of that number. *locked* locks it."""
    statement = _select_replays().where(FlowReplay.id == number, FlowReplay.organisation_id == organisation_id)
    row = session.execute(statement.with_for_update(of=FlowReplay) if locked else statement).first()
    if row is None:
        raise NotFoundError(f"there is no replay {number} of a flow")
    return ReplayRow(*row)


def forget_people(session: Session, replay_id: int) -> None:
    """Delete the entities of a replay, before it starts over."""
    session.execute(delete(FlowReplayPerson).where(FlowReplayPerson.replay_id == replay_id))


def keep_people(session: Session, replay_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store the entities that a version treats differently; those erased in the meantime are left out.

    The check of the foreign key waits for an erasure that is under way.
    """
    if not rows:
        return
    session.execute(insert(FlowReplayPerson), [{**row, "replay_id": replay_id} for row in rows])
    ids = sorted({row["entity_id"] for row in rows})
    erased = select(Entity.id).where(among(session, Entity.id, ids), Entity.erased_us.is_not(None))
    of = (FlowReplayPerson.replay_id == replay_id, FlowReplayPerson.entity_id.in_(erased))
    session.execute(delete(FlowReplayPerson).where(*of))


class ReplayPersonRow(NamedTuple):
    """An entity that a version treats differently for some cause."""

    external_id: str
    person: FlowReplayPerson


def people_of(
    session: Session, replay_id: int, before_at: str | None, stopped_at: str | None, part: Part
) -> Page[ReplayPersonRow]:
    """List the entities of a replay, all or those that move from or to a step, in the order of their numbers."""
    statement = (
        select(Entity.external_id, FlowReplayPerson)
        .join_from(FlowReplayPerson, Entity, Entity.id == FlowReplayPerson.entity_id)
        .where(FlowReplayPerson.replay_id == replay_id)
    )
    if before_at is not None:
        statement = statement.where(FlowReplayPerson.before_at == before_at)
    if stopped_at is not None:
        statement = statement.where(FlowReplayPerson.stopped_at == stopped_at)
    keys = (FlowReplayPerson.entity_id, FlowReplayPerson.number)
    return rows_of(session, statement, keys, part).map(lambda row: ReplayPersonRow(*row))
