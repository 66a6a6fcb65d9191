"""A whole graph of JDM: its nodes, and what is wrong with how they are joined."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fivefold.domain.errors import ConfigError, Finding
from fivefold.risk.governance.tables.foreign.jdm import MOST_NODES, graph_of, listed

INPUT, OUTPUT, TABLE, EXPRESSION, SWITCH = (
    "inputNode",
    "outputNode",
    "decisionTableNode",
    "expressionNode",
    "switchNode",
)
"""The types of nodes that are read."""
_INSTEAD: Final = {
    "functionNode": "a function in JavaScript is no part of a flow; calculate it in an expression node, or before",
    "decisionNode": "another graph is not read with this one; import it by itself, and ask it by a step `flow`",
    "customNode": "a node of one's own is no part of JDM; say what it does by tables, expressions and switches",
}


@dataclass(frozen=True, kw_only=True)
class ForeignNode:
    """A node.

    Attributes:
        identifier: its id.
        name: as people see it.
        kind: its type.
        content: what it does.
        ways: the ids of the nodes to which it leads, by the statement of a switch; "" for all other nodes.
        raw: as it is written.
    """

    identifier: str
    name: str
    kind: str
    content: Mapping[str, Any]
    description: str
    raw: Mapping[str, Any]
    ways: dict[str, list[str]] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Name it in messages."""
        return f"node {self.identifier}" if self.name == self.identifier else f"node {self.identifier} ({self.name})"

    @property
    def schema(self) -> Any:
        """Give the schema of an input; nothing where it has none that can be read."""
        schema = self.content.get("schema")
        try:
            return json.loads(schema) if isinstance(schema, str) else schema or {}
        except (ValueError, RecursionError):
            return {}

    @property
    def passes(self) -> bool:
        """Tell whether it gives on what came to it, besides what it gives itself."""
        return self.content.get("passThrough") is True or self.kind in {INPUT, SWITCH, OUTPUT}


@dataclass(frozen=True)
class Graph:
    """A graph.

    Attributes:
        nodes: by their ids, in the order written.
        begins: the input; None where there is none, or where the ways cannot be followed.
        findings: what is wrong with how they are joined.
    """

    nodes: Mapping[str, ForeignNode]
    begins: ForeignNode | None
    findings: tuple[Finding, ...]


def read_graph(content: bytes, source: str) -> Graph:
    """Read a graph of JDM; ConfigError where it is none. What flows cannot say of its ways is kept as findings."""
    data = graph_of(content, source)
    raw_nodes, raw_edges = (listed(data, word, source) for word in ("nodes", "edges"))
    if len(raw_nodes) + len(raw_edges) > MOST_NODES:
        raise ConfigError(f"{source} has more than {MOST_NODES} nodes and lines")
    findings: list[Finding] = []
    nodes: dict[str, ForeignNode] = {}
    for number, raw in enumerate(raw_nodes, 1):
        node = _node(raw)
        if node is None:
            findings.append(Finding(f"node {number}", "must be an object with `id` and `type`"))
        elif node.identifier in nodes:
            findings.append(Finding(node.where, "is there twice; each node has an id of its own"))
        else:
            nodes[node.identifier] = node
    findings += _join(nodes, raw_edges)
    for node in nodes.values():
        findings += _ways_of(node)
    begins, wrong = _beginning(nodes)
    return Graph(nodes, begins, (*findings, *wrong))


def _beginning(nodes: Mapping[str, ForeignNode]) -> tuple[ForeignNode | None, list[Finding]]:
    """Give the input, where the ways from it can be followed; and what keeps them from that."""
    findings: list[Finding] = []
    inputs = [node for node in nodes.values() if node.kind == INPUT]
    if len(inputs) != 1:
        names = ", ".join(node.where for node in inputs) or "none"
        findings.append(Finding("the graph", f"must have one input ({INPUT}); there are {names}"))
    circle = _circle(nodes)
    if circle is not None:
        findings.append(Finding(circle.where, "leads back to itself; a run of a flow goes on to later steps only"))
    if findings:
        return None, findings
    reached = _reached(nodes, inputs[0])
    far = [node for node in nodes.values() if node.identifier not in reached]
    return inputs[0], [Finding(node.where, "is not reached from the input; take it out, or join it") for node in far]


def _node(raw: Any) -> ForeignNode | None:
    if not isinstance(raw, dict) or not all(isinstance(raw.get(word), str) and raw[word] for word in ("id", "type")):
        return None
    content = raw.get("content")
    name, description = raw.get("name"), raw.get("description")
    return ForeignNode(
        identifier=raw["id"],
        name=name if isinstance(name, str) and name.strip() else raw["id"],
        kind=raw["type"],
        content=content if isinstance(content, dict) else {},
        description=description if isinstance(description, str) else "",
        raw=raw,
        ways={},
    )


def _join(nodes: Mapping[str, ForeignNode], edges: Sequence[Any]) -> Iterator[Finding]:
    """Write the ways into the nodes; find lines that join nothing."""
    for number, edge in enumerate(edges, 1):
        joins = edge if isinstance(edge, dict) else {}
        ends: list[Any] = [joins.get(word) for word in ("sourceId", "targetId")]
        if not all(isinstance(end, str) and end in nodes for end in ends):
            yield Finding(f"line {number}", f"leads from {ends[0]!r} to {ends[1]!r}, which are not both nodes")
            continue
        node = nodes[ends[0]]
        handle = str(edge.get("sourceHandle") or "") if node.kind == SWITCH else ""
        node.ways.setdefault(handle, []).append(ends[1])


def _ways_of(node: ForeignNode) -> Iterator[Finding]:
    """Find a node that leads to nothing, or to several at once."""
    for targets in node.ways.values():
        if len(targets) > 1:
            problem = f"leads to {', '.join(targets)} at once; a run of a flow goes one way: set these one behind the "
            yield Finding(node.where, f"{problem}other, each with passThrough")
    if node.kind == OUTPUT and node.ways:
        yield Finding(node.where, "leads on; an output is the end")
    elif node.kind in _INSTEAD or node.kind not in {INPUT, OUTPUT, TABLE, EXPRESSION, SWITCH}:
        instead = _INSTEAD.get(node.kind, f"read are {INPUT}, {TABLE}, {EXPRESSION}, {SWITCH} and {OUTPUT}")
        yield Finding(node.where, f"is a {node.kind}: {instead}")
    elif node.kind != OUTPUT and not node.ways:
        yield Finding(node.where, f"leads nowhere; join it to an output ({OUTPUT})")


def _circle(nodes: Mapping[str, ForeignNode]) -> ForeignNode | None:
    """Find a node from which a way leads back to it."""
    done: set[str] = set()
    for first in nodes:
        path: list[tuple[str, list[str]]] = [(first, _targets(nodes[first]))] if first not in done else []
        on_path = {first}
        while path:
            name, targets = path[-1]
            if not targets:
                path.pop()
                on_path.discard(name)
                done.add(name)
                continue
            target = targets.pop()
            if target in on_path:
                return nodes[target]
            if target not in done:
                path.append((target, _targets(nodes[target])))
                on_path.add(target)
    return None


def _reached(nodes: Mapping[str, ForeignNode], begins: ForeignNode) -> set[str]:
    identifiers, waiting = {begins.identifier}, [begins.identifier]
    while waiting:
        for target in _targets(nodes[waiting.pop()]):
            if target not in identifiers:
                identifiers.add(target)
                waiting.append(target)
    return identifiers


def _targets(node: ForeignNode) -> list[str]:
    return [target for targets in node.ways.values() for target in targets]
