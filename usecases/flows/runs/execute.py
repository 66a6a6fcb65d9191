"""The executor: claims due runs, carries them on, and stores their outcomes and actions in one transaction.

A run depends only on the facts that were read once and on the answers. So a worker that takes over a run from one that
died reaches the same outcome. The actions of a run are taken in the transaction that ends it: all of them, or none.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import SECOND_US, now_microseconds
from fivefold.domain.errors import LockedError, StoreError
from fivefold.flows.language import NOBODY, PersonStep
from fivefold.flows.program import flow_program_for
from fivefold.flows.steps import RowContext, RunContext
from fivefold.store.audit.bound_rows import digests, merge_digests
from fivefold.store.audit.log import appended_at_end
from fivefold.store.flows import runs as stored
from fivefold.store.flows.runs import RunBatch
from fivefold.store.ingest.entities import lock_entities, subjects
from fivefold.store.sql.database import reading, writing
from fivefold.store.sql.reasons import failure_text
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.flows import FLOW_ACTOR, FlowRun, StepOutcome
from fivefold.store.webhooks.outbox import add_events
from fivefold.usecases.audit.record import bulk_of
from fivefold.usecases.flows.runs.actions import Doing, Done, carry_out
from fivefold.usecases.flows.runs.asking import ask_outside, kept_of
from fivefold.usecases.flows.runs.facts import facts_text, read_facts, transaction_about
from fivefold.usecases.flows.runs.fallback import give_up
from fivefold.usecases.flows.runs.outcomes import (
    OFF,
    RunnableVersion,
    RunOutcome,
    conclude,
    outcome_kept,
    people_who_answered,
    version_kept,
    version_now,
)
from fivefold.usecases.flows.runs.shadows import catch_up, pass_on
from fivefold.usecases.ingest.owners import lock_with_owners
from fivefold.usecases.levels.replay import list_versions_used
from fivefold.usecases.levels.worker import (
    FIRST_BACK_OFF_US,
    MAX_ABANDONED_LEASES,
    MAX_ATTEMPTS,
    back_off_us,
    new_lease,
)
from fivefold.usecases.shared.actors import SYSTEM, Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

log = structlog.get_logger("fivefold.flows")

LEASE_US: Final = 60 * SECOND_US
"""The time after which another worker takes over the runs of a batch; a batch takes seconds."""
BATCH_SIZE: Final = 500
NOT_BACK: Final = f"the worker that tried it did not come back, {MAX_ABANDONED_LEASES} times"


def run_flows(engine: Engine, *, clock: Callable[[], int] = now_microseconds, most: int = BATCH_SIZE) -> int | None:
    """Carry on up to *most* due runs, all of one version; return how many were carried on, None if none was due."""
    with writing(engine) as session:
        now = clock()
        batch = stored.claim(session, new_lease(), now, now + LEASE_US, most, MAX_ABANDONED_LEASES)
    return None if batch is None else carry_on(engine, batch, clock)


def run_one(engine: Engine, run_id: int, lease: str, *, clock: Callable[[], int] = now_microseconds) -> bool:
    """Carry on one run at once; False if it has ended, or another process works on it or blocks it.

    The *lease* may hold the run before. It holds the run afterwards if the run can continue at once: call again then.
    After False the run did not move, and a waiting caller repeats the call. A LockedError gives False too, as what the
    caller stored before, such as an answer, stays.
    """
    now = clock()
    with reading(engine) as session:
        if not stored.can_claim_one(session, run_id, lease, now):
            return False
    try:
        with writing(engine) as session:
            now = clock()
            batch = stored.claim_one(session, run_id, lease, now, now + LEASE_US)
        return batch is not None and carry_on(engine, batch, clock, holds=True) > 0
    except LockedError:
        return False


def carry_on(engine: Engine, batch: RunBatch, clock: Callable[[], int], *, holds: bool = False) -> int:
    """Carry on the runs of a batch, and return how many; one that fails does not hold up the others.

    If it *holds* them, runs that can continue at once keep the lease. StoreError if the database is out of reach: that
    is not a failure of any run, and the leases expire. After a LockedError the database answers, so the runs are
    returned.
    """
    try:
        return _carry_on(engine, batch, clock, holds)
    except LockedError as error:
        with suppress(StoreError):  # or the leases expire
            _put_off(engine, batch, error, clock())
        raise


def _put_off(engine: Engine, batch: RunBatch, error: LockedError, now: int) -> None:
    """Return a batch that another transaction blocked: that is not an attempt, and other runs are due before."""
    with writing(engine) as session:
        stored.put_off(session, batch, failure_text(error), now + FIRST_BACK_OFF_US)


def _carry_on(engine: Engine, batch: RunBatch, clock: Callable[[], int], holds: bool) -> int:
    errors = {number: NOT_BACK for number, tried in batch.attempts.items() if tried >= MAX_ABANDONED_LEASES}
    if not errors:
        work = _Work(engine, batch, clock, holds)
        left, errors = ask_outside(engine, batch, clock)
        for part in _with_each_entity_once(batch, left | errors.keys()):
            errors |= work.on(part)
    tried = {number: batch.attempts[number] + 1 for number in errors}
    again = {number: error for number, error in errors.items() if tried[number] < MAX_ATTEMPTS}
    later = {number: back_off_us(tried[number]) for number in again}
    for number in errors.keys() - again.keys():
        if action_error := give_up(engine, batch, number, errors[number], clock):
            again[number], later[number] = action_error, back_off_us(1)
    if again:
        now = clock()
        with writing(engine) as session:
            due = {number: now + wait_us for number, wait_us in later.items()}
            stored.give_back(session, batch, again, due, MAX_ATTEMPTS + 1)
    return len(batch.attempts) - len(errors)


def _with_each_entity_once(batch: RunBatch, left: set[int]) -> Iterator[list[int]]:
    """Split runs into parts with each entity once, the older run first: it may change what the next one reads.

    The runs in *left* are in no part, and wait until their lease ends.
    """
    entities = batch.entities
    waiting = sorted(entities.keys() - left)
    while waiting:
        part: dict[int, int] = {}
        for number in waiting:
            part.setdefault(entities[number], number)
        yield sorted(part.values())
        waiting = [number for number in waiting if part[entities[number]] != number]


@dataclass(frozen=True)
class ReachedStep:
    """The step a run reached, and its columns not stored yet; `answered` names the people who answered it."""

    outcome: RunOutcome
    runnable: RunnableVersion
    facts: Mapping[str, Any]
    nobody: StepOutcome | None
    answered: frozenset[str] = frozenset()

    def doing(self, context: Context, now: int) -> Doing:
        """Return for whom, and after whose answers, the actions are taken."""
        flow, number = self.runnable.analysed.flow, self.runnable.version.number
        by_person = bool(self.answered) and self.outcome.explanation.status == "ended"
        return Doing(context, flow, number, now, self.answered, by_person)

    def columns(self, run: FlowRun, now: int, *, off: bool) -> dict[str, Any]:
        """Return the columns to store of a run; if its flow is *off*, the run may no longer act."""
        return {**self.facts, **_state(run, self, now), **(_stopped(now) if off and run.acting else {})}


def begin_of(session: Session, runnable: RunnableVersion, runs: Sequence[FlowRun], now: int) -> list[ReachedStep]:
    """Read the facts of runs that begin, each entity once, and run them; return the reached steps in the same order."""
    flow = runnable.flow
    looked_at = {run.entity_id: transaction_about(run) for run in runs}
    read = read_facts(session, flow.organisation_id, flow.type_id, runnable.analysed, looked_at, now)
    facts, program = read.facts, flow_program_for(runnable.analysed, read.facts.versions, read.base)
    if len(runs) == 1:  # one row runs faster without columns
        inputs = {key: frame.row(0, named=True) for key, frame in facts.dependency_inputs.items()}
        outcomes = [program.run_row(facts.own.row(0, named=True), RowContext(inputs, {}))]
    else:
        outcomes = program.run(facts.own, RunContext(facts.dependency_inputs, {})).to_dicts()
    places = {int(entity): place for place, entity in enumerate(facts.own["entity_id"])}
    reached = []
    for run in runs:
        place = places[run.entity_id]
        stored_facts = {**read.stored_form(place), "flow": dict(runnable.about), "cause": run.cause}
        input_frames = {key: frame[place] for key, frame in facts.dependency_inputs.items()}
        outcome = conclude(program, stored_facts, input_frames, outcomes[place], now)
        reached.append(ReachedStep(outcome, runnable, {"inputs": facts_text(stored_facts), "as_of_us": now}, None))
    return reached


def act_and_record(
    session: Session,
    engine: Engine,
    stored_runs: Mapping[int, tuple[FlowRun, ReachedStep, Mapping[str, Any]]],
    now: int,
    written: Iterable[tuple[int, str]] = (),
) -> None:
    """Take the actions of runs that were just stored, and report them; one audit entry covers all.

    An action makes its entity due, with its owners and linked entities. So all these are locked first, in the order in
    which calls that store facts of several entities make them due. The entries of the log come last, as
    `store.audit.log.append_all` requires.

    Args:
        session: in the transaction that stored them.
        engine: the database.
        stored_runs: the run, the step it reached and the columns stored of it, by number.
        now: the present.
        written: the run and step of each outcome stored with them.
    """
    runnable = next(iter(stored_runs.values()))[1].runnable
    flow = runnable.flow
    context = Context(engine, Actor(flow.organisation_id, f"{FLOW_ACTOR}{flow.name}"), lambda: now)
    done: list[Done] = []
    acting = [
        (run, this)
        for run, this, columns in sorted(stored_runs.values(), key=lambda each: each[0].entity_id)
        if run.acting and columns["error"] != OFF and this.outcome.explanation.actions
    ]
    if len(acting) > 1:
        lock_with_owners(session, subjects(session, {run.entity_id for run, _ in acting}), now)
    with appended_at_end(session):
        for run, this in acting:
            doing = this.doing(context, now)
            for action in this.outcome.explanation.actions:
                result = carry_out(session, doing, run, session.get_one(Entity, run.entity_id), action)
                done += [] if result is None else [result]
        add_events(session, flow.organisation_id, [each.event for each in done])
        rows = merge_digests(
            digests(session, "flow_runs", stored_runs),
            stored.outcome_digests(session, written),
            digests(session, "flow_actions", [each.number for each in done]),
        )
        states = [columns["state"] for _, _, columns in stored_runs.values()]
        context.record(
            session,
            "flow.ran",
            ("flow", flow.id),
            details={
                **{state: states.count(state) for state in _STATES.values()},
                "actions": len(done),
                "acting": any(run.acting for run, _, _ in stored_runs.values()),
            },
            bulk=bulk_of(len(stored_runs), rows),
            rows=rows,
        )


@dataclass(frozen=True)
class _Work:
    """The values shared by all parts of a batch."""

    engine: Engine
    batch: RunBatch
    clock: Callable[[], int]
    holds: bool

    def on(self, numbers: Sequence[int]) -> dict[int, str]:
        """Carry runs on together; if one fails, each half alone. Return the errors of single runs."""
        try:
            self._all_of(numbers)
        except StoreError:
            raise
        except UNEXPECTED_ERRORS as error:  # it must not hold up the others; it is kept and shown
            if len(numbers) == 1:
                log.warning("run not carried out", run=numbers[0], error=type(error).__name__)
                return {numbers[0]: failure_text(error)}
            half = len(numbers) // 2
            return self.on(numbers[:half]) | self.on(numbers[half:])
        return {}

    def _all_of(self, numbers: Sequence[int]) -> None:
        now = self.clock()
        with reading(self.engine) as session:
            reached = self._reached(session, numbers, now)
        with writing(self.engine) as session:
            lock_entities(session, {self.batch.entities[number] for number in numbers})
            held_runs = stored.runs_held(session, self.batch, reached, locked=True)
            if held_runs:
                self._store(session, held_runs, reached, now)

    def _leased_runs(self, session: Session, numbers: Iterable[int]) -> list[FlowRun]:
        return stored.runs_held(session, self.batch, numbers)

    def _reached(self, session: Session, numbers: Sequence[int], now: int) -> dict[int, ReachedStep]:
        """Return the steps that runs reach: runs that begin as columns, and continued ones each from its own facts."""
        held_runs = self._leased_runs(session, numbers)
        there = stored.present_entities(session, [run.entity_id for run in held_runs])
        held_runs = [run for run in held_runs if run.entity_id in there]
        begun = [run for run in held_runs if run.inputs is not None]
        reached = self._begin(session, [run for run in held_runs if run.inputs is None], now)
        steps = stored.outcomes_of(session, [run.id for run in begun])
        for run in begun:
            reached[run.id] = self._go_on(session, run, steps.get(run.id, {}), now)
        return reached

    def _begin(self, session: Session, runs: Sequence[FlowRun], now: int) -> dict[int, ReachedStep]:
        if not runs:
            return {}
        reached = begin_of(session, version_now(session, self.batch.version_id), runs, now)
        return {run.id: this for run, this in zip(runs, reached, strict=True)}

    def _go_on(self, session: Session, run: FlowRun, steps: dict[str, StepOutcome], now: int) -> ReachedStep:
        """Return the step that a continued run reaches; if no person answered in time, the answer is `NOBODY`."""
        stored_facts, nobody = kept_of(run), None
        runnable = version_kept(session, run.version_id, stored_facts)
        late = run.acting and run.stopped_at not in steps and (run.due_us or 0) <= now
        if late and _waits_for_person(runnable, run):
            assert run.stopped_at is not None  # it waits there
            nobody = StepOutcome(**_nobody(run, run.stopped_at, now))
            steps = {**steps, nobody.step: nobody}
        lists = list_versions_used(session, run.organisation_id, stored_facts["lists"])
        assert run.as_of_us is not None  # it is stored with the facts
        outcome = outcome_kept(runnable, stored_facts, lists, steps, (run.entity_id, run.as_of_us))
        return ReachedStep(outcome, runnable, {}, nobody, people_who_answered(steps.values()))

    def _store(self, session: Session, runs: Sequence[FlowRun], reached: Mapping[int, ReachedStep], now: int) -> None:
        """Store the steps that runs reached, and take their actions."""
        off, written = stored.is_off(session, self.batch.flow_id, locked=True), []
        for run in runs:
            step = reached[run.id].nobody
            if step is not None:
                stored.add_outcome(session, _nobody(run, step.step, now))
                written += [(run.id, step.step), *pass_on(session, run, step.step, now)]
        columns = {run.id: reached[run.id].columns(run, now, off=off) for run in runs}
        written += _caught_up(session, [run for run in runs if not run.acting], columns, now)
        stored.finish(session, columns)
        done = {run.id: (run, reached[run.id], columns[run.id]) for run in runs}
        act_and_record(session, self.engine, done, now, written)
        for number in [number for number, each in columns.items() if self.holds and each["state"] == stored.QUEUED]:
            stored.hold(session, number, self.batch.lease, now, now + LEASE_US)


def _caught_up(
    session: Session, shadows: Sequence[FlowRun], values: Mapping[int, dict[str, Any]], now: int
) -> list[tuple[int, str]]:
    """Pass earlier outcomes of acting runs to waiting shadows, and make these due again."""
    waiting = {run.id: (run.version_id, values[run.id]["stopped_at"]) for run in shadows if _waits(values[run.id])}
    written = catch_up(session, waiting) if waiting else []
    for run_id, _ in written:
        values[run_id]["due_us"] = now
    return written


def _waits(columns: Mapping[str, Any]) -> bool:
    return bool(columns["state"] == stored.WAITING)


_STATES: Final = {"ended": stored.ENDED, "failed": stored.FAILED, "waits": stored.WAITING, "asks": stored.QUEUED}


def _stopped(now: int) -> dict[str, Any]:
    """Return the columns of a run that may no longer act: its flow was switched off, so it asks no person either."""
    nobody = {"asks": None, "asked_us": None}
    return {"state": stored.FAILED, "error": OFF, "does": "", "due_us": None, "ended_us": now, **nobody}


def _state(run: FlowRun, reached: ReachedStep, now: int) -> dict[str, Any]:
    """Return the columns of a run's state. A shadow asks no one: it waits for the acting run."""
    explanation = reached.outcome.explanation
    values = {
        "state": _STATES[explanation.status],
        "stopped_at": explanation.at,
        "answer": reached.outcome.answer,
        "does": reached.outcome.does,
        "error": explanation.line if explanation.status == "failed" else None,
        "attempts": 0,
        "asks": None,
        "asked_us": None,
    }
    if explanation.status in {"ended", "failed"}:
        return {**values, "due_us": None, "ended_us": now}
    if not run.acting:
        return {**values, "state": stored.WAITING, "due_us": None}
    stays = run.stopped_at == explanation.at
    if explanation.status == "asks":  # its facts are stored now, so the outside may be asked
        return {**values, "due_us": now, "asked_us": run.asked_us if stays else None}
    if stays:
        return {**values, "due_us": run.due_us, "asks": run.asks, "asked_us": run.asked_us}
    flow = reached.runnable.analysed.flow
    step = flow.steps[flow.positions[explanation.at]]
    assert isinstance(step, PersonStep)
    due_us = step.person.within.moment_after(now)
    return {**values, "due_us": due_us, "asks": step.person.role, "asked_us": now}


def _waits_for_person(runnable: RunnableVersion, run: FlowRun) -> bool:
    """Check whether a run stopped at a step that asks a person; a step that asks the outside has no due date."""
    flow = runnable.analysed.flow
    return run.stopped_at is not None and isinstance(flow.steps[flow.positions[run.stopped_at]], PersonStep)


def _nobody(run: FlowRun, step: str, now: int) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "step": step,
        "entity_id": run.entity_id,
        "kind": "person",
        "outcome": canonical_json({"answer": NOBODY}),
        "at_us": now,
        "actor": SYSTEM,
    }
