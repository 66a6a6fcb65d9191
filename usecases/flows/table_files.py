"""Decision tables of flows as files: the rows of a step to CSV or XLSX, and from these to a draft."""

from dataclasses import dataclass
from pathlib import Path

from fivefold.domain.errors import ConfigError
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.governance.diff import diff_flows
from fivefold.flows.governance.tables import (
    flow_draft_text,
    grid_of_table,
    position_of_table,
    read_flow_table,
    table_at,
)
from fivefold.flows.language import MOST_ROWS, Flow
from fivefold.risk.governance.differences import DocumentDifference
from fivefold.usecases.portfolio_files.decision_tables import CELLS, content_of, format_of, grid_bytes, read_grid


@dataclass(frozen=True)
class FlowTableDraft:
    """A draft that was made from a table.

    Attributes:
        text: of the draft.
        changes: from the flow to the draft.
        is_same: the draft says what the flow says.
    """

    text: str
    changes: DocumentDifference
    is_same: bool


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
) -> FlowTableDraft:
    """Make a draft of a flow's *text* in which one decision table has the rows of a file.

    Args:
        text: of the flow, as YAML or JSON.
        analysed: the same, with all that it asks.
        identifier: the id of the step.
        path: of the file.
        format_: csv or xlsx; by the ending where none is named.

    Raises:
        ConfigError: the file cannot be read, or the text not be changed in place.
        InvalidRulesetError: a cell cannot be read exactly, or does not fit; each is named.
    """
    format_ = format_of(path, format_)
    if format_ not in {"csv", "xlsx"}:
        raise ConfigError(f"{path} is {format_.upper()}; tables of flows are read from CSV and XLSX")
    flow = analysed.flow
    grid = read_grid(content_of(path), path.name, format_, MOST_ROWS + 3)
    changed = read_flow_table(grid, analysed, identifier, path.name)
    draft = flow_draft_text(text, flow, changed, position_of_table(flow, identifier), path.name)
    return FlowTableDraft(draft, diff_flows(flow, changed), changed.content_hash == flow.content_hash)
