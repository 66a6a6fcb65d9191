"""The outcome of a run, computed from its stored facts and the answers alone, so that it can be repeated."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import iso_text
from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.domain.money import minor_units
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.outside.outcomes import read_outcome
from fivefold.flows.outside.step import CompiledOutsideStep
from fivefold.flows.program import FlowProgram, flow_program_for
from fivefold.flows.steps import RowContext, RunContext
from fivefold.flows.trace import RunExplanation, explain_run
from fivefold.risk.engine.explain.stored import WORDS
from fivefold.risk.facts.portfolio import ListVersion
from fivefold.store.flows.runs import outcomes_of, run_numbered, version_and_flow
from fivefold.store.tables.flows import FlowRow, FlowVersion, StepOutcome
from fivefold.usecases.accounts.flows_in_force import StandingFlow, flow_as_asked, flow_of_version
from fivefold.usecases.decisions.read import replay_decision
from fivefold.usecases.flows.runs.facts import facts_kept
from fivefold.usecases.levels.content.breakdowns import removal_text
from fivefold.usecases.levels.replay import Replayed, list_versions_used, replay_assessment, replayed_answer
from fivefold.usecases.shared.actors import SYSTEM
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import digits

PERSON: Final = "person"
"""The kind of a step that a person answers."""
OFF: Final = "the flow was switched off before this run came to its end: it does nothing any more"
"""The error of a run that may no longer act."""
ENGINE: Final = "1"
"""The version of the code that runs flows: a new one if the same facts could give another outcome."""
WORDED: Final = frozenset({"line", "outcome", "asked", "seen", "missing", "sentence"})
"""The parts of a run's answer that are words; `WORDS`, beside them, is the version of the words."""


@dataclass(frozen=True, kw_only=True)
class RunnableVersion:
    """A version of a flow, with the versions of what it asks.

    Attributes:
        about: what every run records of it: name, version, hash, and under `asked` the same of what it asks, by kind
            and name.
    """

    flow: FlowRow
    version: FlowVersion
    analysed: AnalysedFlow
    about: Mapping[str, Any]


def version_now(session: Session, version_id: int) -> RunnableVersion:
    """Return a version, with what it asks in the versions that decide now."""
    return as_it_runs(flow_of_version(session, version_id))


def as_it_runs(standing: StandingFlow) -> RunnableVersion:
    """Return a version as it runs now."""
    asked_versions = {
        kind: {name: dict(vars(of)) for name, of in each.items()} for kind, each in standing.dependency_versions.items()
    }
    return _runnable(standing.flow, standing.version, standing.analysed, asked_versions)


def version_kept(session: Session, version_id: int, stored_facts: Mapping[str, Any]) -> RunnableVersion:
    """Return a version, with what it asks in the versions that a run used when it began."""
    version, flow = version_and_flow(session, version_id)
    asked_versions = stored_facts["flow"]["asked"]
    numbers = {kind: {name: int(each["version"]) for name, each in of.items()} for kind, of in asked_versions.items()}
    return _runnable(flow, version, flow_as_asked(session, version_id, numbers), asked_versions)


