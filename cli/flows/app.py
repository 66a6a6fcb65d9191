"""`fivefold flows`: lint, compare, test and run decision flows on files; the table of its commands."""

from fivefold.cli.flows import documents, run
from fivefold.cli.parameters import command_group

FLOWS = command_group(
    "Decision flows as files: lint, diff, test, run.",
    {
        "lint": documents.lint_flows,
        "diff": documents.diff_flow_files,
        "test": documents.run_flow_tests,
        "draw": documents.draw_flow,
        "mutate": documents.mutate_flow_file,
        "run": run.run_flow_on_files,
        "import": documents.import_graph_file,
        "schema": documents.print_flow_schema,
        "table": command_group(
            "Export and import the rows of a flow's decision table.",
            {
                "export": documents.export_flow_table,
                "import": documents.import_flow_table,
            },
        ),
    },
)
