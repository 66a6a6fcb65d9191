"""Decision tables as XLSX: a cell is read exactly as the spreadsheet shows it, or refused by its address."""

import io
import math
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse
from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font
from openpyxl.utils import column_index_from_string, range_boundaries
from openpyxl.worksheet.worksheet import Worksheet

from fivefold.domain.errors import ConfigError
from fivefold.risk.governance.tables.columns import POINTS
from fivefold.risk.governance.tables.grid import MOST_COLUMNS, MOST_ROWS, Grid, Value, column_letters, unguarded

MOST_BYTES = 20_000_000
"""Most bytes of an unpacked workbook: a table of two hundred cases has a fiftieth of that."""

MOST_PARTS = 500
"""Most files inside a workbook."""

ELEMENTS_OF_A_CELL = 8
"""Most elements of XML in a workbook for each cell that is read: elements are cells, their texts and their styles."""

MOST_DEPTH = 64
"""Deepest nesting of XML elements: spreadsheets write a third of that."""

MOST_LETTERS = 32_767
"""Most characters of a cell, the limit of spreadsheets."""

_LAST_COLUMN, _LAST_ROW = 16_384, 1_048_576
"""The limits of spreadsheets."""

SHEET, ABOUT = "cases", "about"
_TEXT_FORMAT = "@"
_WIDTHS = (12, 60)
"""Least and greatest width of a column, in characters."""


def workbook_bytes(grid: Grid, about: Sequence[tuple[str, str]]) -> bytes:
    """Return a table as the bytes of a workbook, with *about* in a second sheet.

    Cells of text are formatted as text: what a person types stays as typed, and no text runs as a formula.

    Raises:
        ConfigError: a text is longer than a cell can hold, or has a character that no cell can.
    """
    workbook = Workbook()
    sheet = workbook.active
    assert isinstance(sheet, Worksheet)  # a new workbook has one
    sheet.title = SHEET
    _fill(sheet, grid)
    notes = workbook.create_sheet(ABOUT)
    for row, words in enumerate(about, 1):
        for column, text in enumerate(words, 1):
            _put(notes, row, column, text)
    notes.column_dimensions["A"].width = 24
    notes.column_dimensions["B"].width = 110
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def _fill(sheet: Worksheet, grid: Grid) -> None:
    header = list(grid.rows[0])
    for column, name in enumerate(header):
        letters = column_letters(column)
        texts = [str(row[column]) for row in grid.rows if row[column] is not None]
        sheet.column_dimensions[letters].width = min(max(map(len, texts), default=0) + 2, _WIDTHS[1])
        if name != POINTS:
            sheet.column_dimensions[letters].number_format = _TEXT_FORMAT
        for row, values in enumerate(grid.rows):
            _put(sheet, row + 1, column + 1, values[column], address=grid.address(row, column), is_text=name != POINTS)
            sheet.cell(row + 1, column + 1).alignment = Alignment(wrap_text=True, vertical="top")
        sheet.cell(1, column + 1).font = Font(bold=True)
    sheet.freeze_panes = "B2"


def _put(sheet: Worksheet, row: int, column: int, value: Any, *, address: str = "", is_text: bool = True) -> None:
    cell: Any = sheet.cell(row, column)
    if is_text:
        cell.number_format = _TEXT_FORMAT
    if isinstance(value, Decimal):
        cell.value = int(value) if value == int(value) else float(value)
    elif isinstance(value, str):
        # Only a text that looks guarded already gets an apostrophe: the cell itself says that it holds text.
        text = f"'{value}" if value.startswith("'") and unguarded(value) != value else value
        if len(text) > MOST_LETTERS:
            raise ConfigError(
                f"{address} would have {len(text):,} signs, and a spreadsheet's cell holds {MOST_LETTERS:,}"
            )
        if sign := ILLEGAL_CHARACTERS_RE.search(text):
            raise ConfigError(
                f"{address or 'the sheet ' + ABOUT} would have the sign U+{ord(sign[0]):04X}, which no spreadsheet can"
                " hold; take it out of the ruleset, or write CSV"
            )
        cell.value = text
        cell.data_type = "s"


