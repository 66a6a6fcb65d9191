"""Models that steps of a flow ask when it is run on files: those that the person who runs it names, and no others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import Settings
from fivefold.domain.text import perhaps
from fivefold.flows.language import Flow, ModelStep
from fivefold.flows.outside.outcomes import OutsideOutcome
from fivefold.flows.outside.question import asking_step, sent_facts
from fivefold.flows.run import Runs
from fivefold.flows.steps import STOP, RunContext, Stop
from fivefold.usecases.flows.models.permitted import ModelsPermitted
from fivefold.usecases.flows.sources import ModelRegistration


def models_named(flow: Flow, names: Sequence[str], settings: Settings) -> ModelsPermitted:
    """Let a flow ask the models that are named; ConfigError for one that it does not ask."""
    model_names = dict.fromkeys(step.model.name for step in flow.steps if isinstance(step, ModelStep))
    for name in names:
        if name not in model_names:
            there = ", ".join(model_names) or "none"
            raise ConfigError(
                f"--ask-model {name}: the flow asks no such model; it asks {there}{perhaps(name, model_names)}"
            )
    # A person who runs it on files says by the name what the model is for.
    return ModelsPermitted({name: ModelRegistration(title=name, purpose="both") for name in names}, settings)


def with_models(
    runs: Runs,
    answers: Mapping[str, pl.Series],
    outcomes: Mapping[str, Sequence[OutsideOutcome | None]],
    permitted: ModelsPermitted,
    clock: Callable[[], int],
) -> Runs:
    """Ask the permitted models for all runs that stopped there, each at once for all, and go on until none asks.

    Args:
        runs: so far.
        answers: with which they were run.
        outcomes: the same.
        permitted: the models that may be asked.
        clock: tells the present, microseconds.
    """
    from fivefold.usecases.flows.models.ask import answers_of_model  # noqa: PLC0415 (imports MLflow)

    came = {step: list(each) for step, each in outcomes.items()}
    while asking := _asking(runs, permitted):
        for step, positions in asking:
            facts = [sent_facts(runs.program, runs.outcomes.row(place, named=True)) for place in positions]
            own = came.setdefault(step.id, [None] * len(runs))
            for place, outcome in zip(positions, answers_of_model(permitted, step, facts, clock), strict=True):
                own[place] = outcome
        run_context = RunContext(runs.facts.dependency_inputs, answers, runs.program.outcome_frames(came))
        runs = replace(runs, outcomes=runs.program.run(runs.facts.own, run_context))
    return runs


def _asking(runs: Runs, permitted: ModelsPermitted) -> list[tuple[ModelStep, list[int]]]:
    """Give the steps at which runs ask a permitted model, with the rows of these."""
    positions_by_step: dict[str, tuple[ModelStep, list[int]]] = {}
    for place in (runs.outcomes[STOP] == int(Stop.ASKS)).arg_true():
        step = asking_step(runs.program, runs.outcomes.row(int(place), named=True))
        if isinstance(step, ModelStep) and step.model.name in permitted.allowed:
            positions_by_step.setdefault(step.id, (step, []))[1].append(int(place))
    return list(positions_by_step.values())
