"""Steps that ask the outside: the facts of a run are stored before, and each outcome before the next step begins."""

import json
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final

from sqlalchemy import Engine

from fivefold.flows.language import OutsideStep
from fivefold.flows.outside.outcomes import Outcome, failed_outcome
from fivefold.store.flows import runs as stored
from fivefold.store.flows.runs import RunBatch
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.flows import FlowRun
from fivefold.usecases.flows.runs.outcomes import version_kept
from fivefold.usecases.shared.actors import SYSTEM

LONGEST_SECONDS: Final = 20.0
"""After so long no other run of a batch is begun to be asked about: the lease must hold until all are stored."""


def ask(step: OutsideStep, run: FlowRun, now_us: int) -> Outcome:
    """Ask the outside for a step of a run; what nothing comes of is an outcome too."""
    del run
    return failed_outcome("no source of this name is registered", step.asks.whom, now_us)


def ask_outside(engine: Engine, batch: RunBatch, clock: Callable[[], int]) -> set[int]:
    """Ask for every run of a batch that stopped at a step that asks the outside, and store the outcome.

    No transaction is open meanwhile. Where another worker stored an outcome already, that one stays.

    Returns:
        The runs that there was no time to ask for.
    """
    begun, left = monotonic(), set[int]()
    for run, step in _asking(engine, batch):
        if monotonic() - begun > LONGEST_SECONDS:
            left.add(run.id)
            continue
        outcome = ask(step, run, clock())
        with writing(engine) as session:
            stored.add_outcome(
                session,
                {
                    "run_id": run.id,
                    "step": step.id,
                    "entity_id": run.entity_id,
                    "kind": step.kind,
                    "outcome": outcome.canonical,
                    "at_us": outcome.at_us,
                    "actor": SYSTEM,
                },
            )
    return left


def _asking(engine: Engine, batch: RunBatch) -> list[tuple[FlowRun, OutsideStep]]:
    """Give the runs of a batch that stopped at a step that asks the outside, and have no outcome of it."""
    with reading(engine) as session:
        held = [run for run in stored.runs_held(session, batch, batch.attempts) if run.stopped_at is not None]
        there = stored.outcomes_of(session, [run.id for run in held])
        asking: list[tuple[FlowRun, OutsideStep]] = []
        for run in held:
            flow = version_kept(session, run.version_id, kept_of(run)).analysed.flow
            step = flow.steps[flow.positions[run.stopped_at or ""]]
            if isinstance(step, OutsideStep) and step.id not in there.get(run.id, {}):
                asking.append((run, step))
        return asking


def kept_of(run: FlowRun) -> Mapping[str, Any]:
    """Give what was kept of a run when its facts were read."""
    kept: Mapping[str, Any] = json.loads(run.inputs or "{}")
    return kept
