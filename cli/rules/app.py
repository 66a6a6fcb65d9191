"""`fivefold rules`: what a compliance team does with rulesets, on files; the table of its commands."""

from collections.abc import Callable

import typer

from fivefold.cli.parameters import add_group
from fivefold.cli.rules import assess, examples, governance, proposals, rulesets, what_if

COMMANDS: dict[str, Callable[..., None]] = {
    "lint": rulesets.lint,
    "test": examples.run_tests,
    "assess": assess.print_assessment,
    "reference": proposals.write_reference_portfolio,
    "what-if": what_if.print_what_if,
    "diff": rulesets.diff_files,
    "backtest": governance.print_backtest,
    "validate": governance.print_validation,
    "propose-points": proposals.write_points_draft,
    "propose-thresholds": proposals.write_threshold_draft,
    "schema": rulesets.schema,
}
"""Every command in the order in which help lists it."""

TABLE_COMMANDS: dict[str, Callable[..., None]] = {"export": rulesets.export_table, "import": rulesets.import_table}
"""Those of decision tables, under a word of their own."""


def add_to(app: typer.Typer) -> None:
    """Add the commands under one word."""
    table = ("table", "The cases of a rule as a decision table, and back.", TABLE_COMMANDS)
    add_group(app, "rules", "Rulesets as files: lint, test, apply, compare.", COMMANDS, table)
