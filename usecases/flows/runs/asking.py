"""Questions to the outside: a run's facts are stored before, and each outcome before the next step begins."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from time import monotonic
from typing import Any, Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, StoreError
from fivefold.domain.settings import read_settings
from fivefold.flows.language import ModelStep, OutsideStep
from fivefold.flows.outside.outcomes import OutsideOutcome, failed_outcome
from fivefold.flows.outside.question import SentFacts, sent_facts
from fivefold.flows.steps import RowContext
from fivefold.store.flows import runs as stored
from fivefold.store.flows.runs import RunBatch
from fivefold.store.ingest.entities import lock_entities
from fivefold.store.sql.database import raise_if_out_of_reach, reading, writing
from fivefold.store.sql.reasons import failure_text
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.flows import FlowRun, StepOutcome
from fivefold.usecases.flows.outside import OutsideAccess, ask_together, outside_of
from fivefold.usecases.flows.runs.outcomes import row_kept, version_kept
from fivefold.usecases.flows.runs.shadows import pass_on
from fivefold.usecases.levels.replay import list_versions_used
from fivefold.usecases.shared.actors import SYSTEM, Actor
from fivefold.usecases.shared.connections import NotAnsweredError
from fivefold.usecases.shared.context import record
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

log = structlog.get_logger("fivefold.flows")

LONGEST_SECONDS: Final = 20.0
"""After this time no more questions of a batch are begun: the lease must hold until all outcomes are stored."""
PERHAPS_ASKED: Final = (
    "not asked again: it was asked before, or about to be, and no answer was stored; whether it got the question is "
    "known there alone"
)


@dataclass(frozen=True)
class _Question:
    """The question of one run, and its organisation."""

    run_id: int
    entity_id: int
    organisation: str
    step: OutsideStep
    facts: SentFacts
    note_asking: Callable[[], None] | None = None


class _LeaseLostError(Exception):
    """Another worker holds the run by now, or none does: this one asks nothing for it."""


@cache
def _outside(organisation: str) -> OutsideAccess:
    """Read what an organisation may ask, once in a process: a change of the operator's file needs a restart."""
    return outside_of(read_settings(), organisation)


def ask_of(question: _Question, clock: Callable[[], int]) -> OutsideOutcome:
    """Ask the outside for a step of a run; a call without an answer is recorded as an outcome too."""
    return ask_of_all([question], clock)[0]


def ask_of_all(questions: Sequence[_Question], clock: Callable[[], int]) -> list[OutsideOutcome]:
    """Ask the outside the questions of one step, each as `ask_of` does."""
    try:
        outside = replace(_outside(questions[0].organisation), clock=clock)
        if (note_asking := questions[0].note_asking) is not None:
            outside = replace(outside, note_asking=note_asking)
    except ConfigError as error:
        log.warning("nothing can be asked outside", error=str(error))
        failed = failed_outcome("the operator's settings of what is asked outside are wrong", "nothing", clock())
        return [failed] * len(questions)
    return ask_together(outside, questions[0].step, [each.facts for each in questions])


def ask_outside(engine: Engine, batch: RunBatch, clock: Callable[[], int]) -> tuple[set[int], dict[int, str]]:
    """Ask the outside for every run of a batch that stopped at such a step, and store the outcome.

    No transaction is open meanwhile. If another worker stored an outcome already, that one stays.

    Returns:
        The runs that were left for lack of time; and the errors of the runs whose question failed.
    """
    stopped = _stopped_runs(engine, batch)
    left, errors = set[int](), _ask_models(engine, batch, stopped, clock)
    begun = monotonic()
    for run_id in stopped:
        if run_id in errors:
            continue
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
    """Return the runs of a batch that stopped at a step, without shadows and runs of a flow that is off."""
    if not batch.stopped:
        return []
    with reading(engine) as session:
        held_runs = stored.runs_held(session, batch, batch.stopped)
        acting = [run.id for run in held_runs if run.stopped_at is not None and run.acting]
        return acting if acting and not stored.is_off(session, batch.flow_id) else []


