"""Decision tables as files: export one rule's cases to CSV or XLSX; import CSV, XLSX, JDM or DMN into a draft."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path, PurePath

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import DELIMITERS, delimiter_of, perhaps
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.facts.portfolio import REFERENCE_COMES_FROM, NamedList
from fivefold.risk.governance.diff import diff
from fivefold.risk.governance.differences import DocumentDifference
from fivefold.risk.governance.tables.cases import position_of
from fivefold.risk.governance.tables.draft import draft_text, reasons
from fivefold.risk.governance.tables.foreign.jdm import read_jdm
from fivefold.risk.governance.tables.foreign.translation import ForeignTable, translate
from fivefold.risk.governance.tables.grid import MOST_ROWS, Grid, Value, guarded, number_text, unguarded
from fivefold.risk.governance.tables.read import read_table
from fivefold.risk.governance.tables.write import table_of
from fivefold.risk.language.expressions import OwnTest, tests_in
from fivefold.risk.language.ruleset import Rule, Ruleset

MOST_BYTES = 5_000_000
"""Most bytes of a file that is read: a rule has at most two hundred cases."""

FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".xlsx": "xlsx", ".json": "jdm", ".dmn": "dmn", ".xml": "dmn"}
"""The format of a file by its ending."""


def format_of(path: PurePath, named: str | None = None) -> str:
    """Return the format *named*, or the one of a file's ending; ConfigError for an unknown ending."""
    if named is not None:
        return named
    ending = path.suffix.lower()
    if ending in {".xls", ".xlsm", ".ods", ".numbers"}:
        raise ConfigError(f"{path} ends in {ending}; save it as .xlsx or as CSV")
    if ending not in FORMATS:
        raise ConfigError(f"{path} must end in {', '.join(FORMATS)}; or say what it is by --format")
    return FORMATS[ending]


def table_bytes(ruleset: Ruleset, identifier: str, format_: str) -> bytes:
    """Return the cases of a rule as the bytes of a CSV or a workbook.

    Raises:
        ConfigError: there is no such rule, or the format can only be read.
    """
    rule = ruleset.rules[position_of(ruleset, identifier)]
    return grid_bytes(table_of(rule), format_, about(ruleset, rule))


def grid_bytes(grid: Grid, format_: str, about_it: Sequence[tuple[str, str]]) -> bytes:
    """Return a table as CSV or as a workbook, which has *about_it* too; ConfigError for a format that is only read."""
    if format_ not in {"csv", "xlsx"}:
        raise ConfigError(f"tables are written as CSV and XLSX, not as {format_.upper()}")
    if format_ == "csv":
        return csv_text(grid).encode("utf-8-sig")  # without the byte order mark spreadsheets assume another encoding
    from fivefold.usecases.portfolio_files.spreadsheets import workbook_bytes  # noqa: PLC0415 (of the extra tables)

    return workbook_bytes(grid, about_it)


def about(ruleset: Ruleset, rule: Rule) -> list[tuple[str, str]]:
    """Return lines that describe a table, and how its cells are written."""
    return [
        ("ruleset", ruleset.name),
        ("content hash", ruleset.content_hash),
        ("rule", rule.id),
        ("title", rule.title),
        ("", ""),
        ("rows", "A case each, tried from the top; the first that holds wins. Below them otherwise and on_unknown."),
        *CELLS,
    ]


CELLS = (
    ("an empty cell", "asks nothing"),
    ("A", "is A; also true, false, 10, 2024-07-01"),
    ("!= A", "is not A"),
    ("> 10", "also >=, <, <=; several with and: >= 10 and < 20"),
    ("10..20", "from 10 to 20, both included; also outside 10..20"),
    ("in A, B", "is one of them; also not in A, B"),
    ("in list NAME", "is in a named list; also not in list NAME"),
    ("present, absent", "there is a value, or a tag; there is none"),
    ("contains A", "also starts with A, ends with A, contains any of A, B"),
    ('"A, B"', "one text with signs that mean something elsewhere stands in quotes"),
    ("when", "a column with whole conditions, as rules write them, where cells cannot say them"),
)
"""How cells are written."""


