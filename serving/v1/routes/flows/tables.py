"""Files of flows over HTTP: the rows of a step as a CSV or a workbook and back, and a graph of JDM as a text."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.routes.flows.flows import FlowReview, StepName
from fivefold.serving.v1.routes.rulesets.rulesets import RulesetChange, TextPlace
from fivefold.serving.v1.routes.rulesets.tables import ColumnName, Written, content_given, content_told
from fivefold.serving.v1.schemas import RequestModel, ResponseModel, Text
from fivefold.usecases.flows.review import check_flow
from fivefold.usecases.flows.table_files import GraphSent, export_flow_table, import_flow_graph, import_flow_table
from fivefold.usecases.portfolio_files.sent_tables import MOST_PAIRS, TableSent


class FlowTableWanted(RequestModel):
    """The id of a step that is a decision table, the format, and the flow's text; null for the draft that is saved."""

    step: StepName
    format: Written = "csv"
    document: Text | None = None


class FlowTableWritten(ResponseModel):
    """The rows of a decision table. `content` is the text of a CSV; of a workbook it is its bytes in Base64."""

    step: str
    format: Written
    file: str
    content: str


class FlowTableGiven(RequestModel):
    """A file with the rows of a decision table.

    `content` is its text; of a workbook it is its bytes in Base64. `document` is the flow's text, null for the draft
    that is saved.
    """

    step: StepName
    format: Written
    content: Text
    document: Text | None = None


class FlowTableTaken(ResponseModel):
    """A text in which the step has the file's rows, and what that changes.

    `is_same`: it says what the text before said. Nothing is stored: `PUT /v1/flows/{flow}/draft` saves it.
    """

    document: str
    is_same: bool
    before_hash: str
    after_hash: str
    changes: list[RulesetChange]


class GraphGiven(RequestModel):
    """A graph of JDM, as the text of its file, and what it does not say of the flow.

    `names`: what its inputs are here, fields or inputs as in the header of a decision table. `kinds`: what they are
    where their use does not say it.
    """

    flow: Text
    content: Text
    entity_type: Text
    names: dict[ColumnName, ColumnName] = Field(default_factory=dict, max_length=MOST_PAIRS)
    kinds: dict[ColumnName, Literal["number", "text", "flag"]] = Field(default_factory=dict, max_length=MOST_PAIRS)


class FlowImported(ResponseModel):
    """The text of a flow that decides as a graph does, and what committing it would say. Nothing is stored.

    `inputs`: its fields that are inputs of the graph, by their names there. `notes`: what means something else in JDM.
    """

    flow: str
    content_hash: str
    steps: int
    document: str
    inputs: Mapping[str, str]
    notes: list[str]
    errors: list[TextPlace]
    warnings: list[TextPlace]


def import_graph(context: RequestContext, body: GraphGiven) -> FlowImported:
    """Give a flow's text that decides as a graph of JDM does, or all that flows cannot say: by node, row and cell."""
    graph = GraphSent(
        name="the graph",
        content=body.content.encode(),
        flow=body.flow,
        entity_type=body.entity_type,
        names=body.names,
        kinds=body.kinds,
    )
    imported_flow = import_flow_graph(context, graph)
    review = FlowReview.of(check_flow(context, imported_flow.document))
    return FlowImported(
        flow=body.flow,
        content_hash=imported_flow.content_hash,
        steps=imported_flow.steps,
        document=imported_flow.document,
        inputs=imported_flow.inputs,
        notes=list(imported_flow.notes),
        errors=review.errors,
        warnings=review.warnings,
    )


def write_flow_table(context: RequestContext, flow: Text, body: FlowTableWanted) -> FlowTableWritten:
    """Write the rows of one decision table: a row each, in the order in which they are tried."""
    table = export_flow_table(context, flow, body.step, body.format, body.document)
    content = content_told(table, body.format)
    return FlowTableWritten(step=body.step, format=body.format, file=table.name, content=content)


def read_flow_table(context: RequestContext, flow: Text, body: FlowTableGiven) -> FlowTableTaken:
    """Read a file into a text: one decision table gets its rows. Each cell that cannot be read exactly is named."""
    content = content_given(body.content, body.format)
    table = TableSent(name=f"table.{body.format}", content=content, format=body.format)
    imported_table = import_flow_table(context, flow, body.step, table, body.document)
    return FlowTableTaken(
        document=imported_table.text,
        is_same=imported_table.is_same,
        before_hash=imported_table.changes.before_hash,
        after_hash=imported_table.changes.after_hash,
        changes=[RulesetChange.of(change) for change in imported_table.changes.changes],
    )