def _ask_models(engine: Engine, batch: RunBatch, stopped: Sequence[int], clock: Callable[[], int]) -> dict[int, str]:
    """Ask each model for all runs that stopped at its step at once; return the errors of runs that could not be asked.

    Models come first: they answer quickly, and waiting for others could outlast the lease.
    """
    asking, errors = dict[str, list[_Question]](), dict[int, str]()
    with reading(engine) as session:
        held_runs = stored.runs_held(session, batch, stopped) if stopped else []
        there = stored.outcomes_of(session, [run.id for run in held_runs])
        for run in held_runs:
            try:
                question = _question_of(session, run, there.get(run.id, {}), ModelStep)
            except UNEXPECTED_ERRORS as error:  # it must not hold up the others; it is kept and shown
                raise_if_out_of_reach(error, engine)
                errors[run.id] = failure_text(error)
                continue
            if question is not None:
                asking.setdefault(question.step.id, []).append(question)
    for questions in asking.values():
        try:
            outcomes = ask_of_all(questions, clock)
        except UNEXPECTED_ERRORS as error:
            log.warning("runs not asked for", runs=len(questions), error=type(error).__name__)
            errors |= {each.run_id: failure_text(error) for each in questions}
        else:
            _store(engine, list(zip(questions, outcomes, strict=True)))
    return errors


def _ask_for(engine: Engine, batch: RunBatch, run_id: int, clock: Callable[[], int]) -> None:
    """Ask the outside for one run, and store the outcome, unless the run does not ask or has its outcome."""
    with reading(engine) as session:
        held_runs = stored.runs_held(session, batch, [run_id])
        there = stored.outcomes_of(session, [run_id])
        question = _question_of(session, held_runs[0], there.get(run_id, {})) if held_runs else None
    if question is None:
        return
    question = replace(question, note_asking=partial(_note_asking, engine, batch, run_id, clock))
    try:
        outcome = ask_of(question, clock)
    except _LeaseLostError:
        return
    _store(engine, [(question, outcome)])


def _note_asking(engine: Engine, batch: RunBatch, run_id: int, clock: Callable[[], int]) -> None:
    """Note with a run that a source which must not be asked twice is about to be asked.

    A worker that dies before it stores the answer leaves that note. A worker that finds it does not ask again, nor does
    this one after another error. The note is removed once the run continues.

    Raises:
        NotAnsweredError: the note is there already.
        _LeaseLostError: the run is not held any more.
    """
    with writing(engine) as session:
        held_runs = stored.runs_held(session, batch, [run_id], locked=True)
        if not held_runs:
            raise _LeaseLostError
        if held_runs[0].asked_us is not None:
            raise NotAnsweredError(PERHAPS_ASKED)
        held_runs[0].asked_us = clock()


def _store(engine: Engine, answered: Sequence[tuple[_Question, OutsideOutcome]]) -> None:
    with writing(engine) as session:
        lock_entities(session, {question.entity_id for question, _ in answered})
        for question, outcome in answered:
            _add(session, question, outcome)


def _add(session: Session, question: _Question, outcome: OutsideOutcome) -> None:
    run = session.get(FlowRun, question.run_id)
    if run is None or run.ended_us is not None:  # erased with its entity meanwhile, or ended as its flow is off
        return
    added = stored.add_outcome(
        session,
        {
            "run_id": question.run_id,
            "step": question.step.id,
            "entity_id": question.entity_id,
            "kind": question.step.kind,
            "outcome": outcome.canonical,
            "at_us": outcome.at_us,
            "actor": SYSTEM,
        },
    )
    if added:
        written = [(run.id, question.step.id), *pass_on(session, run, question.step.id, outcome.at_us)]
        record(
            session,
            Actor(run.organisation_id, SYSTEM),
            "flow.asked",
            ("flow run", question.run_id),
            details={"step": question.step.id, "kind": question.step.kind},
            rows=stored.outcome_digests(session, written),
        )


def _question_of(
    session: Session, run: FlowRun, steps: Mapping[str, StepOutcome], kind: type[OutsideStep] = OutsideStep
) -> _Question | None:
    """Return the question of a run at a step of a kind; None if it does not ask, or has its outcome."""
    stored_facts = kept_of(run)
    runnable = version_kept(session, run.version_id, stored_facts)
    flow = runnable.analysed.flow
    at = flow.steps[flow.positions[run.stopped_at or ""]]
    if not isinstance(at, kind) or at.id in steps:
        return None
    lists = list_versions_used(session, run.organisation_id, stored_facts["lists"])
    assert run.as_of_us is not None  # it is stored with the facts
    program, row, inputs = row_kept(runnable, stored_facts, lists, steps, (run.entity_id, run.as_of_us))
    row_context = RowContext({key: frame.row(0, named=True) for key, frame in inputs.items()}, {})
    organisation = session.get_one(Organisation, run.organisation_id).name
    return _Question(run.id, run.entity_id, organisation, at, sent_facts(program, row, row_context))


def kept_of(run: FlowRun) -> Mapping[str, Any]:
    """Return what was stored of a run when its facts were read; empty before."""
    stored_facts: Mapping[str, Any] = json.loads(run.inputs or "{}")
    return stored_facts
