"""`fivefold rules lint`: everything that is wrong or doubtful in rulesets, before anyone is assessed by them."""

from typing import Annotated

import typer

from fivefold.cli.rules.options import ListsOption
from fivefold.cli.terminal import echo
from fivefold.domain.errors import Finding
from fivefold.usecases.portfolio_files.bundled import lists_with, ruleset_text

FOUND_FATAL = 1
"""Exit code where a ruleset cannot be used; a command that was refused ends with 2."""

RulesetsArgument = Annotated[
    list[str], typer.Argument(metavar="RULESET...", help="Files of rulesets (YAML or JSON), or names of shipped ones.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(lint)


def lint(
    rulesets: RulesetsArgument,
    lists: ListsOption = None,
    every: Annotated[bool, typer.Option("--all", help="Tell also what could not be decided.")] = False,
) -> None:
    """Find what is wrong or doubtful in rulesets. Exit code 1 where one cannot be used."""
    from fivefold.risk.governance.lint.ruleset import lint_text  # noqa: PLC0415 (imports Polars and the indicators)

    named = lists_with(lists)
    found = {given: lint_text(ruleset_text(given), named, notes=every)[1] for given in rulesets}
    for given, findings in found.items():
        for finding in findings:
            echo(_line(given, finding))
    together = [finding for findings in found.values() for finding in findings]
    fatal = sum(finding.fatal for finding in together)
    echo(_summary(len(found), fatal, len(together) - fatal))
    if fatal:
        raise typer.Exit(FOUND_FATAL)


def _line(file: str, finding: Finding) -> str:
    """Write a finding as editors and build servers read it: file, line, how bad, where, what."""
    place = f"{file}:{finding.line}" if finding.line else file
    return f"{place}: {'error' if finding.fatal else 'warning'}: {finding.where}: {finding.problem}"


def _summary(files: int, fatal: int, others: int) -> str:
    rulesets = f"{files} {'ruleset' if files == 1 else 'rulesets'}"
    if not fatal + others:
        return f"{rulesets}: nothing found"
    return f"{rulesets}: {_count(fatal, 'error')}, {_count(others, 'warning')}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
