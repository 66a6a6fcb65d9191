"""`fivefold rules diff`: what differs between two versions of a ruleset, in words."""

from typing import Annotated

import typer

from fivefold.cli.rules.evidence import JsonOption, write_json
from fivefold.cli.terminal import echo

BeforeArgument = Annotated[str, typer.Argument(metavar="A", help="A ruleset's file, or the name of one that ships.")]
AfterArgument = Annotated[str, typer.Argument(metavar="B", help="What it is compared with.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="diff")(diff_files)


def diff_files(
    before: BeforeArgument,
    after: AfterArgument,
    json: JsonOption = None,
) -> None:
    """Tell everything that changes from A to B: rules, cases, points, floors, thresholds, weights, wording."""
    from fivefold.risk.governance.diff import diff
    from fivefold.risk.language.reading import read_ruleset
    from fivefold.usecases.portfolio_files.bundled import ruleset_text

    difference = diff(*(read_ruleset(ruleset_text(source), source) for source in (before, after)))
    for line in difference.lines():
        echo(line)
    if json is not None:
        write_json("diff", difference, json)
