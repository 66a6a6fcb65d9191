"""What the text of own indicators may use: nothing that differs between machines or processes."""

import ast
import collections.abc
import io
import math
import tokenize
import typing
from collections.abc import Iterable, Iterator
from typing import Final

from fivefold.domain.errors import ConfigError
from fivefold.features import own_indicators


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PUBLIC: Final = own_indicators.__name__
_OF_NUMPY: Final = _words(
    """
    abs absolute all any arange arccos arcsin arctan arctan2 argmax argmin argsort array bincount cbrt ceil clip cos
    cosh cumsum diff exp expm1 fabs floor floor_divide fmax fmin fmod full full_like histogram hypot isfinite isinf
    isnan linspace log log10 log1p log2 max maximum mean median min minimum mod nanmax nanmean nanmedian nanmin nanstd
    nansum nanvar ones ones_like percentile power prod quantile remainder rint round searchsorted sign sin sinh sort
    sqrt square std sum tan tanh trunc unique var where zeros zeros_like
    bool_ float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 ndarray
    e inf nan pi
    """
)
"""Without `empty`, whose values are whatever the memory held, and without functions that read files or draw numbers."""
IMPORTED: Final = {
    "__future__": frozenset(("annotations",)),
    "collections.abc": frozenset(collections.abc.__all__),
    "math": frozenset(name for name in vars(math) if not name.startswith("_")),
    "numpy": _OF_NUMPY,
    "typing": frozenset(typing.__all__),
    PUBLIC: frozenset(own_indicators.__all__),
}
"""The modules that a file may import, and the names of each: nothing that differs between machines."""
_BUILT_IN: Final = _words(
    """
    abs bool divmod enumerate float int len list max min pow range reversed round set sorted str sum tuple zip
    IndexError OverflowError ValueError ZeroDivisionError
    """
)
_OF_VALUES: Final = _words(
    """
    add all any append argmax argmin argsort astype copy cumsum dtype extend fill is_integer max mean min ndim pop prod
    shape size sort std sum var
    """
)
"""Attributes of arrays and lists that a function may use; `flat`, `view` and the like read memory without bounds."""
_OF_CONSTANTS: Final = (
    ast.Constant, ast.Name, ast.Attribute, ast.UnaryOp, ast.BinOp, ast.Tuple, ast.List, ast.Dict,
    ast.operator, ast.unaryop, ast.expr_context,
)  # fmt: skip
_OF_TYPES: Final = (*_OF_CONSTANTS, ast.Subscript)
_ITS_TEXT: Final = "its text alone must decide the values wherever the model goes"


def require_closed_text(name: str, text: str) -> None:
    """Refuse a file whose values could depend on anything but its text.

    Raises:
        ConfigError: it is not Python, is read in another encoding than UTF-8, imports or uses a forbidden name, or runs
            more than declarations at its top level. The message names the file and the line.
    """
    _require_utf_8(name, text)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        number = getattr(error, "lineno", None)  # none of a null byte
        line = f", line {number}" if number else ""
        raise ConfigError(f"{name}{line} is not Python: {getattr(error, 'msg', error)}") from None
    for line_number, problem in _problems(tree):
        raise ConfigError(f"{name}, line {line_number} {problem}")


def _require_utf_8(name: str, text: str) -> None:
    """Refuse a comment that names another encoding: Python would obey it, and run a different text."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(text.encode()).readline)
    except SyntaxError as error:
        raise ConfigError(f"{name}, line 1 or 2 names an encoding that is not known: {error.msg}") from None
    if encoding != "utf-8":
        raise ConfigError(f"{name}, line 1 or 2 names the encoding {encoding}; it is UTF-8: remove that comment")


def _problems(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line number and the problem of everything that the text may not hold."""
    yield from _imports(tree)
    aliases = _Aliases(tree)
    yield from _top(tree, aliases)
    yield from _uses(tree, aliases)


