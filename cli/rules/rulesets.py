"""`fivefold rules lint`, `diff` and `schema`: rulesets by themselves, before anyone is assessed by them."""

from enum import StrEnum
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.rules.evidence import JsonOption, write_json
from fivefold.cli.rules.options import ListsOption
from fivefold.cli.terminal import echo
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from fivefold.risk.governance.reports.lint import LintReport

FOUND = 1
"""Exit code where a ruleset cannot be used, or is doubtful and that is asked for; a refused command ends with 2."""

RulesetsArgument = Annotated[
    list[str], typer.Argument(metavar="RULESET...", help="Files of rulesets (YAML or JSON), or names of shipped ones.")
]
BeforeArgument = Annotated[str, typer.Argument(metavar="A", help="A ruleset's file, or the name of one that ships.")]
AfterArgument = Annotated[str, typer.Argument(metavar="B", help="What it is compared with.")]


class LintFormat(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def lint(
    rulesets: RulesetsArgument,
    lists: ListsOption = None,
    every: Annotated[bool, typer.Option("--all", help="Tell also what could not be decided.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 where there is a doubt, too.")] = False,
    format_: Annotated[
        LintFormat, typer.Option("--format", help="For people, as JSON, or as SARIF 2.1.0 for code hosts and editors.")
    ] = LintFormat.TEXT,
) -> None:
    """Find what is wrong or doubtful in rulesets. Exit code 1 where one cannot be used."""
    from fivefold.domain.provenance import release
    from fivefold.risk.governance.reports.json_text import report_json
    from fivefold.risk.governance.reports.lint import LintReport
    from fivefold.usecases.portfolio_files.bundled import lint_file, lists_with

    lists_by_name = lists_with(lists)
    report = LintReport({source: lint_file(source, lists_by_name, notes=every) for source in rulesets})
    if format_ is LintFormat.SARIF:
        typer.echo(report.sarif(release(), _address), nl=False)
    elif format_ is LintFormat.JSON:
        typer.echo(report_json("lint", report), nl=False)
    else:
        _show_findings(report)
    if report.errors or (strict and report.doubts):
        raise typer.Exit(FOUND)


def _address(source: str) -> str:
    """Give the address of a file as code hosts know it: from the folder in which the command runs, if it is below."""
    from urllib.parse import quote

    path = Path(source)
    if not path.exists():
        return quote(source)  # a ruleset that ships
    whole, here = Path(normpath(path.absolute())), Path.cwd()
    return quote(whole.relative_to(here).as_posix()) if whole.is_relative_to(here) else whole.as_uri()


def _show_findings(report: "LintReport") -> None:
    """Write findings as editors and build servers read them: file, line, how bad, where, what."""
    from fivefold.risk.governance.reports.lint import SEVERITIES

    for file, found in report.findings.items():
        for fault, finding in found:
            place = f"{file}:{finding.line}" if finding.line else file
            echo(f"{place}: {SEVERITIES[fault.severity]}: {finding.where}: {finding.problem}")
    echo(_summary(report))


def _summary(report: "LintReport") -> str:
    notes = sum(map(len, report.findings.values())) - report.errors - report.doubts
    counted = ((report.errors, "error"), (report.doubts, "warning"), (notes, "note"))
    rulesets = count_text(len(report.findings), "ruleset")
    if not report.errors + report.doubts + notes:
        return f"{rulesets}: nothing found"
    return f"{rulesets}: {', '.join(count_text(count, what) for count, what in counted if count or what != 'note')}"


def diff_files(
    before: BeforeArgument,
    after: AfterArgument,
    json: JsonOption = None,
) -> None:
    """Tell everything that changes from A to B: rules, cases, points, floors, thresholds, weights, wording."""
    from fivefold.risk.governance.diff import diff
    from fivefold.risk.language.reading import read_ruleset
    from fivefold.usecases.portfolio_files.bundled import ruleset_text

    difference = diff(*(read_ruleset(ruleset_text(source), source) for source in (before, after)))
    for line in difference.lines():
        echo(line)
    if json is not None:
        write_json("diff", difference, json)


def schema(
    policy: Annotated[bool, typer.Option("--policy", help="That of policies, which decide on transactions.")] = False,
) -> None:
    """Print the JSON Schema of rulesets. An editor that knows it completes words and marks mistakes."""
    from fivefold.risk.language.policy import Policy
    from fivefold.risk.language.ruleset import Ruleset
    from fivefold.risk.language.schema import schema_json

    typer.echo(schema_json(Policy if policy else Ruleset), nl=False)
