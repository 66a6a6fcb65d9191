"""Fused loops over the same rows: the compiled walk reads a row once for all indicators that use it.

An indicator is a function of its own, and most are one loop: names before it, a sum or the like within, a value after
it. Loops that begin at the same row are fused. Each keeps names of its own, and the order in which it adds, so that no
bit of its value changes; `interpret_walk` calls the functions themselves, and tests compare. Functions of another form
are called unchanged.
"""

import ast
import inspect
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeGuard

ROW = "row"
"""The row of the joint loops."""
_VALUE = "value of the loop"
"""Placeholder for it in the surrounding expression; no name of a function has spaces."""
_BUILT_IN = ("abs", "bool", "float", "int", "len", "max", "min", "range")


class _OtherFormError(Exception):
    """A function is not a single loop over rows, or has code that is not understood here."""


@dataclass(frozen=True)
class Loop:
    """An indicator as one loop over rows.

    Attributes:
        before: sets its names to their first values.
        start: the first row; the last is the customer's last.
        body: the statements for a row.
        value: the indicator, after the loop.
        helpers: the functions that it calls, by their names in it.
    """

    before: tuple[ast.stmt, ...]
    start: ast.expr
    body: tuple[ast.stmt, ...]
    value: ast.expr
    helpers: Mapping[str, Callable[..., Any]]


def loop_of(
    function: Callable[..., float], arguments: Mapping[str, str], columns: Sequence[str], own: str
) -> Loop | None:
    """Return a function as one loop whose names begin with *own*; None if it has another form.

    *arguments* are the expressions of its parameters in the walk, *columns* those of them that have all rows.
    """
    bound = {name: ast.parse(text, mode="eval").body for name, text in arguments.items()}
    helpers: dict[str, Callable[..., Any]] = {}
    try:
        loop = _Reader(own, frozenset(columns), helpers).loop(function, bound)
    except _OtherFormError:
        return None
    return loop


def joint_lines(loops: Mapping[int, Loop], out: Callable[[int], str]) -> list[str]:
    """Write the loops of indicators, by their numbers, as one for each first row; *out* writes a value's place."""
    lines = [ast.unparse(statement) for loop in loops.values() for statement in loop.before]
    groups: dict[str, list[Loop]] = {}
    for loop in loops.values():
        groups.setdefault(ast.unparse(loop.start), []).append(loop)
    for start, group in groups.items():
        lines.append(f"for {ROW} in range({start}, end - begin):")
        # First the loops that use every row: what they compute need not be computed again for those with conditions.
        for loop in sorted(group, key=lambda loop: any(isinstance(one, ast.If) for one in loop.body)):
            lines += [f"    {line}" for statement in loop.body for line in ast.unparse(statement).splitlines()]
    return [*lines, *(f"{out(number)} = {ast.unparse(loop.value)}" for number, loop in loops.items())]


class _Reader:
    """Reads functions as loops; *helpers* receives the functions that they call."""

    def __init__(self, own: str, columns: frozenset[str], helpers: dict[str, Callable[..., Any]]) -> None:
        self._own = own
        self._columns = columns
        self._helpers = helpers

    def loop(self, function: Callable[..., Any], bound: Mapping[str, ast.expr]) -> Loop:
        """Read a function whose parameters are bound to expressions of the walk."""
        names = _Names(function, bound, self._own, self._helpers)
        statements = _statements(function)
        first = statements[0]
        if not (isinstance(first, ast.If) and self._is_without_rows(names.visited(first.test))):
            return self._rest(function, statements, names)
        without_rows, loop = names.visited(first.body), self._rest(function, statements[1:], names)
        value = ast.IfExp(names.visited(first.test), _value(without_rows), loop.value)
        return Loop(loop.before, loop.start, loop.body, value, loop.helpers)

    def _is_without_rows(self, test: ast.expr) -> bool:
        return ast.unparse(test) in {f"len({column}) == 0" for column in self._columns}

    def _rest(self, function: Callable[..., Any], statements: Sequence[ast.stmt], names: "_Names") -> Loop:
        if len(statements) == 1 and isinstance(statements[0], ast.Return):
            return self._of_helper(statements[0].value, function, names)
        places = [place for place, statement in enumerate(statements) if isinstance(statement, ast.For)]
        if len(places) != 1:
            raise _OtherFormError
        before, loop, after = statements[: places[0]], statements[places[0]], statements[places[0] + 1 :]
        assert isinstance(loop, ast.For)
        if not all(map(_begins_a_name, before)) or not all(map(_is_plain, loop.body)) or loop.orelse:
            raise _OtherFormError
        row = ast.unparse(loop.target)
        if any(isinstance(node, ast.Name) and node.id == row for one in (*before, *after) for node in ast.walk(one)):
            raise _OtherFormError  # after the loop it is the last row
        start = self._start(loop, names)
        return Loop(
            tuple(names.visited(before)),
            start,
            tuple(names.visited(loop.body)),
            _value(names.visited(after)),
            self._helpers,
        )

    def _of_helper(self, value: ast.expr | None, function: Callable[..., Any], names: "_Names") -> Loop:
        """Read a function that returns the result of a helper's loop, or an expression around it."""
        value = deepcopy(value) or ast.Constant(None)
        calls = [
            (node, helper)
            for node in ast.walk(value)
            if isinstance(node, ast.Call) and (helper := _loop_helper(node, function)) is not None
        ]
        if len(calls) != 1 or calls[0][0].keywords:
            raise _OtherFormError
        ((call, helper),) = calls
        parameters = inspect.signature(helper).parameters
        inner = self.loop(helper, dict(zip(parameters, map(names.visited, call.args), strict=True)))
        around = names.visited(_Replaced({call: ast.Name(_VALUE, ast.Load())}).visit(value))
        values = {node: inner.value for node in ast.walk(around) if isinstance(node, ast.Name) and node.id == _VALUE}
        return Loop(inner.before, inner.start, inner.body, _Replaced(values).visit(around), self._helpers)

    def _start(self, loop: ast.For, names: "_Names") -> ast.expr:
        """Return the first row of a loop that goes to the last row: `range(first, len(column))`."""
        call = loop.iter
        if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "range" and isinstance(loop.target, ast.Name)):
            raise _OtherFormError
        first, end = (ast.Constant(0), *call.args) if len(call.args) == 1 else call.args[:2]
        until = ast.unparse(names.visited(end))
        if len(call.args) > 2 or until not in {f"len({column})" for column in self._columns}:
            raise _OtherFormError
        names.loop_name = loop.target.id
        start: ast.expr = names.visited(first)
        return start


