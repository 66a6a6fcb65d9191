"""Runs of a version that acts beside those of the shadow for the same causes. Nothing here begins a transaction."""

from typing import Any, NamedTuple

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, aliased

from fivefold.domain.paging import Page, Part
from fivefold.store.flows.runs import ENDED, FAILED, WAITING
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.flows import FlowRow, FlowRun

_ACTING, _SHADOW = aliased(FlowRun, name="acting_run"), aliased(FlowRun, name="shadow_run")
_STOPPED = (ENDED, FAILED, WAITING)


class EndsFound(NamedTuple):
    """Where runs came to that have one cause, by the version that acts and by the shadow, and how many did."""

    acting_at: str
    acting_state: str
    shadow_at: str
    shadow_state: str
    runs: int


class PairFound(NamedTuple):
    """Two runs that have one cause."""

    acting: FlowRun
    shadow: FlowRun
    entity_type: str
    external_id: str


def _pairs(statement: Select[*tuple[Any, ...]], flow: FlowRow) -> Select[*tuple[Any, ...]]:
    """Join the runs of both versions that stopped; those of before the shadow began have no partner."""
    same = (_SHADOW.entity_id == _ACTING.entity_id, _SHADOW.cause == _ACTING.cause)
    shadow = (_SHADOW.version_id == flow.shadow_version_id, _SHADOW.acting.is_(False), _SHADOW.state.in_(_STOPPED))
    return (
        statement.select_from(_ACTING)
        .join(_SHADOW, (same[0]) & (same[1]))
        .where(_ACTING.version_id == flow.active_version_id, _ACTING.acting, _ACTING.state.in_(_STOPPED), *shadow)
    )


def ends_of_pairs(session: Session, flow: FlowRow) -> list[EndsFound]:
    """Count where the runs of both came to, the most first."""
    ends = (_ACTING.stopped_at, _ACTING.state, _SHADOW.stopped_at, _SHADOW.state)
    statement = _pairs(select(*ends, func.count()), flow).group_by(*ends).order_by(func.count().desc(), *ends)
    return [EndsFound(*row) for row in session.execute(statement)]


def pairs_that_differ(
    session: Session, flow: FlowRow, acting_at: str | None, shadow_at: str | None, part: Part
) -> Page[PairFound]:
    """List pairs that came to different ends, the latest first; those of two ends where they are named."""
    differ = or_(_ACTING.stopped_at != _SHADOW.stopped_at, _ACTING.state != _SHADOW.state)
    statement = _pairs(select(_ACTING, _SHADOW, EntityType.name, Entity.external_id), flow).where(differ)
    statement = statement.join(Entity, Entity.id == _ACTING.entity_id).join(EntityType, EntityType.id == Entity.type_id)
    if acting_at is not None:
        statement = statement.where(_ACTING.stopped_at == acting_at)
    if shadow_at is not None:
        statement = statement.where(_SHADOW.stopped_at == shadow_at)
    return rows_of(session, statement, (_ACTING.id,), part, descending=True).map(lambda row: PairFound(*row))
