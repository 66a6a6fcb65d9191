"""How `fivefold rules lint` and `fivefold flows lint` write what they found: for people, as JSON, or as SARIF."""

from enum import StrEnum
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import echo
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from fivefold.risk.governance.reports.lint import LintReport

FOUND = 1
"""Exit code where a document cannot be used, or is doubtful and that is asked for; a refused command ends with 2."""


class LintFormat(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


AllOption = Annotated[
    bool, typer.Option("--all", help="Also report findings that are not warnings: costs, failures, undecided checks.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="End with 1 where there is a doubt, too.")]
LintFormatOption = Annotated[
    LintFormat, typer.Option("--format", help="For people, as JSON, or as SARIF 2.1.0 for code hosts and editors.")
]


def write_findings(report: "LintReport", one: str, format_: LintFormat, *, strict: bool) -> None:
    """Write what was found; *one* is what a file is called. The command ends with 1 where that says so."""
    from fivefold.domain.provenance import release
    from fivefold.risk.governance.reports.json_text import report_json

    if format_ is LintFormat.SARIF:
        typer.echo(report.sarif(release(), _address), nl=False)
    elif format_ is LintFormat.JSON:
        typer.echo(report_json("lint", report), nl=False)
    else:
        _show_findings(report, one)
    if report.errors or (strict and report.doubts):
        raise typer.Exit(FOUND)


def _address(source: str) -> str:
    """Give the address of a file as code hosts know it: from the folder in which the command runs, if it is below."""
    from urllib.parse import quote

    path = Path(source)
    if not path.exists():
        return quote(source)  # one that ships
    whole, here = Path(normpath(path.absolute())), Path.cwd()
    return quote(whole.relative_to(here).as_posix()) if whole.is_relative_to(here) else whole.as_uri()


def _show_findings(report: "LintReport", one: str) -> None:
    """Write findings as editors and build servers read them: file, line, how bad, where, what."""
    from fivefold.risk.governance.reports.lint import SEVERITIES

    for file, findings in report.findings.items():
        for fault, finding in findings:
            place = f"{file}:{finding.line}" if finding.line else file
            echo(f"{place}: {SEVERITIES[fault.severity]}: {finding.where}: {finding.problem}")
    counts = ((report.errors, "error"), (report.doubts, "warning"), (report.notes, "note"))
    count_texts = [count_text(count, what) for count, what in counts if count or what != "note"]
    is_clean = not any(count for count, _ in counts)
    echo(f"{count_text(len(report.findings), one)}: {'nothing found' if is_clean else ', '.join(count_texts)}")
