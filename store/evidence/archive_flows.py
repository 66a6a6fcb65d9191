"""The rows of flows and named groups for a quarter's archive, by internal numbers. Begins no transaction."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Table, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from fivefold.domain.clock import DAY_US
from fivefold.store.audit.chain_reading import ROWS_AT_A_TIME
from fivefold.store.flows.runs import EMPTIED_OUTCOME
from fivefold.store.sql.arrays import among
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.flows import (
    FlowAction,
    FlowActivation,
    FlowReplay,
    FlowRow,
    FlowRun,
    FlowVersion,
    StepOutcome,
)
from fivefold.store.tables.groups import GroupMove, GroupSize, GroupVersion, NamedGroup

Period = tuple[int, int]
"""From the first moment until before the second, microseconds."""
Row = Mapping[str, Any]
_PERSON = "person"
_STEPS = cast("Table", StepOutcome.__table__)


def flow_versions(session: Session, organisation_id: int) -> Sequence[tuple[FlowVersion, FlowRow]]:
    """List all versions with their flows: by name and number."""
    statement = select(FlowVersion, FlowRow).join(FlowRow, FlowRow.id == FlowVersion.flow_id)
    of = statement.where(FlowVersion.organisation_id == organisation_id)
    return [(version, flow) for version, flow in session.execute(of.order_by(FlowRow.name, FlowVersion.number))]


def flow_activations_before(session: Session, organisation_id: int, until_us: int) -> Sequence[FlowActivation]:
    """List the changes of acting versions and shadows before a moment, in order."""
    of = (FlowActivation.organisation_id == organisation_id, FlowActivation.at_us < until_us)
    return session.scalars(select(FlowActivation).where(*of).order_by(FlowActivation.id)).all()


def replays_done(
    session: Session, organisation_id: int, activated_with: Iterable[int | None], period: Period
) -> Sequence[FlowReplay]:
    """List the replays finished in a period, and those that its activations name, by their numbers."""
    numbers = sorted({number for number in activated_with if number is not None})
    finished = and_(*_within(FlowReplay.finished_us, period))
    of = (FlowReplay.organisation_id == organisation_id, FlowReplay.state == "done")
    condition = or_(finished, FlowReplay.id.in_(numbers)) if numbers else finished
    return session.scalars(select(FlowReplay).where(*of, condition).order_by(FlowReplay.id)).all()


def runs_begun_counted(session: Session, organisation_id: int, period: Period) -> list[Row]:
    """Count the runs that began in a period: by flow, version, acting, state, and current step."""
    return _runs_counted(session, organisation_id, *_within(FlowRun.begun_us, period))


def runs_ended_counted(session: Session, organisation_id: int, period: Period) -> list[Row]:
    """Count the runs that ended in a period and began before it, by the same columns."""
    ended = (*_within(FlowRun.ended_us, period), FlowRun.begun_us < period[0])
    return _runs_counted(session, organisation_id, *ended)


def _runs_counted(session: Session, organisation_id: int, *of: ColumnElement[bool]) -> list[Row]:
    by = (FlowRow.name.label("flow"), FlowVersion.number.label("version"), FlowRun.acting, FlowRun.state)
    columns = (*by, FlowRun.stopped_at.label("at"))
    statement = (
        select(*columns, func.count().label("runs"))
        .join(FlowRow, FlowRow.id == FlowRun.flow_id)
        .join(FlowVersion, FlowVersion.id == FlowRun.version_id)
        .where(FlowRun.organisation_id == organisation_id, *of)
        .group_by(*columns)
        .order_by(*columns)
    )
    return _as_rows(session.execute(statement).mappings().all())


def runs_after(session: Session, organisation_id: int, period: Period, after_id: int, most: int) -> list[Row]:
    """List the next runs that began or ended in a period, numbered above *after_id*, in the order of their numbers."""
    columns = (FlowRow.name.label("flow"), FlowVersion.number.label("version"), FlowVersion.content_hash)
    of_run = (FlowRun.id, FlowRun.entity_id, FlowRun.cause, FlowRun.acting, FlowRun.actor, FlowRun.state)
    came_to = (FlowRun.stopped_at, FlowRun.does, FlowRun.inputs, FlowRun.answer, FlowRun.removed_by)
    moments = (FlowRun.begun_us, FlowRun.as_of_us, FlowRun.ended_us)
    in_period = or_(and_(*_within(FlowRun.begun_us, period)), and_(*_within(FlowRun.ended_us, period)))
    statement = (
        select(*columns, *of_run, *came_to, *moments)
        .join(FlowRow, FlowRow.id == FlowRun.flow_id)
        .join(FlowVersion, FlowVersion.id == FlowRun.version_id)
        .where(FlowRun.organisation_id == organisation_id, FlowRun.id > after_id, in_period)
        .order_by(FlowRun.id)
        .limit(most)
    )
    return _as_rows(session.execute(statement).mappings().all())


def steps_of_runs(session: Session, run_ids: Sequence[int]) -> dict[int, list[Row]]:
    """List, by run, the steps with a stored outcome, in the order of time."""
    columns = (
        StepOutcome.run_id,
        StepOutcome.step,
        StepOutcome.kind,
        StepOutcome.outcome,
        StepOutcome.actor,
        StepOutcome.at_us,
    )
    return _by_run(session, columns, run_ids, StepOutcome.at_us, StepOutcome.step)


def actions_of_runs(session: Session, run_ids: Sequence[int]) -> dict[int, list[Row]]:
    """List, by run, the actions that it took, in the order of their numbers."""
    columns = (FlowAction.run_id, FlowAction.id, FlowAction.action, FlowAction.kind, FlowAction.subject)
    moments = (FlowAction.at_us, FlowAction.taken_back_us, FlowAction.done_us)
    return _by_run(session, (*columns, *moments), run_ids, FlowAction.id)


def _by_run(session: Session, columns: Sequence[Any], run_ids: Sequence[int], *order: Any) -> dict[int, list[Row]]:
    rows_of_runs: dict[int, list[Row]] = {}
    statement = select(*columns).where(among(session, columns[0], list(run_ids))).order_by(*order)
    for row in _as_rows(session.execute(statement).mappings().all()):
        rows_of_runs.setdefault(row["run_id"], []).append(row)
    return rows_of_runs


def outcomes_counted(session: Session, organisation_id: int, period: Period) -> list[Row]:
    """Count the outcomes of outside calls in a period: by flow, version, step and kind, with the number of failures.

    Outcomes that the retention policy removed are left out, and so are shadows, which use the outcomes of the acting
    runs.
    """
    by = (FlowRow.name.label("flow"), FlowVersion.number.label("version"), StepOutcome.step, StepOutcome.kind)
    is_gone = StepOutcome.outcome == EMPTIED_OUTCOME
    is_failed = case((is_gone | StepOutcome.outcome.like('%"failed":null%'), 0), else_=1)
    counts = (func.sum(is_failed).label("failed"), func.sum(case((is_gone, 1), else_=0)).label("removed_by_retention"))
    statement = (
        _of_runs(select(*by, func.count().label("outcomes"), *counts), StepOutcome.run_id)
        .where(FlowRun.organisation_id == organisation_id, FlowRun.acting, StepOutcome.kind != _PERSON)
        .where(*_within(StepOutcome.at_us, period))
        .group_by(*by)
        .order_by(*by)
    )
    return _as_rows(session.execute(statement).mappings().all())


def answers_in(connection: Connection, organisation_id: int, period: Period) -> Iterator[Row]:
    """Stream people's answers in a period, in the order of time; the answers that shadows took over are left out."""
    columns = (FlowRow.name.label("flow"), FlowVersion.number.label("version"), *_STEPS.c)
    statement = (
        _of_runs(select(*columns), StepOutcome.run_id)
        .where(FlowRun.organisation_id == organisation_id, FlowRun.acting, StepOutcome.kind == _PERSON)
        .where(*_within(StepOutcome.at_us, period))
        .order_by(StepOutcome.at_us, StepOutcome.run_id, StepOutcome.step)
    )
    with connection.execute(statement, execution_options={"yield_per": ROWS_AT_A_TIME}) as rows:
        yield from cast("Iterator[Row]", rows.mappings())


