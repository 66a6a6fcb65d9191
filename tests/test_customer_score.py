"""What a customer score has to be: each row says where a sentence is, and the tests that it names are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "customer-score.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
ABSENT = "not built yet"


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def test_every_sentence_says_where_it_is_and_what_shows_it() -> None:
    assert len(rows()) > 20
    for sentence, place, *tests in rows():
        assert len(tests) == 1, sentence
        assert place, sentence
        assert NAMED.search(tests[0]) or ABSENT in place, sentence


def test_every_test_that_is_named_is_there() -> None:
    named = [match.groups() for *_, tests in rows() for match in NAMED.finditer(tests)]
    absent = []
    for path, name in named:
        file = ROOT / path
        body = ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else []
        names = {node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
        if not names or (name is not None and name not in names):
            absent.append((path, name))
    assert absent == []
    assert len(named) > 30
