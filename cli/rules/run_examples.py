"""`fivefold rules test`: the examples beside a ruleset, and how much of it they reach."""

from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.rules.options import ListsOption, RulesetArgument
from fivefold.cli.terminal import AsOfOption, echo, moment
from fivefold.domain.number_text import count_text

if TYPE_CHECKING:
    from fivefold.risk.governance.examples.run import ExampleResult

FAILED = 1
"""Exit code where an example fails, or too little is covered."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="test")(run_tests)


def run_tests(
    path: RulesetArgument,
    lists: ListsOption = None,
    as_of: AsOfOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every example's arithmetic.")] = False,
) -> None:
    """Run a ruleset's examples. It passes if all come out as expected, and they reach enough rules and cases."""
    from fivefold.risk.governance.examples.run import run_examples
    from fivefold.usecases.portfolio_files.bundled import lists_with, load_ruleset

    analysed = load_ruleset(path)
    ruleset, tested = analysed.ruleset, run_examples(analysed, lists_with(lists), moment(as_of, "--as-of"))
    for result in tested.results:
        if result.differences or verbose:
            _show(result)
    failed = sum(bool(result.differences) for result in tested.results)
    echo(f"{count_text(len(tested.results), 'example')}, {failed} failed")
    echo(
        f"They expect something of {tested.rule_share:.1f} % of rules (at least {ruleset.coverage.rules} %) "
        f"and {tested.case_share:.1f} % of cases (at least {ruleset.coverage.cases} %)"
    )
    for place in tested.missing():
        echo(f"  not covered: {place}")
    if not tested.passed(ruleset):
        raise typer.Exit(FAILED)


def _show(result: "ExampleResult") -> None:
    echo(f"{'FAILED' if result.differences else 'passed'}  {result.name}")
    echo(f"        {result.explanation.line}")
    for difference in result.differences:
        echo(f"        {difference}")
