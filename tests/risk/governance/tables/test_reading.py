"""What people write into tables is read exactly, or refused by its cell."""

from contextlib import suppress
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.risk.governance.tables.cells import CellError, read_cell
from fivefold.risk.governance.tables.foreign.unary import System, read_unary
from fivefold.risk.governance.tables.grid import Grid, Value
from fivefold.risk.governance.tables.read import read_table
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.reading import read_ruleset
from tests.risk.conftest import Refusal
from tests.risk.governance.tables.test_round_trip import SMALL

N, T, D, F = ValueType.NUMBER, ValueType.TEXT, ValueType.MOMENT, ValueType.FLAG
HEADER = ("case", "word", "amount", "when", "points", "floor", "title")


@pytest.mark.parametrize(
    ("cell", "kind", "test"),
    [
        ("", N, None),
        ("  ", N, None),
        (None, T, None),
        ("= 10", N, {"equals": 10}),
        ("≥ 10 and ≤20", N, {"at_least": 10, "at_most": 20}),
        (">=-5", N, {"at_least": -5}),
        ("<> A", T, {"not_equals": "A"}),
        ("10..20", N, {"between": [10, 20]}),
        ("[10..20)", N, {"at_least": 10, "below": 20}),
        ("(0.5 .. 1]", N, {"above": Decimal("0.5"), "at_most": 1}),
        ("Outside -5..-3", N, {"outside": [-5, -3]}),
        ("IN A,B", T, {"in": ["A", "B"]}),
        ("not in 1, 5", N, {"not_in": [1, 5]}),
        ("not in list eea", T, {"not_in_list": "eea"}),
        ("in 007, 08", T, {"in": ["007", "08"]}),
        ("007", T, {"equals": "007"}),
        ("private banking", T, {"equals": "private banking"}),
        ("“A, B”", T, {"equals": "A, B"}),
        ('"say “hi”"', T, {"equals": "say “hi”"}),
        ("“a\u00a0b”", T, {"equals": "a\u00a0b"}),
        ('"a  b"', T, {"equals": "a  b"}),
        ("in  A ,\tB", T, {"in": ["A", "B"]}),
        (">\u00a010", N, {"above": 10}),
        ('"-"', T, {"equals": "-"}),
        ("in -, A", T, {"in": ["-", "A"]}),
        ('"#N/A"', T, {"equals": "#N/A"}),
        ("contains any of a, b", ValueType.TEXTS, {"contains_any": ["a", "b"]}),
        ("> {field: other}", N, {"above": {"field": "other"}}),
        (">= 2024-01-31", D, {"at_least": "2024-01-31"}),
        ("2024-01-01..2024-02-01", D, {"between": ["2024-01-01", "2024-02-01"]}),
        (date(2024, 1, 31), D, {"equals": "2024-01-31"}),
        (Decimal("0.1"), N, {"equals": Decimal("0.1")}),
        (True, F, {"equals": True}),
        ("FALSE", F, {"equals": False}),
        ("is present", T, {"is": "present"}),
    ],
)
def test_a_cell_is_read(cell: Value, kind: ValueType, test: Any) -> None:
    assert read_cell(cell, kind) == test


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("1,5", N),
        ("10.000,00", N),
        ("25%", N),
        ("ten", N),
        ("A, B", T),
        ("in A B,", T),
        ("in 1,5", N),
        ("not A", T),
        ("unknown", T),
        ("A or B", T),
        ("> 10 and > 20", N),
        ("> 10 < 20", N),
        ("-", T),
        ("-", N),
        ("-", D),
        ("Müller  &  Co", T),
        ("a\tb", T),
        ("a\nb", T),
        ("a\u00a0b", T),
        ("starts with a  b", T),
        ("10  000", N),
        ("“a”b", T),
        ('"a”', T),
        ("fuzzy {to: “a, b”, scorer: ratio, at_least: 90}", T),
        ("10..", N),
        ("[10..20", N),
        ("[10]", N),
        ("fuzzy Walesa", T),
        ('"A', T),
        ("> {field: other", N),
        ("> {field: [}", N),
        ("yes", F),
        (Decimal(7), T),
        (True, T),
        (date(2024, 3, 1), T),
        (date(2024, 3, 1), N),
        (Decimal(45352), D),
    ],
)
def test_a_cell_that_is_not_exact_is_refused(cell: Value, kind: ValueType, refusal: Refusal) -> None:
    with refusal(CellError):
        read_cell(cell, kind)


