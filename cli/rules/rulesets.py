"""`fivefold rules lint`, `diff` and `schema`: rulesets by themselves, before anyone is assessed by them."""

from typing import Annotated

import typer

from fivefold.cli.lint import AllOption, LintFormat, LintFormatOption, StrictOption, write_findings
from fivefold.cli.rules.evidence import JsonOption, show_difference
from fivefold.cli.rules.options import ListsOption

RulesetsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="RULESET...", help="Files of rulesets or policies (YAML or JSON), or names of shipped rulesets."
    ),
]
BeforeArgument = Annotated[str, typer.Argument(metavar="A", help="A ruleset's file, or the name of one that ships.")]
AfterArgument = Annotated[str, typer.Argument(metavar="B", help="What it is compared with.")]


def lint(
    rulesets: RulesetsArgument,
    lists: ListsOption = None,
    every: AllOption = False,
    strict: StrictOption = False,
    format_: LintFormatOption = LintFormat.TEXT,
) -> None:
    """Find what is wrong or doubtful in rulesets and policies. Exit code 1 where one cannot be used."""
    from fivefold.risk.governance.reports.lint import LintReport
    from fivefold.usecases.portfolio_files.bundled import lint_file, lists_with

    lists_by_name = lists_with(lists)
    report = LintReport({source: lint_file(source, lists_by_name, notes=every) for source in rulesets})
    write_findings(report, "file", format_, strict=strict)


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
    show_difference("diff", difference, json)


def schema(
    policy: Annotated[bool, typer.Option("--policy", help="That of policies, which decide on transactions.")] = False,
) -> None:
    """Print the JSON Schema of rulesets. An editor that knows it completes words and marks mistakes."""
    from fivefold.risk.language.policy import Policy
    from fivefold.risk.language.ruleset import Ruleset
    from fivefold.risk.language.schema import schema_json

    typer.echo(schema_json(Policy if policy else Ruleset), nl=False)
