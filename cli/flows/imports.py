"""`fivefold flows import`: a graph of JDM as the draft of a flow."""

from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.rules.evidence import refuse_the_same, write_draft
from fivefold.cli.terminal import echo, warn
from fivefold.domain.errors import ConfigError
from fivefold.domain.text import count_text


def import_graph_file(
    graph: Annotated[Path, typer.Argument(metavar="GRAPH", help="The graph of JDM, as .json.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The draft that is written.")],
    name: Annotated[str | None, typer.Option("--name", help="What the flow is called; by default as the file.")] = None,
    entity_type: Annotated[str, typer.Option("--entity-type", help="What the flow decides about.")] = "customer",
    levels: Annotated[
        str, typer.Option("--levels", help="The levels of the organisation, lowest first.")
    ] = "low,medium,high,critical",
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="What an input of the graph is here, a field or an input as rules write it: customer.age=age, "
            "turnover='sum: amount, over: 30 days'. Repeat it.",
        ),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", help="What an input is, where its use does not tell: country=text, number or flag. Repeat it."
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a draft that is there.")] = False,
) -> None:
    """Write the draft of a flow that decides as a graph of JDM does, or say all that flows cannot say exactly."""
    from fivefold.flows.foreign.importing import ImportOptions, checked_kinds, flow_name_of, import_graph
    from fivefold.usecases.portfolio_files.decision_tables import content_of
    from fivefold.usecases.portfolio_files.sent_tables import column_pair

    refuse_the_same(graph, output, "the graph itself")
    if output.exists() and not replace:
        raise ConfigError(f"{output} is there already; --replace takes its place")
    wanted = ImportOptions(
        name=flow_name_of(graph.name) if name is None else name,
        entity_type=entity_type,
        levels=tuple(each.strip() for each in levels.split(",")),
        names=dict(column_pair(each, "--map") for each in names or []),
        kinds=checked_kinds(dict(column_pair(each, "--kind") for each in kinds or []), "--kind"),
    )
    graph_import = import_graph(content_of(graph), graph.name, wanted)
    write_draft(output, graph_import.text)
    for note in graph_import.notes:
        warn(note)
    for finding in graph_import.left:
        echo(f"left to say: {finding}")
    steps = count_text(len(graph_import.analysed.flow.steps), "step")
    echo(f"The draft is {output}, {steps}; nothing is in force. Try it: fivefold flows lint {output}")
