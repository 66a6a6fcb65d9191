"""`fivefold rules test`: a ruleset's examples, how much they cover, and which small changes they do not notice."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.lint import LeastOption, SecondsOption, is_enough, show_changes, trying_changes
from fivefold.cli.rules.options import ListsOption, RulesetArgument
from fivefold.cli.terminal import FINDINGS, AsOfOption, echo, moment
from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from fivefold.risk.governance.examples.run import ExampleResult
    from fivefold.risk.governance.reports.examples import ExamplesReport, UnusableRulesetReport


class TestFormat(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


FormatOption = Annotated[
    TestFormat, typer.Option("--format", help="For people, as JSON, or as JUnit's XML for build servers.")
]
MutateOption = Annotated[
    bool,
    typer.Option(
        "--mutate",
        help="Change the ruleset by one step at a time (thresholds, windows, weights, points, floors, operators) and"
        " show which changes no example notices.",
    ),
]


def run_tests(
    path: RulesetArgument,
    lists: ListsOption = None,
    as_of: AsOfOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every example's arithmetic.")] = False,
    mutate: MutateOption = False,
    least: LeastOption = None,
    seconds: SecondsOption = None,
    format_: FormatOption = TestFormat.TEXT,
) -> None:
    """Run a ruleset's examples.

    It passes if all results are as expected, and the examples reach enough rules and cases.
    """
    from fivefold.risk.governance.examples.run import run_examples
    from fivefold.risk.governance.lint.ruleset import unread
    from fivefold.risk.governance.reports.examples import ExamplesReport, MutationsReport, UnusableRulesetReport
    from fivefold.risk.governance.reports.lint import report_json
    from fivefold.risk.language.documents import Document
    from fivefold.usecases.portfolio_files.bundled import lists_with, load_ruleset, ruleset_text

    if mutate and format_ is TestFormat.JUNIT:
        raise ConfigError("--format junit is for examples; --mutate allows text and json")
    for option, value in (("--least", least), ("--seconds", seconds)):
        if value is not None and not mutate:
            raise ConfigError(f"{option} is about changes by one step; it needs --mutate")
    now = moment(as_of, "--as-of")
    try:
        lists_by_name = lists_with(lists)
        analysed, document = load_ruleset(path), Document(ruleset_text(path))
        report = ExamplesReport(analysed.ruleset, run_examples(analysed, lists_by_name, now, document))
    except (InvalidRulesetError, ConfigError) as error:
        findings = [finding for _, finding in unread(error)]
        _write_for_machines(UnusableRulesetReport(path, findings), format_)
        raise
    passed = report.passed
    if mutate and not report.failed:
        from fivefold.risk.governance.mutation.run import mutate as try_changes

        with trying_changes(seconds) as (begun, is_over):
            tried = try_changes(analysed, lists_by_name, now, document, begun=begun, is_over=is_over)
        if format_ is TestFormat.JSON:
            typer.echo(report_json("mutations", MutationsReport(tried, report)), nl=False)
        else:
            show_changes(path, tried)
            _show_coverage(report)
        passed = passed and is_enough(tried, least)
    elif not _write_for_machines(report, format_):
        _show_examples(report, verbose)
    if not passed:
        raise typer.Exit(FINDINGS)


def _write_for_machines(report: "ExamplesReport | UnusableRulesetReport", format_: TestFormat) -> bool:
    """Write a report in the requested format; False for the format for people."""
    from fivefold.risk.governance.reports.lint import report_json

    if format_ is not TestFormat.TEXT:
        content = report.junit() if format_ is TestFormat.JUNIT else report_json("examples", report)
        typer.echo(content, nl=False)
    return format_ is not TestFormat.TEXT


def _show_examples(report: "ExamplesReport", verbose: bool) -> None:
    results = report.results
    for result in results.results:
        if result.differences or verbose:
            _show(result)
    echo(f"{count_text(len(results.results), 'example')}, {report.failed} failed")
    _show_coverage(report)
    if report.failed or not results.results:
        echo(f"FAILED: {f'{report.failed} gave another result' if report.failed else 'there are no examples'}")
    elif report.passed:
        echo("passed")


def _show_coverage(report: "ExamplesReport") -> None:
    """Write of how much examples expect something, what is not covered, and whether that is why they do not pass."""
    coverage, results = report.ruleset.coverage, report.results
    echo(
        f"Examples cover {results.rule_share:.1f} % of rules (at least {coverage.rules} %) "
        f"and {results.case_share:.1f} % of cases (at least {coverage.cases} %)"
    )
    for place in results.missing():
        echo(f"  not covered: {place}")
    if results.results and not report.failed and not report.passed:
        echo("FAILED: the examples cover too little")


def _show(result: "ExampleResult") -> None:
    echo(f"{'FAILED' if result.differences else 'passed'}  {result.name}")
    echo(f"        {result.explanation.line}")
    for failure in result.explanation.failures:
        echo(f"        {failure}")
    for difference in result.differences:
        echo(f"        {difference}")
