"""`fivefold rules`: what a compliance team does with rulesets, on files; each command is in a `cli/rules_*.py`."""

import typer

from fivefold.cli.rules import assess as rules_assess
from fivefold.cli.rules import backtest as rules_backtest
from fivefold.cli.rules import diff as rules_diff
from fivefold.cli.rules import lint as rules_lint
from fivefold.cli.rules import run_examples as rules_test
from fivefold.cli.rules import schema as rules_schema
from fivefold.cli.rules import thresholds as rules_thresholds
from fivefold.cli.rules import validate as rules_validate

COMMANDS = (
    rules_lint,
    rules_test,
    rules_assess,
    rules_diff,
    rules_backtest,
    rules_validate,
    rules_thresholds,
    rules_schema,
)
"""The modules that add a command, in the order in which help lists them."""


def add_to(app: typer.Typer) -> None:
    """Add the commands under one word."""
    rules = typer.Typer(
        help="Rulesets as files: lint, test, apply, compare.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for module in COMMANDS:
        module.add_to(rules)
    app.add_typer(rules, name="rules")
