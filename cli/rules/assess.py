"""`fivefold rules assess`: files in, levels and breakdowns out."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from fivefold.cli.portfolio.bundled import lists_with
from fivefold.cli.portfolio.columns import PortfolioColumns, PortfolioMapOption
from fivefold.cli.portfolio.files import PortfolioFiles, read_portfolio
from fivefold.cli.portfolio.input_warnings import print_input_warnings, warn_of_strangers
from fivefold.cli.portfolio.level_files import read_overrides, read_standings
from fivefold.cli.rules.options import (
    AlertsOption,
    BaseOption,
    CasesOption,
    ListsOption,
    RatesOption,
    RulesetArgument,
    ScreeningsOption,
    TagsOption,
    TransactionsOption,
    load_ruleset,
)
from fivefold.cli.terminal import AsOfOption, ModelOption, NameOption, echo, moment, show_table, warn
from fivefold.cli.value_model.output import open_output
from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.domain.number_text import percent
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import STATUS, Assessments, Status
from fivefold.risk.engine.explain.breakdown import as_json_text, explain, explain_all
from fivefold.risk.engine.explain.outcomes import signed
from fivefold.training.config import DEFAULT_NAME

EntitiesArgument = Annotated[Path, typer.Argument(help="Entities: Parquet, CSV, JSON or JSON lines, one row each.")]
SHOWN = 20
NO_LEVEL = "no level"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="assess")(assess_files)


def assess_files(
    path: RulesetArgument,
    entities: EntitiesArgument,
    transactions: TransactionsOption = None,
    cases: CasesOption = None,
    alerts: AlertsOption = None,
    tags: TagsOption = None,
    screenings: ScreeningsOption = None,
    lists: ListsOption = None,
    names: PortfolioMapOption = None,
    previous: Annotated[
        Path | None, typer.Option("--previous", help="Levels held until now: entity_id, rules_level, entered.")
    ] = None,
    overrides: Annotated[
        Path | None, typer.Option("--overrides", help="Overrides: entity_id, level, until (empty: no end).")
    ] = None,
    as_of: AsOfOption = None,
    base: BaseOption = "EUR",
    rates: RatesOption = None,
    model: ModelOption = None,
    name: NameOption = DEFAULT_NAME,
    entity: Annotated[str | None, typer.Option("--explain", help="Show the breakdown of this entity alone.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Levels: Parquet, CSV, JSON or JSON lines.")
    ] = None,
    breakdowns: Annotated[Path | None, typer.Option("--breakdowns", help="Every breakdown, as JSON lines.")] = None,
) -> None:
    """Assess every entity of a file. A level comes with its breakdown, and one that fails with its reason."""
    analysed = load_ruleset(path)
    at = moment(as_of, "--as-of")
    files = PortfolioFiles(
        entities, transactions, cases, alerts, tags, screenings, base, rates, PortfolioColumns(names or [])
    )
    portfolio = read_portfolio(files, [analysed], lists_with(lists), at, model, name)
    print_input_warnings(files, portfolio, analysed)
    levels = analysed.ruleset.levels
    set_by_hand = None if overrides is None else read_overrides(overrides, levels)
    if overrides is not None and set_by_hand is not None:
        warn_of_strangers(overrides, set_by_hand, portfolio.entities)
    found = assess(
        analysed,
        portfolio,
        at,
        None if previous is None else read_standings(previous, levels, at),
        set_by_hand,
    )
    if entity is not None:
        _show_one(found, entity)
        return
    if output is not None:
        with open_output(output) as write:
            write(found.table())
    if breakdowns is not None:
        _write_breakdowns(found, breakdowns)
    _show_all(found, at)


def _show_one(found: Assessments, entity: str) -> None:
    position = found.position(entity)
    if position is None:
        raise ConfigError(f"there is no entity {entity} among the {len(found):,} that were read")
    made = explain(found, position)
    echo(f"{entity}: {made.level or 'no level'}, as of {day_text(made.as_of)}")
    echo(made.line)
    for failure in made.failures:
        warn(failure)
    rows = [
        [outcome.title, str(outcome.case), outcome.seen, signed(outcome.points), outcome.floor]
        for outcome in made.rules
    ]
    show_table("", ("rule", "case", "seen", "points", "floor"), rows, left=3)


def _show_all(found: Assessments, as_of: int) -> None:
    table = found.table()
    counts = dict(table["level"].fill_null(NO_LEVEL).value_counts().iter_rows())
    names = [*reversed(found.program.ruleset.levels), *([NO_LEVEL] if NO_LEVEL in counts else [])]
    rows = [[name, f"{counts.get(name, 0):,}", percent(counts.get(name, 0) / max(len(table), 1))] for name in names]
    title = f"{len(table):,} of type {found.program.ruleset.entity_type}, as of {day_text(as_of)}"
    show_table(title, ("level", "entities", "share"), rows)
    for status in (Status.FAILED, Status.UNCLASSIFIED, Status.UNDETERMINED, Status.NOT_APPLICABLE):
        listed = found.outcomes.filter(pl.col(STATUS) == status.value)["entity_id"]
        if len(listed):
            warn(f"{len(listed):,} {status}: {', '.join(listed[:SHOWN])}{' ...' if len(listed) > SHOWN else ''}")


def _write_breakdowns(found: Assessments, path: Path) -> None:
    with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        file.writelines(f"{as_json_text(explanation)}\n" for explanation in explain_all(found))
