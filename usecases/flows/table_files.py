"""Files of other tools as drafts of flows: decision tables as CSV or XLSX, and back; graphs of JDM."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fivefold.domain.errors import ConfigError
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.foreign.importing import ImportOptions, import_graph
from fivefold.flows.governance.diff import diff_flows
from fivefold.flows.governance.tables import (
    flow_draft_text,
    grid_of_table,
    position_of_table,
    read_flow_table,
    table_at,
)
from fivefold.flows.language import MOST_ROWS, Flow, read_flow
from fivefold.risk.governance.tables.grid import Grid
from fivefold.store.flows.flows import flow_named
from fivefold.usecases.flows.read import text_or_draft, type_of_flow
from fivefold.usecases.flows.review import context_of_text
from fivefold.usecases.portfolio_files.decision_tables import (
    CELLS,
    TableDraft,
    content_of,
    format_of,
    grid_bytes,
    read_grid,
)
from fivefold.usecases.portfolio_files.sent_tables import MEDIA_TYPES, CaseTableFile, TableSent, extra_named, source_of
from fivefold.usecases.shared.context import Context


def flow_table_bytes(flow: Flow, identifier: str, format_: str) -> bytes:
    """Write the rows of a decision table as CSV or as a workbook.

    Raises:
        ConfigError: there is no such step, or the format is read alone.
    """
    position = position_of_table(flow, identifier)
    about = [
        ("flow", flow.name),
        ("content hash", flow.content_hash),
        ("step", identifier),
        ("title", flow.steps[position].title),
        ("", ""),
        ("rows", "Tried from the top; the first that holds gives. Below them otherwise and on_unknown."),
        *CELLS,
    ]
    return grid_bytes(grid_of_table(table_at(flow, position)), format_, about)


def flow_draft_from_table(
    text: str, analysed: AnalysedFlow, identifier: str, path: Path, format_: str | None = None
) -> TableDraft:
    """Make a draft of a flow's *text* in which one decision table has the rows of a file.

    Args:
        text: the text of the flow, as YAML or JSON.
        analysed: the same, with all that it asks.
        identifier: the id of the step.
        path: the path of the file.
        format_: csv or xlsx; by the ending where none is named.

    Raises:
        ConfigError: the file cannot be read, or the text not be changed in place.
        InvalidRulesetError: a cell cannot be read exactly, or does not fit; each is named.
    """
    format_ = format_of(path, format_)
    _refuse_foreign(format_, str(path))
    return _draft(text, analysed, identifier, read_grid(content_of(path), path.name, format_, _MOST_LINES), path.name)


def export_flow_table(context: Context, flow: str, step: str, format_: str, document: str | None) -> CaseTableFile:
    """Write the rows of a decision table of a flow's text, or of its draft, as a CSV or a workbook.

    Raises:
        NotFoundError: there is no such flow, or no draft of it.
        InvalidRulesetError: the text cannot be read, or is of another flow.
        ConfigError: there is no such step, or workbooks cannot be written here.
    """
    return export_text_table(text_or_draft(context, flow, document), step, format_)


def import_flow_table(
    context: Context, flow: str, step: str, table_file: TableSent, document: str | None
) -> TableDraft:
    """Return a flow's text, or its draft, in which one decision table has the rows of a file; nothing is stored.

    Raises:
        NotFoundError: there is no such flow, or no draft of it.
        InvalidRulesetError: the text cannot be read or is of another flow; or a cell cannot be read exactly, or does
            not fit: each is named.
        ConflictError: the text is about another entity type than the flow.
        ConfigError: the file cannot be read, or not here.
    """
    text = text_or_draft(context, flow, document)
    with context.reading() as session:
        type_of_flow(session, flow_named(session, context.organisation_id, flow), read_flow(text, _TEXT).entity_type)
    return import_text_table(context, text, step, table_file)


def export_text_table(text: str, step: str, format_: str) -> CaseTableFile:
    """Write the rows of a decision table of a text, which may be of a flow that is not saved yet.

    Raises:
        InvalidRulesetError: the text cannot be read.
        ConfigError: there is no such step, or workbooks cannot be written here.
    """
    read = read_flow(text, _TEXT)
    with extra_named():
        content = flow_table_bytes(read, step, format_)
    return CaseTableFile(f"{step}.{format_}", MEDIA_TYPES[format_], content)


def import_text_table(context: Context, text: str, step: str, table_file: TableSent) -> TableDraft:
    """Return a text, also of an unsaved flow, in which one decision table has the rows of a file.

    Raises:
        InvalidRulesetError: the text cannot be read, or is about no entity type of the organisation; or a cell cannot
            be read exactly, or does not fit: each is named.
        ConfigError: the file cannot be read, or not here.
    """
    source, format_ = source_of(table_file)
    _refuse_foreign(format_, source)
    read = read_flow(text, _TEXT)
    analysed = context_of_text(context, read.entity_type).analysed(read)
    analysed.require_usable()
    with extra_named():
        return _draft(text, analysed, step, read_grid(table_file.content, source, format_, _MOST_LINES), source)


_TEXT: Final = "the text"
_MOST_LINES: Final = MOST_ROWS + 3
"""With the header, `otherwise` and `on_unknown`."""


def _refuse_foreign(format_: str, source: str) -> None:
    if format_ not in {"csv", "xlsx"}:
        raise ConfigError(f"{source} is {format_.upper()}; tables of flows are read from CSV and XLSX")


def _draft(text: str, analysed: AnalysedFlow, identifier: str, grid: Grid, source: str) -> TableDraft:
    flow = analysed.flow
    changed = read_flow_table(grid, analysed, identifier, source)
    draft = flow_draft_text(text, flow, changed, position_of_table(flow, identifier), source)
    return TableDraft(draft, diff_flows(flow, changed), changed.content_hash == flow.content_hash)


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
        document: the text of the flow, with the notes as comments above it.
        content_hash: of the flow.
        steps: how many it has.
        inputs: the fields of the flow that are inputs of the graph, by their names in it.
        notes: how its meaning differs from JDM, which inputs are renamed, and what each end answers.
    """

    document: str
    content_hash: str
    steps: int
    inputs: Mapping[str, str]
    notes: tuple[str, ...]


def import_flow_graph(context: Context, graph_file: GraphSent) -> GraphTaken:
    """Return the text of a flow that decides as a graph of JDM does, with the levels of the organisation.

    Raises:
        InvalidRulesetError: flows cannot say exactly what the graph says, each part by its node, row and cell; or the
            flow has no name that it may have, or the organisation has no such entity type.
        ConfigError: the file is not a graph of JDM.
        ConflictError: the organisation has not chosen its levels yet.
    """
    if not graph_file.content:
        raise ConfigError(f"{graph_file.name} is empty")
    around = context_of_text(context, graph_file.entity_type).around
    wanted = ImportOptions(
        name=graph_file.flow,
        entity_type=graph_file.entity_type,
        levels=around.levels,
        fields=around.fields["fields"],
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
