"""`fivefold flows`: lint, compare, test and run decision flows on files; the table of its commands."""

from collections.abc import Callable

import typer

from fivefold.cli.flows import documents, run
from fivefold.cli.parameters import add_group

COMMANDS: dict[str, Callable[..., None]] = {
    "lint": documents.lint_flows,
    "diff": documents.diff_flow_files,
    "test": documents.run_flow_tests,
    "draw": documents.draw_flow,
    "mutate": documents.mutate_flow_file,
    "run": run.run_flow_on_files,
    "import": documents.import_graph_file,
    "schema": documents.print_flow_schema,
}
"""Every command in the order in which help lists it."""

TABLE_COMMANDS: dict[str, Callable[..., None]] = {
    "export": documents.export_flow_table,
    "import": documents.import_flow_table,
}
"""Those of decision tables, under a word of their own."""


def add_to(app: typer.Typer) -> None:
    """Add the commands under one word."""
    table = ("table", "The rows of a flow's decision table, and back.", TABLE_COMMANDS)
    add_group(app, "flows", "Decision flows as files: lint, diff, test, run.", COMMANDS, table)
