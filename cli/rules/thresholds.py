"""`fivefold rules propose-thresholds`: where thresholds would have to be for the shares that are wanted."""

from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.rules.evidence import DataOption, JsonOption, write_json
from fivefold.cli.rules.options import PartOptions, RulesetArgument, ValueOptions, portfolio_files, with_options
from fivefold.cli.terminal import AsOfOption, echo, moment, show_table, warn
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.domain.number_text import percent

OutputOption = Annotated[Path, typer.Option("--output", "-o", help="The draft that is written.")]
SharesOption = Annotated[
    str | None,
    typer.Option("--shares", help="Percent in each level, lowest first, as 65,22,10,3; else the middles of the usual."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="propose-thresholds")(with_options(write_threshold_draft))


def write_threshold_draft(
    path: RulesetArgument,
    data: DataOption,
    output: OutputOption,
    shares: SharesOption = None,
    *,
    parts: PartOptions,
    as_of: AsOfOption = None,
    value: ValueOptions,
    json: JsonOption = None,
) -> None:
    """Write a draft whose thresholds bring a portfolio to target shares. It is a proposal; nothing is put in force."""
    from fivefold.usecases.portfolio_files.bundled import ruleset_text
    from fivefold.usecases.portfolio_files.governance import propose_from_files

    if output.exists() and Path(path).exists() and output.samefile(path):
        raise ConfigError(f"--output is {output}, the ruleset itself; a draft is another file")
    text, at = ruleset_text(path), moment(as_of, "--as-of")
    targets = None if shares is None else _shares(shares)
    proposal, draft = propose_from_files(text, path, portfolio_files(data, parts, value), at, targets)
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
