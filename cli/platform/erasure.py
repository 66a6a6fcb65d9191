"""`fivefold erase`, `erase-again`, `hold` and `retention`: personal data are removed, unless they must be kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import (
    FINDINGS,
    OrganisationOption,
    acting_in,
    actor,
    echo,
    moment,
    open_current_database,
    show_table,
    warn,
)
from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.settings import read_settings
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from fivefold.usecases.erasure.erase import ErasurePreview
    from fivefold.usecases.erasure.retention import RetentionLine


LOST_HOLDS = 3
"""Exit code if the entity of a hold that is not over is not in the database; 2 if a line failed, as every error."""
_KILLED = "if it was erased by a command that was killed, `fivefold erase-again` finishes what follows an erasure"

EntityArgument = Annotated[str, typer.Argument(metavar="ENTITY", help="Its identifier.")]
TypeOption = Annotated[str, typer.Option("--type", help="Its type.")]


def erase(
    entity: EntityArgument,
    kind: TypeOption = "customer",
    organisation: OrganisationOption = "default",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be erased, and what prevents it (exit code 1).")
    ] = False,
) -> None:
    """Erase the data of an entity, and of entities that only it owns.

    It is refused while records must be kept or are on hold.
    """
    from fivefold.usecases.erasure.erase import erase_entity, preview_erasure
    from fivefold.usecases.erasure.register import ErasureLine, read_register

    who = acting_in(organisation)
    register = read_settings().erasures
    if dry_run:
        _show(f"{kind} {entity}", preview_erasure(who, kind, entity, register))
        return
    try:
        result = erase_entity(who, kind, entity, register)
    except NotFoundError as error:
        if any(isinstance(line, ErasureLine) for line in read_register(register)):  # nothing of its name would be left
            raise NotFoundError(f"{error}; {_KILLED}") from None
        raise
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
        raise typer.Exit(FINDINGS)


def erase_again(
    register: Annotated[
        Path | None,
        typer.Option("--register", help="The register of erasures and holds; by default the one in FIVEFOLD_VAR."),
    ] = None,
) -> None:
    """Repeat legal holds and erasures after a restore.

    The exit code is 2 if a line failed; otherwise 3 if the entity of a hold that has not ended is missing in the
    database.
    """
    from fivefold.usecases.erasure.again import erase_again as repeat

    path = register or read_settings().erasures
    if not path.is_file():
        raise ConfigError(
            f"there is no register {path}; --register names another file; if nothing was ever erased or put on "
            "hold, create an empty file of that name"
        )
    result = repeat(open_current_database(), actor(), path)
    echo(
        f"{result.erased} {'entity was' if result.erased == 1 else 'entities were'} in the database again, and erased."
    )
    if result.holds:
        echo(f"{result.holds} legal {'hold was' if result.holds == 1 else 'holds were'} repeated.")
    if result.lost_erasures:
        echo("The entities of these lines are not in the database: they came after the backup. Do not send them again:")
        for line in result.lost_erasures:
            echo(f"  {line}")
    if result.lost_holds:
        warn(
            "legal holds were not repeated: their entities are not in the database. Once they are, run `fivefold "
            "hold` with --for-line and the number of the line:"
        )
        for line in result.lost_holds:
            warn(line)
        raise typer.Exit(LOST_HOLDS)


def hold(
    entity: EntityArgument,
    until: Annotated[str, typer.Option("--until", help="The end of the hold; a past moment releases it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    kind: TypeOption = "customer",
    organisation: OrganisationOption = "default",
    for_line: Annotated[
        int | None,
        typer.Option("--for-line", help="The line of the hold, as `erase-again` lists it, that this one replaces."),
    ] = None,
) -> None:
    """Put a legal hold on an entity, against erasure, or release it."""
    from fivefold.usecases.erasure import erase as erasing

    engine = open_current_database()
    register = read_settings().erasures
    until_us = moment(until, "--until")
    whose = (acting_in(organisation, engine), kind, entity)
    change = erasing.set_legal_hold(*whose, until_us, reason, register, for_line=for_line)
    if change is erasing.HoldChange.NONE:
        echo(f"{kind} {entity} was not on hold; nothing was changed.")
        return
    echo(f"{kind} {entity} is {f'on hold until {until}' if change is erasing.HoldChange.PUT else 'not on hold now'}.")
    echo(f"The register {register} records it by numbers: keep it where a restored backup does not replace it.")


def retention(
    outbox_days: Annotated[
        int | None, typer.Option("--outbox-days", help="Preview another policy: days after which events are removed.")
    ] = None,
    deliveries_days: Annotated[int | None, typer.Option("--deliveries-days", help="The same for deliveries.")] = None,
    reports_days: Annotated[int | None, typer.Option("--reports-days", help="The same for reports.")] = None,
    assessments_days: Annotated[
        int | None, typer.Option("--assessments-days", help="The same for assessments.")
    ] = None,
    flows_days: Annotated[int | None, typer.Option("--flows-days", help="The same for runs of flows.")] = None,
    organisation: OrganisationOption = "default",
) -> None:
    """Show what the retention policy would remove. Nothing is removed: workers do that.

    The policy is changed by `fivefold proposals settings`, which another person approves.
    """
    from fivefold.usecases.erasure.retention import preview_retention

    days = {
        "outbox": outbox_days,
        "deliveries": deliveries_days,
        "reports": reports_days,
        "assessments": assessments_days,
        "flows": flows_days,
    }
    lines = preview_retention(acting_in(organisation), days)
    columns = ("what", "kept for", "would be removed", "the oldest", "old, but kept", "last run")
    show_table("Retention", columns, [_row(line) for line in lines], left=2)
    if any(not line.whole for line in lines):
        echo("+: there is more; counting ended early.")


def _row(line: "RetentionLine") -> list[str]:
    """Write one kind: how long it is kept, what would be removed, and the last run."""
    more = "" if line.whole else "+"
    run = line.last_run
    last = "none" if run is None else f"{day_text(run.started_us)[:10]}, {run.removed:,} removed"
    if run is not None and run.finished_us is None:
        last += " so far"
    if line.before_us is None:
        return [line.kind, "good", "", "", "", last]
    oldest = "" if line.oldest_us is None else day_text(line.oldest_us)[:10]
    return [line.kind, count_text(line.days, "day"), f"{line.removable:,}{more}", oldest, f"{line.kept:,}{more}", last]
