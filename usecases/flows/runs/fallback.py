"""What happens if a run cannot be carried on: it is quarantined, and the actions of `on_failure` are taken.

These follow from the flow's own text. No facts are read, and neither dependencies, people nor the outside are asked,
so that what broke the run is not met again. Both are stored in one transaction: a worker that dies in between leaves
neither, and another one does both.
"""

import json
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import StoreError
from fivefold.flows.analysis import analyse_canonical_flow
from fivefold.flows.trace import actions_after_failure
from fivefold.store.accounts.organisation import base_currency_of
from fivefold.store.audit.bound_rows import digests
from fivefold.store.audit.log import appended_at_end
from fivefold.store.flows import runs as stored
from fivefold.store.flows.runs import RunBatch
from fivefold.store.ingest.entities import lock_entities
from fivefold.store.sql.database import writing
from fivefold.store.sql.reasons import failure_text
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.flows import FLOW_ACTOR, FlowRun, FlowVersion
from fivefold.store.webhooks.outbox import add_events
from fivefold.usecases.flows.runs.actions import Doing, carry_out
from fivefold.usecases.flows.runs.outcomes import actions_text, people_who_answered
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

log = structlog.get_logger("fivefold.flows")

GIVEN_UP: Final = "flow.quarantined"


def give_up(engine: Engine, batch: RunBatch, number: int, error: str, clock: Callable[[], int]) -> str:
    """Quarantine a run that a batch holds, with its error, and take the actions of `on_failure`.

    A shadow takes none, nor does a flow that was switched off. If the lease is lost, nothing is done.

    Returns:
        Empty after success; else the error with why the actions could not be taken. The run is then tried once more,
        and quarantined without them if they cannot be taken again.

    Raises:
        StoreError: the database is out of reach, or another transaction holds a lock; to be repeated later.
    """
    log.warning("run given up", run=number)
    now = clock()
    try:
        with writing(engine) as session:
            lock_entities(session, [batch.entities[number]])
            held_runs = stored.runs_held(session, batch, [number], locked=True)
            if held_runs:
                _give_up(session, engine, held_runs[0], error, now)
    except StoreError:
        raise
    except UNEXPECTED_ERRORS as unexpected:  # it must not hold up the others; it is kept and shown
        return f"{error}; the actions of on_failure could not be taken: {failure_text(unexpected)}"
    return ""


def _give_up(session: Session, engine: Engine, run: FlowRun, error: str, now: int) -> None:
    version = session.get_one(FlowVersion, run.version_id)
    flow = analyse_canonical_flow(version.canonical).flow
    context = Context(engine, Actor(run.organisation_id, f"{FLOW_ACTOR}{flow.name}"), lambda: now)
    base = base_currency_of(session, run.organisation_id) if run.inputs is None else json.loads(run.inputs)["base"]
    acts = run.acting and not stored.is_off(session, run.flow_id, locked=True)
    following = actions_after_failure(flow, base) if acts else []
    answered = people_who_answered(stored.outcomes_of(session, [run.id]).get(run.id, {}).values())
    doing = Doing(context, flow, version.number, now, answered, by_person=False)
    entity = session.get_one(Entity, run.entity_id)
    with appended_at_end(session):
        tried = [carry_out(session, doing, run, entity, action) for action in following]
        done = [each for each in tried if each is not None]
        add_events(session, run.organisation_id, [each.event for each in done])
        does = actions_text(((each.action, each.amount_minor) for each in following), base)
        stored.finish(session, {run.id: {**stored.given_up(run, error), "does": does}})
        context.record(
            session,
            GIVEN_UP,
            ("flow run", run.id),
            after={"error": error},
            details={"flow": flow.name, "version": version.number, "actions": len(done)},
            rows=digests(session, "flow_actions", [each.number for each in done]),
        )
