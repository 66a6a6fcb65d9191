"""`fivefold rates`: the exchange rates in force, each with the day that it is of, and tables of one's own."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.platform.proposals import ReasonOption, TokenOption, person, print_outcome
from fivefold.cli.terminal import OrganisationOption, acting_in, open_current_database, show_table, warn
from fivefold.domain.paging import every_row
from fivefold.domain.rate_files import read_dated_rates

rates_app = typer.Typer(help="The exchange rates in force, and tables of your own.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (show, tables, propose):
        rates_app.command()(command)
    app.add_typer(rates_app, name="rates")


def show(organisation: OrganisationOption = "default") -> None:
    """Show each rate with the day that it is of, and the stored currencies that have none."""
    from fivefold.usecases.accounts.rate_tables import show_rates

    engine = open_current_database()
    rates = show_rates(acting_in(engine, organisation))
    rows = [[rate.currency, f"{rate.per_unit:g}", rate.known_on, "stale" if rate.stale else ""] for rate in rates.rates]
    show_table(f"1 unit in {rates.base}, from {rates.source}", ("currency", rates.base, "day", ""), rows)
    for currency, many in rates.without_rate.items():
        warn(
            f"{many:,} stored transactions are in {currency}, which has no rate: their money in {rates.base} is unknown"
        )


def tables(organisation: OrganisationOption = "default") -> None:
    """List the organisation's own tables, the newest first."""
    from fivefold.usecases.accounts.rate_tables import list_rate_tables

    engine = open_current_database()
    who = acting_in(engine, organisation)
    rows = [
        [str(line.number), line.base_currency, f"{line.rows:,}", line.last_day, line.source]
        for line in every_row(partial(list_rate_tables, who))
    ]
    show_table("own tables", ("number", "into", "rates", "last day", "source"), rows)


def propose(
    path: Annotated[
        Path, typer.Argument(help="CSV with currency, date, rate (1 unit = rate of the base), or the ECB's.")
    ],
    reason: ReasonOption,
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
) -> None:
    """Propose a table of own rates; it holds at once while nothing decides yet."""
    from fivefold.usecases.changes.asks import put_rates

    rates = read_dated_rates(path)
    engine = open_current_database()
    print_outcome(put_rates(person(engine, organisation, token)[0], rates, reason))