def read_workbook(content: bytes, source: str, most_rows: int = MOST_ROWS) -> Grid:
    """Read the table of a workbook: its only sheet, or the one that is called cases.

    Raises:
        ConfigError: it is not a workbook, is too large, or has no such sheet.
    """
    _look_inside(content, source, most_rows * (MOST_COLUMNS + 1))  # a row takes as long as a cell
    try:
        workbook = load_workbook(io.BytesIO(content), data_only=False, keep_links=False)
    except Exception as error:  # noqa: BLE001 (what a damaged workbook makes the library raise is not bounded)
        raise ConfigError(f"{source} cannot be read as a workbook (.xlsx): {error}") from None
    sheet = _sheet(workbook.worksheets, source)
    rows, columns = sheet.max_row, sheet.max_column
    if rows > most_rows or columns > MOST_COLUMNS:
        raise ConfigError(
            f"{source}: the sheet {sheet.title} goes down to row {rows:,} and to column {column_letters(columns - 1)}; "
            f"allowed: {most_rows} rows and {MOST_COLUMNS} columns; delete empty rows and columns that are formatted"
        )
    return _grid(sheet)


def _look_inside(content: bytes, source: str, most_cells: int) -> None:
    """Refuse a workbook that would take long to read, or has XML entities or a document type, before it is read."""
    try:
        _look_at_parts(content, source, most_cells)
    except ConfigError:
        raise
    except (DefusedXmlException, SyntaxError) as error:  # a ParseError is a SyntaxError
        raise ConfigError(
            f"{source} is not a workbook that can be read: {type(error).__name__} in a part of it"
        ) from None
    except Exception as error:  # noqa: BLE001 (what damaged bytes make zipfile and the decoders raise is not bounded)
        hint = (
            "; save it as .xlsx without a password" if content[:4] != b"PK\x03\x04" or "encrypt" in str(error) else ""
        )
        raise ConfigError(f"{source} is not a workbook (.xlsx): {str(error) or type(error).__name__}{hint}") from None


def _look_at_parts(content: bytes, source: str, most_cells: int) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        parts = packed.infolist()
        size = sum(part.file_size for part in parts)
        if len(parts) > MOST_PARTS or size > MOST_BYTES:
            raise ConfigError(
                f"{source} unpacks to {len(parts):,} files with {size:,} bytes; at most {MOST_PARTS} and "
                f"{MOST_BYTES:,} can be read; copy the table into a workbook of its own"
            )
        elements = 0
        for part in parts:
            with packed.open(part) as file:  # a part may hold more than its entry in the index says
                unpacked = file.read(MOST_BYTES)
            try:
                for cells in _cells_of_elements(unpacked, source):
                    elements += 1
                    if cells > most_cells or elements > most_cells * ELEMENTS_OF_A_CELL:
                        raise ConfigError(
                            f"{source} has more than the {most_cells:,} rows and cells that are read: delete empty"
                            " rows and columns that are formatted, or copy the table into a workbook of its own"
                        )
            except ParseError:
                if part.filename.lower().endswith((".xml", ".rels", ".vml")):  # others may be pictures
                    raise


def _cells_of_elements(content: bytes, source: str) -> Iterator[int]:
    """Yield, at each element of a part, the number of cells that the library processes up to there.

    Cells that are merged or under a link count too, as do rows, formulas, and the ranges that a rule of the sheet
    names. Each formula adds one cell for each hundred characters of the longest so far, as a shared formula repeats.
    ConfigError if elements are nested too deep; ParseError if the part is not XML.
    """
    depth = cells = longest = 0
    for event, element in iterparse(io.BytesIO(content), events=("start", "end"), forbid_dtd=True):
        name = element.tag.rpartition("}")[2]
        if event == "end":
            depth -= 1
            if name == "f":
                longest = max(longest, len(element.text or ""))
                cells += 1 + longest // 100
            element.clear()
            continue
        depth += 1
        if depth > MOST_DEPTH:
            raise ConfigError(f"{source} has a part with more than {MOST_DEPTH} elements inside each other")
        cells += (name in ("c", "row")) + len(element.get("sqref", "").split())
        if name in ("mergeCell", "hyperlink"):
            cells += _size_of(element.get("ref", ""))
        yield cells


