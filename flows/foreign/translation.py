"""Translation of a JDM graph into the steps of a flow: each node by itself, once for each scope that reaches it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any, Final

from fivefold.domain.errors import ConfigError, Finding
from fivefold.flows.foreign import zen
from fivefold.flows.foreign.graph import EXPRESSION, INPUT, OUTPUT, SWITCH, TABLE, ForeignNode, Graph
from fivefold.flows.foreign.scope import (
    ANYTHING,
    FLAG,
    Condition,
    Facts,
    NodeScope,
    Reader,
    ValueOrigin,
    kind_of,
    shown,
)
from fivefold.flows.foreign.zen import Expression, Literal, Name, read_expression
from fivefold.flows.language import MOST_STEPS
from fivefold.risk.governance.tables.cells import CellError, shown_cell
from fivefold.risk.governance.tables.foreign.jdm import table_of
from fivefold.risk.governance.tables.foreign.translation import ForeignTable
from fivefold.risk.governance.tables.foreign.unary import System, denies, read_unary
from fivefold.risk.language.calculations import OPERATIONS
from fivefold.risk.language.fields import ValueType

Data = dict[str, Any]
NOTHING: Final = "no-answer"
"""The id of the end at which nothing is answered, for runs that take no way of a switch."""
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
_PATH: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Answers:
    """What the graph answers at an end.

    Attributes:
        values: the origin of each value, by name.
        inputs: whether the inputs are answered too, except those with the name of a value.
    """

    values: Mapping[str, ValueOrigin]
    inputs: bool


class TooManyStepsError(Exception):
    """A graph has more steps than a flow may have."""


class Translation:
    """Translates one graph, and collects what has no equivalent.

    Attributes:
        steps: the steps of the flow, in order, as plain data.
        answers: what each end answers, by its id.
        findings: the faults of the graph, and its parts without an equivalent.
        open: the steps that fail a run if a value is missing.
        denied: the places of negated conditions, which in JDM can hold for a missing value.
        copies: how often each node was translated, by its name in messages.
    """

    def __init__(self, graph: Graph, facts: Facts, names: frozenset[str], source: str) -> None:
        self._graph, self._facts, self._used_names, self._source = graph, facts, set(names), source
        self._ids: dict[str, None] = {}
        self._built: dict[tuple[str, str], str] = {}
        self._written: dict[str, Data] = {}
        self._follows = graph.begins is not None
        self.answers: dict[str, Answers] = {}
        self.findings: list[Finding] = list(graph.findings)
        self.open: list[str] = []
        self.denied: list[str] = []
        self.copies: dict[str, int] = {}

    def run(self) -> None:
        """Translate the graph; faults are in `findings`."""
        try:
            if self._graph.begins is not None:
                self._build(self._graph.begins, NodeScope(self._facts))
            self._follows = False
            reached = {identifier for identifier, _ in self._built}
            for node in self._graph.nodes.values():
                if node.identifier not in reached:
                    self._build(node, NodeScope(self._facts, anything=True))
        except TooManyStepsError:
            self._find("the graph", f"has more than {MOST_STEPS} steps, each way by itself; a flow has fewer")
        except RecursionError:
            self._find("the graph", "has a way of too many nodes, one behind the other; say the same by fewer nodes")

    @property
    def steps(self) -> list[Data]:
        """The steps, each before those it leads to, with `then` only if another step than the next follows."""
        before = dict.fromkeys(self._written, 0)
        for step in self._written.values():
            for to in _leads(step):
                before[to] += 1
        places = {name: place for place, name in enumerate(self._ids)}
        ready = [(places[name], name) for name, count in before.items() if count == 0]
        ordered: list[Data] = []
        while ready:
            step = self._written[heappop(ready)[1]]
            ordered.append(step)
            for to in _leads(step):
                before[to] -= 1
                if before[to] == 0:
                    heappush(ready, (places[to], to))
        follows = {one["id"]: after["id"] for one, after in pairwise(ordered)}
        return [
            {word: value for word, value in step.items() if word != "then" or value != follows.get(step["id"])}
            for step in ordered
        ]

    def _find(self, where: str, problem: str) -> None:
        self.findings.append(Finding(where, problem))

    def _build(self, node: ForeignNode, scope: NodeScope) -> str:
        """Return the id of a node's first step; a node reached twice in the same scope is translated once."""
        key = (node.identifier, scope.key)
        if key not in self._built:
            self._built[key] = ""
            if node.kind != OUTPUT or scope.outputs:
                self.copies[node.where] = self.copies.get(node.where, 0) + 1
            built: Callable[[ForeignNode, NodeScope], str] = {
                OUTPUT: self._end,
                TABLE: self._table,
                EXPRESSION: self._expressions,
                SWITCH: self._switch,
                INPUT: self._next,
            }.get(node.kind, self._refused)
            self._built[key] = built(node, scope)
        return self._built[key]

    def _refused(self, node: ForeignNode, _: NodeScope) -> str:
        """Continue behind a refused node."""
        return self._next(node, NodeScope(self._facts, anything=True))

    def _next(self, node: ForeignNode, scope: NodeScope, statement: str = "") -> str:
        targets = node.ways.get(statement, [])
        if not self._follows or not targets:
            return self._nothing()
        first = self._build(self._graph.nodes[targets[0]], scope)
        for other in targets[1:]:
            self._build(self._graph.nodes[other], scope)
        return first

    def _nothing(self) -> str:
        """Return the id of the end at which nothing is answered, and add that end the first time."""
        if NOTHING not in self.answers:
            self._ids[NOTHING] = None
            self.answers[NOTHING] = Answers({}, inputs=False)
            self._written[NOTHING] = {"id": NOTHING, "title": "Nothing is answered", "end": []}
        return NOTHING

    def _id(self, name: str) -> str:
        """Return a new id for a step, made from a name; TooManyStepsError if there are too many steps."""
        if len(self._ids) >= MOST_STEPS:
            raise TooManyStepsError
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-")
        plain = plain if plain[:1].isalpha() else f"step-{plain}".strip("-")
        identifier = next(each for each in _numbered(plain, "-") if each not in {*self._ids, NOTHING})
        self._ids[identifier] = None
        return identifier

    def _end(self, node: ForeignNode, scope: NodeScope) -> str:
        identifier = self._id(node.name)
        self.answers[identifier] = Answers(dict(scope.outputs), scope.inputs)
        self._written[identifier] = {**_about(identifier, node), "end": []}
        return identifier

    def _in_line(self, node: ForeignNode, steps: Sequence[Data], scope: NodeScope) -> str:
        """Chain steps before what follows the node; return the id of the first, or of the step that follows."""
        following = self._next(node, scope)
        for step in reversed(steps):
            self._written[step["id"]] = {**step, "then": following}
            following = step["id"]
        return following

    def _switch(self, node: ForeignNode, scope: NodeScope) -> str:
        policy = node.content.get("hitPolicy", "first")
        if policy != "first":
            self._find(node.where, f"has the hit policy {policy}, which goes several ways at once; a flow goes one")
        statements = [each for each in _list(node.content.get("statements")) if isinstance(each, dict)]
        for handle in node.ways:
            if handle not in {str(each.get("id")) for each in statements}:
                begins = f"from {handle}, which is not one of its statements" if handle else "from no statement"
                self._find(node.where, f"has a line {begins}")
        identifier = self._id(node.name)
        route: list[Data] = []
        otherwise: str | None = None
        for number, statement in enumerate(statements, 1):
            where, text = f"{node.where}, statement {number}", str(statement.get("condition") or "").strip()
            if otherwise is not None:
                self._find(where, "is never looked at: the one before holds for everyone")
            elif text and statement.get("isDefault") is True:
                self._find(where, "is what holds otherwise, and has a condition; take one of the two out")
            when = self._condition(where, text, Reader(scope)) if text else None
            to = self._next(node, scope, str(statement.get("id")))
            if when is not None:
                route.append({"when": when, "to": to})
            elif not text:
                otherwise = to
        otherwise = otherwise or self._nothing()
        if not route:
            del self._ids[identifier]
            return otherwise
        self._written[identifier] = {**_about(identifier, node), "route": route, "otherwise": otherwise}
        self.open.append(identifier)
        return identifier

    def _condition(self, where: str, text: str, reader: Reader) -> Condition | None:
        try:
            condition = reader.condition(read_expression(text))
        except CellError as error:
            self._find(where, f"{shown_cell(text)} {error}")
            return None
        if denies(condition):
            self.denied.append(where)
        return condition

    def _expressions(self, node: ForeignNode, scope: NodeScope) -> str:
        self._plain_only(node)
        own: dict[str, ValueOrigin] = {}
        steps: list[Data] = []
        for number, each in enumerate(_list(node.content.get("expressions")), 1):
            pair = each if isinstance(each, dict) else {}
            key, text = (str(pair.get(word) or "").strip() for word in ("key", "value"))
            where = f"{node.where}, {key or f'expression {number}'}"
            if not _PLAIN.fullmatch(key):
                self._find(
                    where, f"gives {shown_cell(key)}; a value has a plain name of letters, digits and _, without dots"
                )
            elif key in own:
                self._find(where, "is given twice; zen takes the last")
            elif not text:
                self._find(where, "has no value")
            else:
                try:
                    own[key] = self._value(key, read_expression(text), Reader(scope, own), node, steps)
                except CellError as error:
                    self._find(where, f"{shown_cell(text)} {error}")
                    own[key] = ValueOrigin({"field": key}, key)
        return self._in_line(node, steps, scope.after(own, passes=node.passes))

    def _value(
        self, key: str, expression: Expression, reader: Reader, node: ForeignNode, steps: list[Data]
    ) -> ValueOrigin:
        """Return the origin of a value of an expression node, and add the steps that compute it."""
        if isinstance(expression, Name):
            return reader.scope.find(expression, reader.own)
        if isinstance(expression, Literal):
            return _constant(expression.value)
        if not isinstance(expression, zen.Operation):
            rows, otherwise = _rows_of(expression, reader)
            kinds = {kind_of(value) for value in (otherwise, *(value for _, value in rows))}
            if len(kinds) > 1:
                raise CellError(f"comes to values of several kinds ({', '.join(sorted(kinds))})")
            if any(denies(when) for when, _ in rows):
                self.denied.append(f"{node.where}, {key}")
            step = self._id(f"{node.name} {key}")
            rows_of_step = [{"when": when, "give": {key: value}} for when, value in rows]
            kind = kinds.pop()
            table = {"gives": {key: kind}, "rows": rows_of_step, "otherwise": {key: otherwise}}
            steps.append({**_about(step, node, key), "table": table})
            self.open.append(step)
            return _output(step, key, kind)
        operand = reader.operand(expression)
        if isinstance(operand, Decimal):
            return _constant(operand)
        if not set(OPERATIONS) & set(operand):
            operand = {"of": operand}
        name = next(each for each in _numbered(key, "_") if each not in self._used_names)
        self._used_names.add(name)
        if not steps or "calculate" not in steps[-1]:
            steps.append({**_about(self._id(node.name), node), "calculate": {}})
        steps[-1]["calculate"][name] = {"unit": "ratio", **operand}
        return ValueOrigin({"calculation": name}, f"the calculation {name}", "number")

    def _plain_only(self, node: ForeignNode) -> None:
        for word, plain in (("inputField", ""), ("outputPath", ""), ("executionMode", "single")):
            if (node.content.get(word) or plain) != plain:
                problem = f"has {word} {node.content[word]!r}: it works on a part of what comes, or on many at once"
                self._find(node.where, f"{problem}; a step of a flow works on the whole")

    def _table(self, node: ForeignNode, scope: NodeScope) -> str:
        self._plain_only(node)
        try:
            table = table_of({**node.raw, "content": {**node.content, "inputField": None, "executionMode": None}}, "")
        except ConfigError as error:
            self._find(node.where, str(error).removeprefix(": "))
            return self._next(node, NodeScope(self._facts, anything=True))
        reader = Reader(scope)
        columns = [self._column(node, name, reader) for name in table.inputs]
        rows = [list(self._cells(node, number, table, columns, reader)) for number in range(len(table.rows))]
        self._hits(node, rows)
        outputs = [self._outputs_of_row(node, number, table) for number in range(len(table.rows))]
        kinds = self._kinds(node, table, outputs)
        if len(rows) == 1:
            gives = {name: _constant(outputs[0][name]) for name in kinds if name in outputs[0]}
            return self._next(node, scope.after(gives, passes=node.passes))
        identifier = self._id(node.name)
        step = {
            **_about(identifier, node),
            "table": {
                "gives": kinds,
                "rows": [
                    {"when": cells[0] if len(cells) == 1 else {"all": cells}, "give": gives}
                    for cells, gives in zip(rows[:-1], outputs[:-1], strict=True)
                ],
                "otherwise": outputs[-1] if outputs else {},
            },
        }
        self.open.append(identifier)
        gives = {name: _output(identifier, name, kind) for name, kind in kinds.items()}
        return self._in_line(node, [step], scope.after(gives, passes=node.passes))

    def _column(self, node: ForeignNode, name: str, reader: Reader) -> ValueOrigin | None:
        """Return the value that a column compares; None if its cells are expressions, `ANYTHING` if it is refused."""
        if not name:
            return None
        try:
            if _PATH.fullmatch(name):
                return reader.origin(Name(name))
            problem = "is an expression; calculate it in an expression node before"
        except CellError as error:
            problem = str(error)
        self._find(f"{node.where}, input {name}", problem)
        return ANYTHING

    def _cells(
        self, node: ForeignNode, number: int, table: ForeignTable, columns: Sequence[ValueOrigin | None], reader: Reader
    ) -> Iterator[Condition]:
        for name, origin, text in zip(table.inputs, columns, table.rows[number].inputs, strict=True):
            where = f"{node.where}, row {number + 1}, {name or 'condition'}"
            if origin is None and text.strip():
                condition = self._condition(where, text, reader)
            else:
                condition = None if origin is None else self._unary(where, text, origin, reader)
            if condition is not None:
                yield condition

    def _unary(self, where: str, text: str, origin: ValueOrigin, reader: Reader) -> Condition | None:
        try:
            read = read_unary(text, ValueType.NUMBER, System.JDM)
            if read is None:
                return None
            if reader.scope.facts.kind(origin) == FLAG:
                read = read_unary(text, ValueType.FLAG, System.JDM) or read
            condition = reader.of_cell(read, origin)
        except CellError as error:
            self._find(where, f"{shown_cell(text)} {error}")
            return None
        if denies(read):
            self.denied.append(where)
        return condition

    def _outputs_of_row(self, node: ForeignNode, number: int, table: ForeignTable) -> Data:
        outputs: Data = {}
        for name, text in zip(table.outputs, table.rows[number].outputs, strict=True):
            where = f"{node.where}, row {number + 1}, {name}"
            if not text.strip():
                self._find(where, "gives nothing; a row of a flow's table gives every output, so write what it is then")
                continue
            try:
                value = read_expression(text)
            except CellError as error:
                self._find(where, f"{shown_cell(text)} {error}")
                continue
            if not isinstance(value, Literal) or value.value is None:
                is_null = isinstance(value, Literal)
                instead = "write what it is then" if is_null else "calculate it in an expression node"
                self._find(where, f"{shown_cell(text)} is not a plain value; {instead}")
                continue
            outputs[name] = value.value
        return outputs

    def _kinds(self, node: ForeignNode, table: ForeignTable, outputs: Sequence[Data]) -> dict[str, str]:
        kind_by_name: dict[str, str] = {}
        for name in table.outputs:
            kinds = sorted({kind_of(row[name]) for row in outputs if name in row})
            if not _PLAIN.fullmatch(name):
                problem = f"gives {shown_cell(name)}; an output has a plain name of letters, digits and _, without dots"
                self._find(node.where, problem)
            elif len(kinds) > 1:
                self._find(f"{node.where}, {name}", f"gives values of several kinds ({', '.join(kinds)})")
            kind_by_name[name] = kinds[0] if kinds else "number"
        if not table.outputs:
            self._find(node.where, "gives nothing")
        return kind_by_name

    def _hits(self, node: ForeignNode, rows: Sequence[Sequence[Condition]]) -> None:
        """Find rows that never decide, and a table without a last row for the case that none holds."""
        bad = {each.where for each in self.findings}
        empty = [
            number
            for number, cells in enumerate(rows, 1)
            if not cells and not any(where.startswith(f"{node.where}, row {number},") for where in bad)
        ]
        early = next((number for number in empty if number < len(rows)), None)
        if early is not None:
            self._find(f"{node.where}, row {early}", "holds for everyone, so the rows below it never decide")
        if len(rows) not in empty:
            self._find(
                node.where,
                "has no last row without conditions: where none holds JDM gives nothing, and a table of a flow says "
                "what is given then",
            )


