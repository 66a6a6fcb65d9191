"""`fivefold clock`: compare the clocks, and repair rows that a fast clock left behind."""

from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.parameters import command_group
from fivefold.cli.terminal import FINDINGS, actor, echo, open_current_database, show_table
from fivefold.domain.clock import SECOND_US, second_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fivefold.store.levels.future_rows import FutureRows


def check() -> None:
    """Compare the clocks, and count rows dated after now.

    The exit code is 1 if there are any, or if the clocks disagree.
    """
    from fivefold.store.sql.clocks import clock_of
    from fivefold.usecases.levels.clock_repair import read_clocks

    engine = open_current_database()
    clocks, allowed = read_clocks(engine), clock_of(engine).tolerance_us / SECOND_US
    seconds = (clocks.machine_us - clocks.database_us) / SECOND_US
    echo(
        f"The database's clock says {second_text(clocks.database_us)}; this machine's clock differs by "
        f"{seconds:+,.1f} s."
    )
    if clocks.ahead:
        _show(clocks.ahead)
        echo("A clock was ahead. When it is right again: fivefold clock repair --reason WHY")
        raise typer.Exit(FINDINGS)
    echo("Nothing is dated after now.")
    if abs(seconds) > allowed:
        echo(f"At most {allowed:,.0f} s are allowed: nothing is stored from this machine until the clocks agree.")
        raise typer.Exit(FINDINGS)


def repair(reason: Annotated[str, typer.Option("--reason", help="Why, for the audit log.")]) -> None:
    """Repair rows dated after now: their entities are assessed again. History stays as it is."""
    from fivefold.usecases.levels.clock_repair import repair_dates as mend

    rows = mend(open_current_database(), actor(), reason)
    if not rows:
        echo("Nothing is dated after now; nothing was changed.")
        return
    _show(rows)
    echo("These rows are repaired, and their entities are due: a worker assesses them again.")


def _show(ahead: "Sequence[FutureRows]") -> None:
    rows = [[str(each.organisation_id), each.kind, f"{each.entries:,}", second_text(each.latest_us)] for each in ahead]
    show_table("Dated after now", ("organisation", "what", "how many", "the latest"), rows, left=2)


CLOCK = command_group(
    "The clocks of this machine and of the database.",
    {"check": check, "repair": repair},
)
