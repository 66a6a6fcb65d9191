"""How commands write their findings in rules and flows: faults, and changes that no example notices."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from os.path import normpath
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm import tqdm

from fivefold.cli.terminal import FINDINGS, echo
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from fivefold.risk.governance.mutation.run import ChangeTried, Mutations
    from fivefold.risk.governance.reports.lint import LintReport


class LintFormat(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


AllOption = Annotated[
    bool, typer.Option("--all", help="Also report findings that are not warnings: costs, failures, undecided checks.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit with code 1 for warnings, too.")]
LintFormatOption = Annotated[
    LintFormat, typer.Option("--format", help="For people, as JSON, or as SARIF 2.1.0 for code hosts and editors.")
]


def write_findings(report: "LintReport", one: str, format_: LintFormat, *, strict: bool) -> None:
    """Write the findings; *one* is the word for a file. The command ends with 1 for errors, or *strict* doubts."""
    from fivefold.domain.provenance import release
    from fivefold.risk.governance.reports.lint import report_json

    if format_ is LintFormat.SARIF:
        typer.echo(report.sarif(release(), _address), nl=False)
    elif format_ is LintFormat.JSON:
        typer.echo(report_json("lint", report), nl=False)
    else:
        _show_findings(report, one)
    if report.errors or (strict and report.doubts):
        raise typer.Exit(FINDINGS)


def _address(source: str) -> str:
    """Give the address of a file as code hosts know it: from the folder in which the command runs, if it is below."""
    from urllib.parse import quote

    whole, here = Path(normpath(Path(source).absolute())), Path.cwd()
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
    echo(f"{count_text(len(report.findings), one)}: {'no errors or warnings' if is_clean else ', '.join(count_texts)}")


LeastOption = Annotated[
    float | None,
    typer.Option(
        "--least",
        min=0,
        max=100,
        show_default="100",
        help="Pass if at least this percentage of changes is noticed.",
    ),
]
SecondsOption = Annotated[
    float | None,
    typer.Option("--seconds", min=1, show_default="300", help="Start no further change after this many seconds."),
]
MOST_SECONDS = 300
ALL_PERCENT = 100


@contextmanager
def trying_changes(seconds: float | None) -> Iterator[tuple[Callable[[int], None], Callable[[], bool]]]:
    """Give `begun` and `is_over` of trials of changes by one step, which take *seconds*, or `MOST_SECONDS`.

    A terminal shows beforehand how many changes there are and how long they may take, and then how far they are.
    """
    limit = seconds or MOST_SECONDS
    end = monotonic() + limit
    with tqdm(desc="trying", unit=" changes", disable=None, leave=False) as progress:

        def begun(many: int) -> None:
            if not progress.disable:
                typer.echo(f"{count_text(many, 'change')} by one step; none begins after {limit:g} seconds", err=True)
            progress.reset(many)

        def is_over() -> bool:
            progress.update()
            return monotonic() > end

        yield begun, is_over


def is_enough(tried: "Mutations", least: float | None) -> bool:
    """Tell whether all changes were tried, and at least *least* percent of those that can be noticed were."""
    return not tried.counts["not tried"] and tried.noticed_percent >= (ALL_PERCENT if least is None else least)


def show_changes(path: str, tried: "Mutations") -> None:
    """Write the changes that no example notices, as editors read them, then those that none can, then the counts."""
    from fivefold.risk.governance.mutation.run import MutantVerdict

    unnoticed, no_effect = tried.of(MutantVerdict.UNNOTICED), tried.of(MutantVerdict.NO_EFFECT)
    for change in unnoticed:
        echo(f"{_place(path, change)}: no example notices")
        if change.inputs:
            echo(f"    an example that would notice: {change.inputs}")
        if change.example is not None:
            echo(f"    {change.example_text}")
    for change in no_effect:
        echo(f"{_place(path, change)}: no example can notice: {change.no_effect}")
    left = tried.counts["not tried"]
    echo(
        f"{count_text(len(tried.changes), 'change')} by one step: {tried.counts['noticed']} noticed, "
        f"{len(unnoticed)} not noticed, {len(no_effect)} that no example can notice"
        + (f", {left} not tried in the time given" if left else "")
    )
    which = "those that were tried and" if left else "those that"
    echo(f"Examples notice {tried.noticed_percent:.1f} % of {which} can be noticed")


def _place(path: str, change: "ChangeTried") -> str:
    at = f"{path}:{change.line}" if change.line else path
    return f"{at}: {change.where}: {change.before} → {change.after}"
