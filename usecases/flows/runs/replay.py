"""Replay of runs: made again from what was kept of them, and compared to the byte."""

import json

from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.store.flows.runs import outcomes_of, run_numbered
from fivefold.usecases.decisions.read import replay_by_name
from fivefold.usecases.flows.runs.outcomes import ENGINE, outcome_kept, version_kept
from fivefold.usecases.levels.content.breakdowns import removal_text
from fivefold.usecases.levels.replay import Replayed, list_versions_used
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import NUMBER_OF_A_ROW


def replay_record(context: Context, name: str) -> Replayed:
    """Make a run, such as f:12, a decision, such as d:12, or an assessment, such as 12.3, again; errors as of each."""
    kind, _, number = name.rpartition(":")
    if kind != "f":
        return replay_by_name(context, name)
    if not NUMBER_OF_A_ROW.fullmatch(number):
        raise NotFoundError(f"there is no run {name!r}")
    return replay_run(context, int(number))


def replay_run(context: Context, number: int) -> Replayed:
    """Make a run again from its facts, its versions and what was answered; compare the bytes of where it came to.

    Raises:
        NotFoundError: there is no such run.
        ConflictError: it has not come to anything yet, or what it was made from was removed by the retention policy.
    """
    with context.reading() as session:
        run = run_numbered(session, context.organisation_id, number)
        if run.removed_by is not None:
            raise ConflictError(f"what run f:{number} was made from {removal_text(session, run.removed_by)}")
        if run.inputs is None or run.answer is None or run.as_of_us is None:
            raise ConflictError(f"run f:{number} has not come to anything yet: its facts were not read")
        stored_facts = json.loads(run.inputs)
        steps = outcomes_of(session, [run.id]).get(run.id, {})
        if run.state not in {"ended", "failed"} and run.stopped_at is not None:
            steps.pop(run.stopped_at, None)  # it was answered, and has not gone on yet
        runnable = version_kept(session, run.version_id, stored_facts)
        lists = list_versions_used(session, context.organisation_id, stored_facts["lists"])
        replayed = outcome_kept(runnable, stored_facts, lists, steps, (run.entity_id, run.as_of_us)).answer
        return Replayed(
            assessment=f"f:{number}",
            same=replayed == run.answer,
            stored=run.answer,
            breakdown_now=replayed,
            engine=json.loads(run.answer)["engine"],
            engine_now=ENGINE,
        )