def _size_of(reference: str) -> int:
    """Count the cells of a range such as A1:C5; 0 for an invalid range, which the library refuses."""
    try:
        left, top, right, bottom = range_boundaries(reference)
    except (ValueError, TypeError):
        return 0
    return ((right or _LAST_COLUMN) - (left or 1) + 1) * ((bottom or _LAST_ROW) - (top or 1) + 1)


def _sheet(sheets: Iterable[Any], source: str) -> Worksheet:
    worksheets = [sheet for sheet in sheets if isinstance(sheet, Worksheet)]
    named = [sheet for sheet in worksheets if sheet.title.lower() == SHEET] or [
        sheet for sheet in worksheets if sheet.title.lower() != ABOUT and sheet.sheet_state == "visible"
    ]
    if len(named) != 1:
        names = ", ".join(sheet.title for sheet in worksheets) or "none"
        raise ConfigError(f"{source} must have one sheet, or one that is called {SHEET}; its sheets are {names}")
    if named[0].sheet_state != "visible":
        raise ConfigError(
            f"{source}: the sheet {named[0].title} is hidden; show it, so that what is read is what is seen"
        )
    return named[0]


def _grid(sheet: Worksheet) -> Grid:
    refused = {
        (
            merged.min_row - 1,
            merged.min_col - 1,
        ): f"is merged up to {column_letters(merged.max_col - 1)}{merged.max_row}; "
        "part the cells, and write what holds in each row"
        for merged in sheet.merged_cells.ranges
    }
    for row, dimension in sheet.row_dimensions.items():
        if (dimension.hidden or dimension.height == 0) and row <= sheet.max_row:
            refused[row - 1, 0] = "begins a hidden row; show it, or delete it"
    for letters, width in sheet.column_dimensions.items():
        column = column_index_from_string(letters)
        if (width.hidden or width.width == 0) and column <= sheet.max_column:
            refused[0, column - 1] = "begins a hidden column; show it, or delete it"
    rows: list[list[Value]] = []
    for row, cells in enumerate(sheet.iter_rows()):
        rows.append([])
        for column, cell in enumerate(cells):
            value, problem = _value(cell)
            rows[-1].append(value)
            if problem:
                refused[row, column] = problem
    while rows and all(value is None for value in rows[-1]):
        rows.pop()
    return Grid(rows, sheet.title, refused=refused)


def _value(cell: Any) -> tuple[Value, str]:  # noqa: PLR0911 (one for each sort of value)
    """Return the value of a cell, and why it cannot be read exactly; empty if it can."""
    value = cell.value
    if cell.data_type == "f":
        return (
            None,
            f"is a formula ({str(getattr(value, 'text', value))[:60]}); paste its value, or format the cell as text",
        )
    if cell.data_type == "e":
        return None, f"shows the error {value}"
    if value is None or isinstance(value, bool):
        return value, ""
    if isinstance(value, str):
        return unguarded(value) or None, ""
    if isinstance(value, date):
        return _date(value, cell.number_format or _GENERAL)
    if not isinstance(value, int | float):
        return None, f"is {value}, a time or a length of time: {_AS_TEXT}"
    return _number(value, cell.number_format or _GENERAL)


def _date(value: date, form: str) -> tuple[Value, str]:
    day = value
    if isinstance(value, datetime):
        if value.time() != time():
            return None, f"is {value}, which has a time of day: {_AS_TEXT}"
        day = value.date()
    if day == _TWO_DAYS:
        return None, f"is the 28th or the 29th of February 1900, and the 29th never was: {_AS_TEXT}"
    if not _shows_date(form):
        words = f"is kept as {day}, and its format {form} does not show the day, the month and the year"
        return None, f"{words}: {_AS_TEXT}"
    return day, ""