def test_a_point_between_thousands_is_not_guessed(refusal: Refusal) -> None:
    assert read_cell("> 1.000", N) == {"above": Decimal("1.000")}
    assert read_cell("> 1.5", N, may_part_thousands=True) == {"above": Decimal("1.5")}
    with refusal(CellError):
        read_cell("> 1.000", N, may_part_thousands=True)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("case", "points")],
        [("case", "word", "points")],
        [("case", "wrod", "points"), ("1", "a", "1")],
        [("case", "sum: amuont", "points"), ("1", "1", "1")],
        [("case", "count", "points"), ("1", "1", "1")],
        [("case", "word", "Points", "points"), ("1", "a", "1", "1")],
        [("case", "word", "field: word", "points"), ("1", "a", "b", "1")],
        [("case", None, "word", "points"), ("1", "x", "a", "1")],
        [("word", "title"), ("a", "b")],
        [HEADER, ("2", "a", None, None, "1", None, None), ("1", "b", None, None, "1", None, None)],
        [HEADER, ("first", "a", None, None, "1", None, None)],
        [HEADER, ("1", "a", "> x", None, "1,5", "hihg", None)],
        [HEADER, ("1", None, None, None, "1", None, None)],
        [HEADER, ("1", "a", None, "{field: word, equals: b}", "1", None, None)],
        [HEADER, ("1", None, None, "{field: wrod, equals: b}", "1", None, None)],
        [HEADER, ("1", None, None, "{field: word, equals: [b}", "1", None, None)],
        [HEADER, ("1", "starts with a", "starts with a", None, "1", None, None)],
        [HEADER, ("1", "a", None, None, "1.005", "4", None)],
        [HEADER, ("1", "a", None, None, True, Decimal("1.5"), None)],
        [HEADER, ("otherwise", None, None, None, "1", None, None), ("1", "a", None, None, "1", None, None)],
        [
            HEADER,
            ("1", "a", None, None, "1", None, None),
            ("otherwise", "b", None, None, "1", None, "t"),
            ("otherwise", None, None, None, "2", None, None),
        ],
        [HEADER, ("1", "a", None, None, "1", None, None), (None,) * 7, ("2", "b", None, None, "1", None, None)],
        [("case", "born", "points"), ("1", "> 31.12.2000", "1")],
        [
            HEADER,
            (
                "1",
                "a",
                "> x",
                None,
                "1",
                None,
                None,
            ),  # a cell, the level below, the list's form: faults of three stages
            ("2", "b", None, None, "1", "hihg", None),
            ("3", "in list No!", None, None, "1", None, None),
            ("4", "starts with a", "starts with a", None, "1", None, None),
            ("otherwise", None, None, None, "x", None, None),
        ],
        [
            HEADER,
            ("#REF!", "#N/A", None, None, "#VALUE!", "#NAME?", "#NV"),
            ("2", '"#N/A"', None, None, "1", None, "#1"),
            ("otherwise", None, None, None, "#DIV/0!", None, None),
        ],
        [("case", "word", "amuont", "points"), ("1", "a", "1", "five"), ("2", "b", "2", "1,5")],
        [HEADER, *(("", f"w{number}", None, None, "1", None, None) for number in range(201))],
        [HEADER, *(("", f"w{number}", None, None, "1", None, None) for number in range(300))],
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_its_cells(rows: list[Any], refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        read_table(Grid(rows), read_ruleset(SMALL), "first", "t.csv")


def test_what_a_sheet_cannot_say_stands_beside_what_does_not_fit(refusal: Refusal) -> None:
    rows: list[Any] = [
        HEADER,
        ("1", None, None, None, Decimal(1), None, None),
        ("2", "b", "> x", None, None, "hihg", None),
        ("3", "c", None, None, Decimal(1), "hihg", None),
        ("4", "in A", "B", None, "1", None, None),
    ]
    grid = Grid(rows, "cases", refused={(1, 1): "is a formula", (2, 4): "is a formula", (4, 7): "is one too many"})
    with refusal(InvalidRulesetError):
        read_table(grid, read_ruleset(SMALL), "first", "t.xlsx")


def test_a_header_that_cannot_be_read_says_nothing_of_its_cases(refusal: Refusal) -> None:
    rows: list[Any] = [("case", None, "points"), ("1", "a", Decimal(1)), ("2", "b", "five")]
    with refusal(InvalidRulesetError):
        read_table(Grid(rows, refused={(0, 1): "is a formula"}), read_ruleset(SMALL), "first", "t.csv")


def test_a_rule_that_is_not_there_is_refused(refusal: Refusal) -> None:
    with refusal(ConfigError):
        read_table(Grid([]), read_ruleset(SMALL), "frist", "t.csv")


def test_a_new_row_needs_no_number_and_levels_may_be_numbers() -> None:
    rows = [HEADER, ("1", "a", None, None, None, "2", None), (None, "b", "> 3", None, Decimal(2), Decimal(3), "T")]
    rule = read_table(Grid(rows), read_ruleset(SMALL), "first", "t").rule("first")
    assert [case.floor for case in rule.cases] == [2, 3]
    assert rule.cases[1].title == "T"
    assert rule.otherwise.points is None


PIECES = st.text(max_size=3) | st.sampled_from(
    [
        *(
            "in",
            "not",
            "list",
            "and",
            "or",
            ">",
            "<=",
            "..",
            "[",
            "]",
            "(",
            ")",
            "{",
            "}",
            '"a"',
            "'b'",
            "a",
            "1",
            "1.5",
        ),
        *("-", "null", "date", "@", ",", "present", "fuzzy", "any of", "contains", "outside", ":", "=", "%", "\\", "“"),
        *("1e9999999999999999999", "9" * 5000, "0" * 5000),
    ]
)
CELLS = st.lists(PIECES, max_size=6).map(" ".join)
HEADERS = st.lists(
    st.sampled_from(["case", "word", "amount", "open", "when", "points", "floor", "title", "born", "sum: amount", "{"]),
    min_size=1,
    max_size=6,
)
ROWS = HEADERS.flatmap(
    lambda header: st.lists(
        st.lists(CELLS | st.none() | st.booleans(), min_size=len(header), max_size=len(header)), max_size=3
    ).map(lambda rows: [header, *rows])
)


@given(CELLS, st.sampled_from(list(ValueType)))
def test_any_cell_is_read_or_refused(text: str, kind: ValueType) -> None:
    for read in (read_cell, partial(read_unary, system=System.JDM), partial(read_unary, system=System.DMN)):
        with suppress(CellError):
            read(text, kind)


@given(ROWS)
@example([["case", "word", "floor"], ["9" * 5000, "a", "9" * 5000]])
def test_any_table_is_read_or_refused(rows: list[Any]) -> None:
    with suppress(InvalidRulesetError):
        read_table(Grid(rows), read_ruleset(SMALL), "first", "t")


@pytest.mark.parametrize(
    ("cell", "kind"),
    [("9" * 6_000, ValueType.NUMBER), ("9" * 6_000 + "%", ValueType.NUMBER), ("yes" * 6_000, ValueType.FLAG),
     ("a, " * 6_000, ValueType.TEXT), ("or " + "a" * 6_000, ValueType.TEXT), ("> 5 " + "a" * 6_000, ValueType.NUMBER)],
)  # fmt: skip
def test_a_message_shows_the_beginning_of_a_long_cell(cell: str, kind: ValueType) -> None:
    with pytest.raises(CellError) as refused:
        read_cell(cell, kind)
    assert len(str(refused.value)) < 300
    assert "..." in str(refused.value)