def actions_counted(session: Session, organisation_id: int, period: Period) -> list[Row]:
    """Count the actions of a period, and how many were undone: by flow, version, action, kind and subject."""
    by = (FlowRow.name.label("flow"), FlowVersion.number.label("version"), FlowAction.action, FlowAction.kind)
    columns = (*by, FlowAction.subject)
    taken_back = func.count(FlowAction.taken_back_us).label("taken_back_when_archived")
    statement = (
        _of_runs(select(*columns, func.count().label("actions"), taken_back), FlowAction.run_id)
        .where(FlowAction.organisation_id == organisation_id, *_within(FlowAction.at_us, period))
        .group_by(*columns)
        .order_by(*columns)
    )
    return _as_rows(session.execute(statement).mappings().all())


def taken_back_in(session: Session, organisation_id: int, period: Period) -> list[Row]:
    """List the actions that people undid in a period, in the order of their numbers."""
    columns = (
        FlowAction.id,
        FlowRow.name.label("flow"),
        FlowVersion.number.label("version"),
        *(FlowAction.run_id, FlowAction.entity_id, FlowAction.action, FlowAction.kind, FlowAction.at_us),
        *(FlowAction.taken_back_us, FlowAction.taken_back_by),
    )
    of = (FlowAction.organisation_id == organisation_id, *_within(FlowAction.taken_back_us, period))
    statement = _of_runs(select(*columns), FlowAction.run_id).where(*of).order_by(FlowAction.id)
    return _as_rows(session.execute(statement).mappings().all())


