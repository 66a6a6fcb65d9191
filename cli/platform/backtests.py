"""`fivefold backtests`: list the backtests of a ruleset, and cancel one."""

from functools import partial
from typing import Annotated

import typer

from fivefold.cli.terminal import OrganisationOption, acting_in, echo, open_current_database, show_table
from fivefold.domain.clock import day_text
from fivefold.domain.paging import every_row

backtests_app = typer.Typer(help="Backtests of rulesets, which workers run.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (list_, cancel):
        backtests_app.command(command.__name__.strip("_"))(command)
    app.add_typer(backtests_app, name="backtests")


def list_(
    family: Annotated[str, typer.Argument(metavar="RULESET", help="The name of the ruleset.")],
    organisation: OrganisationOption = "default",
) -> None:
    """List the backtests of a ruleset, the newest first."""
    from fivefold.usecases.changes.backtests import list_backtests

    engine = open_current_database()
    lines = list(every_row(partial(list_backtests, acting_in(engine, organisation), family)))
    rows = [
        [
            str(line.id),
            line.state,
            "draft" if line.version is None else str(line.version),
            day_text(line.requested_us)[:10],
            f"{line.done:,} of {line.total:,}",
            str(line.attempts),
        ]
        for line in lines
    ]
    show_table(f"Backtests of {family}", ("id", "state", "version", "requested", "done", "attempts"), rows, left=4)
    for line in lines:
        if note := line.part or line.error:
            echo(f"{line.id}: {note}")


def cancel(
    number: Annotated[int, typer.Argument(metavar="BACKTEST", help="The number in `fivefold backtests list`.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is not wanted any more.")],
    organisation: OrganisationOption = "default",
) -> None:
    """Cancel a backtest that waits or runs; its worker stops at the next part."""
    from fivefold.usecases.changes.backtests import cancel_backtest

    engine = open_current_database()
    line = cancel_backtest(acting_in(engine, organisation), number, reason)
    echo(f"Backtest {line.id} of {line.family} is {line.state}.")
