"""Calls of flows: a run within the request, with the same steps and rows as by a worker."""

import json
import secrets
from collections.abc import Mapping
from threading import BoundedSemaphore
from time import monotonic, sleep
from typing import Any, Final

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, StoreError
from fivefold.domain.text import control_in
from fivefold.features import schema as c
from fivefold.store.flows.flows import flow_named
from fivefold.store.flows.run_search import run_row
from fivefold.store.flows.runs import QUEUED, RUNNING, acting_version, add_run, begin_runs, hold, run_of_cause
from fivefold.store.ingest.entities import entity_named, lock_entities, number_of_entity
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.flows import FlowRun
from fivefold.usecases.accounts.flows_in_force import StandingFlow, standing_flow
from fivefold.usecases.decisions.inputs import digest_of_question, number_in, read_pending_transaction
from fivefold.usecases.flows.runs.execute import LEASE_US, act_and_record, begin_of, run_one
from fivefold.usecases.flows.runs.outcomes import as_it_runs
from fivefold.usecases.flows.runs.reading import RunView, view_of, view_run
from fivefold.usecases.levels.worker import new_lease
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import FIELDS, MOST_CHARACTERS, storable
from fivefold.usecases.shared.flow_triggers import bounded_cause
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

MOST_STOPS: Final = 100
"""The most stops of a run: it stops at each step that asks the outside, and a flow has no more steps."""
LONGEST_WAIT_SECONDS: Final = 5.0
"""How long a call waits for another process that works on its run; callers wait longer than that for an answer."""
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 0.5
MOST_WAITING: Final = 2
"""The most calls of a process that wait for others at once: each occupies one of the few request threads."""
_WAITING: Final = BoundedSemaphore(MOST_WAITING)


def call_flow(
    context: Context,
    flow: str,
    type_name: str,
    external_id: str,
    transaction: Mapping[str, Any] | None = None,
    run_key: str | None = None,
) -> RunView:
    """Run the active version of a flow for an entity at once, and return the run.

    Args:
        context: who calls; that person may not answer what the run asks.
        flow: the name of the flow.
        type_name: the type of the entity.
        external_id: the identifier of the entity.
        transaction: the transaction in question, as POST /v1/decisions takes it; it is not stored as one that happened.
        run_key: the caller's name of this call about this entity, by default the transaction's number; a repeated
            call with the same key returns the existing run, also if the flow was switched off since.

    Raises:
        NotFoundError: there is no such entity or flow, or no version of the flow is active.
        ConfigError: the flow is about other entities, or the key cannot be kept.
        InvalidDataError: the transaction cannot be read.
        ConflictError: something else was called under the key.
    """
    now, key, lease = context.now(), _key(run_key, transaction), new_lease()
    cause = bounded_cause(f"call:{key or secrets.token_hex(16)}")
    view = _run_at_once(context, flow, (type_name, external_id), cause, transaction, now, lease)
    if view is not None:
        return carried_on(context, view.number, lease) if view.state == QUEUED else view
    with context.writing() as session:
        flow_row = flow_named(session, context.organisation_id, flow)
        entity = entity_named(session, context.organisation_id, type_name, external_id, stays=True)
        if entity.type_id != flow_row.type_id:
            raise ConfigError(f"the flow {flow} is not about entities of the type {type_name}")
        lock_entities(session, [entity.id])  # a call at the same moment has begun its run, or not yet
        run = run_of_cause(session, flow_row.id, entity.id, cause)
        about = _about(session, entity, type_name, transaction, now)
        if run is None:
            standing = standing_flow(session, context.organisation_id, flow)
            begin_runs(session, _rows(context, standing, entity.id, cause, about, now))
            run = run_of_cause(session, flow_row.id, entity.id, cause)
            assert run is not None  # it was begun just now
            hold(session, run.id, lease, now, now + LEASE_US)
        elif run.about.get("asked") != about["asked"]:
            raise ConflictError(f"{flow} was called for something else under {key!r}; give it a run_key of its own")
        number = run.id
    return carried_on(context, number, lease)


class _OvertakenError(Exception):
    """Something else happened meanwhile; the error undoes the transaction."""


