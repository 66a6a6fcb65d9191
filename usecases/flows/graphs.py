"""Graphs of JDM that a page or a program sends: as the text of a flow, which is saved where a person wants that."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fivefold.domain.errors import ConfigError
from fivefold.flows.foreign.importing import ImportOptions, import_graph
from fivefold.usecases.flows.review import context_of_text
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class GraphSent:
    """A graph that was sent.

    Attributes:
        name: of the file.
        content: its bytes.
        flow: what the flow is to be called.
        entity_type: what it decides about.
        names: what inputs of the graph are here, fields or inputs as in the header of a decision table.
        kinds: what inputs of the graph are, where their use does not tell: number, text or flag.
    """

    name: str
    content: bytes
    flow: str
    entity_type: str
    names: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GraphTaken:
    """A graph as the text of a flow; nothing of it is stored.

    Attributes:
        document: the text, with what is to be known above it.
        content_hash: of the flow.
        steps: how many it has.
        inputs: the fields of the flow that are inputs of the graph, by their names in it.
        notes: what means something else in JDM, and what stands where.
    """

    document: str
    content_hash: str
    steps: int
    inputs: Mapping[str, str]
    notes: tuple[str, ...]


def import_flow_graph(context: Context, graph_file: GraphSent) -> GraphTaken:
    """Give the text of a flow that decides as a graph of JDM does, with the levels of the organisation.

    Raises:
        InvalidRulesetError: flows cannot say exactly what the graph says, each part by its node, row and cell; or the
            flow has no name that it may have, or the organisation has no such entity type.
        ConfigError: the file is no graph of JDM.
        ConflictError: the organisation has not chosen its levels yet.
    """
    if not graph_file.content:
        raise ConfigError(f"{graph_file.name} is empty")
    wanted = ImportOptions(
        name=graph_file.flow,
        entity_type=graph_file.entity_type,
        levels=context_of_text(context, graph_file.entity_type).around.levels,
        names=graph_file.names,
        kinds=graph_file.kinds,
        names_called="names",
        kinds_called="kinds",
    )
    result = import_graph(graph_file.content, graph_file.name, wanted)
    flow = result.analysed.flow
    return GraphTaken(
        document=result.text,
        content_hash=flow.content_hash,
        steps=len(flow.steps),
        inputs=result.inputs,
        notes=result.notes,
    )
