"""`fivefold rules`: what a compliance team does with rulesets, on files; the table of its commands."""

from fivefold.cli.parameters import command_group
from fivefold.cli.rules import assess, examples, governance, proposals, rulesets, what_if

RULES = command_group(
    "Rulesets as files: lint, test, apply, compare.",
    {
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
        "table": command_group(
            "Export and import the cases of a rule as a decision table.",
            {"export": rulesets.export_table, "import": rulesets.import_table},
        ),
    },
)
