"""`fivefold flows`: lint, compare, test and run decision flows on files; the table of its commands."""

from collections.abc import Callable

import typer

from fivefold.cli.flows import documents, run
from fivefold.cli.parameters import with_options

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
    flows = typer.Typer(
        help="Decision flows as files: lint, diff, test, run.", no_args_is_help=True, rich_markup_mode=None
    )
    for name, command in COMMANDS.items():
        flows.command(name=name)(with_options(command))
    table = typer.Typer(
        help="The rows of a flow's decision table, and back.", no_args_is_help=True, rich_markup_mode=None
    )
    for name, command in TABLE_COMMANDS.items():
        table.command(name=name)(with_options(command))
    flows.add_typer(table, name="table")
    app.add_typer(flows, name="flows")
