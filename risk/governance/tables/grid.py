"""A sheet of any kind of file as rows of values with addresses, and guards against texts that run as formulas."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias

from fivefold.domain.text import FORMULA_SIGNS
from fivefold.risk.language.quantities import decimal_text

Value: TypeAlias = "str | bool | Decimal | date | None"
"""The value of a cell; None for an empty one. A CSV has only text, a spreadsheet may have the others."""

MOST_ROWS = 250
"""Largest number of rows read: a rule has at most 200 cases."""

MOST_COLUMNS = 60
"""Largest number of columns read."""


@dataclass(frozen=True)
class Grid:
    """A sheet.

    Attributes:
        rows: its cells, the header first; every row as long as the header.
        sheet: its name; empty for a CSV.
        may_part_thousands: whether a point may separate thousands: if the decimal sign is a comma, spreadsheets
            separate columns by semicolons or tabs.
        refused: the content of cells that cannot be read, by row and column, from 0.
    """

    rows: Sequence[Sequence[Value]]
    sheet: str = ""
    may_part_thousands: bool = False
    refused: Mapping[tuple[int, int], str] = field(default_factory=dict)

    def address(self, row: int, column: int) -> str:
        """Return the address of a cell, as a spreadsheet writes it.

        >>> Grid([]).address(4, 1), Grid([], "cases").address(0, 27)
        ('cell B5', 'cases!AB1')
        """
        place = f"{column_letters(column)}{row + 1}"
        return f"{self.sheet}!{place}" if self.sheet else f"cell {place}"


def column_letters(column: int) -> str:
    """Return the letters of a column, counted from 0.

    >>> column_letters(0), column_letters(25), column_letters(26)
    ('A', 'Z', 'AA')
    """
    letters = ""
    while column >= 0:
        letters = chr(ord("A") + column % 26) + letters
        column = column // 26 - 1
    return letters


_ERROR = re.compile(r"#(?:N/A|NV|N/D|[A-ZÀ-Þ0-9/_]{1,20}[!?])|Err:[0-9]{3}")
"""The errors that spreadsheets of any language show in a cell that they cannot calculate: #N/A, #WERT!, Err:502."""


def is_error(value: Value) -> bool:
    """Check whether a cell has the text that a spreadsheet shows for an error.

    >>> is_error("#N/A"), is_error("#DIV/0!"), is_error("#NAME?"), is_error('"#N/A"'), is_error("#1")
    (True, True, True, False, False)
    """
    return isinstance(value, str) and _ERROR.fullmatch(value.strip()) is not None


def without_errors(grid: Grid) -> Grid:
    """Refuse the cells that show an error, which would otherwise be read as texts."""
    errors = {
        (row, column): f"shows the error {value}; write what is meant, and a text of these signs in quotes"
        for row, values in enumerate(grid.rows)
        for column, value in enumerate(values)
        if is_error(value)
    }
    rows = [[None if is_error(value) else value for value in values] for values in grid.rows]
    return replace(grid, rows=rows, refused={**grid.refused, **errors}) if errors else grid


def guarded(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula when it opens a CSV.

    >>> guarded("=1+1"), guarded("'=1+1"), guarded("rock 'n' roll")
    ("'=1+1", "''=1+1", "rock 'n' roll")
    """
    return f"'{text}" if text.lstrip("'").startswith(FORMULA_SIGNS) else text


def unguarded(text: str) -> str:
    """Remove the apostrophe of `guarded`.

    >>> unguarded("'=1+1"), unguarded("''=1+1"), unguarded("'tis")
    ('=1+1', "'=1+1", "'tis")
    """
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA_SIGNS) else text


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[ -][A-Za-z0-9_]+)*|[0-9]+ (?:hour|day|week|month|year)s?(?: ago)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NOT_TEXT = {"true", "false", "null"}
_UNKEPT = re.compile(r"_(?=x[0-9A-Fa-f]{4})|(?<=x005F)_|[\u201c-\u201f]")
"""Parts that spreadsheets read as a character's code, and quotes that are substitutes for straight ones."""


def quoted(text: str) -> str:
    r"""Write a text as JSON does, with only characters that every spreadsheet keeps.

    >>> quoted("a, b"), quoted("a\x01"), quoted("_x0041_")
    ('"a, b"', '"a\\u0001"', '"\\u005fx0041_"')
    """
    whole = json.dumps(text, ensure_ascii=not text.isprintable())
    return _UNKEPT.sub(lambda sign: f"\\u{ord(sign[0]):04x}", whole)


def flow_text(value: Any) -> str:
    """Write plain data as one line of YAML, quoted where necessary.

    >>> flow_text({"sum": "amount", "where": {"field": "a", "in": ["NO", "x, y", 3]}, "over": "30 days"})
    '{sum: amount, where: {field: a, in: [NO, "x, y", 3]}, over: 30 days}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {flow_text(below)}" for name, below in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow_text, value)) + "]"
    if isinstance(value, str):
        is_plain = (_PLAIN.fullmatch(value) or _DATE.fullmatch(value)) and value.lower() not in _NOT_TEXT
        return value if is_plain else quoted(value)
    return str(value).lower() if isinstance(value, bool) else number_text(value)


def number_text(value: Any) -> str:
    """Write a number without an exponent.

    >>> number_text(0.1), number_text(Decimal("1E+3")), number_text(1e-7)
    ('0.1', '1000', '0.0000001')
    """
    return decimal_text(Decimal(str(value)))
