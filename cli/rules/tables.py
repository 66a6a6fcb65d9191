"""`fivefold rules table export` and `import`: the cases of a rule as a decision table for a spreadsheet, and back."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.rules.evidence import OutputOption, ReplaceOption, write_draft
from fivefold.cli.rules.options import ListsOption, RulesetArgument
from fivefold.cli.terminal import echo, warn
from fivefold.domain.text import count_text

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


_FORMAT = "What the file is; by its ending without this."
ToOption = Annotated[Path, typer.Option("--to", help="The table that is written, as .csv or .xlsx.")]
FormatOption = Annotated[WrittenFormat | None, typer.Option("--format", help=_FORMAT)]


def export_table(
    path: RulesetArgument,
    rule: RuleArgument,
    to: ToOption,
    format_: FormatOption = None,
    replace: ReplaceOption = False,
) -> None:
    """Write the cases of a rule as a decision table: a row each, in the order in which they are tried."""
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
        str | None, typer.Option("--table", help="Which table of a JDM graph or a DMN model, by its name.")
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="What an input or output of JDM or DMN is here, such as customer.land=country, risk=points or note=-, "
            "which leaves it out. Repeat it.",
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
        echo(f"The table says what the ruleset says: {output} has the same content hash.")
    else:
        lists_option = "" if lists is None else f" --lists {lists}"
        echo(f"The draft is {output}; nothing is in force. Try it: fivefold rules test {output}{lists_option}")
