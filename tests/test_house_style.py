"""The house style's limits, as tests: what no linter counts."""

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
MODULES = sorted(path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))

MOST_LINES_OF_A_MODULE = 500
MOST_LINES_OF_A_FUNCTION = 60

MAY_PRINT = ("cli", "benchmarks")
MAY_READ_THE_ENVIRONMENT = {
    "domain/settings.py": "the one place that does",
    "domain/__init__.py": "switches telemetry off before any dependency can start",
    "benchmarks/serving/__main__.py": "hands PATH on, with a folder more, to the server that it starts",
}

EXEMPTION = re.compile(
    r"#\s*(?:noqa\b(?::\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*)?|type:\s*ignore\b(?:\[[\w, -]+\])?|pragma:\s*no \w+)"
)
REASON = re.compile(r"[^\W\d_]{3,}")
"""A word at least, once the exemptions themselves are taken away."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def line_count(module: Path) -> int:
    return len((ROOT / module).read_text(encoding="utf-8").splitlines())


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def nodes(module: Path) -> Iterator[ast.AST]:
    return ast.walk(tree(module))


def public(parent: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Public functions and classes, and the public methods of these; the inside of a function is its own affair."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{node.name}.")


def comments(module: Path) -> list[tuple[int, str]]:
    with (ROOT / module).open("rb") as file:
        return [
            (found.start[0], found.string)
            for found in tokenize.tokenize(file.readline)
            if found.type == tokenize.COMMENT
        ]


def lacks_reason(comment: str) -> bool:
    return bool(EXEMPTION.search(comment)) and not REASON.search(EXEMPTION.sub("", comment))


def reads_environment(node: ast.AST) -> bool:
    """Tell whether a name is looked up; to hand all of them on to a process, or to set one for it, is not to read."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in {"environ", "getenv"} for alias in node.names)
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in {"os.getenv", "os.environ.get"}
    return (
        isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ" and isinstance(node.ctx, ast.Load)
    )


def constants(module: Path) -> set[str]:
    """Names in capitals that a module gives to a list, a dictionary or a set."""
    containers = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    found = set()
    for node in tree(module).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, containers):
            made = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in made if isinstance(target, ast.Name) and target.id.isupper()}
    return found


def changes(node: ast.AST, names: set[str]) -> bool:
    """Tell whether a statement changes what one of *names* holds."""
    changing = {
        "append",
        "extend",
        "insert",
        "add",
        "update",
        "setdefault",
        "pop",
        "popitem",
        "remove",
        "clear",
        "sort",
    }
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        changed: ast.AST | None = node.func.value if node.func.attr in changing else None
    elif isinstance(node, ast.Subscript):
        changed = None if isinstance(node.ctx, ast.Load) else node.value
    else:
        changed = node.target if isinstance(node, ast.AugAssign) else None
    return isinstance(changed, ast.Name) and changed.id in names


def test_every_room_is_looked_at() -> None:
    assert {"benchmarks", "charts", "cli", "domain", "features", "models", "training"} <= set(ROOMS)


def test_a_module_has_one_idea() -> None:
    found = {str(module): line_count(module) for module in MODULES}
    assert not {module: count for module, count in found.items() if count > MOST_LINES_OF_A_MODULE}


def test_a_function_fits_a_screen() -> None:
    found = {
        f"{module}:{node.lineno} {node.name}": length(node)
        for module in MODULES
        for node in nodes(module)
        if isinstance(node, Function)
    }
    assert not {function: count for function, count in found.items() if count > MOST_LINES_OF_A_FUNCTION}


def test_everything_public_is_documented() -> None:
    modules = [str(module) for module in MODULES if not ast.get_docstring(tree(module))]
    members = [
        f"{module}:{node.lineno} {name}"
        for module in MODULES
        for name, node in public(tree(module))
        if not ast.get_docstring(node)
    ]
    assert not [*modules, *members]


def test_every_exemption_says_why() -> None:
    """As in `# noqa: X1 (why)`, `# type: ignore[x]  # why` and `# pragma: no cover (why)`."""
    found = [
        f"{module}:{line} {text}"
        for module in [*MODULES, *TESTS]
        for line, text in comments(module)
        if lacks_reason(text)
    ]
    assert not found, "without a reason:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("comment", "lacks"),
    [
        ("# noqa", True),
        ("# noqa: S102", True),
        ("# noqa: PLC0415, ANN202", True),
        ("# type: ignore[no-untyped-def]", True),
        ("# type: ignore[misc]  # noqa: ANN202", True),
        ("# pragma: no cover", True),
        ("# noqa: S102 (our own text, from above)", False),
        ("# type: ignore[misc]  # the end marker never leaves the loop", False),
        ("# type: ignore[misc]  # noqa: ANN202 (its type would import MLflow)", False),
        ("# pragma: no cover (only on Windows)", False),
        ("# an ordinary comment", False),
    ],
)
def test_a_reason_is_told_from_none(comment: str, lacks: bool) -> None:
    assert lacks_reason(comment) is lacks


def test_only_commands_print() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module in MODULES
        if module.parts[0] not in MAY_PRINT
        for node in nodes(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not found


def test_the_environment_is_read_in_one_place() -> None:
    others = [module for module in MODULES if module.as_posix() not in MAY_READ_THE_ENVIRONMENT]
    found = [f"{module}:{node.lineno}" for module in others for node in nodes(module) if reads_environment(node)]  # type: ignore[attr-defined]  # only nodes with a line match
    assert not found


def test_constants_do_not_change() -> None:
    """A container with a name in capitals is filled where it stands, and never later."""
    found = []
    for module in MODULES:
        names = constants(module)
        found += [f"{module}: {ast.unparse(node)}" for node in nodes(module) if names and changes(node, names)]
    assert not found


def test_a_look_at_the_environment_is_seen() -> None:
    reading = ["os.getenv('A')", "os.environ.get('A')", "x = os.environ['A']", "from os import environ"]
    setting = ["os.environ['A'] = 'b'", "os.environ |= {}", "x = {**os.environ}", "os.environ.setdefault('A', 'b')"]
    assert [any(map(reads_environment, ast.walk(ast.parse(line)))) for line in reading] == [True] * len(reading)
    assert [any(map(reads_environment, ast.walk(ast.parse(line)))) for line in setting] == [False] * len(setting)


def test_a_change_of_a_constant_is_seen() -> None:
    changed = ["X.append(1)", "X['a'] = 1", "del X[0]", "X |= {1}", "X += [1]"]
    kept = ["X[0]", "Y.append(1)", "x = X", "X.index(1)"]
    assert [any(changes(node, {"X"}) for node in ast.walk(ast.parse(line))) for line in changed] == [True] * len(
        changed
    )
    assert [any(changes(node, {"X"}) for node in ast.walk(ast.parse(line))) for line in kept] == [False] * len(kept)


def test_a_room_says_what_it_is_for() -> None:
    first = {room: (ast.get_docstring(tree(Path(room) / "__init__.py")) or "").partition("\n")[0] for room in ROOMS}
    assert not {room: line for room, line in first.items() if not line.endswith(".")}
