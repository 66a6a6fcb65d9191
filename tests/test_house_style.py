"""The house style's limits, as tests: what no linter counts."""

import ast
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from io import StringIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
MODULES = sorted(path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TEXTS = sorted(
    path.relative_to(ROOT) for room in ROOMS for kind in ("yaml", "html") for path in (ROOT / room).rglob(f"*.{kind}")
)
"""Rules, and templates of pages."""
PAGES = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))

MOST_LINES_OF_A_MODULE = 500
MOST_LINES_OF_A_FUNCTION = 60
MOST_MODULES_OF_A_FOLDER = 15

MAY_PRINT = ("cli", "benchmarks")
MAY_READ_THE_ENVIRONMENT = {
    "domain/settings.py": "the one place that does",
    "domain/__init__.py": "switches telemetry off before any dependency can start",
    "features/spark.py": "names this interpreter and loopback to Spark, and asks for Java where Spark does",
    "benchmarks/yardstick/purchases.py": "hands it on to a script, with the number of threads",
    "benchmarks/serving/__main__.py": "hands PATH on, with a folder more, to the server that it starts",
}

EXEMPTION = re.compile(
    r"#\s*(?:noqa\b(?::\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*)?|type:\s*ignore\b(?:\[[\w, -]+\])?|pragma:\s*no \w+)"
)
TO_THE_END = re.compile(rf"{EXEMPTION.pattern}.*")
"""An exemption and what stands behind it: a comment that lacks a reason has none there either."""
REASON = re.compile(r"[^\W\d_]{3,}")
"""A word at least, once the exemptions themselves are taken away."""

DENIED = {
    r"\bwhoever\b": "name the person, the program or the entity",
    r"\b(?:some|any)body\b": "name the person, the program or the entity",
    r"\btold\b": "say what is shown, sent, reported or known",
    r"\b(?:came|comes|come) of (?:it|them)\b": "result or outcome",
    r"\bsays it all\b": "say what it says",
    r"\b(?:doorway|courier|teller|gatekeeper)\b": "validator, dispatcher, explainer, authentication",
    r"\bat hand\b": "pending, or present",
}
"""Words that a reader stumbles over, and what to write instead."""
ANY_DENIED = re.compile("|".join(DENIED), re.IGNORECASE)

PARTICIPLES = {
    *("made", "found", "held", "told", "said", "asked", "sent", "kept", "given", "taken", "seen", "known"),
}
SHARED_CLASS_NAMES = {
    **dict.fromkeys(
        ("Contribution", "DecisionLine", "HistoryLine", "ListPut", "Policy", "Problem"),
        "what a route gives of the thing of that name",
    ),
    **dict.fromkeys(("Rate", "Review", "Validation"), "what a route gives of the thing of that name"),
    "FactorChange": "between two inputs, and between two assessments",
    "GroupMove": "the row, and what is listed of it",
    "Movement": "of columns, and of one entity",
    "Row": "of a request to /v1, and to /v4",
    "Settings": "of a process, and of an organisation",
    "ValueModel": "and what a notebook asks of it",
}
"""Public classes of one name, and why that is one meaning; the client names its own as the answers they are of."""

MOST_PARTICIPLES = 34
"""Fields whose names are public: of answers, stored breakdowns and forms. There are no others, and no new ones."""
MOST_POSITIONAL = 123
"""Dataclasses of more than four fields that take them in their order: new ones take keywords. Lower it as they go."""
IS_NO = re.compile(r"(?<!there )(?<!There )(?<!can )(?<!may )\b(?:is|are|be|was) no\b(?! longer\b)")

UNREAD = re.compile(r"""["']\s*\n\s*[a-z]{0,2}["']|\\[a-z]""", re.IGNORECASE)
"""What a person does not read: where one text goes on in the next line, and escapes."""

GLOBBING = re.compile(r"pl\.(scan|read)_(parquet|csv|ndjson|ipc)")
"""What takes signs in a path for a pattern; `pl.read_json` does not."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def source(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse(source(module))


@pytest.fixture(scope="module", autouse=True)
def parsed_once() -> Iterator[None]:
    """Let go of the trees at the end: each later look for what is left would go through a million nodes."""
    yield
    tree.cache_clear()


def line_count(module: Path) -> int:
    return len(source(module).splitlines())


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def nodes(module: Path, *words: str) -> Iterator[ast.AST]:
    """Walk through a module; where words are given, only if one of them is in it: most modules need not be parsed."""
    return ast.walk(tree(module)) if not words or any(word in source(module) for word in words) else iter(())


def functions(parent: ast.AST) -> Iterator[Function]:
    """All functions, those within others as well; none is within an expression."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Function):
            yield node
        if not isinstance(node, ast.expr):
            yield from functions(node)


def public(parent: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Public functions and classes, and the public methods of these; the inside of a function is its own affair."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{node.name}.")


@cache
def comments(module: Path) -> list[tuple[int, str]]:
    return [
        (found.start[0], found.string)
        for found in tokenize.generate_tokens(StringIO(source(module)).readline)
        if found.type == tokenize.COMMENT
    ]


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """What a person reads in a module, in rules, in a template or on a page, with its line."""
    if path.suffix != ".py":
        yield from enumerate(source(path).splitlines(), 1)
        return
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    yield from comments(path)


