"""`fivefold clock`: compare the clocks, and mend what one that was ahead left behind."""

from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import actor, open_current_database, say, show_table
from fivefold.domain.clock import day_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fivefold.store.levels.future_rows import FutureRows


FOUND = 1
"""Exit code where something is dated after now."""

clock_app = typer.Typer(help="The clocks of this machine and of the database.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (check, repair):
        clock_app.command()(command)
    app.add_typer(clock_app, name="clock")


def check() -> None:
    """Compare the clocks, and count what is dated after now. Exit code 1 where anything is."""
    from fivefold.usecases.levels.clock_repair import read_clocks  # noqa: PLC0415 (imports SQLAlchemy)

    found = read_clocks(open_current_database())
    seconds = (found.machine_us - found.database_us) / 1_000_000
    say(f"By the database it is {day_text(found.database_us)}; this machine's clock is {seconds:+,.1f} s from that.")
    if found.ahead:
        _show(found.ahead)
        say("A clock was ahead. When it is right again: fivefold clock repair --reason WHY")
        raise typer.Exit(FOUND)
    say("Nothing is dated after now.")


def repair(reason: Annotated[str, typer.Option("--reason", help="Why, for the audit log.")]) -> None:
    """Mend what is dated after now: whoever it concerns is assessed again. History stays as it is."""
    from fivefold.usecases.levels.clock_repair import repair_dates as mend  # noqa: PLC0415 (imports SQLAlchemy)

    found = mend(open_current_database(), actor(), reason)
    if not found:
        say("Nothing is dated after now; nothing was changed.")
        return
    _show(found)
    say("These are mended, and whoever they concern is due: a worker assesses them again.")


def _show(found: "Sequence[FutureRows]") -> None:
    rows = [[str(each.organisation_id), each.kind, f"{each.entries:,}", day_text(each.latest_us)] for each in found]
    show_table("Dated after now", ("organisation", "what", "how many", "the latest"), rows, left=2)
