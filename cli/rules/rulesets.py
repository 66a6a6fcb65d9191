"""`fivefold rules lint`, `diff` and `schema`: rulesets by themselves, before anyone is assessed by them."""

from typing import Annotated

import typer

from fivefold.cli.rules.evidence import JsonOption, write_json
from fivefold.cli.rules.options import ListsOption
from fivefold.cli.terminal import echo
from fivefold.domain.errors import Finding
from fivefold.domain.text import count_text

FOUND_FATAL = 1
"""Exit code where a ruleset cannot be used; a command that was refused ends with 2."""

RulesetsArgument = Annotated[
    list[str], typer.Argument(metavar="RULESET...", help="Files of rulesets (YAML or JSON), or names of shipped ones.")
]
BeforeArgument = Annotated[str, typer.Argument(metavar="A", help="A ruleset's file, or the name of one that ships.")]
AfterArgument = Annotated[str, typer.Argument(metavar="B", help="What it is compared with.")]


def lint(
    rulesets: RulesetsArgument,
    lists: ListsOption = None,
    every: Annotated[bool, typer.Option("--all", help="Tell also what could not be decided.")] = False,
) -> None:
    """Find what is wrong or doubtful in rulesets. Exit code 1 where one cannot be used."""
    from fivefold.risk.governance.lint.ruleset import lint_text
    from fivefold.usecases.portfolio_files.bundled import lists_with, ruleset_text

    lists_by_name = lists_with(lists)
    findings_of = {source: lint_text(ruleset_text(source), lists_by_name, notes=every)[1] for source in rulesets}
    for source, findings in findings_of.items():
        for finding in findings:
            echo(_line(source, finding))
    together = [finding for findings in findings_of.values() for finding in findings]
    fatal = sum(finding.fatal for finding in together)
    echo(_summary(len(findings_of), fatal, len(together) - fatal))
    if fatal:
        raise typer.Exit(FOUND_FATAL)


def _line(file: str, finding: Finding) -> str:
    """Write a finding as editors and build servers read it: file, line, how bad, where, what."""
    place = f"{file}:{finding.line}" if finding.line else file
    return f"{place}: {'error' if finding.fatal else 'warning'}: {finding.where}: {finding.problem}"


def _summary(files: int, fatal: int, others: int) -> str:
    rulesets = count_text(files, "ruleset")
    if not fatal + others:
        return f"{rulesets}: nothing found"
    return f"{rulesets}: {count_text(fatal, 'error')}, {count_text(others, 'warning')}"


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
