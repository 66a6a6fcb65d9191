"""Graphs of JDM, written short."""

from collections.abc import Mapping, Sequence
from typing import Any

Data = dict[str, Any]


def node(identifier: str, kind: str, content: Data | None = None) -> Data:
    return {"id": identifier, "type": kind, "name": identifier, "content": content or {}}


INPUT, OUTPUT = node("in", "inputNode"), node("out", "outputNode")


def expressions(identifier: str, *pairs: tuple[str, str], **content: Any) -> Data:
    """A node of expressions, each a key and its text."""
    listed = [{"id": f"{identifier}-{at}", "key": key, "value": value} for at, (key, value) in enumerate(pairs)]
    return node(identifier, "expressionNode", {"expressions": listed, **content})


def switch(identifier: str, *conditions: str, **content: Any) -> Data:
    """A choice between ways; its statements are `identifier-0` and so on."""
    statements = [{"id": f"{identifier}-{at}", "condition": each} for at, each in enumerate(conditions)]
    return node(identifier, "switchNode", {"hitPolicy": "first", "statements": statements, **content})


def table(
    identifier: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    rows: Sequence[tuple[Mapping[str, str], Mapping[str, str]]],
    **content: Any,
) -> Data:
    """A decision table; a column of the name "" holds whole conditions."""
    columns = {
        "inputs": [
            {"id": f"i-{name}", "name": name or "condition", **({"field": name} if name else {})} for name in inputs
        ],
        "outputs": [{"id": f"o-{name}", "name": name, "field": name} for name in outputs],
    }
    cells = [
        {
            "_id": str(at),
            **{f"i-{name}": asked.get(name, "") for name in inputs},
            **{f"o-{name}": given[name] for name in outputs if name in given},
        }
        for at, (asked, given) in enumerate(rows)
    ]
    return node(identifier, "decisionTableNode", {"hitPolicy": "first", **columns, "rules": cells, **content})


def graph(nodes: Sequence[Data], ways: Sequence[tuple[str, ...]]) -> Data:
    """A graph; a way is from where, to where, and of a switch by which statement."""
    edges = [
        {
            "id": f"line-{at}",
            "type": "edge",
            "sourceId": way[0],
            "targetId": way[1],
            **({"sourceHandle": way[2]} if len(way) > 2 else {}),
        }
        for at, way in enumerate(ways)
    ]
    return {"contentType": "application/vnd.gorules.decision", "nodes": list(nodes), "edges": edges}
