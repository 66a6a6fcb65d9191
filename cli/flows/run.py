"""`fivefold flows run`: files in, the end of every run and why out. Nothing acts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.flows.documents import AsksOption, FlowArgument
from fivefold.cli.rules.options import EntitiesArgument, PartOptions, ValueOptions, portfolio_files
from fivefold.cli.terminal import AsOfOption, echo, past_moment, show_table, warn
from fivefold.cli.value_model.output import require_output, write_together
from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import read_settings
from fivefold.domain.text import count_text, percent

if TYPE_CHECKING:
    from fivefold.flows.run import Runs

RulesetsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ruleset",
        help="A ruleset that gives the level: a file or a name. Repeatable; the first that applies to an entity "
        "decides.",
    ),
]


def run_flow_on_files(
    flow: FlowArgument,
    entities: EntitiesArgument,
    parts: PartOptions,
    rulesets: RulesetsOption = None,
    asks: AsksOption = None,
    answers: Annotated[
        Path | None, typer.Option("--answers", help="Answers of persons: entity_id, step, answer.")
    ] = None,
    outcomes: Annotated[
        Path | None,
        typer.Option("--outcomes", help="Results from outside: JSON lines of entity_id, step, and values or failed."),
    ] = None,
    ask_models: Annotated[
        list[str] | None,
        typer.Option("--ask-model", help="A model of the registry that steps may ask; its code runs here. Repeatable."),
    ] = None,
    as_of: AsOfOption = None,
    *,
    value: ValueOptions,
    entity: Annotated[
        str | None, typer.Option("--explain", help="Show only this entity's run, with every step.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for ends and actions: Parquet, CSV, JSON or JSON lines.")
    ] = None,
    explanations: Annotated[
        Path | None, typer.Option("--explanations", help="File for every run with its steps, as JSON lines.")
    ] = None,
) -> None:
    """Run a flow for every entity of a file, and count its ends and actions. No action is carried out."""
    from fivefold.usecases.flows.on_files import explanation_lines, load_usable_flow, models_named, run_on_files
    from fivefold.usecases.portfolio_files.bundled import load_ruleset

    at = past_moment(as_of)
    if output is not None:
        require_output(output)
    loaded, _ = load_usable_flow(flow, asks or ())
    levels = [load_ruleset(name) for name in rulesets or ()]
    files = portfolio_files(entities, parts, value)
    models = models_named(loaded.flow, ask_models, read_settings()) if ask_models else None
    runs = run_on_files(loaded, files, at, rulesets=levels, answers=answers, outcomes=outcomes, models=models)
    if entity is not None:
        _show_run(runs, entity)
        return
    write_together((output, lambda: runs.table), (explanations, lambda: explanation_lines(runs)))
    _show_counts(runs, f"{len(runs):,} of type {loaded.flow.entity_type}, as of {day_text(at)}")


def _show_run(runs: "Runs", entity: str) -> None:
    position = runs.position(entity)
    if position is None:
        raise ConfigError(f"there is no entity {entity} among the {len(runs):,} that were read")
    explanation = runs.explain(position)
    echo(f"{entity}: {explanation.line}")
    for number, step in enumerate(explanation.steps, 1):
        echo(f"{number}. {step.sentence}")
    for action in explanation.actions:
        echo(f"   {action.title}: {action.kind} {action.sets}")


def _show_counts(runs: "Runs", title: str) -> None:
    counts, total = runs.counts(), max(len(runs), 1)
    steps = {step.id: step.title for step in runs.program.flow.steps}
    rows = [
        [f"{status} at {step}", steps[step], f"{count:,}", percent(count / total)]
        for status, at in counts.items()
        for step, count in at.items()
    ]
    show_table(title, ("run", "step", "entities", "share"), rows, left=2)
    action_rows = [[name, f"{count:,}", percent(count / total)] for name, count in runs.action_counts().items()]
    if action_rows:
        show_table("Actions that would follow", ("action", "entities", "share"), action_rows)
    failed = sum(counts["failed"].values())
    if failed:
        warn(f"{count_text(failed, 'run')} failed, as the facts do not decide a step; --explain shows one of them")
