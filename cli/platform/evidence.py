"""`fivefold evidence`: make the evidence archive of a quarter, or check one."""

from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.terminal import acting_in, echo, open_current_database, warn
from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import read_settings

FINDINGS = 1
"""Exit code if a check has findings, or the audit log is not whole; a refused command ends with 2."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evidence)


def evidence(
    quarter: Annotated[str | None, typer.Option("--quarter", help="Of a calendar year (UTC), such as 2026Q3.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The archive to write, a zip file.")] = None,
    organisation: Annotated[str, typer.Option("--organisation", help="Whose.")] = "default",
    check: Annotated[Path | None, typer.Option("--check", help="An archive to compare with its manifest.")] = None,
) -> None:
    """Put what decided in a quarter into one archive.

    Rulesets, backtests, validations, overrides, approvals, model cards and the audit log, by internal numbers alone.
    With --check nothing is collected: every file of an archive is compared with the archive's manifest.
    """
    if check is not None and quarter is None and output is None:
        _check(check)
    elif check is None and quarter is not None and output is not None:
        _collect(quarter, output, organisation)
    else:
        raise ConfigError("evidence takes --quarter and --output to make an archive, or --check alone to check one")


def _collect(name: str, output: Path, organisation: str) -> None:
    from fivefold.usecases.evidence.build import build_evidence
    from fivefold.usecases.shared.inputs import read_quarter

    quarter = read_quarter(name)
    if quarter.until_us > now_microseconds():
        warn(f"{name} is not over; what is still to come is not in the archive")
    engine = open_current_database()
    archive = build_evidence(acting_in(engine, organisation), quarter, output, read_settings())
    counted = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in archive.counts.items())
    echo(f"Evidence of {name}: {output}")
    echo(f"  {counted}")
    echo(f"  SHA-256 of its manifest, to be kept elsewhere: {archive.manifest_sha256}")
    if archive.findings:
        warn(f"the audit log is not whole, {archive.findings} findings; audit/verification.json names them")
        raise typer.Exit(FINDINGS)


def _check(path: Path) -> None:
    from fivefold.usecases.evidence.archive import check_archive

    result = check_archive(path)
    for problem in result.problems:
        echo(problem)
    echo(f"{path}: {result.files:,} files, {len(result.problems):,} problems")
    echo(f"  SHA-256 of its manifest: {result.manifest_sha256}")
    if result.problems:
        raise typer.Exit(FINDINGS)