def csv_text(grid: Grid) -> str:
    """Return a table as CSV; a text that a spreadsheet would run as a formula gets an apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerows([[_csv_cell(value) for value in row] for row in grid.rows])
    return file.getvalue()


def _csv_cell(value: Value) -> str:
    if isinstance(value, Decimal):
        return number_text(value)
    return "" if value is None else guarded(str(value))


def read_csv(content: bytes, source: str) -> Grid:
    """Read a table from CSV with columns separated by commas, semicolons or tabs.

    Raises:
        ConfigError: it is not text in UTF-8 or UTF-16, or a quotation mark is never closed. A row that is longer than
            the header is refused in the table itself, beside its other faults.
    """
    text = _text(content, source)
    if text.startswith("sep="):  # a line in which some spreadsheets state the delimiter
        text = text.partition("\n")[2]
    sign, rows = _csv_rows(text, source)
    while rows and not any(cell.strip() for cell in rows[-1]):
        rows.pop()
    width = max(len(rows[0]) if rows else 0, 1)
    quotes = 'a text that holds a comma or a semicolon stands in quotes, as in "in A, B"'
    refused = {
        (number, width): f"row {number + 1} has {len(row)} cells, and the header {width}; {quotes}"
        for number, row in enumerate(rows)
        if len(row) > width
    }
    cells = [[unguarded(cell) or None for cell in [*row, *[""] * width][:width]] for row in rows]
    return Grid(cells, may_part_thousands=sign in ";\t", refused=refused)


def _csv_rows(text: str, source: str) -> tuple[str, list[list[str]]]:
    """Read the delimiter and the rows; ConfigError names the line at which an invalid row begins."""
    rows: list[list[str]] = []
    begins = 1
    try:
        sign = _delimiter_of(text.partition("\n")[0])
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)
        for row in reader:
            rows.append(row)
            begins = reader.line_num + 1
    except csv.Error as error:
        hint = "; a quotation mark that opens a text is to be closed" if "end of data" in str(error) else ""
        raise ConfigError(f"{source} is not CSV: the row that begins in line {begins}: {error}{hint}") from None
    return sign, rows


def _delimiter_of(header: str) -> str:
    """Return the delimiter that leaves the most columns with a plain name; if several do, what `delimiter_of` returns.

    Inputs contain commas, which are not in quotes if a spreadsheet separates columns by semicolons or tabs.

    >>> _delimiter_of("case;sum: amount, over: 30 days, in_currency: USD;points"), _delimiter_of("case,points")
    (';', ',')
    """
    names = {sign: sum(map(_is_name, next(csv.reader([header], delimiter=sign), []))) for sign in DELIMITERS}
    usual = delimiter_of(header)
    return usual if names[usual] == max(names.values()) else max(DELIMITERS, key=lambda sign: names[sign])


def _is_name(cell: str) -> bool:
    return re.fullmatch(r"\w+(?: \w+)*", cell) is not None


def _text(content: bytes, source: str) -> str:
    if content.startswith(b"PK\x03\x04"):
        raise ConfigError(f"{source} is a workbook, not CSV; give it the ending .xlsx, or say --format xlsx")
    is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))  # UTF-16, which spreadsheets call Unicode text
    try:
        text = content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{source} is not in UTF-8 (line {line}); save it as CSV UTF-8") from None
    if "\0" in text:
        raise ConfigError(f"{source} is not text; a workbook ends in .xlsx")
    return text


@dataclass(frozen=True)
class TableDraft:
    """A draft that was made from a table.

    Attributes:
        text: of the draft.
        changes: from the ruleset to the draft.
        is_same: the draft says what the ruleset says.
        notes: what may be other than it was meant, and what a table of another system means otherwise.
    """

    text: str
    changes: DocumentDifference
    is_same: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Foreign:
    """What it takes to read a table of another system: its name, and our names of its columns."""

    table: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)


def draft_from_table(
    text: str,
    name: str,
    identifier: str,
    path: Path,
    format_: str,
    foreign: Foreign | None = None,
    lists: Mapping[str, NamedList] | None = None,
) -> TableDraft:
    """Make a draft of a ruleset's *text* in which one rule has the cases of a table's file.

    With *lists*, the notes name each list that the draft reads and that is not among them.

    Raises:
        ConfigError: the file cannot be read, or the text cannot be changed in place.
        InvalidRulesetError: a cell cannot be read exactly, or does not fit; each is named.
    """
    draft = draft_from_bytes(text, name, identifier, content_of(path), path.name, format_, foreign)
    if lists is None:
        return draft
    analysed = analyse_text(draft.text, name)
    remedies = dict.fromkeys(analysed.lists, "--lists names the folder of one's own")
    remedies |= dict.fromkeys(analysed.references, REFERENCE_COMES_FROM)
    absent = [
        f"No list {each} was found{perhaps(each, lists)}; {remedy}."
        for each, remedy in remedies.items()
        if each not in lists
    ]
    return replace(draft, notes=(*draft.notes, *absent))


def content_of(path: Path) -> bytes:
    """Read a table's file; ConfigError if it is too large."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path} has more than {MOST_BYTES:,} bytes; a table of two hundred cases has far fewer")
    return content


