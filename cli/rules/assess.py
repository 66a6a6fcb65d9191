"""`fivefold rules assess`: files in, levels and breakdowns out."""

from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.rules.options import PartOptions, RulesetArgument, ValueOptions, portfolio_files
from fivefold.cli.terminal import AsOfOption, echo, past_moment, show_table, warn
from fivefold.cli.value_model.output import open_output
from fivefold.domain.clock import day_text
from fivefold.domain.files import replacing
from fivefold.domain.text import percent

EntitiesArgument = Annotated[Path, typer.Argument(help="Entities: Parquet, CSV, JSON or JSON lines, one row each.")]
PreviousOption = Annotated[
    Path | None, typer.Option("--previous", help="Levels held until now: entity_id, rules_level, entered.")
]
OverridesOption = Annotated[
    Path | None, typer.Option("--overrides", help="Overrides: entity_id, level, until (empty: no end).")
]
SHOWN = 20
NO_LEVEL = "no level"


def print_assessment(
    path: RulesetArgument,
    entities: EntitiesArgument,
    parts: PartOptions,
    previous: PreviousOption = None,
    overrides: OverridesOption = None,
    as_of: AsOfOption = None,
    *,
    value: ValueOptions,
    entity: Annotated[str | None, typer.Option("--explain", help="Show the breakdown of this entity alone.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Levels: Parquet, CSV, JSON or JSON lines.")
    ] = None,
    breakdowns: Annotated[Path | None, typer.Option("--breakdowns", help="Every breakdown, as JSON lines.")] = None,
    failures: Annotated[
        Path | None,
        typer.Option(
            "--failures", help="Who could not be assessed in full, and why: Parquet, CSV, JSON or JSON lines."
        ),
    ] = None,
) -> None:
    """Assess every entity of a file. A level comes with its breakdown, and one that fails with its reason."""
    from fivefold.usecases.portfolio_files import assess
    from fivefold.usecases.portfolio_files.bundled import load_ruleset

    at = past_moment(as_of)
    files = portfolio_files(entities, parts, value)
    assessments = assess.assess_files(load_ruleset(path), files, at, previous=previous, overrides=overrides)
    if entity is not None:
        explanation = assess.explain_entity(assessments, entity)
        echo(f"{entity}: {explanation.level or 'no level'}, as of {day_text(explanation.as_of)}")
        echo(explanation.line)
        for failure in explanation.failures:
            warn(failure)
        show_table("", ("rule", "case", "seen", "points", "floor"), assess.outcome_rows(explanation), left=3)
        return
    table = assessments.table()
    if output is not None:
        with open_output(output) as write:
            write(table)
    if breakdowns is not None:
        with replacing(breakdowns) as unfinished, unfinished.open("w", encoding="utf-8") as file:
            file.writelines(assess.breakdown_lines(assessments))
    if failures is not None:
        with open_output(failures) as write:
            write(assess.failures_of(assessments))
    counts = dict(table["level"].fill_null(NO_LEVEL).value_counts().iter_rows())
    ruleset = assessments.program.ruleset
    names = [*reversed(ruleset.levels), *([NO_LEVEL] if NO_LEVEL in counts else [])]
    rows = [[name, f"{counts.get(name, 0):,}", percent(counts.get(name, 0) / max(len(table), 1))] for name in names]
    show_table(
        f"{len(table):,} of type {ruleset.entity_type}, as of {day_text(at)}", ("level", "entities", "share"), rows
    )
    for status, listed in assess.without_level(assessments).items():
        warn(f"{len(listed):,} {status}: {', '.join(listed[:SHOWN])}{' ...' if len(listed) > SHOWN else ''}")
    for failed, rule, problem in assess.failures_of(assessments, SHOWN).iter_rows():
        warn(f"{failed}: {rule}: {problem}")
