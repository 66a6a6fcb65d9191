"""What a backtest or a validation found, in the terminal and as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import say, show_table, warn
from fivefold.domain.files import replacing

if TYPE_CHECKING:
    from fivefold.risk.governance.reports.page import Reportable, ReportPage

HtmlOption = Annotated[
    Path | None, typer.Option("--html", help="Evidence as one HTML page, with pictures, that needs nothing else.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="The same as JSON, for machines.")]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Of everything drawn at random: equal seeds, equal answers.")
]
DataOption = Annotated[Path, typer.Option("--data", help="Entities: Parquet, CSV, JSON or JSON lines, one row each.")]


def show(page: "ReportPage") -> None:
    """Print a page: its tables, and what is to be known beforehand as warnings."""
    say(page.title)
    for name, value in page.facts:
        say(f"  {name}: {value}")
    for section in page.sections:
        if section.table is None:
            say(f"{section.title}: {section.words}")
            continue
        show_table(section.title, section.table.columns, section.table.rows, left=section.table.words)
        if section.words:
            say(section.words)
        say()
    for caution in page.cautions:
        warn(caution)


def keep(kind: str, found: "Reportable", page: "ReportPage", html: Path | None, json: Path | None) -> None:
    """Write the evidence that was asked for: each file whole, or not at all."""
    from fivefold.risk.governance.reports.page import as_html  # noqa: PLC0415 (imports what draws pictures)

    if html is not None:
        _write(html, as_html(page))
    if json is not None:
        write_json(kind, found, json)


def write_json(kind: str, found: "Reportable", path: Path) -> None:
    """Write a finding as JSON."""
    from fivefold.risk.governance.reports.page import report_json  # noqa: PLC0415 (imports what draws pictures)

    _write(path, report_json(kind, found))


def _write(path: Path, text: str) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    say(f"written to {path}")
