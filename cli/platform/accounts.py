"""`fivefold members` and `rates`: the people of an organisation with their roles, and its exchange rates."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.parameters import command_group
from fivefold.cli.platform.changes import ReasonOption, TokenOption, person, print_outcome
from fivefold.cli.terminal import (
    OrganisationOption,
    acting_in,
    acting_in_new,
    echo,
    show_table,
    warn,
)
from fivefold.domain.clock import day_text
from fivefold.domain.money import rate_text
from fivefold.domain.paging import every_row
from fivefold.domain.rate_files import read_dated_rates
from fivefold.domain.text import count_text

NumberArgument = Annotated[int, typer.Argument(metavar="MEMBER", help="The number in `fivefold members list`.")]
RolesOption = Annotated[
    list[str],
    typer.Option("--role", help="commercial, investigator, approver, publisher or admin; repeatable."),
]


def add(
    name: Annotated[str, typer.Argument(help="The person's name, or an e-mail address.")],
    role: RolesOption,
    organisation: OrganisationOption = "default",
) -> None:
    """Add a member, or restore one who left. Tokens are created separately: `fivefold tokens create --member NAME`."""
    from fivefold.usecases.accounts.organisations import add_member

    member = add_member(acting_in_new(organisation), name, role)
    echo(f"{member.name} is member {member.id}: {', '.join(member.roles)}.")


def list_(organisation: OrganisationOption = "default") -> None:
    """List the members, including those who left."""
    from fivefold.usecases.accounts.organisations import elsewhere, list_members

    who = acting_in(organisation)
    rows = [
        [
            str(line.id),
            line.name,
            ", ".join(line.roles),
            day_text(line.created_us)[:10],
            "" if line.left_us is None else day_text(line.left_us)[:10],
        ]
        for line in every_row(partial(list_members, who))
    ]
    show_table("Members", ("id", "name", "roles", "since", "left"), rows, left=5)
    hint = "" if rows else elsewhere(who.engine)
    if hint:
        echo(f"The organisation {organisation} has no members; {hint}")


def roles(member: NumberArgument, role: RolesOption, organisation: OrganisationOption = "default") -> None:
    """Give a member these roles and no others. Tokens of roles that they lose end at once."""
    from fivefold.usecases.accounts.organisations import set_roles

    updated = set_roles(acting_in(organisation), member, role)
    echo(f"{updated.name} is now {', '.join(updated.roles)}.")


def leave(member: NumberArgument, organisation: OrganisationOption = "default") -> None:
    """Record that a member left. All their tokens end at once."""
    from fivefold.usecases.accounts import organisations

    former = organisations.end_membership(acting_in(organisation), member)
    echo(f"{former.name} has left, and their tokens have ended.")


def show(organisation: OrganisationOption = "default") -> None:
    """Show each rate with its day, and the stored currencies without a rate."""
    from fivefold.usecases.accounts.rate_tables import show_rates

    rates = show_rates(acting_in(organisation))
    rows = [
        [rate.currency, rate_text(rate.per_unit), rate.known_on, "stale" if rate.stale else ""] for rate in rates.rates
    ]
    show_table(f"1 unit in {rates.base}, from {rates.source}", ("currency", rates.base, "day", ""), rows)
    for currency, many in rates.without_rate.items():
        stored = count_text(many, "stored transaction has", "stored transactions have")
        warn(f"{stored} the currency {currency}, which has no rate: the money in {rates.base} is unknown")


def tables(organisation: OrganisationOption = "default") -> None:
    """List the organisation's own tables, the newest first."""
    from fivefold.usecases.accounts.rate_tables import list_rate_tables

    who = acting_in(organisation)
    rows = [
        [str(line.number), line.base_currency, f"{line.rows:,}", line.last_day, line.source]
        for line in every_row(partial(list_rate_tables, who))
    ]
    show_table("own tables", ("number", "into", "rates", "last day", "source"), rows)


def propose(
    path: Annotated[
        Path, typer.Argument(help="CSV with currency, date, rate (1 unit = rate of the base), or the ECB's file.")
    ],
    reason: ReasonOption,
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
) -> None:
    """Propose a table of your own rates. While nothing decides yet, it is in force at once."""
    from fivefold.usecases.changes.asks import put_rates

    rates = read_dated_rates(path)
    print_outcome(put_rates(person(organisation, token)[0], rates, reason), organisation)


MEMBERS = command_group(
    "Members: the people of an organisation, and their roles.",
    {"add": add, "list": list_, "roles": roles, "leave": leave},
)


RATES = command_group(
    "The exchange rates in force, and tables of your own.",
    {"show": show, "tables": tables, "propose": propose},
)