def draft_from_bytes(
    text: str, name: str, identifier: str, content: bytes, source: str, format_: str, foreign: Foreign | None = None
) -> TableDraft:
    """Make a draft as `draft_from_table` does, from the bytes of a file and without notes on lists."""
    analysed: AnalysedRuleset = analyse_text(text, name)
    ruleset = analysed.ruleset
    position = position_of(ruleset, identifier)
    foreign = foreign or Foreign()
    notes: tuple[str, ...] = ()
    if format_ in {"csv", "xlsx"}:
        if foreign != Foreign():
            raise ConfigError("--table and --map are for tables of JDM and DMN; a CSV or XLSX names its columns itself")
        changed = read_table(read_grid(content, source, format_), ruleset, identifier, source)
    else:
        read = _foreign_table(content, source, format_, foreign.table)
        changed, notes = translate(read, ruleset, identifier, foreign.names, source)
    notes = (*_cautions(ruleset.rules[position], changed.rules[position]), *notes)
    above = reasons(source, ruleset.rules[position], changed.rules[position], ruleset, notes)
    draft = draft_text(text, ruleset, changed, position, above)
    is_same = changed.content_hash == ruleset.content_hash
    return TableDraft(draft, diff(ruleset, changed), is_same, notes)


def _cautions(rule: Rule, changed: Rule) -> Iterator[str]:
    """Yield cautions about what the table left out, as a person could miss that."""
    if rule.on_unknown is not None and changed.on_unknown is None:
        yield "The table has no row on_unknown, and the rule had one: where a value is missing, otherwise is given now."
    tests = [test for case in changed.cases for test in tests_in(case.when)]
    if rule.input is not None and not any(isinstance(test, OwnTest) for test in tests):
        yield f"No case asks the rule's own input any more; is it a table of another rule than {rule.id}?"


def read_grid(content: bytes, source: str, format_: str, most_rows: int = MOST_ROWS) -> Grid:
    """Read a table from CSV or a workbook of at most *most_rows*, the header first; ConfigError if it is neither."""
    if format_ == "csv":
        return read_csv(content, source)
    from fivefold.usecases.portfolio_files.spreadsheets import read_workbook  # noqa: PLC0415 (of the extra tables)

    return read_workbook(content, source, most_rows)


def _foreign_table(content: bytes, source: str, format_: str, name: str | None) -> ForeignTable:
    if format_ == "jdm":
        return read_jdm(content, source, name)
    from fivefold.risk.governance.tables.foreign.dmn import read_dmn  # noqa: PLC0415 (of the extra tables)

    return read_dmn(content, source, name)
