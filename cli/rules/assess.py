"""`fivefold rules assess`: files in, levels and breakdowns out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.rules.options import (
    EngineOptions,
    EntitiesArgument,
    PartOptions,
    RulesetArgument,
    ThenOption,
    ValueOptions,
    portfolio_files,
)
from fivefold.cli.terminal import FINDINGS, AsOfOption, echo, past_moment, show_table, warn
from fivefold.cli.value_model.output import require_output, write_together
from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.text import percent

if TYPE_CHECKING:
    import polars as pl

    from fivefold.risk.language.ruleset import Ruleset
    from fivefold.usecases.portfolio_files.assess import Assessed, EntityExplanation
    from fivefold.usecases.portfolio_files.by_parts.assess import AssessmentByParts
    from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles

PreviousOption = Annotated[
    Path | None, typer.Option("--previous", help="Levels in force until now: entity_id, rules_level, entered.")
]
OverridesOption = Annotated[
    Path | None, typer.Option("--overrides", help="Overrides: entity_id, level, until (empty: no end).")
]
FailuresOption = Annotated[
    Path | None,
    typer.Option(
        "--failures", help="File for entities not assessed in full, and why: Parquet, CSV, JSON or JSON lines."
    ),
]
SHOWN = 20


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
    entity: Annotated[str | None, typer.Option("--explain", help="Show only the breakdown of this entity.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the levels: Parquet, CSV, JSON or JSON lines.")
    ] = None,
    breakdowns: Annotated[
        Path | None, typer.Option("--breakdowns", help="File for every breakdown, as JSON lines.")
    ] = None,
    failures: FailuresOption = None,
    engine: EngineOptions,
) -> None:
    """Assess every entity of a file. Each level has its breakdown, and each failure its reason.

    The exit code is 1 if an entity could not be assessed in full.

    With --then several rulesets are used, such as one for people and one for companies: the first that applies to an
    entity decides.
    """
    from fivefold.usecases.portfolio_files.assess import assess_files, explain_entity
    from fivefold.usecases.portfolio_files.bundled import load_ruleset

    _refuse_files_beside(entity, {"--output": output, "--breakdowns": breakdowns, "--failures": failures})
    for option, written_to in (("--output", output), ("--failures", failures)):
        if written_to is not None:
            require_output(written_to, option)
    engine.require(parts.transactions, output)
    at = past_moment(as_of)
    files = portfolio_files(entities, parts, value)
    sources = (path, *(then or ()))
    rulesets = [load_ruleset(source) for source in sources]
    named = [each.ruleset for each in rulesets]
    written = _Written(output, breakdowns, failures)
    if engine.is_spark:
        assessment = _read_for_spark(sources, files, at, previous, overrides)
        if entity is None:
            written.show(_assess_on_spark(assessment, engine, written), named, at)
        else:
            rows = assessment.entity_rows(entity)  # one who is not there is said before Spark starts
            with engine.opened(None) as workers:
                explanation = assessment.explain(workers, rows)
            _show_breakdown(explanation, is_one_of_several=bool(then))
        return
    assessed = assess_files(rulesets, files, at, previous=previous, overrides=overrides)
    if entity is None:
        written.show(assessed, named, at)
    else:
        _show_breakdown(explain_entity(assessed, entity), is_one_of_several=bool(then))


def _refuse_files_beside(entity: str | None, files: Mapping[str, Path | None]) -> None:
    """Refuse files that --explain does not write."""
    options = [option for option, file in files.items() if file is not None]
    if entity is not None and options:
        raise ConfigError(
            f"--explain shows one entity and writes no file: leave out {' and '.join(options)}, or --explain"
        )


@dataclass(frozen=True)
class _Written:
    """The files that are written, None for none."""

    levels: Path | None
    breakdowns: Path | None
    failures: Path | None

    def show(self, assessed: "Assessed", rulesets: "Sequence[Ruleset]", at: int) -> None:
        """Write the files, and show the levels; end with `FINDINGS` where an entity was not assessed in full."""
        table = assessed.table()
        write_together(
            (self.failures, assessed.failures),
            (self.levels, lambda: table),
            (self.breakdowns, assessed.breakdown_lines),
        )
        first = rulesets[0]
        title = f"{len(table):,} of type {first.entity_type}, as of {day_text(at)}"
        _show_shares(title, table["level"], first.levels, "level")
        if len(rulesets) > 1:
            _show_shares("By ruleset", table["ruleset"], [each.name for each in rulesets], "ruleset")
        _warn_of_failures(assessed)


def _read_for_spark(
    sources: Sequence[str], files: "PortfolioFiles", at: int, previous: Path | None, overrides: Path | None
) -> "AssessmentByParts":
    """Read all but the transactions, which workers read."""
    from fivefold.usecases.portfolio_files.by_parts.assess import AssessmentByParts
    from fivefold.usecases.portfolio_files.by_parts.portfolio import RulesetText

    texts = [RulesetText.read(source) for source in sources]
    return AssessmentByParts.read(texts, files, at, previous=previous, overrides=overrides)


def _assess_on_spark(assessment: "AssessmentByParts", engine: EngineOptions, written: _Written) -> "Assessed":
    """Have workers assess all entities."""
    from fivefold.usecases.portfolio_files.by_parts.assess import AssessmentOutputs

    wanted = AssessmentOutputs(written.breakdowns is not None, SHOWN if written.failures is None else None)
    with engine.opened(written.levels) as workers:
        return assessment.on(workers, wanted)


def _warn_of_failures(assessed: "Assessed") -> None:
    """Name the entities without a level, and the reasons of failures; end with `FINDINGS` if there are any."""
    for status, listed in assessed.without_level().items():
        warn(f"{len(listed):,} {status}: {', '.join(listed[:SHOWN])}{' ...' if len(listed) > SHOWN else ''}")
    reasons = assessed.failures(SHOWN)
    for (failed, problem), rows in reasons.group_by(reasons.columns[0], reasons.columns[2], maintain_order=True):
        warn(f"{failed}: {', '.join(rows[reasons.columns[1]])}: {problem}")  # of one bad row once
    if not reasons.is_empty():
        raise typer.Exit(FINDINGS)


def _show_breakdown(explanation: "EntityExplanation", *, is_one_of_several: bool) -> None:
    """Show the level of one entity, its arithmetic and what each rule gave."""
    from fivefold.usecases.portfolio_files.assess import outcome_rows

    breakdown = explanation.breakdown
    by = f" by {breakdown.ruleset}" if is_one_of_several else ""
    echo(f"{breakdown.entity}: {breakdown.level or 'no level'}{by}, as of {day_text(breakdown.as_of)}")
    echo(breakdown.line)
    if is_one_of_several and explanation.kept_by:
        echo(f"kept by {', '.join(explanation.kept_by)}")
    for failure in breakdown.failures:
        warn(failure)
    show_table("", ("rule", "case", "seen", "points", "floor"), outcome_rows(breakdown), left=3)
    if breakdown.failures:
        raise typer.Exit(FINDINGS)


def _show_shares(title: str, column: "pl.Series", names: Sequence[str], word: str) -> None:
    """Show how many entities have each name, and how many have none."""
    counts = dict(column.fill_null(f"no {word}").value_counts().iter_rows())
    shown = [*names, *([f"no {word}"] if f"no {word}" in counts else [])]
    rows = [[name, f"{counts.get(name, 0):,}", percent(counts.get(name, 0) / max(len(column), 1))] for name in shown]
    show_table(title, (word, "entities", "share"), rows)
