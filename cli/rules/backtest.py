"""`fivefold rules backtest`: a draft on a real portfolio, before it decides."""

from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from fivefold.cli.rules.evidence import DataOption, HtmlOption, JsonOption, SeedOption, show, write_evidence
from fivefold.cli.rules.options import PartOptions, ValueOptions, portfolio_files, with_options
from fivefold.cli.terminal import AsOfOption, errors, moment
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError

RulesetsArgument = Annotated[
    list[str], typer.Argument(metavar="[A] B", help="The ruleset in force (may be left out), and the draft.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="backtest")(with_options(print_backtest))


def print_backtest(
    rulesets: RulesetsArgument,
    data: DataOption,
    parts: PartOptions,
    previous: Annotated[
        Path | None, typer.Option("--previous", help="Levels that stand: entity_id, rules_level, entered.")
    ] = None,
    entered: Annotated[
        str | None, typer.Option("--entered", help="Or: the levels of A stand, since this ISO date or time.")
    ] = None,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="So many entities at random; else all.")] = None,
    seed: SeedOption = 0,
    as_of: AsOfOption = None,
    *,
    value: ValueOptions,
    html: HtmlOption = None,
    json: JsonOption = None,
) -> None:
    """Compare what A and B make of a portfolio: levels, who moves, hits of every case, and what cannot be assessed."""
    from fivefold.risk.governance.reports.backtest import backtest_page
    from fivefold.usecases.portfolio_files.bundled import load_ruleset
    from fivefold.usecases.portfolio_files.governance import backtest_files

    if len(rulesets) > 2:
        raise ConfigError(f"{len(rulesets)} rulesets were given; it takes the one in force, or none, and the draft")
    if previous is not None and entered is not None:
        raise ConfigError("--previous and --entered both say which levels stand; give one of them")
    if entered is not None and len(rulesets) == 1:
        raise ConfigError("--entered says since when the levels of A stand; give A too, or the levels by --previous")
    *present, draft = (load_ruleset(source) for source in rulesets)
    at = moment(as_of, "--as-of")
    files = portfolio_files(data, parts, value)
    since = None if entered is None else _since(entered, at)
    # Shown with the first call: the files are read before.
    with tqdm(desc="assessed", file=errors.file, disable=not errors.is_terminal, leave=False, delay=0.001) as bar:

        def advance(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        result = backtest_files(
            draft,
            present[0] if present else None,
            files,
            at,
            previous=previous,
            entered=since,
            size=sample,
            seed=seed,
            progress=advance,
        )
    page = backtest_page(result)
    show(page)
    write_evidence("backtest", result, page, html, json)


def _since(entered: str, as_of: int) -> int:
    since = parse_moment(entered, "--entered")
    if since > as_of:
        raise ConfigError("--entered must not be after --as-of")
    return since