def may_have_denied(path: Path) -> bool:
    """Look through a source as it stands, names too: it takes a fraction of the time to tell what is prose."""
    return bool(ANY_DENIED.search(UNREAD.sub("", source(path))))


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


def test_every_room_is_looked_at() -> None:
    assert {"benchmarks", "charts", "cli", "domain", "features", "models", "training"} <= set(ROOMS)


def test_a_module_has_one_idea() -> None:
    found = {str(module): line_count(module) for module in MODULES}
    assert not {module: count for module, count in found.items() if count > MOST_LINES_OF_A_MODULE}


def test_a_folder_can_be_taken_in_at_a_glance() -> None:
    """Migrations are history, which only grows."""
    counts = Counter(module.parent for module in MODULES if module.name != "__init__.py")
    del counts[Path("store/migrations/versions")]
    assert not {str(folder): count for folder, count in counts.items() if count > MOST_MODULES_OF_A_FOLDER}


def test_a_folder_of_tests_fits_a_screen_too() -> None:
    """But for `tests` itself, which has what all of them share, beside the tests of the repository as a whole."""
    counts = Counter(module.parent for module in (ROOT / "tests").glob("*/**/*.py") if module.name != "__init__.py")
    assert not {str(folder): count for folder, count in counts.items() if count > MOST_MODULES_OF_A_FOLDER}


def test_a_common_beginning_of_names_is_a_folder() -> None:
    """Two modules may begin alike; a third asks for a folder."""
    beginnings = Counter(
        (module.parent, module.stem.split("_")[0])
        for module in MODULES
        if "_" in module.stem and module.parts[0] != "benchmarks" and "versions" not in module.parts
    )
    assert not {f"{folder}/{word}_*": count for (folder, word), count in beginnings.items() if count > 2}


def names_in(folder: str) -> set[str]:
    """The names of the folders in a layer, and of the modules beside them."""
    paths = [path for path in (ROOT / folder).iterdir() if path.suffix == ".py" or any(path.glob("*.py"))]
    return {path.stem for path in paths} - {"__init__", "__pycache__"}


def folders_in(folder: str) -> set[str]:
    """The names of the folders in a layer alone, where modules beside them are of no capability."""
    return {path.name for path in (ROOT / folder).iterdir() if path.is_dir()} - {"__pycache__"}


def test_a_capability_has_one_name_in_every_layer() -> None:
    """Those of `usecases`, by which a reader finds it in the others; a layer may lack some, and has few of its own."""
    capabilities = folders_in("usecases")
    assert names_in("store") - capabilities == {"sql", "tables", "migrations"}
    assert names_in("serving/v1/routes") <= capabilities
    assert folders_in("console") - capabilities == {"static", "templates"}
    assert names_in("cli/platform") - capabilities == {"clock", "worker"}
    assert folders_in("tests/usecases") <= capabilities
    assert folders_in("tests/serving/v1") <= capabilities
    assert folders_in("tests/console") <= capabilities
    assert folders_in("tests/store") - capabilities == {"sql"}


def test_words_are_plain() -> None:
    """Docstrings, comments, messages, rules, templates and pages use the words that DENIED gives instead."""
    found = [
        f"{path}:{line} {match[0]!r}: {reason}"
        for path in [*MODULES, *TEXTS, *PAGES]
        if may_have_denied(path)
        for line, text in prose(path)
        if ANY_DENIED.search(text)
        for pattern, reason in DENIED.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)


def names_given(module: Path) -> Iterator[str]:
    """The names that a module gives: of parameters, variables, attributes, functions and classes, private ones too."""
    for node in nodes(module, *PARTICIPLES, *(word.capitalize() for word in PARTICIPLES)):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.ClassDef | Function):
            yield node.name.lower()


def test_no_name_is_a_bare_participle_but_public_fields() -> None:
    """A thing has a noun and an act a verb: `rows_by_day`, not `found`."""
    assert (
        sum(name.lstrip("_") in PARTICIPLES for module in MODULES for name in names_given(module)) <= MOST_PARTICIPLES
    )