def _runnable(
    flow: FlowRow, version: FlowVersion, analysed: AnalysedFlow, asked_versions: Mapping[str, Any]
) -> RunnableVersion:
    about = {
        "name": flow.name,
        "version": version.number,
        "content_hash": version.content_hash,
        "asked": asked_versions,
    }
    return RunnableVersion(flow=flow, version=version, analysed=analysed, about=about)


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run.

    Attributes:
        explanation: the explanation of the run.
        answer: the same as it is stored, in canonical JSON.
        does: the actions that follow, as `actions_text` writes them.
    """

    explanation: RunExplanation
    answer: str
    does: str


def actions_text(actions: Iterable[tuple[str, int | None]], base: str) -> str:
    """Return the actions of a run as text, with the amounts of limits in the *base* currency, to compare two runs.

    >>> actions_text([("set-limit", 500_000), ("look", None)], "EUR"), actions_text([], "EUR")
    ('set-limit 5000 EUR, look', '')
    """
    units = minor_units(base)
    return ", ".join(
        action if minor is None else f"{action} {_amount(minor, units)} {base}" for action, minor in actions
    )


def _amount(minor: int, units: int) -> str:
    whole, rest = divmod(minor, units)
    return f"{whole}.{rest:0{len(str(units)) - 1}}" if rest else str(whole)


def people_who_answered(steps: Iterable[StepOutcome]) -> frozenset[str]:
    """Return the people who answered, as the audit log names them; a missed answer is left out."""
    return frozenset(step.actor for step in steps if step.kind == PERSON and step.actor != SYSTEM)


def outcome_kept(
    runnable: RunnableVersion,
    stored_facts: Mapping[str, Any],
    versions: Mapping[str, ListVersion],
    steps: Mapping[str, StepOutcome],
    of: tuple[int, int],
) -> RunOutcome:
    """Compute a run's outcome from its stored facts.

    Args:
        runnable: the version, with all that it asked.
        stored_facts: the facts from `usecases.flows.runs.facts.FactsRead.stored_form`, with `flow` and `cause`.
        versions: the versions of the lists that it read.
        steps: the steps with an answer or an outcome, by their ids.
        of: the number of the entity, and the moment of the facts.
    """
    program, row, inputs = row_kept(runnable, stored_facts, versions, steps, of)
    return conclude(program, stored_facts, inputs, row, of[1])


def row_kept(
    runnable: RunnableVersion,
    stored_facts: Mapping[str, Any],
    versions: Mapping[str, ListVersion],
    steps: Mapping[str, StepOutcome],
    of: tuple[int, int],
) -> tuple[FlowProgram, dict[str, Any], dict[str, pl.DataFrame]]:
    """Repeat a run from what is stored, as in `outcome_kept`; return the program, its row, and the other inputs."""
    entity_id, as_of_us = of
    own, inputs = facts_kept(stored_facts, as_of_us, entity_id)
    program = flow_program_for(runnable.analysed, versions, stored_facts["base"])
    row = program.run(own, _outside_context(program, inputs, steps)).row(0, named=True)
    return program, row, inputs


def _outside_context(
    program: FlowProgram, inputs: Mapping[str, pl.DataFrame], steps: Mapping[str, StepOutcome]
) -> RunContext:
    """Return the inputs, answers and outcomes of a run as the context of one row."""
    contents = {name: json.loads(step.outcome) for name, step in steps.items()}
    answers = {
        name: pl.Series(name, [contents[name]["answer"]], dtype=pl.String)
        for name, step in steps.items()
        if step.kind == PERSON
    }
    outcomes = {
        step.identifier: step.frame([read_outcome(contents[step.identifier], step.outputs)])
        for step in program.steps
        if isinstance(step, CompiledOutsideStep) and step.identifier in contents
    }
    return RunContext(inputs, answers, outcomes)


def conclude(
    program: FlowProgram,
    stored_facts: Mapping[str, Any],
    input_frames: Mapping[str, pl.DataFrame],
    row: Mapping[str, Any],
    as_of_us: int,
) -> RunOutcome:
    """Explain one row of a program's run; *input_frames* has the facts of that row, by the keys of what it asks."""
    inputs = {key: frame.row(0, named=True) for key, frame in input_frames.items()}
    explanation = explain_run(program, row, RowContext(inputs, {}))
    answer = {
        "engine": ENGINE,
        "words": WORDS,
        "as_of": iso_text(as_of_us),
        "cause": stored_facts["cause"],
        "flow": dict(stored_facts["flow"]),
        "lists": {name: iso_text(since) for name, since in stored_facts["lists"].items()},
        "base": stored_facts["base"],
        **({"rests_on": stored_facts["rests_on"]} if "rests_on" in stored_facts else {}),  # earlier runs do not have it
        **explanation.as_json(),
    }
    does = actions_text(((each.action, each.amount_minor) for each in explanation.actions), stored_facts["base"])
    return RunOutcome(explanation, canonical_json(answer), does)


_NUMBERED: Final = {"f": "run", "d": "decision"}
"""The kind of record, by the letter before its number."""


def replay_record(context: Context, name: str) -> Replayed:
    """Replay a run, such as f:12, a decision, such as d:12, or an assessment, such as 12.3; errors as for each."""
    kind, _, written = name.rpartition(":")
    if kind not in _NUMBERED:
        return replay_assessment(context, name)
    what, number = _NUMBERED[kind], digits(written)
    if number is None:
        raise NotFoundError(f"there is no {what} {name!r}")
    return (replay_run if kind == "f" else replay_decision)(context, number)


def replay_run(context: Context, number: int) -> Replayed:
    """Replay a run from its facts, its versions and its answers, and compare as `replayed_answer` does.

    Raises:
        NotFoundError: there is no such run.
        ConflictError: it has no outcome yet, or what it was made from was removed by the retention policy.
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
            steps.pop(run.stopped_at, None)  # it was answered, but has not continued yet
        runnable = version_kept(session, run.version_id, stored_facts)
        lists = list_versions_used(session, context.organisation_id, stored_facts["lists"])
        replayed = outcome_kept(runnable, stored_facts, lists, steps, (run.entity_id, run.as_of_us)).answer
        return replayed_answer(f"f:{number}", run.answer, replayed, ENGINE, WORDED)
