"""Removal of the inputs of old runs of flows, of old replays over history, and of old moves of groups.

A run keeps the fact that it happened, its subject, its version, its end and its actions. Nothing here begins or ends a
transaction.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from fivefold.store.audit.bound_rows import digests, merge_digests
from fivefold.store.audit.history import new_salt
from fivefold.store.erasure.holds import held_entities
from fivefold.store.erasure.old_rows import (
    NOTHING,
    OldRow,
    OldRows,
    RemovedRows,
    ResumePoint,
    RetentionScope,
    delete_rows,
    free_once_locked,
    without_held,
)
from fivefold.store.flows.actions import OF_TRANSACTION
from fivefold.store.flows.runs import EMPTIED_OUTCOME, WAITING
from fivefold.store.sql.arrays import among
from fivefold.store.sql.jobs import OPEN
from fivefold.store.tables.flows import (
    FlowAction,
    FlowActivation,
    FlowReplay,
    FlowReplayPerson,
    FlowRow,
    FlowRun,
    StepOutcome,
)
from fivefold.store.tables.groups import GroupMove, NamedGroup

_RUNS, _MOVES, _PEOPLE, _REPLAYS = range(4)
"""The first parts of keys: the kinds of old rows."""
_STANDING_KINDS: Final = ("status", "limit", "review")
_REPLAYS_AT_A_TIME: Final = 10
"""Each is checked for a held entity, and may have as many entities as there are customers."""


def look_at_flows(session: Session, scope: RetentionScope, position: ResumePoint, most: int) -> OldRows:
    """Look at ended runs, then at moves of groups, at entities of replays, and at replays."""
    begin = position or (_RUNS,)
    for place, look in enumerate((_look_at_runs, _look_at_moves, _look_at_people, _look_at_replays)):
        if place >= begin[0]:
            behind = tuple(begin[1:]) if place == begin[0] else ()
            part = look(session, scope, behind, most)
            if part is not NOTHING:
                return part
    return NOTHING


def remove_flows(session: Session, scope: RetentionScope, rows: Sequence[OldRow]) -> RemovedRows:
    """Empty runs, and delete the rest; no new reference to them is possible until the transaction ends."""
    free = free_once_locked(session, scope.now_us, rows)
    at: list[list[OldRow]] = [[row._replace(key=row.key[1:]) for row in free if row.key[0] == n] for n in range(4)]
    numbers = [row.key[0] for row in at[_RUNS]]
    run_digests = _empty_runs(session, numbers, scope.run_id) if numbers else {}
    columns = [GroupMove.group_id, GroupMove.entity_id, GroupMove.number]
    removed_rows = [*at[_RUNS], *delete_rows(session, GroupMove, columns, at[_MOVES]).rows]
    people = [FlowReplayPerson.replay_id, FlowReplayPerson.entity_id, FlowReplayPerson.number]
    removed_rows += delete_rows(session, FlowReplayPerson, people, at[_PEOPLE]).rows
    people_left = exists().where(FlowReplayPerson.replay_id == FlowReplay.id)
    removed_rows += delete_rows(session, FlowReplay, [FlowReplay.id], at[_REPLAYS], ~people_left).rows
    return RemovedRows(removed_rows, bound=run_digests)


def _look_at_runs(session: Session, scope: RetentionScope, behind: tuple[Any, ...], most: int) -> OldRows:
    """Look at runs that still have their inputs, by the moments of their facts; those with actions in force are kept.

    A waiting shadow counts as ended, as nobody is asked on its behalf; an open acting run holds its customer.
    """
    of_run = (FlowAction.run_id == FlowRun.id, FlowAction.taken_back_us.is_(None), FlowAction.done_us.is_(None))
    of_entity = FlowAction.subject != OF_TRANSACTION
    stands = exists().where(*of_run, FlowAction.kind.in_(_STANDING_KINDS), of_entity)
    waiting_shadow = and_(FlowRun.acting.is_(False), FlowRun.state == WAITING, FlowRun.due_us.is_(None))
    over_us = func.coalesce(FlowRun.ended_us, FlowRun.as_of_us)
    statement = select(
        FlowRun.id, FlowRun.entity_id, FlowRun.as_of_us, over_us.label("over_us"), stands.label("stands")
    )
    statement = statement.where(
        FlowRun.organisation_id == scope.organisation_id,
        FlowRun.inputs.is_not(None),
        FlowRun.as_of_us < scope.before_us,
        or_(FlowRun.ended_us < scope.before_us, waiting_shadow),
        tuple_(FlowRun.as_of_us, FlowRun.id) > (behind or (-(1 << 62), 0)),
    )
    rows = session.execute(statement.order_by(FlowRun.as_of_us, FlowRun.id).limit(most)).all()
    if not rows:
        return NOTHING
    free = [OldRow((_RUNS, row.id), row.over_us, row.entity_id) for row in rows if not row.stands]
    return without_held(session, scope.now_us, free, [_RUNS, rows[-1].as_of_us, rows[-1].id], len(rows) - len(free))


def _empty_runs(session: Session, numbers: Sequence[int], by: int) -> Any:
    """Remove the inputs of runs, and return the digests of the rest, over new salts.

    The audit log keeps digests of the former content over the old salts. Without these they reveal nothing of it.
    """
    runs = session.scalars(select(FlowRun).where(among(session, FlowRun.id, sorted(numbers)))).all()
    for run in runs:
        run.about = {name: value for name, value in run.about.items() if name != "transaction"}
        run.inputs, run.answer, run.error, run.removed_by, run.salt = None, None, None, by, new_salt()
    steps = session.scalars(select(StepOutcome).where(among(session, StepOutcome.run_id, sorted(numbers)))).all()
    for step in steps:
        step.outcome, step.salt = EMPTIED_OUTCOME, new_salt()
    session.flush()
    return merge_digests(
        digests(session, "flow_runs", numbers), digests(session, "flow_steps", {step.run_id for step in steps})
    )


def _look_at_moves(session: Session, scope: RetentionScope, behind: tuple[Any, ...], most: int) -> OldRows:
    """Look at entries into and exits from groups, group by group; the newest move of each entity is kept."""
    groups = select(NamedGroup.id).where(NamedGroup.organisation_id == scope.organisation_id).order_by(NamedGroup.id)
    later = aliased(GroupMove)
    same = (later.group_id == GroupMove.group_id, later.entity_id == GroupMove.entity_id)
    has_later = exists().where(*same, later.number > GroupMove.number)
    key = (GroupMove.at_us, GroupMove.entity_id, GroupMove.number)
    for group in session.scalars(groups).all():
        if behind and group < behind[0]:
            continue
        statement = select(*key, has_later.label("has_later")).where(
            GroupMove.group_id == group, GroupMove.at_us < scope.before_us
        )
        if behind and group == behind[0]:
            statement = statement.where(tuple_(*key) > tuple(behind[1:]))
        rows = session.execute(statement.order_by(*key).limit(most)).all()
        if rows:
            free = [
                OldRow((_MOVES, group, row.entity_id, row.number), row.at_us, row.entity_id)
                for row in rows
                if row.has_later
            ]
            place = [_MOVES, group, *(rows[-1][n] for n in range(3))]
            return without_held(session, scope.now_us, free, place, len(rows) - len(free))
    return NOTHING


def _is_old(scope: RetentionScope) -> tuple[ColumnElement[bool], ...]:
    over = (FlowReplay.state.not_in(OPEN), FlowReplay.finished_us < scope.before_us)
    return (FlowReplay.organisation_id == scope.organisation_id, *over)


def _is_in_force() -> ColumnElement[bool]:
    """The condition that the replayed version acts now, runs as a shadow, or was activated with that replay."""
    versions = (FlowRow.active_version_id, FlowRow.shadow_version_id)
    acts = exists().where(FlowRow.id == FlowReplay.flow_id, or_(*(each == FlowReplay.version_id for each in versions)))
    return or_(acts, exists().where(FlowActivation.replay_id == FlowReplay.id))


def _look_at_people(session: Session, scope: RetentionScope, behind: tuple[Any, ...], most: int) -> OldRows:
    """Look at the entities of replays; those of a version in force are kept."""
    key = (FlowReplayPerson.replay_id, FlowReplayPerson.entity_id, FlowReplayPerson.number)
    statement = (
        select(*key, FlowReplay.finished_us, _is_in_force().label("in_force"))
        .join(FlowReplay, FlowReplay.id == FlowReplayPerson.replay_id)
        .where(*_is_old(scope), tuple_(*key) > (behind or (0, 0, 0)))
    )
    rows = session.execute(statement.order_by(*key).limit(most)).all()
    if not rows:
        return NOTHING
    free = [OldRow((_PEOPLE, *row[:3]), row.finished_us, row.entity_id) for row in rows if not row.in_force]
    return without_held(session, scope.now_us, free, [_PEOPLE, *rows[-1][:3]], len(rows) - len(free))


def _look_at_replays(session: Session, scope: RetentionScope, behind: tuple[Any, ...], most: int) -> OldRows:
    """Look at replays; a replay is kept as long as it has a held entity."""
    statement = (
        select(FlowReplay.id, FlowReplay.finished_us, _is_in_force().label("in_force"))
        .where(*_is_old(scope), FlowReplay.id > (behind or (0,))[0])
        .order_by(FlowReplay.id)
        .limit(min(most, _REPLAYS_AT_A_TIME))
    )
    rows = session.execute(statement).all()
    if not rows:
        return NOTHING
    free = [
        OldRow((_REPLAYS, row.id), row.finished_us)
        for row in rows
        if not row.in_force and not _has_held(session, scope, row.id, most)
    ]
    return OldRows(free, len(rows) - len(free), [_REPLAYS, rows[-1].id])


def _has_held(session: Session, scope: RetentionScope, replay_id: int, most: int) -> bool:
    """Return whether a replay has a held entity; *most* of its entities are checked at a time."""
    behind = 0
    while True:
        of = (FlowReplayPerson.replay_id == replay_id, FlowReplayPerson.entity_id > behind)
        people = select(FlowReplayPerson.entity_id).where(*of).distinct().order_by(FlowReplayPerson.entity_id)
        ids = session.scalars(people.limit(most)).all()
        if not ids:
            return False
        if held_entities(session, ids, scope.now_us):
            return True
        behind = ids[-1]
