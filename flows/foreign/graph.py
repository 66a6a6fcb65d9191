"""A JDM graph: its nodes, and the faults of nodes and of the lines between them."""

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
    "functionNode": "flows have no functions in JavaScript; calculate it in an expression node, or before",
    "decisionNode": "another graph is not read with this one; import it by itself, and ask it by a step `flow`",
    "customNode": "JDM itself has no custom nodes; say what it does by tables, expressions and switches",
}


@dataclass(frozen=True, kw_only=True)
class ForeignNode:
    """A node.

    Attributes:
        identifier: the id of the node.
        name: the name that people see; the id if it has none.
        kind: the type of the node, such as `inputNode`.
        content: what it does, as JDM writes it.
        ways: the ids of the nodes it leads to, by the id of a switch's statement; by "" for all other nodes.
        raw: the node as written in the graph.
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
        """The name of the node in messages."""
        return f"node {self.identifier}" if self.name == self.identifier else f"node {self.identifier} ({self.name})"

    @property
    def schema(self) -> Any:
        """The schema of an input node; empty if it has none, or an unreadable one."""
        schema = self.content.get("schema")
        try:
            return json.loads(schema) if isinstance(schema, str) else schema or {}
        except (ValueError, RecursionError):
            return {}

    @property
    def passes(self) -> bool:
        """Whether the node passes on its inputs beside its own outputs."""
        return self.content.get("passThrough") is True or self.kind in {INPUT, SWITCH, OUTPUT}


@dataclass(frozen=True)
class Graph:
    """A graph.

    Attributes:
        nodes: the nodes by id, in the order written.
        begins: the input node; None if the graph has not exactly one, or has a cycle.
        findings: the faults of nodes and of the lines between them.
    """

    nodes: Mapping[str, ForeignNode]
    begins: ForeignNode | None
    findings: tuple[Finding, ...]


def read_graph(content: bytes, source: str) -> Graph:
    """Read a JDM graph; ConfigError if it is not one, or too large. Its other faults become `findings`."""
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
            findings.append(Finding(node.where, "appears twice; each node has an id of its own"))
        else:
            nodes[node.identifier] = node
    findings += _join(nodes, raw_edges)
    for node in nodes.values():
        findings += _ways_of(node)
    begins, wrong = _beginning(nodes)
    return Graph(nodes, begins, (*findings, *wrong))


def _beginning(nodes: Mapping[str, ForeignNode]) -> tuple[ForeignNode | None, list[Finding]]:
    """Return the input node, if the ways from it can be followed, and the faults of these ways."""
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
    """Add the ways to the nodes; find lines that do not connect two nodes."""
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
    """Find a node of an unsupported type, or one that leads nowhere, to several nodes, or on from an output."""
    for targets in node.ways.values():
        if len(targets) > 1:
            problem = f"leads to {', '.join(targets)} at once; a run of a flow goes one way: set these one behind the "
            yield Finding(node.where, f"{problem}other, each with passThrough")
    if node.kind == OUTPUT and node.ways:
        yield Finding(node.where, "leads on; an output is the end")
    elif node.kind in _INSTEAD or node.kind not in {INPUT, OUTPUT, TABLE, EXPRESSION, SWITCH}:
        instead = _INSTEAD.get(
            node.kind, f"nodes that can be read: {INPUT}, {TABLE}, {EXPRESSION}, {SWITCH} and {OUTPUT}"
        )
        yield Finding(node.where, f"is a {node.kind}: {instead}")
    elif node.kind != OUTPUT and not node.ways:
        yield Finding(node.where, f"leads nowhere; join it to an output ({OUTPUT})")


def _circle(nodes: Mapping[str, ForeignNode]) -> ForeignNode | None:
    """Return a node on a cycle; None if the graph has no cycle."""
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
