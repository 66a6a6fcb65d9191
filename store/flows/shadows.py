"""Runs of an acting version and of the shadow, compared by cause. Nothing here begins a transaction."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, case, exists, func, not_, or_, select
from sqlalchemy.orm import Session, aliased

from fivefold.domain.paging import Page, Part
from fivefold.store.flows.runs import ENDED, FAILED, WAITING
from fivefold.store.sql.arrays import among
from fivefold.store.sql.keyset import bounded, rows_of
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.flows import FlowRow, FlowRun, FlowVersion, StepOutcome

_ACTING, _SHADOW = aliased(FlowRun, name="acting_run"), aliased(FlowRun, name="shadow_run")
_STOPPED = (ENDED, FAILED, WAITING)


class EndsRow(NamedTuple):
    """The ends that runs for the same cause reached in the acting version and the shadow, and how many pairs did.

    Attributes:
        comparable: false if the shadow waits for an answer that is never requested for it: at a step where the acting
            run got an answer to another question.
        same_actions: the same actions would follow, with the same amounts; true if a run did not store them.
    """

    acting_at: str
    acting_state: str
    shadow_at: str
    shadow_state: str
    comparable: bool
    same_actions: bool
    runs: int


class PairRow(NamedTuple):
    """Two runs of the same cause."""

    acting: FlowRun
    shadow: FlowRun
    entity_type: str
    external_id: str


def _pairs(statement: Select[*tuple[Any, ...]], flow: FlowRow) -> Select[*tuple[Any, ...]]:
    """Join the stopped runs of both versions; runs from before the shadow began have no partner."""
    same = (_SHADOW.entity_id == _ACTING.entity_id, _SHADOW.cause == _ACTING.cause)
    shadow = (_SHADOW.version_id == flow.shadow_version_id, _SHADOW.acting.is_(False), _SHADOW.state.in_(_STOPPED))
    return (
        statement.select_from(_ACTING)
        .join(_SHADOW, (same[0]) & (same[1]))
        .where(_ACTING.version_id == flow.active_version_id, _ACTING.acting, _ACTING.state.in_(_STOPPED), *shadow)
    )


_PASSED = exists().where(StepOutcome.run_id == _ACTING.id, StepOutcome.step == _SHADOW.stopped_at)
_COMPARABLE = not_(and_(_SHADOW.state == WAITING, _PASSED))
"""If the acting run was never at the step at which the shadow waits, then waiting there is itself the difference."""


def ends_of_pairs(session: Session, flow: FlowRow) -> list[EndsRow]:
    """Count the pairs of runs by the ends that they reached, the most frequent first."""
    each = _pairs(
        select(
            _ACTING.stopped_at.label("acting_at"),
            _ACTING.state.label("acting_state"),
            _SHADOW.stopped_at.label("shadow_at"),
            _SHADOW.state.label("shadow_state"),
            _COMPARABLE.label("comparable"),
            case((_ACTING.does != _SHADOW.does, False), else_=True).label("same_actions"),
        ),
        flow,
    ).subquery()
    ends = tuple(each.c)
    statement = select(*ends, func.count()).group_by(*ends).order_by(func.count().desc(), *ends)
    return [EndsRow(*row[:4], bool(row[4]), bool(row[5]), row[6]) for row in session.execute(statement)]


def pairs_that_differ(
    session: Session, flow: FlowRow, acting_at: str | None, shadow_at: str | None, part: Part
) -> Page[PairRow]:
    """List pairs that reached different ends or would act differently, the latest first; all, or those at given ends.

    Pairs that cannot be compared are left out.
    """
    differ = or_(_ACTING.stopped_at != _SHADOW.stopped_at, _ACTING.state != _SHADOW.state, _ACTING.does != _SHADOW.does)
    pairs = _pairs(select(_ACTING.id, _SHADOW.id.label("shadow_id")), flow).where(differ, _COMPARABLE)
    if acting_at is not None:
        pairs = pairs.where(_ACTING.stopped_at == acting_at)
    if shadow_at is not None:
        pairs = pairs.where(_SHADOW.stopped_at == shadow_at)
    # Only the runs of a page are read with their facts and answers.
    first = bounded(pairs, (_ACTING.id,), part, descending=True).subquery()
    statement = (
        select(_ACTING, _SHADOW, EntityType.name, Entity.external_id)
        .join(first, first.c.id == _ACTING.id)
        .join(_SHADOW, first.c.shadow_id == _SHADOW.id)
        .join(Entity, Entity.id == _ACTING.entity_id)
        .join(EntityType, EntityType.id == Entity.type_id)
    )
    return rows_of(session, statement, (_ACTING.id,), part, descending=True).map(lambda row: PairRow(*row))


class OutcomeOfPartner(NamedTuple):
    """The outcome of a step of the acting run, and the canonical text of its version."""

    step: StepOutcome
    canonical: str


def outcomes_of_partners(session: Session, shadow_ids: Iterable[int]) -> dict[int, list[OutcomeOfPartner]]:
    """Return, by the number of a shadow's run, the outcomes of the acting run for the same cause.

    Only runs of the version that acts now count.
    """
    same = (_ACTING.entity_id == _SHADOW.entity_id, _ACTING.cause == _SHADOW.cause, _ACTING.acting)
    statement = (
        select(_SHADOW.id, StepOutcome, FlowVersion.canonical)
        .join(FlowRow, FlowRow.id == _SHADOW.flow_id)
        .join(_ACTING, and_(_ACTING.version_id == FlowRow.active_version_id, *same))
        .join(FlowVersion, FlowVersion.id == _ACTING.version_id)
        .join(StepOutcome, StepOutcome.run_id == _ACTING.id)
        .where(among(session, _SHADOW.id, sorted(shadow_ids)))
        .order_by(_SHADOW.id, StepOutcome.step)
    )
    outcomes: dict[int, list[OutcomeOfPartner]] = {}
    for run_id, step, canonical in session.execute(statement):
        outcomes.setdefault(run_id, []).append(OutcomeOfPartner(step, canonical))
    return outcomes


def shadow_waiting_at(session: Session, acting: FlowRun, step: str) -> FlowRun | None:
    """Find the shadow's run for the cause of an acting run, if it waits at a step, with its current state."""
    statement = (
        select(FlowRun)
        .join(FlowRow, FlowRow.shadow_version_id == FlowRun.version_id)
        .where(
            FlowRow.id == acting.flow_id,
            FlowRun.entity_id == acting.entity_id,
            FlowRun.cause == acting.cause,
            FlowRun.acting.is_(False),
            FlowRun.state == WAITING,
            FlowRun.stopped_at == step,
        )
    )
    return session.scalar(statement.execution_options(populate_existing=True))
