"""`fivefold evidence`: one archive of what decided in a quarter, and of who decided that; or a check of one."""

from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.terminal import acting_in, open_current_database, say, warn
from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import read_settings

FOUND = 1
"""Exit code where a check found something, or the audit log is not whole; what is refused ends with 2."""


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
    from fivefold.usecases.evidence.build import build_evidence  # noqa: PLC0415 (imports SQLAlchemy and Polars)
    from fivefold.usecases.shared.inputs import read_quarter  # noqa: PLC0415 (as above)

    quarter = read_quarter(name)
    if quarter.until_us > now_microseconds():
        warn(f"{name} is not over; what is still to come is not in the archive")
    engine = open_current_database()
    made = build_evidence(engine, acting_in(engine, organisation), quarter, output, read_settings())
    counted = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in made.counts.items())
    say(f"Evidence of {name}: {output}")
    say(f"  {counted}")
    say(f"  SHA-256 of its manifest, to be kept elsewhere: {made.manifest_sha256}")
    if made.findings:
        warn(f"the audit log is not whole, {made.findings} findings; audit/verification.json names them")
        raise typer.Exit(FOUND)


def _check(path: Path) -> None:
    from fivefold.usecases.evidence.archive import check_archive  # noqa: PLC0415 (imports pydantic)

    found = check_archive(path)
    for problem in found.problems:
        say(problem)
    say(f"{path}: {found.files:,} files, {len(found.problems):,} problems")
    say(f"  SHA-256 of its manifest: {found.manifest_sha256}")
    if found.problems:
        raise typer.Exit(FOUND)
