"""`fivefold rules propose-thresholds`: where thresholds would have to be for the shares that are wanted."""

from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.portfolio.bundled import lists_with
from fivefold.cli.portfolio.columns import PortfolioColumns, PortfolioMapOption
from fivefold.cli.portfolio.files import PortfolioFiles, read_portfolio
from fivefold.cli.portfolio.input_warnings import print_input_warnings
from fivefold.cli.rules.evidence import DataOption, JsonOption, write_json
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
    ruleset_text,
)
from fivefold.cli.terminal import AsOfOption, ModelOption, NameOption, echo, moment, show_table, warn
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.domain.number_text import percent
from fivefold.training.config import DEFAULT_NAME

OutputOption = Annotated[Path, typer.Option("--output", "-o", help="The draft that is written.")]
SharesOption = Annotated[
    str | None,
    typer.Option("--shares", help="Percent in each level, lowest first, as 65,22,10,3; else the middles of the usual."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="propose-thresholds")(propose_files)


def propose_files(
    path: RulesetArgument,
    data: DataOption,
    output: OutputOption,
    shares: SharesOption = None,
    transactions: TransactionsOption = None,
    cases: CasesOption = None,
    alerts: AlertsOption = None,
    tags: TagsOption = None,
    screenings: ScreeningsOption = None,
    lists: ListsOption = None,
    names: PortfolioMapOption = None,
    as_of: AsOfOption = None,
    base: BaseOption = "EUR",
    rates: RatesOption = None,
    model: ModelOption = None,
    name: NameOption = DEFAULT_NAME,
    json: JsonOption = None,
) -> None:
    """Write a draft whose thresholds bring a portfolio to target shares. It is a proposal; nothing is put in force."""
    from fivefold.risk.compiler.analysis import analyse_text  # noqa: PLC0415 (imports Polars)
    from fivefold.risk.engine.assess import assess  # noqa: PLC0415 (imports Polars)
    from fivefold.risk.governance.thresholds.draft import draft_text  # noqa: PLC0415 (as the first)
    from fivefold.risk.governance.thresholds.propose import propose_thresholds  # noqa: PLC0415 (as the first)

    if output.exists() and Path(path).exists() and output.samefile(path):
        raise ConfigError(f"--output is {output}, the ruleset itself; a draft is another file")
    text = ruleset_text(path)
    analysed = analyse_text(text, path)
    at = moment(as_of, "--as-of")
    files = PortfolioFiles(
        data, transactions, cases, alerts, tags, screenings, base, rates, PortfolioColumns(names or [])
    )
    portfolio = read_portfolio(files, [analysed], lists_with(lists), at, model, name)
    print_input_warnings(files, portfolio, analysed)
    found = assess(analysed, portfolio, at)
    proposal = propose_thresholds(found, None if shares is None else _shares(shares))
    draft = draft_text(text, analysed.ruleset, proposal)
    with replacing(output) as unfinished:
        unfinished.write_text(draft, encoding="utf-8")
    if json is not None:
        write_json("threshold proposal", proposal, json)
    rows = [[row.level, percent(row.present), percent(row.proposed), percent(row.target)] for row in proposal.levels]
    show_table(f"{proposal.entities:,} entities, as of {proposal.as_of}", ("level", "now", "draft", "target"), rows)
    cuts = [
        [
            cut.level,
            cut.present,
            cut.proposed,
            percent(cut.reached_below),
            percent(cut.next_below[0]),
            percent(cut.next_below[1]),
        ]
        for cut in proposal.cuts
    ]
    columns = ("level begins at", "now", "draft", "below it", "next lower share", "next higher share")
    show_table("", columns, cuts)
    echo(f"{proposal.moved:,} entities would be in another level. The draft is {output}; nothing is in force.")
    for caution in proposal.cautions:
        warn(caution)


def _shares(text: str) -> list[float]:
    try:
        return [float(part) / 100 for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--shares is {text!r}; write percentages with commas between them, as 65,22,10,3") from None