def _leads(step: Data) -> list[str]:
    """Return the ids of the steps that a step leads to, each once."""
    ways = [step.get("then"), step.get("otherwise"), *(way["to"] for way in step.get("route", ()))]
    return list(dict.fromkeys(to for to in ways if to is not None))


def _rows_of(expression: Expression, reader: Reader) -> tuple[list[tuple[Condition, Any]], Any]:
    """Return the rows of a choice between plain values, or of a condition, and the value otherwise."""
    if not isinstance(expression, zen.Conditional):
        return [(reader.condition(expression), True)], False
    rows: list[tuple[Condition, Any]] = []
    rest: Expression = expression
    while isinstance(rest, zen.Conditional):
        rows.append((reader.condition(rest.when), _plain(rest.then)))
        rest = rest.otherwise
    return rows, _plain(rest)


def _plain(expression: Expression) -> Any:
    if not isinstance(expression, Literal) or expression.value is None:
        raise CellError("chooses what is not a plain value; calculate on the ways of a switch")
    return expression.value


def _constant(value: Decimal | str | bool | None) -> ValueOrigin:
    if value is None:
        raise CellError("is null, which a flow has no value for; leave it out")
    return ValueOrigin({}, shown(value), kind_of(value), constant=value)


def _output(step: str, name: str, kind: str) -> ValueOrigin:
    return ValueOrigin({"step": step, "output": name}, f"the output {name} of the step {step}", kind)


def _about(identifier: str, node: ForeignNode, key: str = "") -> Data:
    """Return the parts that every step has: id, title and, for a described node, rationale."""
    title = " ".join(f"{node.name}: {key}".split() if key else node.name.split())
    reason = {"rationale": node.description.strip()} if node.description.strip() else {}
    return {"id": identifier, "title": title, **reason}


def _numbered(name: str, sign: str) -> Iterator[str]:
    """Yield a name, then the same name with numbers from 2."""
    yield name
    for number in range(2, 10_000):
        yield f"{name}{sign}{number}"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