def _shows_date(form: str) -> bool:
    """Check whether a cell format shows a date in full.

    A spreadsheet reads Jul-24 as the first of July 2024, or as the 24th of July of the year in which it is typed.

    >>> [_shows_date("yyyy-mm-dd"), _shows_date("mmm-yy"), _shows_date('d" y "mmm')]
    [True, False, False]
    """
    parts = _NO_PART_OF_A_DATE.sub("", form.partition(";")[0])
    return all(part.search(parts) for part in _PARTS_OF_A_DATE)


def _number(value: float, form: str) -> tuple[Value, str]:
    if "%" in form:
        shown = f"{Decimal(repr(value)) * 100:f} %"
        return None, f"is shown as {shown} and kept as {value!r}; format it as a number, and type the one that is meant"
    if isinstance(value, float) and not math.isfinite(value):
        return None, f"is {value}, which is not a number"
    typed = _typed(value)
    if not _shows(form, typed):
        return None, (
            f"is kept as {typed:f}, and its format {form} shows something else; format it as {_GENERAL}, and type the "
            "number that is meant"
        )
    return typed, ""


def _shows(form: str, number: Decimal) -> bool:
    """Check whether a cell format shows a number in full: not rounded, not in thousands, with its own sign.

    >>> [_shows("#,##0.00", Decimal("1250.5")), _shows("0", Decimal("12.5")), _shows("-0", Decimal(5))]
    [True, False, False]
    """
    if form in {_GENERAL, _TEXT_FORMAT}:
        return True
    sections = [_DECORATION.sub("", section) for section in form.split(";")]
    negative, zero = (sections[place] if len(sections) > place else sections[0] for place in (1, 2))
    digits = _DIGITS_SHOWN.fullmatch(negative if number < 0 else sections[0] if number else zero)
    if digits is None or bool(digits["sign"]) != (number < 0 and len(sections) > 1):
        return False
    has_decimals = number == round(number, len(digits["decimals"] or ""))
    return has_decimals and (digits["whole"].endswith("0") or abs(number) >= 1)


def _typed(value: float) -> Decimal:
    """Return a number as a spreadsheet shows it: with the 15 digits that it keeps of what people type.

    A workbook stores calculated numbers with 17 digits, such as 0.30000000000000004 for the sum of 0.1 and 0.2.

    >>> _typed(0.30000000000000004), _typed(60.0), _typed(12)
    (Decimal('0.3'), Decimal('60'), Decimal('12'))
    """
    exact = Decimal(repr(value))
    if exact == exact.to_integral_value():
        return exact.to_integral_value()
    return Decimal(f"{value:.{_DIGITS}g}")


_DIGITS = 15
_GENERAL = "General"
_DECORATION = re.compile(
    r"""\[(?i:black|blue|cyan|green|magenta|red|white|yellow)\]|\[\$(?:[A-Z]{3}|[€$£¥]?)(?:-[0-9A-Fa-f]+)?\]"""
    r"""|"[€$£¥]"|[€$£¥ ]|_.|\*.|\\(?=[ ()-])"""
)
"""What a format adds to a number without a change of its value: colours, currencies, blanks."""
_DIGITS_SHOWN = re.compile(r"(?P<sign>-|\()?(?P<whole>[#0?]+(?:,[#0?]+)*)(?:\.(?P<decimals>[#0?]*))?(?(sign)\)?)")

_NO_PART_OF_A_DATE = re.compile(r'"[^"]*"|\[[^\]]*\]|[\\_*].')
"""Texts, colours, languages and blanks of a format."""
_PARTS_OF_A_DATE = (re.compile("(?i)(?<!d)dd?(?!d)"), re.compile("(?i)m"), re.compile("(?i)[ye]"))
"""Day, month and year; `ddd` is the day of the week, and `e` a year of an era."""

_TWO_DAYS = date(1900, 2, 28)
"""The library also reads this day for the next one, which spreadsheets count as the 29th of February 1900."""

_AS_TEXT = "format the cell as text, and type it as 2024-07-01 or 2024-07-01T12:00:00Z"
