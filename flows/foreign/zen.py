"""Parser of expressions in zen, JDM's language; a part without an equivalent in flows is refused with a reason."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

from fivefold.risk.governance.tables.cells import CellError
from fivefold.risk.governance.tables.foreign.unary import NOT_IN, read_number

MOST_LETTERS: Final = 10_000
"""The most characters of an expression."""
MOST_DEPTH: Final = 50
"""The deepest nesting of brackets, choices or signs."""

_TOKEN: Final = re.compile(
    r"""(?P<blank>[ \t\n]+)|(?P<text>"[^"]*"|'[^']*')|(?P<number>[0-9]+(?:\.(?!\.)[0-9]+)?(?![\w]))"""
    r"""|(?P<not_in>not in(?= ))"""
    r"""|(?P<name>(?:\$\.)?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)|(?P<sign>\.\.|>=|<=|!=|==|&&|\|\||\?\?|[-+*/%^<>!?:,()\[\]])"""
    r"""|(?P<other>.)""",
    re.DOTALL,
)
_WORDS: Final = frozenset({"and", "or", "not", "in", "true", "false", "null"})
_INSTEAD: Final = {
    "&&": "zen silently never finds it true; write and",
    "||": "zen silently never finds it true; write or",
    "??": "what stands for a missing value is said in a flow by on_unknown",
    "%": "calculations of flows have no remainder",
    "^": "calculations of flows have no powers; multiply",
}
COMPARED: Final = {
    ">": "above",
    ">=": "at_least",
    "<": "below",
    "<=": "at_most",
    "==": "equals",
    "!=": "not_equals",
}
"""The words of the rules' language for comparisons, by zen's operator."""


@dataclass(frozen=True)
class Literal:
    """A number, a text, true or false; None for null."""

    value: Decimal | str | bool | None


@dataclass(frozen=True)
class Name:
    """A value read by its name, such as customer.age; `own` if `$.` marks an output of the same node."""

    path: str
    own: bool = False


@dataclass(frozen=True)
class Operation:
    """An arithmetic operation: add, subtract, multiply, divide, or a function by its name, of its operands."""

    word: str
    operands: "tuple[Expression, ...]"


@dataclass(frozen=True)
class Comparison:
    """A comparison of two values; `sign` is zen's operator."""

    left: "Expression"
    sign: str
    right: "Expression"


@dataclass(frozen=True)
class Among:
    """A test whether a value is in a list or a range; if `denied`, whether it is not.

    Attributes:
        condition: the condition on the value, as plain data of the rules' language.
    """

    value: "Expression"
    condition: dict[str, Any]
    denied: bool


@dataclass(frozen=True)
class Joined:
    """Conditions joined by `word`: `all` must hold, or `any`."""

    word: str
    parts: "tuple[Expression, ...]"


@dataclass(frozen=True)
class Denied:
    """A condition that must not hold."""

    part: "Expression"


@dataclass(frozen=True)
class Conditional:
    """One of two values, by a condition."""

    when: "Expression"
    then: "Expression"
    otherwise: "Expression"


Expression: TypeAlias = Literal | Name | Operation | Comparison | Among | Joined | Denied | Conditional


def read_expression(text: str) -> Expression:
    """Read an expression.

    >>> read_expression("a > 5")
    Comparison(left=Name(path='a', own=False), sign='>', right=Literal(value=Decimal('5')))

    Raises:
        CellError: the text is not an expression, or a part of it has no equivalent in flows.
    """
    if len(text) > MOST_LETTERS:
        raise CellError(f"has {len(text):,} characters; at most {MOST_LETTERS:,} can be read")
    reader = _Reader(text)
    expression = reader.choice()
    reader.require_end()
    return expression


