"""`fivefold erase`, `erase-again` and `hold`: personal data are removed, unless they must be kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import OrganisationOption, acting_in, actor, echo, moment, open_current_database, show_table
from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import read_settings

if TYPE_CHECKING:
    from fivefold.usecases.erasure.erase import ErasurePreview

EntityArgument = Annotated[str, typer.Argument(metavar="ENTITY", help="Its identifier.")]
TypeOption = Annotated[str, typer.Option("--type", help="Its type.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(erase)
    app.command(name="erase-again")(erase_again)
    app.command()(hold)


def erase(
    entity: EntityArgument,
    kind: TypeOption = "customer",
    organisation: OrganisationOption = "default",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be erased, and what forbids it (exit code 1).")
    ] = False,
) -> None:
    """Erase the data of an entity, and of entities that only it owns.

    Refused while records must be kept, or are on hold.
    """
    from fivefold.usecases.erasure.erase import erase_entity, preview_erasure

    engine = open_current_database()
    if dry_run:
        _show(f"{kind} {entity}", preview_erasure(acting_in(engine, organisation), kind, entity))
        return
    register = read_settings().erasures
    result = erase_entity(acting_in(engine, organisation), kind, entity, register)
    also = f", and {len(result.entity_ids) - 1} that it owned" if len(result.entity_ids) > 1 else ""
    echo(f"{kind} {entity} is erased{also}; values of {result.entries} audit entries were erased with it.")
    echo(f"The register {register} records it by numbers: keep it where a restored backup does not replace it.")


def _show(who: str, preview: "ErasurePreview") -> None:
    """Show what would be erased; exit code 1 if it would be refused."""
    also = f" and {len(preview.entity_ids) - 1} that it owned" if len(preview.entity_ids) > 1 else ""
    rows = [[name.replace("_", " "), f"{count:,}"] for name, count in preview.rows.items()]
    show_table(f"What would be erased of {who}{also}", ("kind", "rows"), rows, left=1)
    echo(f"Values of at most {preview.entries:,} audit entries would be erased with it. Nothing was changed.")
    for obstacle in preview.obstacles:
        echo(f"It would be refused: {obstacle}.")
    if preview.obstacles:
        raise typer.Exit(1)


def erase_again(
    register: Annotated[
        Path | None, typer.Option("--register", help="The register of erasures and holds, if not in var.")
    ] = None,
) -> None:
    """Put legal holds and erasures again, after a restore."""
    from fivefold.usecases.erasure import erase as erasing

    path = register or read_settings().erasures
    if not path.is_file():
        raise ConfigError(f"there is no register {path}; --register names another file")
    result = erasing.erase_again(open_current_database(), actor(), path)
    echo(f"{result.erased} {'entity was' if result.erased == 1 else 'entities were'} there again, and erased.")
    if result.holds:
        echo(f"{result.holds} legal {'hold was' if result.holds == 1 else 'holds were'} put again.")


def hold(
    entity: EntityArgument,
    until: Annotated[str, typer.Option("--until", help="Until when; a past moment releases it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    kind: TypeOption = "customer",
    organisation: OrganisationOption = "default",
) -> None:
    """Put a legal hold on an entity, against erasure."""
    from fivefold.usecases.erasure import erase as erasing

    engine = open_current_database()
    register = read_settings().erasures
    erasing.set_legal_hold(acting_in(engine, organisation), kind, entity, moment(until, "--until"), reason, register)
    echo(f"{kind} {entity} is on hold until {until}.")
    echo(f"The register {register} records it by numbers: keep it where a restored backup does not replace it.")
