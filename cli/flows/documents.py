"""`fivefold flows lint`, `diff`, `test`, `mutate`, `schema`, `table`, `import`: flows before anyone meets them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.lint import (
    AllOption,
    LeastOption,
    LintFormat,
    LintFormatOption,
    SecondsOption,
    StrictOption,
    is_enough,
    show_changes,
    trying_changes,
    write_findings,
)
from fivefold.cli.rules.evidence import (
    JsonOption,
    OutputOption,
    ReplaceOption,
    show_difference,
    write_draft,
)
from fivefold.cli.rules.options import ListsOption
from fivefold.cli.rules.rulesets import FormatOption, ToOption
from fivefold.cli.terminal import FINDINGS, AsOfOption, echo, moment, warn
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.domain.text import count_text

FlowArgument = Annotated[str, typer.Argument(metavar="FLOW", help="A flow's file, or the name of one that ships.")]
FlowsArgument = Annotated[
    list[str], typer.Argument(metavar="FLOW...", help="Files of flows (YAML or JSON), or names of shipped ones.")
]
AsksOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--asks",
        help="The file of a policy, a ruleset or another flow that the flow asks; rulesets and flows that ship are "
        "found by name. Repeatable.",
    ),
]


def lint_flows(
    flows: FlowsArgument,
    asks: AsksOption = None,
    lists: ListsOption = None,
    every: AllOption = False,
    strict: StrictOption = False,
    format_: LintFormatOption = LintFormat.TEXT,
) -> None:
    """Find what is wrong or doubtful in flows. The exit code is 1 if one cannot be used."""
    from fivefold.risk.governance.reports.lint import LintReport
    from fivefold.usecases.flows.asked_files import load_asked
    from fivefold.usecases.flows.on_files import lint_flow_file
    from fivefold.usecases.portfolio_files.bundled import lists_with

    lists_by_name, asked_files = lists_with(lists), load_asked(asks or ())
    report = LintReport({source: lint_flow_file(source, asked_files, lists_by_name, notes=every) for source in flows})
    write_findings(report, "flow", format_, strict=strict)


def diff_flow_files(
    before: Annotated[str, typer.Argument(metavar="A", help="A flow's file, or the name of one that ships.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The version to compare it with.")],
    json: JsonOption = None,
) -> None:
    """Show everything that changes from A to B: steps, ways, rows, actions, examples, and which ends are reached."""
    from fivefold.flows.governance.diff import diff_flows
    from fivefold.flows.language import read_flow
    from fivefold.usecases.flows.asked_files import flow_text

    difference = diff_flows(*(read_flow(flow_text(source), source) for source in (before, after)))
    show_difference("flow diff", difference, json)


def run_flow_tests(
    flow: FlowArgument,
    asks: AsksOption = None,
    lists: ListsOption = None,
    as_of: AsOfOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every step of every example.")] = False,
) -> None:
    """Run a flow's examples.

    It passes if each reaches the end that it expects, and every way is taken by at least one.
    """
    from fivefold.flows.examples import run_flow_examples
    from fivefold.usecases.flows.on_files import load_usable_flow
    from fivefold.usecases.portfolio_files.bundled import lists_with

    loaded, document = load_usable_flow(flow, asks or ())
    results = run_flow_examples(loaded, lists_with(lists), moment(as_of, "--as-of"), document)
    for result in results.results:
        if result.differences or verbose:
            echo(f"{'FAILED' if result.differences else 'passed'}  {result.name}: {result.explanation.line}")
            for step in result.explanation.steps:
                echo(f"        {step.sentence}")
            for difference in result.differences:
                echo(f"        {difference}")
    echo(f"{count_text(len(results.results), 'example')}, {results.failed} failed")
    echo(f"They take {sum(results.ways.values())} of {count_text(len(results.ways), 'way')} ({results.percent:.1f} %)")
    for way in results.missing():
        echo(f"  not taken: {way}")
    echo("passed" if results.passed else "FAILED")
    if not results.passed:
        raise typer.Exit(FINDINGS)


class MutationsFormat(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


def mutate_flow_file(
    flow: FlowArgument,
    asks: AsksOption = None,
    lists: ListsOption = None,
    as_of: AsOfOption = None,
    least: LeastOption = None,
    seconds: SecondsOption = None,
    format_: Annotated[
        MutationsFormat, typer.Option("--format", help="For people, or as JSON.")
    ] = MutationsFormat.TEXT,
) -> None:
    """Change a flow by one step at a time, and show which changes none of its examples notices."""
    from fivefold.flows.governance.mutation import mutate_flow
    from fivefold.risk.governance.reports.lint import report_json
    from fivefold.usecases.flows.on_files import load_usable_flow
    from fivefold.usecases.portfolio_files.bundled import lists_with

    loaded, document = load_usable_flow(flow, asks or ())
    now = moment(as_of, "--as-of")
    with trying_changes(seconds) as (begun, is_over):
        tried = mutate_flow(loaded, lists_with(lists), now, document, begun=begun, is_over=is_over)
    if format_ is MutationsFormat.JSON:
        typer.echo(report_json("mutations", tried), nl=False)
    else:
        show_changes(flow, tried)
    if not is_enough(tried, least):
        raise typer.Exit(FINDINGS)


def draw_flow(
    flow: FlowArgument,
    to: Annotated[Path, typer.Option("--output", "-o", "--to", help="The picture to write, .svg.")],
) -> None:
    """Draw the steps of a flow, and what leads where, as an SVG picture."""
    from fivefold.charts.graphs import graph_picture
    from fivefold.console.flows.graph import picture_of
    from fivefold.flows.language import read_flow
    from fivefold.usecases.flows.asked_files import flow_text

    if to.suffix.lower() != ".svg":
        raise ConfigError(f"cannot draw into {to}: the name must end in .svg")
    read = read_flow(flow_text(flow), flow)
    with replacing(to) as unfinished:
        unfinished.write_text(graph_picture(picture_of(read).plot, read.title), encoding="utf-8")
    echo(f"{count_text(len(read.steps), 'step')} of {read.name} in {to}")


def print_flow_schema() -> None:
    """Print the JSON Schema of flows. With it, an editor completes words and marks mistakes."""
    from fivefold.flows.language import Flow
    from fivefold.risk.language.schema import schema_json

    typer.echo(schema_json(Flow), nl=False)


StepArgument = Annotated[str, typer.Argument(metavar="STEP", help="The id of a step that is a decision table.")]


def export_flow_table(
    flow: FlowArgument,
    step: StepArgument,
    to: ToOption,
    format_: FormatOption = None,
    replace: ReplaceOption = False,
) -> None:
    """Write the rows of a flow's decision table: one row each, in the order in which they are tried."""
    from fivefold.flows.governance.tables import position_of_table, table_at
    from fivefold.flows.language import read_flow
    from fivefold.usecases.flows.asked_files import flow_text
    from fivefold.usecases.flows.table_files import flow_table_bytes
    from fivefold.usecases.portfolio_files.decision_tables import format_of

    read = read_flow(flow_text(flow), flow)
    content = flow_table_bytes(read, step, format_of(to, format_))
    write_draft(to, content, replace=replace)
    echo(f"{count_text(len(table_at(read, position_of_table(read, step)).rows), 'row')} of {step} in {to}")