class _Reader:
    """Reads one expression from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens = [(str(m.lastgroup), m[0]) for m in _TOKEN.finditer(text) if m.lastgroup != "blank"]
        self._at = self._depth = 0

    def _peek(self, ahead: int = 0) -> str:
        """Return the next sign or word; empty for a text, which could look like one."""
        sort, value = self._tokens[self._at + ahead] if self._at + ahead < len(self._tokens) else ("end", "")
        return "" if sort == "text" else value

    def _take(self, *values: str) -> str:
        value = self._peek()
        if value and value in values:
            self._at += 1
            return value
        return ""

    def require_end(self) -> None:
        """Raise CellError if more follows."""
        if self._at < len(self._tokens):
            raise self._strange()

    def _strange(self) -> CellError:
        if self._at >= len(self._tokens):
            return CellError("ends too early")
        value = self._tokens[self._at][1]
        if value in _INSTEAD:
            return CellError(f"has {value}: {_INSTEAD[value]}")
        if value.startswith("$"):
            return CellError("has $, the whole context; name what is read")
        return CellError(f"cannot be read from {value if value.strip() else repr(value)} on")

    def choice(self) -> Expression:
        """Read `a ? b : c`, and what binds closer."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise CellError(f"has more than {MOST_DEPTH} brackets or choices within each other")
        when = self._any()
        if self._take("?"):
            then = self.choice()
            if not self._take(":"):
                raise self._strange()
            when = Conditional(when, then, self.choice())
        self._depth -= 1
        return when

    def _any(self) -> Expression:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Joined("any", tuple(parts))

    def _all(self) -> Expression:
        parts = [self._compared()]
        while self._take("and"):
            parts.append(self._compared())
        return parts[0] if len(parts) == 1 else Joined("all", tuple(parts))

    def _compared(self) -> Expression:
        left = self._sum()
        sign = self._take(*COMPARED)
        among = "" if sign else self._take("in", "not in")
        if isinstance(left, Denied) and (sign or among):
            raise CellError("compares what not stands before; zen denies the first value alone, so set brackets")
        if sign:
            expression: Expression = Comparison(left, sign, self._sum())
        elif among:
            expression = Among(left, self._range_or_list(), among == "not in")
        elif [self._peek(), self._peek(1)] == ["not", "in"]:
            raise CellError(NOT_IN)
        else:
            return left
        if self._peek() in {*COMPARED, "in", "not in", "not"}:
            raise CellError("compares a comparison; set brackets, and join comparisons by and")
        return expression

    def _sum(self) -> Expression:
        expression = self._product()
        while sign := self._take("+", "-"):
            expression = Operation("add" if sign == "+" else "subtract", (expression, self._product()))
        return expression

    def _product(self) -> Expression:
        expression = self._unary()
        while sign := self._take("*", "/"):
            expression = Operation("multiply" if sign == "*" else "divide", (expression, self._unary()))
        if self._peek() in {"%", "^"}:
            raise self._strange()
        return expression

    def _unary(self) -> Expression:
        if self._take("not", "!"):
            return Denied(self._nested_unary())
        if self._take("-"):
            below = self._nested_unary()
            if isinstance(below, Literal) and isinstance(below.value, Decimal):
                return Literal(-below.value)
            return Operation("multiply", (Literal(Decimal(-1)), below))
        return self._one()

    def _nested_unary(self) -> Expression:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise CellError(f"has more than {MOST_DEPTH} signs before each other")
        expression = self._unary()
        self._depth -= 1
        return expression

    def _one(self) -> Expression:
        if self._take("("):
            expression = self.choice()
            if not self._take(")"):
                raise self._strange()
            return expression
        sort, value = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")
        if sort == "name" and value not in _WORDS:
            self._at += 1
            return self._call(value) if self._peek() == "(" else _name(value)
        return Literal(self._literal())

    def _call(self, name: str) -> Expression:
        if name not in {"abs", "min", "max"}:
            raise CellError(f"calls the function {name}; calculations of flows have abs, min and max of these")
        self._take("(")
        several = name != "abs"
        if several and not self._take("["):
            raise CellError(f"calls {name} without a list; zen has {name}([a, b])")
        operands = [self._sum()]
        while several and self._take(","):
            operands.append(self._sum())
        if (several and not self._take("]")) or not self._take(")"):
            raise self._strange()
        return Operation(name, tuple(operands))

    def _literal(self) -> Any:
        sort, value = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")
        if sort == "text":
            if "\\" in value:
                raise CellError(f"has the text {value} with a backslash, which zen keeps as it is")
            if not value[1:-1].strip():
                raise CellError("has an empty text, which is a missing value here")
            literal: Any = value[1:-1]
        elif sort == "number":
            literal = read_number(value)
        elif value in {"true", "false", "null"}:
            literal = {"true": True, "false": False}.get(value)
        else:
            raise self._strange()
        self._at += 1
        return literal

    def _range_or_list(self) -> dict[str, Any]:
        opening = self._take("[", "(")
        if not opening:
            raise self._strange()
        first = self._value()
        if self._take(".."):
            last = self._value()
            closing = self._take("]", ")")
            if not closing:
                raise self._strange()
            if not all(isinstance(each, Decimal) for each in (first, last)):
                raise CellError("has a range whose ends are not numbers")
            if (opening, closing) == ("[", "]"):
                return {"between": [first, last]}
            return {"at_least" if opening == "[" else "above": first, "at_most" if closing == "]" else "below": last}
        values = [first]
        while self._take(","):
            values.append(self._value())
        if opening != "[" or not self._take("]"):
            raise self._strange()
        if any(each is None or isinstance(each, bool) for each in values):
            raise CellError("has a list with null, true or false; compare with == and join by or")
        return {"in": values}

    def _value(self) -> Any:
        expression = self._unary()
        if not isinstance(expression, Literal):
            raise CellError("has a list or a range of what is not a plain value; compare with == and join by or")
        return expression.value


def _name(text: str) -> Name:
    return Name(text.removeprefix("$."), own=text.startswith("$."))
