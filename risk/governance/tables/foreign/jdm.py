"""Decision tables of JDM, the JSON decision model of GoRules and its zen engine."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import why_unreadable
from fivefold.features.reading.json_lines import once
from fivefold.risk.governance.tables.foreign.translation import ForeignRow, ForeignTable
from fivefold.risk.governance.tables.foreign.unary import System

_TABLE, _INPUT, _OUTPUT = "decisionTableNode", "inputNode", "outputNode"
MOST_NODES = 1000
"""Largest number of nodes, and of edges, of a graph that is read."""


def read_jdm(content: bytes, source: str, name: str | None = None) -> ForeignTable:
    """Read one decision table of a graph.

    Args:
        content: the file.
        source: the name of the file in messages.
        name: the name of the table; without it the graph must have exactly one.

    Raises:
        ConfigError: the file is not JDM, or the meaning of the table depends on other nodes of the graph.
    """
    graph = graph_of(content, source)
    nodes = [node for node in listed(graph, "nodes", source) if isinstance(node, dict)]
    edges = [edge for edge in listed(graph, "edges", source) if isinstance(edge, dict)] if "edges" in graph else []
    if len(nodes) + len(edges) > MOST_NODES:
        raise ConfigError(f"{source} has more than {MOST_NODES} nodes and lines")
    tables = {_name(node): node for node in nodes if node.get("type") == _TABLE}
    if name is not None and name not in tables:
        raise ConfigError(f"{source} has no decision table {name}; there are {', '.join(tables) or 'none'}")
    names = [_name(node) for node in nodes if node.get("type") == _TABLE]
    if len(tables) < len(names):
        raise ConfigError(f"{source} has several decision tables of one name: {', '.join(names)}; give each its own")
    if name is None and len(tables) != 1:
        others = sorted({str(node.get("type")) for node in nodes})
        hint = (
            f"say which by --table: {', '.join(tables)}" if tables else f"its nodes are {', '.join(others) or 'none'}"
        )
        raise ConfigError(f"{source} must have one decision table ({_TABLE}), and has {len(tables)}; {hint}")
    node = next(iter(tables.values())) if name is None else tables[name]
    _look_around(node, nodes, edges, source)
    return table_of(node, source)


def graph_of(content: bytes, source: str) -> dict[str, Any]:
    """Read the file of a graph; raise ConfigError if it is not one."""
    try:
        graph = json.loads(content, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source} cannot be read as JSON: {why_unreadable(error)}") from None
    if not isinstance(graph, dict):
        raise ConfigError(f"{source} is not JDM: it must be an object with `nodes` and `edges`")
    return graph


def listed(part: Mapping[str, Any], word: str, source: str) -> list[Any]:
    """Return a list of a part of a graph; raise ConfigError if it has none."""
    items = part.get(word)
    if not isinstance(items, list):
        raise ConfigError(f"{source} is not JDM: `{word}` must be a list")
    return items


def _name(node: Mapping[str, Any]) -> str:
    return str(node.get("name") or node.get("id") or "the table")


def _look_around(node: Any, nodes: Sequence[Any], edges: Sequence[Any], source: str) -> None:
    """Refuse a table whose inputs come from other nodes, or whose outputs go into others."""
    for part, word in ((each, word) for each in (*nodes, *edges) for word in ("id", "sourceId", "targetId")):
        if isinstance(part.get(word), dict | list):
            raise ConfigError(f"{source} is not JDM: a node or a line has {word} {part[word]!r}; it must be a text")
    by_id = {each.get("id"): each for each in nodes}
    for near, far, kind, what in (
        ("targetId", "sourceId", _INPUT, "which may change what it reads"),
        ("sourceId", "targetId", _OUTPUT, "which may change what it gives"),
    ):
        for edge in edges:
            other = by_id.get(edge.get(far))
            if edge.get(near) != node.get("id") or other is None or other.get("type") == kind:
                continue
            raise ConfigError(
                f"{source}: the table {_name(node)} is joined to the node {_name(other)} ({other.get('type')}), "
                f"{what}; only tables between the graph's input and output are read"
            )


def table_of(node: Mapping[str, Any], source: str) -> ForeignTable:
    """Read the decision table of a node; raise ConfigError if it is not one that returns a single row."""
    content, name = node.get("content"), _name(node)
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: the table {name} has no content")
    policy = content.get("hitPolicy", "first")
    if policy != "first":
        raise ConfigError(
            f"{source}: the table {name} has the hit policy {policy}, which gives several rows; a rule gives "
            "one, as first does"
        )
    for word, plain in (("inputField", ""), ("executionMode", "single")):
        if (content.get(word) or plain) != plain:
            problem = f"has {word} {content[word]!r}, which rules cannot say"
            raise ConfigError(f"{source}: the table {name} {problem}")
    inputs, outputs = (_columns(content, word, name, source) for word in ("inputs", "outputs"))
    rows = []
    for number, row in enumerate(listed(content, "rules", source), 1):
        if not isinstance(row, dict):
            raise ConfigError(f"{source}: {name}, row {number} is not an object")
        title = str(row.get("_description") or "")
        cells = [
            [_cell(row.get(identifier), f"{source}: {name}, row {number}") for identifier, _ in columns]
            for columns in (inputs, outputs)
        ]
        rows.append(ForeignRow(tuple(cells[0]), tuple(cells[1]), title))
    names = [tuple(field for _, field in columns) for columns in (inputs, outputs)]
    return ForeignTable(
        system=System.JDM, name=name, hit_policy="FIRST", inputs=names[0], outputs=names[1], rows=tuple(rows)
    )


def _columns(content: Mapping[str, Any], word: str, name: str, source: str) -> list[tuple[str, str]]:
    """Return the id and the field of each column."""
    columns = []
    for column in listed(content, word, source):
        if not isinstance(column, dict) or not isinstance(column.get("id"), str):
            raise ConfigError(f"{source}: the table {name} has a column without an id under `{word}`")
        if column.get("defaultValue"):
            raise ConfigError(f"{source}: the table {name}, column {column.get('name')}: a default value is not read")
        columns.append((column["id"], str(column.get("field") or "").strip()))
    twice = next((field for _, field in columns if [each for _, each in columns].count(field) > 1), None)
    if twice is not None:
        raise ConfigError(f"{source}: the table {name} has two columns of {twice or 'no field'} under `{word}`")
    return columns


def _cell(value: Any, place: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ConfigError(f"{place} has a cell that is not text: {value!r}")
    return value