def import_flow_table(
    flow: FlowArgument,
    step: StepArgument,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="The decision table, as .csv or .xlsx.")],
    output: OutputOption,
    format_: FormatOption = None,
    asks: AsksOption = None,
    replace: ReplaceOption = False,
) -> None:
    """Write a draft in which a step has the rows of a decision table. Nothing is put in force."""
    from fivefold.usecases.flows.asked_files import flow_text
    from fivefold.usecases.flows.on_files import load_flow
    from fivefold.usecases.flows.table_files import flow_draft_from_table

    draft = flow_draft_from_table(flow_text(flow), load_flow(flow, asks or ()), step, table, format_)
    write_draft(output, draft.text, replace=replace)
    for line in draft.changes.lines():
        echo(line)
    if draft.is_same:
        echo(f"The table has the same content as the flow: {output} has the same content hash.")
    else:
        echo(f"The draft is {output}; it is not in force. Try it: fivefold flows test {output}")


def import_graph_file(
    graph: Annotated[Path, typer.Argument(metavar="GRAPH", help="The JDM graph, a .json file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The draft to write.")],
    name: Annotated[str | None, typer.Option("--name", help="Name of the flow; by default that of the file.")] = None,
    entity_type: Annotated[
        str, typer.Option("--entity-type", help="The type of entity that the flow decides on.")
    ] = "customer",
    levels: Annotated[
        str, typer.Option("--levels", help="The levels of the organisation, lowest first.")
    ] = "low,medium,high,critical",
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="An input of the graph and what it is here, a field or an input as rules write it: "
            "customer.age=age, turnover='sum: amount, over: 30 days'. Repeatable.",
        ),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="The kind of an input, where its use does not show it: country=text, number or flag. Repeatable.",
        ),
    ] = None,
    replace: ReplaceOption = False,
) -> None:
    """Write the draft of a flow that decides as a JDM graph does, or list what a flow cannot express exactly."""
    from fivefold.flows.foreign.importing import ImportOptions, checked_kinds, flow_name_of, import_graph
    from fivefold.usecases.portfolio_files.decision_tables import content_of
    from fivefold.usecases.portfolio_files.sent_tables import column_pair

    wanted = ImportOptions(
        name=flow_name_of(graph.name) if name is None else name,
        entity_type=entity_type,
        levels=tuple(each.strip() for each in levels.split(",")),
        names=dict(column_pair(each, "--map") for each in names or []),
        kinds=checked_kinds(dict(column_pair(each, "--kind") for each in kinds or []), "--kind"),
    )
    graph_import = import_graph(content_of(graph), graph.name, wanted)
    write_draft(output, graph_import.text, replace=replace)
    for note in graph_import.notes:
        warn(note)
    for finding in graph_import.left:
        echo(f"not imported: {finding}")
    steps = count_text(len(graph_import.analysed.flow.steps), "step")
    echo(f"The draft is {output}, {steps}; it is not in force. Try it: fivefold flows lint {output}")