class _Names(ast.NodeTransformer):
    """Replaces the names in a function: its parameters, its own names, and those of its module."""

    def __init__(
        self,
        function: Callable[..., Any],
        bound: Mapping[str, ast.expr],
        own: str,
        helpers: dict[str, Callable[..., Any]],
    ) -> None:
        self._bound = bound
        self._own = own
        self._helpers = helpers
        self._globals: Mapping[str, Any] = function.__globals__
        tree = ast.Module([*_statements(function)], [])
        self._set = {
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        self.loop_name = ""
        if self._set & set(bound):
            raise _OtherFormError

    def visited(self, node: Any) -> Any:
        """Return a copy of a node, or of several, with the names replaced."""
        return [*map(self.visited, node)] if isinstance(node, list | tuple) else self.visit(deepcopy(node))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a name."""
        if node.id == self.loop_name:
            return ast.Name(ROW, node.ctx)
        if node.id in self._set:
            return ast.Name(f"{self._own}_{node.id}", node.ctx)
        if node.id in self._bound:
            return deepcopy(self._bound[node.id])
        if node.id in self._globals:
            return self._of_module(self._globals[node.id])
        if node.id in _BUILT_IN or node.id == _VALUE:
            return node
        raise _OtherFormError

    def _of_module(self, value: Any) -> ast.expr:
        if isinstance(value, int | float):
            return ast.Constant(value) if math.isfinite(value) else ast.parse(f"float('{value}')", mode="eval").body
        if inspect.isfunction(value):
            helper = f"{value.__module__}.{value.__name__}".replace(".", "_")
            self._helpers[helper] = value
            return ast.Name(helper, ast.Load())
        raise _OtherFormError


class _Replaced(ast.NodeTransformer):
    """Replaces some nodes by other expressions."""

    def __init__(self, others: Mapping[Any, ast.expr]) -> None:
        self._others = others

    def visit(self, node: ast.AST) -> Any:
        """Return the replacement of a node, or the node with replacements within it."""
        return self._others[node] if node in self._others else super().visit(node)


@cache
def _statements(function: Callable[..., Any]) -> tuple[ast.stmt, ...]:
    """Return the statements of a function without its docstring."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef)
    return tuple(tree.body[1:] if ast.get_docstring(tree) is not None else tree.body)


def _loop_helper(call: ast.Call, function: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return the function of fivefold that a call calls, if it has a loop; otherwise None."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    helper = function.__globals__.get(name)
    if not inspect.isfunction(helper) or not helper.__module__.startswith("fivefold."):
        return None
    return helper if any(isinstance(statement, ast.For) for statement in _statements(helper)) else None


def _sets_a_name(statement: ast.stmt) -> TypeGuard[ast.Assign]:
    return (
        isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name)
    )


def _begins_a_name(statement: ast.stmt) -> bool:
    """Check whether a statement sets a name to a constant: no error even if the function would not reach it."""
    return _sets_a_name(statement) and isinstance(statement.value, ast.Constant | ast.Name)


def _is_plain(statement: ast.stmt) -> bool:
    """Check whether a statement only sets names, or does so on conditions: without loops, and ways out of one."""
    if isinstance(statement, ast.If):
        return all(map(_is_plain, [*statement.body, *statement.orelse]))
    return _sets_a_name(statement) or (isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name))


def _value(after: Sequence[ast.stmt]) -> ast.expr:
    """Return the statements after a loop as one expression: values on conditions, and the value otherwise."""
    first, *others = after or [ast.Pass()]
    if isinstance(first, ast.Return) and first.value is not None:
        return first.value
    if isinstance(first, ast.If) and len(first.body) == 1 and not first.orelse:
        return ast.IfExp(first.test, _value(first.body), _value(others))
    raise _OtherFormError
