"""Files in the editor of a flow: export and import of its decision tables, and a JDM graph as its text."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from fivefold.console.rulesets.tables import EditorTables, sent_file, with_document
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.flows.foreign.importing import checked_kinds, flow_name_of
from fivefold.usecases.flows.read import read_flow_line
from fivefold.usecases.flows.table_files import GraphSent, export_text_table, import_flow_graph, import_text_table
from fivefold.usecases.portfolio_files.sent_tables import column_pairs


@dataclass(frozen=True, kw_only=True)
class GraphRead:
    """The outcome of reading a JDM graph.

    Attributes:
        file: its name.
        steps: the number of steps of the new flow.
        notes: what has another meaning in JDM, and the place of each part.
        faults: what a flow cannot express exactly, each with its node, row and cell; any fault stops the import.
    """

    file: str
    steps: int = 0
    notes: tuple[str, ...] = ()
    faults: tuple[Finding, ...] = ()


def read_graph(visit: Visit, show: Callable[[Visit, GraphRead], Rendered]) -> Rendered:
    """Read a JDM graph as the text of a flow, and show it; nothing is stored.

    ConfigError if there is no file, or it is not JDM; what a flow cannot express exactly is shown.
    """
    named = None if "flow" not in visit.parts else read_flow_line(visit, visit.parts["flow"])
    file = sent_file(visit)
    kinds = column_pairs(visit.form.get("graph_kinds", ""), text("a kind"))
    graph = GraphSent(
        name=file.name,
        content=file.content,
        flow=visit.form.get("graph_flow", "").strip() or flow_name_of(file.name) if named is None else named.name,
        entity_type=visit.typed("graph_type", text("Entity type")) if named is None else named.entity_type,
        names=column_pairs(visit.form.get("graph_names", ""), text("an input")),
        kinds=checked_kinds(kinds, text("the kind of")),
    )
    try:
        imported_flow = import_flow_graph(visit, graph)
    except InvalidRulesetError as wrong:
        return replace(show(visit, GraphRead(file=file.name, faults=tuple(wrong.findings))), status=422)
    return show(
        with_document(visit, imported_flow.document),
        GraphRead(file=file.name, steps=imported_flow.steps, notes=imported_flow.notes),
    )


def _require_flow(visit: Visit) -> None:
    if "flow" in visit.parts:
        read_flow_line(visit, visit.parts["flow"])


TABLES: Final = EditorTables(_require_flow, export_text_table, import_text_table)
"""Export and import of the rows of a flow's decision tables."""
