"""`fivefold rules`: what a compliance team does with rulesets, on files; each command has a module here."""

import typer

from fivefold.cli.rules import assess, backtest, diff, lint, run_examples, schema, thresholds, validate

COMMANDS = (lint, run_examples, assess, diff, backtest, validate, thresholds, schema)
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