def shadows_counted(session: Session, organisation_id: int, period: Period) -> list[Row]:
    """Count the pairs of runs that began in a period for one cause: of an acting version, and of a shadow.

    `same_actions` is 0 if actions or amounts differ.
    """
    acting, shadow = aliased(FlowRun, name="acting_run"), aliased(FlowRun, name="shadow_run")
    acts, shadows = aliased(FlowVersion, name="acts"), aliased(FlowVersion, name="shadows")
    columns = (
        FlowRow.name.label("flow"),
        acts.number.label("acting_version"),
        acting.state.label("acting_state"),
        acting.stopped_at.label("acting_at"),
        shadows.number.label("shadow_version"),
        shadow.state.label("shadow_state"),
        shadow.stopped_at.label("shadow_at"),
        case((acting.does != shadow.does, 0), else_=1).label("same_actions"),
    )
    same = (shadow.flow_id == acting.flow_id, shadow.entity_id == acting.entity_id, shadow.cause == acting.cause)
    statement = (
        select(*columns, func.count().label("runs"))
        .select_from(acting)
        .join(shadow, and_(*same, shadow.acting.is_(False)))
        .join(FlowRow, FlowRow.id == acting.flow_id)
        .join(acts, acts.id == acting.version_id)
        .join(shadows, shadows.id == shadow.version_id)
        .where(acting.organisation_id == organisation_id, acting.acting, *_within(acting.begun_us, period))
        .group_by(*columns)
        .order_by(*columns)
    )
    return _as_rows(session.execute(statement).mappings().all())


def group_moves_counted(session: Session, organisation_id: int, period: Period) -> list[Row]:
    """Count the entries into and exits from groups in a period: by group, version, direction, and whether unknown."""
    by = (NamedGroup.name.label("group"), GroupVersion.number.label("version"), GroupMove.entered)
    columns = (*by, GroupMove.is_unknown.label("unknown"))
    statement = (
        select(*columns, func.count().label("moves"))
        .join(NamedGroup, NamedGroup.id == GroupMove.group_id)
        .outerjoin(GroupVersion, GroupVersion.id == GroupMove.version_id)
        .where(NamedGroup.organisation_id == organisation_id, *_within(GroupMove.at_us, period))
        .group_by(*columns)
        .order_by(*columns)
    )
    return _as_rows(session.execute(statement).mappings().all())


def entities_erased_since(session: Session, organisation_id: int, since_us: int) -> int:
    """Count the entities erased at a moment or later: archives made since lack their data."""
    of = (Entity.organisation_id == organisation_id, Entity.erased_us >= since_us)
    return session.scalar(select(func.count()).select_from(Entity).where(*of)) or 0


def group_sizes_in(session: Session, organisation_id: int, period: Period) -> list[Row]:
    """List the sizes of groups on the days of a period, by group and day."""
    days = (GroupSize.day >= period[0] // DAY_US, GroupSize.day < -(-period[1] // DAY_US))
    columns = (NamedGroup.name.label("group"), GroupSize.day, GroupSize.members, GroupSize.unknown)
    statement = select(*columns).join(NamedGroup, NamedGroup.id == GroupSize.group_id)
    of = statement.where(NamedGroup.organisation_id == organisation_id, *days)
    return _as_rows(session.execute(of.order_by(NamedGroup.name, GroupSize.day)).mappings().all())


def _of_runs(statement: Any, run_id: Any) -> Any:
    """Join runs, with their flows and versions, to rows that belong to them."""
    return (
        statement.join(FlowRun, FlowRun.id == run_id)
        .join(FlowRow, FlowRow.id == FlowRun.flow_id)
        .join(FlowVersion, FlowVersion.id == FlowRun.version_id)
    )


def _within(moment: Any, period: Period) -> tuple[Any, Any]:
    return moment >= period[0], moment < period[1]


def _as_rows(rows: Sequence[Any]) -> list[Row]:
    return list(rows)
