"""`fivefold flows table export` and `import`: a decision table for a spreadsheet, and back."""

from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.flows.documents import AsksOption, FlowArgument
from fivefold.cli.rules.evidence import OutputOption, refuse_the_same, write_draft
from fivefold.cli.rules.tables import FormatOption, ToOption
from fivefold.cli.terminal import echo
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.domain.text import count_text

StepArgument = Annotated[str, typer.Argument(metavar="STEP", help="The id of a step that is a decision table.")]


def export_flow_table(flow: FlowArgument, step: StepArgument, to: ToOption, format_: FormatOption = None) -> None:
    """Write the rows of a flow's decision table: a row each, in the order in which they are tried."""
    from fivefold.flows.governance.tables import position_of_table, table_at
    from fivefold.flows.language import read_flow
    from fivefold.usecases.flows.asked_files import flow_text
    from fivefold.usecases.flows.table_files import flow_table_bytes
    from fivefold.usecases.portfolio_files.decision_tables import format_of

    read = read_flow(flow_text(flow), flow)
    content = flow_table_bytes(read, step, format_of(to, format_))
    with replacing(to) as unfinished:
        unfinished.write_bytes(content)
    echo(f"{count_text(len(table_at(read, position_of_table(read, step)).rows), 'row')} of {step} in {to}")


def import_flow_table(
    flow: FlowArgument,
    step: StepArgument,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="The decision table, as .csv or .xlsx.")],
    output: OutputOption,
    format_: FormatOption = None,
    asks: AsksOption = None,
) -> None:
    """Write a draft in which a step has the rows of a decision table. Nothing is put in force."""
    from fivefold.usecases.flows.asked_files import flow_text
    from fivefold.usecases.flows.on_files import load_flow
    from fivefold.usecases.flows.table_files import flow_draft_from_table

    refuse_the_same(flow, output, "the flow itself")
    if output.exists() and table.exists() and output.samefile(table):
        raise ConfigError(f"--output is {output}, the table itself; a draft is another file")
    draft = flow_draft_from_table(flow_text(flow), load_flow(flow, asks or ()), step, table, format_)
    write_draft(output, draft.text)
    for line in draft.changes.lines():
        echo(line)
    if draft.is_same:
        echo(f"The table says what the flow says: {output} has the same content hash.")
    else:
        echo(f"The draft is {output}; nothing is in force. Try it: fivefold flows test {output}")
