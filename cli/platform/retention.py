"""`fivefold retention`: a preview of what the retention policy would remove."""

from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import OrganisationOption, acting_in, echo, open_current_database, show_table
from fivefold.domain.clock import day_text
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from fivefold.usecases.erasure.retention import RetentionLine


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(retention)


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
    lines = preview_retention(acting_in(open_current_database(), organisation), days)
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
