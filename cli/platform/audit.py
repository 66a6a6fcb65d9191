"""`fivefold audit`: prove the audit log whole, keep its heads elsewhere, read it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import echo, open_current_database, show_table
from fivefold.domain.clock import day_text
from fivefold.domain.number_text import count_text

if TYPE_CHECKING:
    from fivefold.usecases.audit.verify import AuditFinding

FINDINGS = 1
"""Exit code if the log is not whole; a refused command ends with 2."""

audit_app = typer.Typer(help="The audit log: prove it whole, keep its heads, read it.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (verify, heads, show):
        audit_app.command()(command)
    app.add_typer(audit_app, name="audit")


def verify(
    heads_file: Annotated[
        Path | None, typer.Option("--heads", help="Heads that were exported: what was cut off since is seen.")
    ] = None,
) -> None:
    """Look for any change, gap or reorder in the audit log. Exit code 1, and a line for each finding."""
    from fivefold.usecases.audit import record as audit
    from fivefold.usecases.audit.proof import prove

    exported = None if heads_file is None else audit.read_heads(heads_file)
    verified = prove(open_current_database(), _print_finding, exported=exported)
    scope = f"{count_text(verified.entries, 'entry', 'entries')} of {count_text(verified.chains, 'organisation')}"
    erased = f"values of {count_text(verified.erased, 'entry', 'entries')} erased"
    if verified.findings:
        echo(f"{scope}: {count_text(verified.findings, 'finding')}, {erased}.")
        raise typer.Exit(FINDINGS)
    against = f"against the heads of {day_text(exported.exported_us)}" if exported else "without exported heads"
    echo(f"{scope}, {against}: the audit log is whole; {erased}.")


def heads(
    output: Annotated[Path, typer.Option("--output", "-o", help="A JSON file, to be kept on another machine.")],
) -> None:
    """Write the last entry of each organisation's chain. Keep the file where who can write the database cannot."""
    from fivefold.usecases.audit.record import export_heads

    exported = export_heads(open_current_database(), output)
    echo(f"heads of {count_text(len(exported.heads), 'organisation')}: {output}")


def show(
    organisation: Annotated[str | None, typer.Option("--organisation", help="All by default.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="How many entries.")] = 20,
) -> None:
    """Show who did what. Values before and after are not shown."""
    from fivefold.usecases.audit.record import list_entries

    rows = [
        [
            line.organisation,
            str(line.number),
            day_text(line.at_us // 1_000_000 * 1_000_000),
            line.actor,
            line.action,
            line.subject,
            line.details,
        ]
        for line in list_entries(open_current_database(), last, organisation)
    ]
    columns = ("organisation", "entry", "at", "who", "did", "to", "details")
    show_table("Audit log", columns, rows, left=7)


def _print_finding(finding: "AuditFinding") -> None:
    echo(str(finding))
