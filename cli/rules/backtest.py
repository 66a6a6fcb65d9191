"""`fivefold rules backtest`: a draft on a real portfolio, before it decides."""

from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from fivefold.cli.portfolio.bundled import lists_with
from fivefold.cli.portfolio.columns import PortfolioColumns, PortfolioMapOption
from fivefold.cli.portfolio.files import PortfolioFiles, read_portfolio
from fivefold.cli.portfolio.input_warnings import print_input_warnings
from fivefold.cli.portfolio.level_files import read_standings
from fivefold.cli.rules.evidence import DataOption, HtmlOption, JsonOption, SeedOption, show, write_evidence
from fivefold.cli.rules.options import (
    AlertsOption,
    BaseOption,
    CasesOption,
    ListsOption,
    RatesOption,
    ScreeningsOption,
    TagsOption,
    TransactionsOption,
    load_ruleset,
)
from fivefold.cli.terminal import AsOfOption, ModelOption, NameOption, errors, moment
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError
from fivefold.training.config import DEFAULT_NAME

RulesetsArgument = Annotated[
    list[str], typer.Argument(metavar="[A] B", help="The ruleset in force (may be left out), and the draft.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="backtest")(backtest_files)


def backtest_files(
    rulesets: RulesetsArgument,
    data: DataOption,
    transactions: TransactionsOption = None,
    cases: CasesOption = None,
    alerts: AlertsOption = None,
    tags: TagsOption = None,
    screenings: ScreeningsOption = None,
    lists: ListsOption = None,
    names: PortfolioMapOption = None,
    previous: Annotated[
        Path | None, typer.Option("--previous", help="Levels that stand: entity_id, rules_level, entered.")
    ] = None,
    entered: Annotated[
        str | None, typer.Option("--entered", help="Or: the levels of A stand, since this ISO date or time.")
    ] = None,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="So many entities at random; else all.")] = None,
    seed: SeedOption = 0,
    as_of: AsOfOption = None,
    base: BaseOption = "EUR",
    rates: RatesOption = None,
    model: ModelOption = None,
    name: NameOption = DEFAULT_NAME,
    html: HtmlOption = None,
    json: JsonOption = None,
) -> None:
    """Compare what A and B make of a portfolio: levels, who moves, hits of every case, and what cannot be assessed."""
    from fivefold.risk.governance.backtest.run import HeldLevels, backtest  # noqa: PLC0415 (imports Polars)
    from fivefold.risk.governance.reports.backtest import backtest_page  # noqa: PLC0415 (imports what draws pictures)

    if len(rulesets) > 2:
        raise ConfigError(f"{len(rulesets)} rulesets were given; it takes the one in force, or none, and the draft")
    if previous is not None and entered is not None:
        raise ConfigError("--previous and --entered both say which levels stand; give one of them")
    if entered is not None and len(rulesets) == 1:
        raise ConfigError("--entered says since when the levels of A stand; give A too, or the levels by --previous")
    *before, draft = (load_ruleset(given) for given in rulesets)
    at = moment(as_of, "--as-of")
    files = PortfolioFiles(
        data, transactions, cases, alerts, tags, screenings, base, rates, PortfolioColumns(names or [])
    )
    portfolio = read_portfolio(files, [draft, *before], lists_with(lists), at, model, name)
    print_input_warnings(files, portfolio, draft, *before)
    standing = HeldLevels(
        None if previous is None else read_standings(previous, draft.ruleset.levels, at),
        None if entered is None else _since(entered, at),
    )
    with tqdm(total=None, desc="assessed", file=errors.file, disable=not errors.is_terminal, leave=False) as bar:

        def advance(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        result = backtest(draft, portfolio, at, before[0] if before else None, standing, sample, seed, advance)
    page = backtest_page(result)
    show(page)
    write_evidence("backtest", result, page, html, json)


def _since(entered: str, as_of: int) -> int:
    since = parse_moment(entered, "--entered")
    if since > as_of:
        raise ConfigError("--entered must not be after --as-of")
    return since
