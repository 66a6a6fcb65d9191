"""Prints the results of backtests and validations, and writes them, and drafts, as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import echo, show_table, warn
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing

if TYPE_CHECKING:
    from fivefold.risk.governance.differences import DocumentDifference
    from fivefold.risk.governance.reports.lint import Reportable
    from fivefold.risk.governance.reports.page import ReportPage

HtmlOption = Annotated[
    Path | None, typer.Option("--html", help="File for the evidence as one self-contained HTML page with pictures.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="File for the same as JSON, for programs.")]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of all random draws; the same seed gives the same results.")
]
DataOption = Annotated[Path, typer.Option("--data", help="Entities: Parquet, CSV, JSON or JSON lines, one row each.")]

OutputOption = Annotated[Path, typer.Option("--output", "-o", help="The draft to write.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Overwrite an existing file.")]


def _write_text(path: Path, text: str) -> None:
    """Write evidence, whole or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def refuse_taken(output: Path, *, replace: bool) -> None:
    """Refuse a place that a file has, before a draft is computed for it, without --replace."""
    if output.is_file() and not replace:
        raise ConfigError(f"{output} already exists; --replace overwrites it, also when a run is repeated")


def write_draft(output: Path, draft: str | bytes, *, replace: bool) -> None:
    """Write a draft or a table, whole or not at all; ConfigError if a file with other content would be lost."""
    content = draft.encode() if isinstance(draft, str) else draft
    if output.is_file() and not replace and output.read_bytes() != content:
        raise ConfigError(f"{output} already exists; --replace overwrites it")
    with replacing(output) as unfinished:
        unfinished.write_bytes(content)


def show(page: "ReportPage") -> None:
    """Print a page: its facts, its tables, and its cautions as warnings."""
    echo(page.title)
    for name, value in page.facts:
        echo(f"  {name}: {value}")
    for section in page.sections:
        if section.table is None:
            echo(f"{section.title}: {section.words}")
            continue
        show_table(section.title, section.table.columns, section.table.rows, left=section.table.words)
        if section.words:
            echo(section.words)
        echo()
    for caution in page.cautions:
        warn(caution)


def show_evidence(kind: str, result: "Reportable", page: "ReportPage", html: Path | None, json: Path | None) -> None:
    """Write a page as HTML and as JSON where a path is given, then print it: the reader may stop early."""
    write_evidence(kind, result, page, html, json)
    show(page)
    say_written(html, json)


def show_difference(kind: str, difference: "DocumentDifference", json: Path | None) -> None:
    """Write a difference as JSON where a path is given, then print its lines."""
    if json is not None:
        write_json(kind, difference, json)
    for line in difference.lines():
        echo(line)
    say_written(json)


def say_written(*paths: Path | None) -> None:
    """Name the files that were written; None for one that was not requested."""
    for path in paths:
        if path is not None:
            echo(f"written to {path}")


def write_evidence(kind: str, result: "Reportable", page: "ReportPage", html: Path | None, json: Path | None) -> None:
    """Write the evidence as HTML and as JSON, where a path is given; each file is complete or absent."""
    from fivefold.risk.governance.reports.page import as_html

    if html is not None:
        _write_text(html, as_html(page))
    if json is not None:
        write_json(kind, result, json)


def write_json(kind: str, result: "Reportable", path: Path) -> None:
    """Write a finding as JSON."""
    from fivefold.risk.governance.reports.lint import report_json

    _write_text(path, report_json(kind, result))
