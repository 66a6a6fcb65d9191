"""Runs that a schedule begins: once for each entity and moment, part by part, by any worker.

A schedule has a row as long as its version acts, or runs as a shadow. Each part is begun in its own transaction, which
also stores the progress: a worker that dies leaves the rest to the next one.
"""

from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import SECOND_US, iso_text
from fivefold.domain.schedules import latest_moment, next_moment
from fivefold.flows.analysis import analyse_canonical_flow
from fivefold.flows.triggers import ScheduleTrigger
from fivefold.risk.language.base import canonical_form
from fivefold.store.flows import flows as stored
from fivefold.store.flows.runs import begin_runs
from fivefold.store.sql.clocks import database_now_us
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.flows import FlowRow, FlowSchedule, FlowVersion
from fivefold.usecases.shared.actors import SYSTEM
from fivefold.usecases.shared.flow_triggers import schedule_cause
from fivefold.usecases.unexpected import do_each

PART: Final = 2_000
"""The number of entities whose runs are begun in one transaction."""
CLOCKS_DIFFER_US: Final = 300 * SECOND_US
"""The difference allowed between clocks; a due time further off than that was set by a clock that was ahead."""


def keep_schedules(session: Session, flow: FlowRow, now_us: int) -> None:
    """Adapt the rows of a flow's schedules to its acting and shadow versions; called after these changed.

    A schedule that stays continues where it was. A new one runs first at its next moment.
    """
    wanted: dict[tuple[bool, str], ScheduleTrigger] = {}
    for acting, version_id in ((True, flow.active_version_id), (False, flow.shadow_version_id)):
        if version_id is not None:
            triggers = analyse_canonical_flow(session.get_one(FlowVersion, version_id).canonical).flow.triggers
            scheduled = [trigger for trigger in triggers if isinstance(trigger, ScheduleTrigger)]
            wanted |= {(acting, canonical_form(trigger)): trigger for trigger in scheduled}
    for row in stored.schedules_of(session, flow.id, locked=True):
        if wanted.pop((row.acting, row.schedule), None) is None:
            session.delete(row)
    for (acting, written), trigger in wanted.items():
        row = FlowSchedule(organisation_id=flow.organisation_id, flow_id=flow.id, acting=acting, schedule=written)
        row.due_us = next_moment(trigger.schedule, now_us)
        session.add(row)
    session.flush()


def begin_scheduled(engine: Engine, now_us: int, most: int = PART) -> int:
    """Begin the next part of the runs of each due schedule; return the number of entities.

    Call it again until it returns 0. Several workers may call it: one at a time works on a schedule. An error in one
    schedule does not hold up the others; the first error is raised at the end.
    """
    with reading(engine) as session:
        rows = stored.every_schedule(session)
        numbers = [row.id for row in rows if row.due_us <= now_us or _is_too_late(row, now_us)]
    return sum(do_each(numbers, lambda number: _begin_part(engine, number, now_us, most)))


def _trigger(row: FlowSchedule) -> ScheduleTrigger:
    return ScheduleTrigger.model_validate_json(row.schedule)


def _is_too_late(row: FlowSchedule, now: int) -> bool:
    """Check whether a clock that was ahead left a schedule due too late, also half way through a moment."""
    return row.due_us > next_moment(_trigger(row).schedule, now + CLOCKS_DIFFER_US)


def _begin_part(engine: Engine, number: int, now: int, most: int) -> int:
    with writing(engine) as session:
        row = stored.lock_schedule(session, number)
        if row is None:
            return 0
        schedule = _trigger(row).schedule
        if row.due_us > now:
            present = max(now, database_now_us(session))  # the worker may have been suspended since it read its clock
            if _is_too_late(row, present):
                row.due_us, row.reached_id = next_moment(schedule, present), 0
            return 0
        if not row.reached_id:  # of several missed moments the latest counts
            row.due_us = latest_moment(schedule, now)
            if _comes_before_another(session, row, now):
                row.due_us = next_moment(schedule, now)
                return 0
        return _begin(session, row, now, most)


def _comes_before_another(session: Session, row: FlowSchedule, now: int) -> bool:
    """Check whether another schedule ran, or will run, the same entities for a later moment that is past."""
    group = _trigger(row).group
    others = [
        other
        for other in stored.schedules_of(session, row.flow_id)
        if other.acting == row.acting and _trigger(other).group == group
    ]
    return any(row.due_us < _latest_that_runs(other, now) <= now for other in others)


def _latest_that_runs(row: FlowSchedule, now: int) -> int:
    """Return the latest moment for which a schedule ran, or is to run now; 0 for none."""
    return latest_moment(_trigger(row).schedule, now) if row.due_us <= now else row.ran_us or 0


def _begin(session: Session, row: FlowSchedule, now: int, most: int) -> int:
    flow, trigger = session.get_one(FlowRow, row.flow_id), _trigger(row)
    version_id = flow.active_version_id if row.acting else flow.shadow_version_id
    assert version_id is not None  # the row is gone with what acted
    entities = stored.entities_of_part(session, flow.type_id, row.reached_id, most, trigger.group)
    about = {"kind": "schedule", "at": iso_text(row.due_us), "zone": trigger.zone}
    same = {
        "organisation_id": row.organisation_id,
        "flow_id": row.flow_id,
        "version_id": version_id,
        "cause": schedule_cause(row.due_us),
        "about": about if trigger.group is None else {**about, "group": trigger.group},
        "acting": row.acting,
        "due_us": now,
        "begun_us": now,
        "actor": SYSTEM,
    }
    begin_runs(session, [{**same, "entity_id": entity} for entity in entities])
    if len(entities) < most:
        row.ran_us, row.due_us, row.reached_id = row.due_us, next_moment(trigger.schedule, row.due_us), 0
    else:
        row.reached_id = entities[-1]
    return len(entities)
