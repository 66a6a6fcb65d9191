"""The values that a node of a graph can read, and its expressions as conditions and calculations of a flow."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, localcontext
from typing import Any, Final

from fivefold.flows.foreign import zen
from fivefold.flows.foreign.zen import Expression, Literal, Name
from fivefold.risk.governance.tables.cells import CellError

NUMBER, TEXT, FLAG = "number", "text", "flag"
"""The kinds of values."""
Condition = dict[str, Any]

_NUMERIC: Final = {"min": "least_of", "max": "greatest_of"}


@dataclass(frozen=True)
class ValueOrigin:
    """The origin of a value.

    Attributes:
        data: the input as conditions write it, as plain data; empty for a constant.
        words: the same in words.
        kind: number, text or flag; None if only its use shows it.
        fact: the path in the graph of an input that is a field of the flow; else None.
        constant: the value, if it is always the same.
    """

    data: Mapping[str, Any]
    words: str
    kind: str | None = None
    fact: str | None = None
    constant: Any = None

    @property
    def key(self) -> str:
        """A text that identifies the origin."""
        return json.dumps([dict(self.data), self.fact, str(self.constant)], sort_keys=True, default=str)


ANYTHING: Final = ValueOrigin({"field": "anything"}, "what is not known")
"""The origin of any value read behind a refused node, so that reading it is not a second fault."""


def kind_of(value: Any) -> str:
    """Return the kind of a plain value."""
    return FLAG if isinstance(value, bool) else NUMBER if isinstance(value, Decimal) else TEXT


class Facts:
    """The inputs of a graph, and what each is in the flow."""

    def __init__(self, mapped: Mapping[str, ValueOrigin], kinds: Mapping[str, str]) -> None:
        self._mapped = mapped
        self._origins: dict[str, ValueOrigin] = {}
        self.kinds: dict[str, str] = {}
        self.facts_read: set[str] = set()
        self._declared_kinds = kinds

    def fact(self, path: str) -> ValueOrigin:
        """Return what an input is in the flow; CellError if it overlaps another input, or maps to the same one."""
        if path not in self._origins:
            for other in self._origins:
                if other.startswith(f"{path}.") or path.startswith(f"{other}."):
                    raise CellError(f"reads {path}, and {other} is read too; one of the two is not a plain value")
            name = path.replace(".", "_")
            plain = ValueOrigin({"field": name}, f"the field {name}", self._declared_kinds.get(path), path)
            origin = self._mapped.get(path, plain)
            twin = next((other for other, each in self._origins.items() if each.data == origin.data), None)
            if twin is not None:
                raise CellError(f"reads {path}, which is {origin.words} here, as {twin} is; say another by --map")
            self._origins[path] = origin
        return self._origins[path]

    @property
    def paths_read(self) -> frozenset[str]:
        """The paths of the inputs that are read, or answered unchanged."""
        return frozenset(self._origins)

    @property
    def fields(self) -> dict[str, ValueOrigin]:
        """The inputs that are fields of the flow and are compared or calculated with, by their names in the graph."""
        return {path: each for path, each in self._origins.items() if each.fact in self.facts_read}

    def kind(self, origin: ValueOrigin) -> str | None:
        """Return the kind of a value; None if it is not known."""
        return origin.kind or (self.kinds.get(origin.fact) if origin.fact else None)

    def ask(self, origin: ValueOrigin) -> None:
        """Note that a value is compared or calculated with."""
        if origin.fact is not None:
            self.facts_read.add(origin.fact)

    def use(self, origin: ValueOrigin, kind: str) -> None:
        """Note the kind that a use of a value implies; CellError if the value is of another kind."""
        self.ask(origin)
        earlier_kind = self.kind(origin)
        if earlier_kind is None and origin.fact is not None:
            self.kinds[origin.fact] = kind
        elif earlier_kind is not None and earlier_kind != kind and origin is not ANYTHING:
            raise CellError(
                f"takes {origin.words} for a {kind}, and it is a {earlier_kind}; zen silently never finds that true"
            )


@dataclass(frozen=True)
class NodeScope:
    """The values that a node can read.

    Attributes:
        facts: the inputs.
        outputs: what earlier nodes give, by name.
        inputs: whether the inputs of the graph reach the node too.
        anything: whether an earlier node was refused, so that what reaches this one is unknown.
    """

    facts: Facts
    outputs: Mapping[str, ValueOrigin] = field(default_factory=dict)
    inputs: bool = True
    anything: bool = False

    @property
    def key(self) -> str:
        """A text that identifies the scope."""
        return json.dumps([self.inputs, self.anything, {name: each.key for name, each in sorted(self.outputs.items())}])

    def after(self, gives: Mapping[str, ValueOrigin], *, passes: bool) -> "NodeScope":
        """Return the scope behind a node: what it *gives* and, if it *passes* them on, its inputs."""
        if passes:
            return NodeScope(self.facts, {**self.outputs, **gives}, self.inputs, self.anything)
        return NodeScope(self.facts, dict(gives), inputs=False, anything=self.anything)

    def find(self, name: Name, own: Mapping[str, ValueOrigin] | None = None) -> ValueOrigin:
        """Return the origin of a name; CellError if no value of that name reaches the node."""
        path, head = name.path, name.path.partition(".")[0]
        if name.own:
            if own is None or path not in own:
                raise CellError(f"reads $.{path}, which this node does not give before")
            return own[path]
        if path in self.outputs:
            return self.outputs[path]
        if self.anything:
            return ANYTHING
        if head in self.outputs:
            raise CellError(f"reads {path}, and {head} is given by a node before, and is not an object")
        if not self.inputs:
            raise CellError(
                f"reads {path}, which does not come here: the node before has passThrough off, and passes on only "
                "what it gives itself; in zen that is null"
            )
        return self.facts.fact(path)


@dataclass(frozen=True)
class Reader:
    """Translates the expressions of a node into conditions and calculations.

    Attributes:
        scope: what the node can read.
        own: what the node itself has given so far.
    """

    scope: NodeScope
    own: Mapping[str, ValueOrigin] = field(default_factory=dict)

    def origin(self, name: Name) -> ValueOrigin:
        """Return the origin of a value that is compared or calculated with; CellError for a constant."""
        origin = self.scope.find(name, self.own)
        if origin.constant is not None:
            raise CellError(f"reads {name.path}, which is always {shown(origin.constant)} here; take it out")
        return origin

    def condition(self, expression: Expression) -> Condition:
        """Translate a condition; CellError if flows have no exact equivalent."""
        if isinstance(expression, zen.Joined):
            return {expression.word: [self.condition(part) for part in expression.parts]}
        if isinstance(expression, zen.Denied):
            return {"not": self.condition(expression.part)}
        if isinstance(expression, zen.Comparison):
            return self._comparison(expression)
        if isinstance(expression, zen.Among):
            return self._among(expression)
        if isinstance(expression, Name):
            origin = self.origin(expression)
            self.scope.facts.use(origin, FLAG)
            return {**origin.data, "equals": True}
        if isinstance(expression, Literal):
            raise CellError(f"is always {shown(expression.value)}; it asks nothing")
        raise CellError("calculates or chooses where a condition is to stand; do that in an expression node before")

    def of_cell(self, condition: Condition, origin: ValueOrigin) -> Condition:
        """Apply the condition of a cell to the value of its column; CellError if the value is of another kind."""
        for word in ("any", "all"):
            if word in condition:
                return {word: [self.of_cell(part, origin) for part in condition[word]]}
        if "not" in condition:
            return {"not": self.of_cell(condition["not"], origin)}
        if "is" in condition:
            self._require_fact(origin)
        for value in _values(condition):
            self.scope.facts.use(origin, kind_of(value))
            if kind_of(value) == TEXT and {"above", "at_least", "below", "at_most", "between"} & set(condition):
                raise CellError("puts texts in order, which flows do not")
        return {**origin.data, **condition}

    def _comparison(self, compared: zen.Comparison) -> Condition:
        left, sign, right = compared.left, compared.sign, compared.right
        if isinstance(left, Literal) and isinstance(right, Name):
            left, right = right, left
            sign = {">": "<", ">=": "<=", "<": ">", "<=": ">="}.get(sign, sign)
        if not isinstance(left, Name):
            raise CellError("compares what is not a plain input; calculate it in an expression node before")
        origin, word = self.origin(left), zen.COMPARED[sign]
        if isinstance(right, Literal):
            if right.value is None:
                if word not in {"equals", "not_equals"}:
                    raise CellError(f"has {sign} null, which never holds")
                return self.of_cell({"is": "absent" if word == "equals" else "present"}, origin)
            if isinstance(right.value, bool) and word not in {"equals", "not_equals"}:
                raise CellError("compares true and false by order")
            return self.of_cell({word: right.value}, origin)
        if not isinstance(right, Name):
            raise CellError("compares with what is calculated there; calculate it in an expression node before")
        other, facts = self.origin(right), self.scope.facts
        kind = NUMBER if word not in {"equals", "not_equals"} else facts.kind(origin) or facts.kind(other)
        if kind is None:
            raise CellError(f"compares {left.path} with {right.path}, and nothing says what they are; see --kind")
        facts.use(origin, kind)
        facts.use(other, kind)
        if kind == NUMBER and any("calculation" in each.data for each in (origin, other)):
            raise CellError(
                f"compares {left.path} with {right.path}, of which one is calculated; subtract one from the other in an"
                " expression node before, and compare that with 0"
            )
        return {**origin.data, word: dict(other.data)}

    def _among(self, among: zen.Among) -> Condition:
        if not isinstance(among.value, Name):
            raise CellError("looks for what is not a plain input; calculate it in an expression node before")
        origin, condition = self.origin(among.value), dict(among.condition)
        if among.denied and "in" in condition:
            condition = {"not_in": condition["in"]}
        translated = self.of_cell(condition, origin)
        return {"not": translated} if among.denied and "not_in" not in condition else translated

    def _require_fact(self, origin: ValueOrigin) -> None:
        self.scope.facts.ask(origin)
        if {"step", "calculation"} & set(origin.data):
            raise CellError(f"compares {origin.words} with null, and it is always there")

    def operand(self, expression: Expression) -> Any:
        """Translate an operand of a calculation; CellError if calculations have no exact equivalent."""
        if isinstance(expression, Literal) and isinstance(expression.value, Decimal):
            return expression.value
        if isinstance(expression, Name):
            return self._read(expression)
        if not isinstance(expression, zen.Operation):
            raise CellError(
                "calculates with what is not a number; give a condition or a choice a line of its own before"
            )
        operands = [self.operand(each) for each in expression.operands]
        if all(isinstance(each, Decimal) for each in operands):
            return _computed(expression.word, operands)
        if expression.word == "divide":
            return {"multiply": [operands[0], _inverse(operands[1])]}
        if expression.word == "abs":
            return {"absolute": operands[0]}
        return operands[0] if len(operands) == 1 else {_NUMERIC.get(expression.word, expression.word): operands}

    def _read(self, name: Name) -> Any:
        constant = self.scope.find(name, self.own).constant
        if isinstance(constant, Decimal):
            return constant
        origin = self.origin(name)
        self.scope.facts.use(origin, NUMBER)
        return dict(origin.data)


def _computed(word: str, numbers: Sequence[Decimal]) -> Decimal:
    """Compute an operation on plain numbers here, as a calculation of a flow must read an input."""
    with localcontext(Context(prec=MOST_PLACES, traps=[Inexact, InvalidOperation, DivisionByZero])):
        try:
            operations: dict[str, Callable[[], Decimal]] = {
                "add": lambda: numbers[0] + numbers[1],
                "subtract": lambda: numbers[0] - numbers[1],
                "multiply": lambda: numbers[0] * numbers[1],
                "divide": lambda: numbers[0] * _inverse(numbers[1]),
                "abs": lambda: abs(numbers[0]),
                "min": lambda: min(numbers),
                "max": lambda: max(numbers),
            }
            return operations[word]()
        except ArithmeticError:
            raise CellError(f"calculates a number of more than {MOST_PLACES} digits") from None


def _inverse(divisor: Any) -> Decimal:
    """Return the inverse of a number, if its decimals end; zen rounds other quotients, and calculations do not."""
    if not isinstance(divisor, Decimal):
        raise CellError(
            "divides by something other than a plain number: zen rounds that to 28 digits, and 0 gives null there"
        )
    numerator, denominator = divisor.as_integer_ratio()
    if numerator == 0:
        raise CellError("divides by 0")
    rest = abs(numerator)
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1 or len(str(numerator)) > MOST_DIGITS:
        raise CellError(f"divides by {divisor}, whose quotients have no end: zen rounds them, and flows do not")
    inverse = Decimal(denominator) / Decimal(numerator)
    if inverse * numerator != denominator:
        raise CellError(f"divides by {divisor}, whose quotients are too long")
    return inverse


MOST_DIGITS: Final = 20
"""The most digits of a divisor."""
MOST_PLACES: Final = 28
"""The most digits of a result computed from plain numbers, as many as zen has."""


def _values(condition: Condition) -> Iterable[Any]:
    for word, value in condition.items():
        if word != "is":
            yield from value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def shown(value: Any) -> str:
    """Write a plain value as zen does."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"'{value}'" if isinstance(value, str) else f"{value}"