def test_a_class_name_has_one_meaning() -> None:
    names = Counter(
        node.name
        for module in MODULES
        if module.parts[0] not in {"client", "benchmarks"}
        for node in tree(module).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {name for name, count in names.items() if count > 1} == set(SHARED_CLASS_NAMES)


def takes_fields_in_their_order(node: ast.ClassDef) -> bool:
    decorators = [text for each in node.decorator_list if "dataclass" in (text := ast.unparse(each))]
    fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
    return bool(decorators) and "kw_only" not in decorators[0] and len(fields) > 4


def test_fewer_and_fewer_dataclasses_of_many_fields_take_them_in_their_order() -> None:
    """Two of one type that change places raise no error."""
    classes = [
        node
        for module in MODULES
        if module.parts[0] != "benchmarks"
        for node in nodes(module, "dataclass")
        if isinstance(node, ast.ClassDef) and takes_fields_in_their_order(node)
    ]
    assert len(classes) <= MOST_POSITIONAL


def test_no_sentence_says_that_something_is_no_thing() -> None:
    """`x is not a number`, where `x is no number` reads as a translation. A route's description keeps its bytes."""
    found = [str(module) for module in MODULES for _ in IS_NO.findall(" ".join(source(module).split()))]
    assert found == ["serving/v1/routes/portfolio.py"]


def test_a_function_fits_a_screen() -> None:
    found = {
        f"{module}:{node.lineno} {node.name}": length(node) for module in MODULES for node in functions(tree(module))
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


def section(docstring: str, title: str) -> list[str]:
    """The names that a section of a docstring explains."""
    _, _, below = docstring.partition(f"{title}:\n")
    return re.findall(r"^ {4}(\w+):", below.partition("\n\n")[0], re.MULTILINE)


def unknown_names(node: Function | ast.ClassDef) -> set[str]:
    """The names that a docstring explains and its function or class lacks; a class may inherit what it explains."""
    docstring = ast.get_docstring(node) or ""
    if isinstance(node, Function):
        return set(section(docstring, "Args")) - {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
    if any(ast.unparse(base).partition("[")[0] not in {"Generic", "NamedTuple", "Protocol"} for base in node.bases):
        return set()
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    names |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    return set(section(docstring, "Attributes")) - names - {each.name for each in functions(node)}


def test_a_docstring_explains_names_that_there_are() -> None:
    found = [
        f"{module}:{node.lineno} {node.name}: {', '.join(sorted(unknown))}"
        for module in MODULES
        for node in nodes(module, "Args:", "Attributes:")
        if isinstance(node, Function | ast.ClassDef) and (unknown := unknown_names(node))
    ]
    assert not found, "\n".join(found)


def test_every_exemption_says_why() -> None:
    """As in `# noqa: X1 (why)`, `# type: ignore[x]  # why` and `# pragma: no cover (why)`."""
    found = [
        f"{module}:{line} {text}"
        for module in [*MODULES, *TESTS]
        if any(lacks_reason(found[0]) for found in TO_THE_END.finditer(source(module)))
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
        for node in nodes(module, "print")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not found


def may_glob(node: ast.AST) -> bool:
    """Whether code names a function of Polars that takes signs in a path for a pattern."""
    return isinstance(node, ast.Attribute) and bool(GLOBBING.fullmatch(ast.unparse(node)))


def is_told_not_to(call: ast.Call) -> bool:
    """Whether a call gives Polars content in place of a path, or says that signs are none of a pattern."""
    says = any(each.arg == "glob" and ast.unparse(each.value) == "False" for each in call.keywords)
    return says or (bool(call.args) and isinstance(call.args[0], ast.Call))


def patterns(module: ast.Module) -> list[int]:
    """Find the lines at which Polars would read another file than the path names, where that has `[` in it."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call) and is_told_not_to(node)]
    sound = {node.func for node in calls}
    return [node.lineno for node in ast.walk(module) if may_glob(node) and node not in sound]  # type: ignore[attr-defined]  # only nodes with a line match


def test_polars_takes_no_path_for_a_pattern() -> None:
    readers = [module for module in MODULES if module.parts[0] != "benchmarks" and "polars" in source(module)]
    found = [f"{module}:{line}" for module in readers for line in patterns(tree(module))]
    assert not found


def test_a_path_that_may_be_a_pattern_is_seen() -> None:
    wrong = ["pl.scan_csv(path)", "read = {'.csv': pl.read_csv}", "pl.read_ipc(path, glob=True)"]
    right = ["pl.scan_csv(path, glob=False)", "pl.read_parquet(io.BytesIO(content))", "pl.read_json(path)"]
    assert [patterns(ast.parse(line)) for line in wrong + right] == [[1]] * len(wrong) + [[]] * len(right)


def test_the_environment_is_read_in_one_place() -> None:
    others = [module for module in MODULES if module.as_posix() not in MAY_READ_THE_ENVIRONMENT]
    found = [
        f"{module}:{node.lineno}"
        for module in others
        for node in nodes(module, "environ", "getenv")
        if reads_environment(node)
    ]  # type: ignore[attr-defined]  # only nodes with a line match
    assert not found


def test_a_look_at_the_environment_is_seen() -> None:
    reading = ["os.getenv('A')", "os.environ.get('A')", "x = os.environ['A']", "from os import environ"]
    setting = ["os.environ['A'] = 'b'", "os.environ |= {}", "x = {**os.environ}", "os.environ.setdefault('A', 'b')"]
    assert [any(map(reads_environment, ast.walk(ast.parse(line)))) for line in reading] == [True] * len(reading)
    assert [any(map(reads_environment, ast.walk(ast.parse(line)))) for line in setting] == [False] * len(setting)


def test_a_room_says_what_it_is_for() -> None:
    first = {room: (ast.get_docstring(tree(Path(room) / "__init__.py")) or "").partition("\n")[0] for room in ROOMS}
    assert not {room: line for room, line in first.items() if not line.endswith(".")}
