"""`fivefold rules assess`: files in, levels and breakdowns out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.rules.evidence import require_folders
from fivefold.cli.rules.options import PartOptions, RulesetArgument, ThenOption, ValueOptions, portfolio_files
from fivefold.cli.terminal import AsOfOption, echo, past_moment, show_table, warn
from fivefold.cli.value_model.output import open_output
from fivefold.domain.clock import day_text
from fivefold.domain.files import replacing
from fivefold.domain.text import percent

if TYPE_CHECKING:
    import polars as pl

    from fivefold.usecases.portfolio_files.assess import AssessedFamilies

EntitiesArgument = Annotated[Path, typer.Argument(help="Entities: Parquet, CSV, JSON or JSON lines, one row each.")]
PreviousOption = Annotated[
    Path | None, typer.Option("--previous", help="Levels held until now: entity_id, rules_level, entered.")
]
OverridesOption = Annotated[
    Path | None, typer.Option("--overrides", help="Overrides: entity_id, level, until (empty: no end).")
]
SHOWN = 20
SOME_FAILED = 1
"""Exit code where an entity could not be assessed in full; everybody else has a level, and files are written."""


def print_assessment(
    path: RulesetArgument,
    entities: EntitiesArgument,
    parts: PartOptions,
    then: ThenOption = None,
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
    """Assess every entity of a file. A level comes with its breakdown, and one that fails with its reason.

    Exit code 1 where an entity could not be assessed in full.

    With --then several rulesets stand side by side, such as one for people and one for companies: the first that
    applies to an entity decides.
    """
    from fivefold.usecases.portfolio_files import assess
    from fivefold.usecases.portfolio_files.bundled import load_ruleset

    require_folders(output, breakdowns, failures)
    at = past_moment(as_of)
    files = portfolio_files(entities, parts, value)
    rulesets = [load_ruleset(name) for name in (path, *(then or ()))]
    assessed = assess.assess_files(rulesets, files, at, previous=previous, overrides=overrides)
    if entity is not None:
        _show_breakdown(assessed, entity, is_one_of_several=bool(then))
        return
    table = assessed.table()
    if output is not None:
        with open_output(output) as write:
            write(table)
    if breakdowns is not None:
        with replacing(breakdowns) as unfinished, unfinished.open("w", encoding="utf-8") as file:
            file.writelines(assess.breakdown_lines(assessed))
    if failures is not None:
        with open_output(failures) as write:
            write(assess.failures_of(assessed))
    first = rulesets[0].ruleset
    _show_shares(
        f"{len(table):,} of type {first.entity_type}, as of {day_text(at)}", table["level"], first.levels, "level"
    )
    if then:
        _show_shares("By ruleset", table["ruleset"], [each.ruleset.name for each in rulesets], "ruleset")
    _warn_of_failures(assessed)


def _warn_of_failures(assessed: "AssessedFamilies") -> None:
    """Name who has no level, and the reasons of failures; end with `SOME_FAILED` where there are any."""
    from fivefold.usecases.portfolio_files.assess import failures_of, without_level

    for status, listed in without_level(assessed).items():
        warn(f"{len(listed):,} {status}: {', '.join(listed[:SHOWN])}{' ...' if len(listed) > SHOWN else ''}")
    reasons = failures_of(assessed, SHOWN)
    for failed, rule, problem in reasons.iter_rows():
        warn(f"{failed}: {rule}: {problem}")
    if not reasons.is_empty():
        raise typer.Exit(SOME_FAILED)


def _show_breakdown(assessed: "AssessedFamilies", entity: str, *, is_one_of_several: bool) -> None:
    """Show the level of one entity, its arithmetic and what each rule gave."""
    from fivefold.usecases.portfolio_files.assess import explain_entity, outcome_rows

    explanation = explain_entity(assessed, entity)
    by = f" by {explanation.ruleset}" if is_one_of_several else ""
    echo(f"{entity}: {explanation.level or 'no level'}{by}, as of {day_text(explanation.as_of)}")
    echo(explanation.line)
    for failure in explanation.failures:
        warn(failure)
    show_table("", ("rule", "case", "seen", "points", "floor"), outcome_rows(explanation), left=3)
    if explanation.failures:
        raise typer.Exit(SOME_FAILED)


def _show_shares(title: str, column: "pl.Series", names: Sequence[str], word: str) -> None:
    """Show how many entities have each name, and how many have none."""
    counts = dict(column.fill_null(f"no {word}").value_counts().iter_rows())
    shown = [*names, *([f"no {word}"] if f"no {word}" in counts else [])]
    rows = [[name, f"{counts.get(name, 0):,}", percent(counts.get(name, 0) / max(len(column), 1))] for name in shown]
    show_table(title, (word, "entities", "share"), rows)