def _run_at_once(
    context: Context,
    flow: str,
    named: tuple[str, str],
    cause: str,
    transaction: Mapping[str, Any] | None,
    now: int,
    lease: str,
) -> RunView | None:
    """Run a flow as far as the known facts lead, and store the run and its actions in one transaction.

    None if it was called for that cause before, or on any error: then nothing was done, and the run must be begun and
    carried on as by a worker, which raises the error or stores it with the run. A run that continues stays held by the
    *lease*.
    """
    try:
        with context.reading() as session:
            standing = standing_flow(session, context.organisation_id, flow)
            entity = entity_named(session, context.organisation_id, *named)
            key = (standing.flow.id, entity.id)
            if entity.type_id != standing.flow.type_id or run_of_cause(session, *key, cause) is not None:
                return None
            about = _about(session, entity, named[0], transaction, now)
            acting, *shadows = _rows(context, standing, entity.id, cause, about, now)
            run = FlowRun(**acting)
            [reached] = begin_of(session, as_it_runs(standing), [run], now)
        with context.writing() as session:
            stays = number_of_entity(session, context.organisation_id, *named) == entity.id
            lock_entities(session, [entity.id])
            acts = acting_version(session, standing.flow.id, locked=True) == standing.version.id
            if run_of_cause(session, *key, cause) is not None:  # in whatever version
                raise _OvertakenError
            columns = reached.columns(run, now, off=False)
            number = add_run(session, {**acting, **columns}) if stays and acts else None
            if number is None:
                raise _OvertakenError
            run.id = number
            begin_runs(session, shadows)
            act_and_record(session, context.engine, {number: (run, reached, columns)}, now)
            view = view_of(session, run_row(session, number))
            if view.state == QUEUED:
                hold(session, number, lease, now, now + LEASE_US)
            return view
    except StoreError:
        raise
    except UNEXPECTED_ERRORS:
        return None


def carried_on(context: Context, number: int, lease: str) -> RunView:
    """Carry on a run, which the *lease* may hold, until it stops for longer.

    If another process works on it, such as a call with the same key, wait for that process, at most
    `LONGEST_WAIT_SECONDS`, and not if `MOST_WAITING` calls wait already.
    """
    view = _moved(context, number, lease)
    if not _is_under_way(view) or not _WAITING.acquire(blocking=False):
        return view
    try:
        until, pause = monotonic() + LONGEST_WAIT_SECONDS, _FIRST_PAUSE_SECONDS
        while _is_under_way(view) and monotonic() < until:
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            view = _moved(context, number, lease)
    finally:
        _WAITING.release()
    return view


def _moved(context: Context, number: int, lease: str) -> RunView:
    """Carry on a run until it stops for longer, or another process works on it."""
    for _ in range(MOST_STOPS):
        moved = run_one(context.engine, number, lease, clock=context.now)
        view = view_run(context, number)
        if not moved or not _is_under_way(view):
            break
    return view


def _is_under_way(view: RunView) -> bool:
    """Check whether a run continues at once: a process works on it, or released it between two questions."""
    return view.state == RUNNING or (view.state == QUEUED and view.error is None)


def _key(run_key: str | None, transaction: Mapping[str, Any] | None) -> str | None:
    key = number_in(transaction or {}) if run_key is None else run_key
    if key is None:
        return None
    what = c.TRANSACTION_ID if run_key is None else "run_key"
    if not isinstance(key, str) or not 1 <= len(key) <= MOST_CHARACTERS or not storable(key) or control_in(key):
        raise ConfigError(f"{what} must be text of 1 to {MOST_CHARACTERS} characters, none of them a control character")
    return key


def _about(
    session: Session, entity: Entity, type_name: str, transaction: Mapping[str, Any] | None, now: int
) -> dict[str, Any]:
    """Return what the call is about; InvalidDataError if the transaction cannot be read."""
    names = [type_name, entity.external_id]
    if transaction is None:
        return {"kind": "call", "asked": digest_of_question(names, None)}
    declared = FIELDS.validate_python(session.get_one(EntityType, entity.type_id).transaction_fields)
    pending = read_pending_transaction(transaction, declared, (entity.id, entity.external_id), now)
    as_text = json.dumps(transaction, sort_keys=True)
    return {"kind": "call", "asked": digest_of_question(names, pending.question), "transaction": as_text}


def _rows(
    context: Context, standing: StandingFlow, entity_id: int, cause: str, about: Mapping[str, Any], now: int
) -> list[dict[str, Any]]:
    """Return the rows of the acting run and, if there is a shadow, of its run."""
    versions = {standing.version.id: True}
    if standing.flow.shadow_version_id is not None:
        versions.setdefault(standing.flow.shadow_version_id, False)
    return [
        {
            "organisation_id": context.organisation_id,
            "flow_id": standing.flow.id,
            "version_id": version_id,
            "entity_id": entity_id,
            "cause": cause,
            "about": about,
            "acting": acting,
            "due_us": now,
            "begun_us": now,
            "actor": context.actor.name,
        }
        for version_id, acting in versions.items()
    ]
