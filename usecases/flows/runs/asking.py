"""Steps that ask the outside: the facts of a run are stored before, and each outcome before the next step begins."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from time import monotonic
from typing import Any, Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, StoreError
from fivefold.domain.settings import read_settings
from fivefold.flows.language import OutsideStep
from fivefold.flows.outside.outcomes import Outcome, failed_outcome
from fivefold.flows.outside.question import SentFacts, sent_facts
from fivefold.flows.steps import AskedOfRow
from fivefold.store.flows import runs as stored
from fivefold.store.flows.runs import RunBatch
from fivefold.store.ingest.entities import lock_entities
from fivefold.store.sql.database import reading, writing
from fivefold.store.sql.failures import failure_text
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.flows import FlowRun, FlowStep
from fivefold.usecases.flows.outside import Outside, ask, outside_of
from fivefold.usecases.flows.runs.outcomes import row_kept, version_kept
from fivefold.usecases.levels.replay import list_versions_used
from fivefold.usecases.levels.worker_loop import UNEXPECTED_ERRORS
from fivefold.usecases.shared.actors import SYSTEM, Actor
from fivefold.usecases.shared.context import record

log = structlog.get_logger("fivefold.flows")

LONGEST_SECONDS: Final = 20.0
"""After so long no other run of a batch is begun to be asked about: the lease must hold until all are stored."""


@dataclass(frozen=True)
class _Question:
    """What one run asks, and of which organisation it is."""

    run_id: int
    entity_id: int
    organisation: str
    step: OutsideStep
    facts: SentFacts


@cache
def _outside(organisation: str) -> Outside:
    """Read what an organisation may ask, once in a process: a change of the operator's file needs a new start."""
    return outside_of(read_settings(), organisation)


def ask_of(question: _Question, clock: Callable[[], int]) -> Outcome:
    """Ask the outside for a step of a run; what nothing comes of is an outcome too."""
    try:
        outside = replace(_outside(question.organisation), clock=clock)
    except ConfigError as error:
        log.warning("nothing can be asked outside", error=str(error))
        return failed_outcome("the operator's settings of what is asked outside are wrong", "nothing", clock())
    return ask(outside, question.step, question.facts)


def ask_outside(engine: Engine, batch: RunBatch, clock: Callable[[], int]) -> tuple[set[int], dict[int, str]]:
    """Ask for every run of a batch that stopped at a step that asks the outside, and store the outcome.

    No transaction is open meanwhile. Where another worker stored an outcome already, that one stays.

    Returns:
        The runs that there was no time to ask for; and the errors of those that could not be asked for.
    """
    begun, left, errors = monotonic(), set[int](), dict[int, str]()
    for run_id in _stopped_runs(engine, batch):
        if monotonic() - begun > LONGEST_SECONDS:
            left.add(run_id)
            continue
        try:
            _ask_for(engine, batch, run_id, clock)
        except StoreError:
            raise
        except UNEXPECTED_ERRORS as error:  # it must not hold up the others; it is kept and shown
            log.warning("run not asked for", run=run_id, error=type(error).__name__)
            errors[run_id] = failure_text(error)
    return left, errors


def _stopped_runs(engine: Engine, batch: RunBatch) -> list[int]:
    """List the runs of a batch that stopped at a step, but a shadow's, or those of a flow that is off."""
    with reading(engine) as session:
        held = stored.runs_held(session, batch, batch.attempts)
        acting = [run.id for run in held if run.stopped_at is not None and run.acting]
        return acting if acting and not stored.is_off(session, batch.flow_id) else []


def _ask_for(engine: Engine, batch: RunBatch, run_id: int, clock: Callable[[], int]) -> None:
    """Ask for one run, and store the outcome, unless it does not ask or has one."""
    with reading(engine) as session:
        held = stored.runs_held(session, batch, [run_id])
        there = stored.outcomes_of(session, [run_id])
        question = _question_of(session, held[0], there.get(run_id, {})) if held else None
    if question is None:
        return
    outcome = ask_of(question, clock)
    with writing(engine) as session:
        lock_entities(session, [question.entity_id])
        run = session.get(FlowRun, run_id)
        if run is None:  # it was erased with its entity meanwhile
            return
        added = stored.add_outcome(
            session,
            {
                "run_id": run_id,
                "step": question.step.id,
                "entity_id": question.entity_id,
                "kind": question.step.kind,
                "outcome": outcome.canonical,
                "at_us": outcome.at_us,
                "actor": SYSTEM,
            },
        )
        if added:
            record(
                session,
                Actor(run.organisation_id, SYSTEM),
                "flow.asked",
                ("flow run", run_id),
                details={"step": question.step.id, "kind": question.step.kind},
                rows=stored.outcome_digests(session, [(run_id, question.step.id)]),
            )


def _question_of(session: Session, run: FlowRun, steps: Mapping[str, FlowStep]) -> _Question | None:
    """Give what a run asks; None where it does not ask, or has its outcome."""
    kept = kept_of(run)
    runnable = version_kept(session, run.version_id, kept)
    flow = runnable.analysed.flow
    at = flow.steps[flow.positions[run.stopped_at or ""]]
    if not isinstance(at, OutsideStep) or at.id in steps:
        return None
    lists = list_versions_used(session, run.organisation_id, kept["lists"])
    assert run.as_of_us is not None  # it is stored with the facts
    program, row, inputs = row_kept(runnable, kept, lists, steps, (run.entity_id, run.as_of_us))
    asked = AskedOfRow({key: frame.row(0, named=True) for key, frame in inputs.items()}, {})
    organisation = session.get_one(Organisation, run.organisation_id).name
    return _Question(run.id, run.entity_id, organisation, at, sent_facts(program, row, asked))


def kept_of(run: FlowRun) -> Mapping[str, Any]:
    """Give what was kept of a run when its facts were read."""
    kept: Mapping[str, Any] = json.loads(run.inputs or "{}")
    return kept
