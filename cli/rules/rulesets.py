"""`fivefold rules lint`, `diff`, `schema`, `table`: rulesets by themselves, before anyone is assessed by them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.lint import AllOption, LintFormat, LintFormatOption, StrictOption, write_findings
from fivefold.cli.rules.evidence import JsonOption, OutputOption, ReplaceOption, show_difference, write_draft
from fivefold.cli.rules.options import ListsOption, RulesetArgument
from fivefold.cli.terminal import echo, warn
from fivefold.domain.text import count_text

RulesetsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="RULESET...", help="Files of rulesets or policies (YAML or JSON), or names of shipped rulesets."
    ),
]
BeforeArgument = Annotated[str, typer.Argument(metavar="A", help="A ruleset's file, or the name of one that ships.")]
AfterArgument = Annotated[str, typer.Argument(metavar="B", help="The version to compare it with.")]


def lint(
    rulesets: RulesetsArgument,
    lists: ListsOption = None,
    every: AllOption = False,
    strict: StrictOption = False,
    format_: LintFormatOption = LintFormat.TEXT,
) -> None:
    """Find what is wrong or doubtful in rulesets and policies. The exit code is 1 if one cannot be used."""
    from fivefold.risk.governance.reports.lint import LintReport
    from fivefold.usecases.portfolio_files.bundled import lint_file, lists_with

    lists_by_name = lists_with(lists)
    report = LintReport({source: lint_file(source, lists_by_name, notes=every) for source in rulesets})
    write_findings(report, "file", format_, strict=strict)


def diff_files(
    before: BeforeArgument,
    after: AfterArgument,
    json: JsonOption = None,
) -> None:
    """Show everything that changes from A to B: rules, cases, points, floors, thresholds, weights, wording."""
    from fivefold.risk.governance.diff import diff
    from fivefold.risk.language.reading import read_ruleset
    from fivefold.usecases.portfolio_files.bundled import ruleset_text

    difference = diff(*(read_ruleset(ruleset_text(source), source) for source in (before, after)))
    show_difference("diff", difference, json)


def schema(
    policy: Annotated[
        bool, typer.Option("--policy", help="Print the schema of policies, which decide on transactions.")
    ] = False,
) -> None:
    """Print the JSON Schema of rulesets. With it, an editor completes words and marks mistakes."""
    from fivefold.risk.language.policy import Policy
    from fivefold.risk.language.ruleset import Ruleset
    from fivefold.risk.language.schema import schema_json

    typer.echo(schema_json(Policy if policy else Ruleset), nl=False)


RuleArgument = Annotated[str, typer.Argument(metavar="RULE", help="The id of the rule.")]


class WrittenFormat(StrEnum):
    """What a file of a decision table can be written as."""

    CSV = "csv"
    XLSX = "xlsx"


class ReadFormat(StrEnum):
    """What a file of a decision table can be."""

    CSV = "csv"
    XLSX = "xlsx"
    JDM = "jdm"
    DMN = "dmn"


_FORMAT = "Format of the file; by default its ending decides."
ToOption = Annotated[Path, typer.Option("--output", "-o", "--to", help="The table to write, .csv or .xlsx.")]
FormatOption = Annotated[WrittenFormat | None, typer.Option("--format", help=_FORMAT)]


def export_table(
    path: RulesetArgument,
    rule: RuleArgument,
    to: ToOption,
    format_: FormatOption = None,
    replace: ReplaceOption = False,
) -> None:
    """Write the cases of a rule as a decision table: one row each, in the order in which they are tried."""
    from fivefold.usecases.portfolio_files.bundled import load_ruleset
    from fivefold.usecases.portfolio_files.decision_tables import format_of, table_bytes

    analysed = load_ruleset(path)
    analysed.require_usable()
    content = table_bytes(analysed.ruleset, rule, format_of(to, format_))
    write_draft(to, content, replace=replace)
    echo(f"{count_text(len(analysed.ruleset.rule(rule).cases), 'case')} of {rule} in {to}")


def import_table(
    path: RulesetArgument,
    rule: RuleArgument,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="The decision table.")],
    output: OutputOption,
    format_: Annotated[ReadFormat | None, typer.Option("--format", help=_FORMAT)] = None,
    name: Annotated[
        str | None, typer.Option("--table", help="Name of the table in a JDM graph or a DMN model.")
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="An input or output of JDM or DMN and our name, such as customer.land=country or risk=points; "
            "note=- leaves it out. Repeatable.",
        ),
    ] = None,
    lists: ListsOption = None,
    replace: ReplaceOption = False,
) -> None:
    """Write a draft in which a rule has the cases of a decision table. Nothing is put in force."""
    from fivefold.usecases.portfolio_files.bundled import lists_with, ruleset_text
    from fivefold.usecases.portfolio_files.decision_tables import Foreign, draft_from_table, format_of
    from fivefold.usecases.portfolio_files.sent_tables import column_pair

    foreign = Foreign(name, dict(column_pair(each, "--map") for each in names or []))
    lists_by_name = lists_with(lists)
    draft = draft_from_table(ruleset_text(path), path, rule, table, format_of(table, format_), foreign, lists_by_name)
    write_draft(output, draft.text, replace=replace)
    for line in draft.changes.lines():
        echo(line)
    for note in draft.notes:
        warn(note)
    if draft.is_same:
        echo(f"The table has the same content as the ruleset: {output} has the same content hash.")
    else:
        lists_option = "" if lists is None else f" --lists {lists}"
        echo(f"The draft is {output}; it is not in force. Try it: fivefold rules test {output}{lists_option}")
