"""`fivefold members`: the people of an organisation, and their roles."""

from functools import partial
from typing import Annotated

import typer

from fivefold.cli.terminal import OrganisationOption, acting_in, acting_in_new, echo, open_current_database, show_table
from fivefold.domain.clock import day_text
from fivefold.domain.paging import every_row

members_app = typer.Typer(help="Members: the people of an organisation, and their roles.", no_args_is_help=True)

NumberArgument = Annotated[int, typer.Argument(metavar="MEMBER", help="The number in `fivefold members list`.")]
RolesOption = Annotated[
    list[str], typer.Option("--role", help="investigator, approver, publisher or admin; may be given several times.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (add, list_, roles, leave):
        members_app.command(command.__name__.strip("_"))(command)
    app.add_typer(members_app, name="members")


def add(
    name: Annotated[str, typer.Argument(help="As the person is known, such as an e-mail address.")],
    role: RolesOption,
    organisation: OrganisationOption = "default",
) -> None:
    """Add a member, or take back one who left. Tokens are made apart: `fivefold tokens create --member NAME`."""
    from fivefold.usecases.accounts.organisations import add_member

    engine = open_current_database()
    member = add_member(acting_in_new(engine, organisation), name, role)
    echo(f"{member.name} is member {member.id}: {', '.join(member.roles)}.")


def list_(organisation: OrganisationOption = "default") -> None:
    """List the members, those who left too."""
    from fivefold.usecases.accounts.organisations import list_members

    engine = open_current_database()
    who = acting_in(engine, organisation)
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


def roles(member: NumberArgument, role: RolesOption, organisation: OrganisationOption = "default") -> None:
    """Give a member these roles and no others. Tokens of roles that they lose end at once."""
    from fivefold.usecases.accounts.organisations import set_roles

    engine = open_current_database()
    changed = set_roles(acting_in(engine, organisation), member, role)
    echo(f"{changed.name} is now {', '.join(changed.roles)}.")


def leave(member: NumberArgument, organisation: OrganisationOption = "default") -> None:
    """Note that a member has left. All their tokens end at once."""
    from fivefold.usecases.accounts import organisations

    engine = open_current_database()
    gone = organisations.end_membership(acting_in(engine, organisation), member)
    echo(f"{gone.name} has left, and their tokens have ended.")
