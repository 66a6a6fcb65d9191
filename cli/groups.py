"""`fivefold groups`: lint and test named groups on files, before they are proposed; the table of its commands."""

from typing import Annotated

import typer

from fivefold.cli.parameters import command_group
from fivefold.cli.rules.options import ListsOption
from fivefold.cli.terminal import FINDINGS, AsOfOption, echo, moment
from fivefold.domain.text import count_text

GroupArgument = Annotated[str, typer.Argument(metavar="GROUP", help="A group's file, or the name of one that ships.")]
GroupsArgument = Annotated[
    list[str], typer.Argument(metavar="GROUP...", help="Files of groups (YAML or JSON), or names of shipped ones.")
]


def lint_groups(
    groups: GroupsArgument,
    lists: ListsOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 for warnings, too.")] = False,
) -> None:
    """Find what is wrong or doubtful in groups. The exit code is 1 if one cannot be used."""
    from fivefold.usecases.portfolio_files.bundled import lint_group_file, lists_with

    lists_by_name = lists_with(lists)
    errors = doubts = 0
    for source in groups:
        findings = lint_group_file(source, lists_by_name)
        for finding in findings:
            place = f"{source}:{finding.line}" if finding.line else source
            echo(f"{place}: {'error' if finding.fatal else 'warning'}: {finding.where}: {finding.problem}")
        errors += sum(1 for finding in findings if finding.fatal)
        doubts += sum(1 for finding in findings if not finding.fatal)
    counts = f"{count_text(errors, 'error')}, {count_text(doubts, 'warning')}"
    echo(f"{count_text(len(groups), 'group')}: {counts if errors or doubts else 'no errors or warnings'}")
    if errors or (strict and doubts):
        raise typer.Exit(FINDINGS)


def run_group_tests(
    group: GroupArgument,
    lists: ListsOption = None,
    as_of: AsOfOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the examples that pass, too.")] = False,
) -> None:
    """Run a group's examples.

    It passes if there are some and all results are as expected, or if flows keep the members.
    """
    from fivefold.flows.groups.membership import run_group_examples
    from fivefold.usecases.portfolio_files.bundled import lists_with, load_group

    analysed = load_group(group)
    if analysed.group.kept_by is not None:
        echo("Flows say who is a member: the group has no condition, and so no examples")
        return
    results = run_group_examples(analysed, lists_with(lists), moment(as_of, "--as-of"))
    for result in results:
        if not result.passed:
            echo(f"FAILED  {result.name}: {result.actual}, not {result.expected}")
        elif verbose:
            echo(f"passed  {result.name}: {result.actual}")
    failed = sum(1 for result in results if not result.passed)
    echo(f"{count_text(len(results), 'example')}, {failed} failed")
    if failed or not results:
        echo(f"FAILED: {f'{failed} gave another result' if failed else 'the group has no examples'}")
        raise typer.Exit(FINDINGS)
    echo("passed")


def print_group_schema() -> None:
    """Print the JSON Schema of groups. With it, an editor completes words and marks mistakes."""
    from fivefold.flows.groups.language import Group
    from fivefold.risk.language.schema import schema_json

    typer.echo(schema_json(Group), nl=False)


GROUPS = command_group(
    "Named groups as files: lint, test.",
    {
        "lint": lint_groups,
        "test": run_group_tests,
        "schema": print_group_schema,
    },
)