class _Aliases:
    """The names by which a file knows the modules that it imports, and what it imports from them."""

    def __init__(self, tree: ast.Module) -> None:
        self.modules: dict[str, str] = {}
        self.names: dict[str, str] = {}
        for node in tree.body:
            if isinstance(node, ast.Import):
                self.modules |= {alias.asname or alias.name: alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                self.names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}

    def origin(self, node: ast.expr) -> str | None:
        """Return the full name of an imported expression, such as math.sqrt; None if it is not imported."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in self.modules:
            return f"{self.modules[node.value.id]}.{node.attr}"
        return None


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    allowed = ", ".join(name for name in IMPORTED if name != "__future__")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            modules = ["." * node.level + (node.module or "")]
        for module in modules:
            if module not in IMPORTED:
                yield node.lineno, f"imports {module}; a file of indicators may import {allowed}: {_ITS_TEXT}"
        if node not in tree.body:
            yield node.lineno, "imports inside a function; put the import at the top"
        for alias in node.names:
            if isinstance(node, ast.Import) and "." in alias.name and not alias.asname:
                yield node.lineno, f"imports {alias.name} as a whole; write from {alias.name} import … with the names"
            elif isinstance(node, ast.ImportFrom) and alias.name not in IMPORTED[modules[0]]:
                yield node.lineno, _not_of(modules[0], alias.name)


def _not_of(module: str, name: str) -> str:
    there = f"; of numpy there are {', '.join(sorted(_OF_NUMPY))}" if module == "numpy" else ""
    return f"uses {name} of {module}, which a file of indicators may not: {_ITS_TEXT}{there}"


def _top(tree: ast.Module, aliases: _Aliases) -> Iterator[tuple[int, str]]:
    """Check the statements that run when the file is imported."""
    declared: set[str] = set()
    for node in tree.body:
        names: Iterable[str] = ()
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.FunctionDef):
            names = (node.name,)
            yield from _heading(node, aliases)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names = [target.id for target in _targets(node) if isinstance(target, ast.Name)]
            yield from _constant(node)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            yield node.lineno, f"runs when it is imported; a file has imports, constants and functions: {_ITS_TEXT}"
        for name in names:
            if name in declared or name.startswith("__"):
                yield node.lineno, f"declares {name} once more, or a name of Python's; give it another name"
            declared.add(name)


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _constant(node: ast.Assign | ast.AnnAssign) -> Iterator[tuple[int, str]]:
    is_named = all(isinstance(target, ast.Name) for target in _targets(node))
    if not is_named or node.value is None or not _holds(node.value, _OF_CONSTANTS):
        yield node.lineno, f"makes more than a constant; give a number, or arithmetic of numbers: {_ITS_TEXT}"
    if isinstance(node, ast.AnnAssign) and not _holds(node.annotation, _OF_TYPES):
        yield node.lineno, "has a type that is computed; name it"


def _heading(node: ast.FunctionDef, aliases: _Aliases) -> Iterator[tuple[int, str]]:
    """Check decorators, types and defaults of a function, which run when the file is imported."""
    for decorator in node.decorator_list:
        is_called = isinstance(decorator, ast.Call)
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        wanted = f"{PUBLIC}.indicator" if is_called else f"{PUBLIC}.shared"
        if aliases.origin(called) != wanted:
            yield decorator.lineno, f"has another decorator than @indicator(…) or @shared, imported from {PUBLIC}"
        if isinstance(decorator, ast.Call):
            if not any(isinstance(each, ast.Return) and each.value is not None for each in ast.walk(node)):
                yield node.lineno, "declares an indicator without a `return`; it returns one number"
            arguments_of_decorator = [*decorator.args, *(keyword.value for keyword in decorator.keywords)]
            for value in arguments_of_decorator:
                if not _holds(value, _OF_CONSTANTS):
                    yield value.lineno, "computes what the decorator gets; give constants"
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    types = [each.annotation for each in every if each is not None] + [node.returns]
    if not all(_holds(each, _OF_TYPES) for each in types if each is not None):
        yield node.lineno, "has a type that is computed; name it"
    if not all(_holds(each, _OF_CONSTANTS) for each in (*arguments.defaults, *arguments.kw_defaults) if each):
        yield node.lineno, "has a default that is computed; give a constant"


def _holds(expression: ast.expr, kinds: tuple[type[ast.AST], ...]) -> bool:
    return all(isinstance(node, kinds) for node in ast.walk(expression))


def _uses(tree: ast.Module, aliases: _Aliases) -> Iterator[tuple[int, str]]:
    """Check every name and attribute, at the top and in functions."""
    names = _bound(tree) | _BUILT_IN
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    of_module = [node for node in attributes if isinstance(node.value, ast.Name) and node.value.id in aliases.modules]
    for node in of_module:
        module = aliases.modules[ast.unparse(node.value)]
        if node.attr not in IMPORTED[module] or not isinstance(node.ctx, ast.Load):
            yield node.lineno, _not_of(module, node.attr)
    for node in attributes:
        if node not in of_module and node.attr not in _OF_VALUES:
            yield node.lineno, f"uses .{node.attr}; of arrays and lists there are {', '.join(sorted(_OF_VALUES))}"
    modules = [node.value for node in of_module]
    for name in ast.walk(tree):
        if isinstance(name, ast.Global | ast.Nonlocal):
            yield name.lineno, "changes a name outside its function; return the number instead"
        elif not isinstance(name, ast.Name) or name in modules:
            continue
        elif name.id in aliases.modules:
            yield name.lineno, f"uses {name.id} alone; name what it needs of it, such as {name.id}.sqrt"
        elif name.id not in names or name.id.startswith("__"):
            yield name.lineno, f"uses {name.id}; {_ITS_TEXT}"


def _bound(tree: ast.Module) -> set[str]:
    """Return the names that a file binds itself."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names
