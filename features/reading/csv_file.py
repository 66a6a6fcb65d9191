"""CSV in parts, everything as text: rows with a field for each column, and separately the torn rows."""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fivefold.domain.errors import FileFormatError
from fivefold.domain.text import is_unicode
from fivefold.features.histories import Integers
from fivefold.features.reading.text_files import (
    AS_UNICODE,
    NOT_UNICODE,
    TornRow,
    csv_header,
    open_text,
    unchanged,
)

ROWS_A_PART: Final = 1 << 16
FIRST_ROW: Final = 2
"""The number of the first row, as people count them: the header is row 1."""
MOST_LINES_OF_A_ROW: Final = 1_000
"""A quotation mark that is not closed within this many lines was not meant to open a field."""
UNCLOSED: Final = "has a quotation mark that is not closed"
HAS_NUL: Final = "has the character NUL"
IDENTIFIERS: Final = ("user_id", "entity_id", "owner_id", "transaction_id", "corrects", "reverses")
"""Our names of columns that identify the subject of a row, in files of any kind."""
LACKS_DIGITS: Final = "has a {name} that lost digits, as a spreadsheet writes 1.23E+11"
IS_DECIMAL: Final = "has decimals in {name}, as pandas writes 901.0 where another row has none"
WHOLE_IDENTIFIER: Final = "text, or a whole number with all its digits"
_NUL: Final = "\0"
_EXPONENT: Final = r"^[+-]?\d(\.\d+)?[eE]\+\d{2,}$"
_WHOLE: Final = r"^\d+\.0$"
_BROKEN: Final = r"^\d+\.\d*[1-9]\d*$"
_AFTER: Final = "x\n"
"""A line appended to the text: an unclosed quotation mark would swallow it."""
_ALLOWED: Final = {
    NOT_UNICODE: AS_UNICODE,
    HAS_NUL: "text without it, which a disk or a copy that failed writes in the place of what was there",
}
"""The correct form, by the problem of a row; for all others it is a field for each column."""


@dataclass(frozen=True)
class CsvPart:
    """Some rows of a file.

    Attributes:
        table: the rows with a field for each column, all text; an empty field is null.
        rows: the numbers of these rows; the header is row 1.
        torn: the other rows.
    """

    table: pa.Table
    rows: Integers
    torn: tuple[TornRow, ...] = ()


def csv_parts(
    path: Path,
    size: int = ROWS_A_PART,
    our_names: Callable[[Sequence[str]], Sequence[str]] = list,
    *,
    with_decimals: bool = False,
) -> Iterator[CsvPart]:
    """Read CSV with a header line, gzipped or not, in parts of about *size* rows; there is at least one part.

    The header decides the delimiter. An empty line is not a row, but has a number. A quoted field may contain ends of
    lines; if its quotation mark is not closed, the line that opens it is torn and the next line is a row. A row is torn
    too if another program took its identifier for a number and changed it; *our_names* returns our names of columns.
    *with_decimals* accepts identifiers such as 901.0 as they are, as in files that fivefold wrote.

    Raises:
        FileFormatError: there is no header line, the file cannot be unpacked, or it is changed meanwhile.
    """
    names, delimiter = csv_header(path)
    ours = our_names(names)
    identifiers = {place: name for place, name in enumerate(ours) if name in IDENTIFIERS}
    places = tuple(identifiers)
    counting = partial(frozenset[int], places) if with_decimals else partial(_counting, path, places)
    try:
        with unchanged(path), open_text(path, newline=None, errors="surrogateescape") as file:
            next(csv.reader(file, delimiter=delimiter), None)
            reader = _Reader(names, delimiter, file, identifiers, cache(counting))
            yield reader.part(size)
            while (part := reader.part(size)).rows.size or part.torn or reader.is_open:
                yield part
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileFormatError(f"{path} cannot be unpacked: {error}") from None


def _counting(path: Path, places: Sequence[int]) -> frozenset[int]:
    """Find in the whole file the columns that count something: some row has other decimals, as in 20240101.1.

    A part alone is not enough: the size of parts would decide how the same file is read.
    """
    return frozenset(
        place
        for part in csv_parts(path, our_names=lambda theirs: [""] * len(theirs))
        for place in places
        if pc.any(pc.match_substring_regex(part.table.column(place), _BROKEN)).as_py()
    )


def csv_frame(table: pa.Table, path: Path) -> pl.DataFrame:
    """Return the columns that have a name as a frame; FileFormatError if two have the same name."""
    names = [name for name in table.column_names if name]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise FileFormatError(f"{path} has more than one column {twice[0]}")
    return pl.DataFrame({name: pl.Series(name, table[name], dtype=pl.String) for name in names})


def torn_frame(part: CsvPart, path: Path) -> pl.DataFrame:
    """Return torn rows in the columns of the file: each field by its place, without fields beyond the columns."""
    names = part.table.column_names
    fields = [[*row.fields, *[""] * len(names)][: len(names)] for row in part.torn]
    columns = zip(*fields, strict=True) if fields else [()] * len(names)
    arrays = [pa.array([text or None for text in column], pa.string()) for column in columns]
    return csv_frame(pa.Table.from_arrays(arrays, names), path)


class _Reader:
    """Reads the lines after the header.

    Attributes:
        is_open: whether there may be more lines.
    """

    def __init__(
        self,
        names: Sequence[str],
        delimiter: str,
        lines: Iterable[str],
        identifiers: Mapping[int, str],
        counting: Callable[[], frozenset[int]],
    ) -> None:
        """Begin before the first line; *identifiers* are our names of columns of identifiers, by place.

        *counting* finds the places of those that count something; it is called only if a row has decimals.
        """
        self.is_open = True
        self._identifiers = identifiers
        self._counting = counting
        self._names = list(names)
        self._delimiter = delimiter
        self._lines = iter(lines)
        self._next_row = FIRST_ROW

    def part(self, size: int) -> CsvPart:
        """Read the rows of the next *size* lines, and further lines if the last row continues."""
        lines = list(islice(self._lines, size))
        self.is_open = len(lines) == size
        rows = self._rows(lines)
        numbers: Integers = np.arange(self._next_row, self._next_row + len(rows.texts))
        self._next_row += len(rows.texts)
        torn = [self._torn(int(numbers[place]), rows.texts[place], problem) for place, problem in rows.torn.items()]
        texts = rows.texts
        if rows.torn or "\n" in texts:
            left = [place for place, text in enumerate(texts) if text != "\n" and place not in rows.torn]
            texts, numbers = [texts[place] for place in left], numbers[left]
        table, short = self._parsed(texts)
        for place in short:
            problem = UNCLOSED if self._fields(texts[place]) is None else ""
            torn.append(self._torn(int(numbers[place]), texts[place], problem))
        if short:
            numbers, texts = np.delete(numbers, short), np.delete(np.array(texts, dtype=object), short).tolist()
        wrong = self._wrong_identifiers(table)
        for place, problem in wrong.items():
            read = self._torn(int(numbers[place]), texts[place])
            torn.append(replace(read, problem=problem, allowed=WHOLE_IDENTIFIER))
        if wrong:
            sound = np.delete(np.arange(len(texts)), [*wrong])
            table, numbers = table.take(sound), numbers[sound]
        return CsvPart(table, numbers, tuple(sorted(torn, key=lambda one: one.row)))

    def _wrong_identifiers(self, table: pa.Table) -> dict[int, str]:
        """Find the rows with an identifier that a spreadsheet or a frame took for a number, each with its problem.

        Rounded identifiers of two customers may be the same, and one with decimals differs from that of an earlier
        export. If other rows have other decimals, these count something, as in 20240101.0 and 20240101.1.
        """
        wrong: dict[int, str] = {}
        for place, name in self._identifiers.items():
            column = table.column(place)
            if not pc.any(pc.match_substring_regex(column, "[.+]")).as_py():  # nearly every file
                continue
            for form, problem in ((_EXPONENT, LACKS_DIGITS), (_WHOLE, IS_DECIMAL)):
                rows = pc.indices_nonzero(pc.match_substring_regex(column, form))
                if len(rows) and not (form == _WHOLE and place in self._counting()):
                    wrong |= dict.fromkeys(rows.to_pylist(), problem.format(name=name))
        return wrong

    def _rows(self, lines: list[str]) -> "_Rows":
        """Join the lines of one row, and mark the rows that cannot be read."""
        rows = _Rows(lines)
        text = "".join(lines)
        if '"' in text and any(line.count('"') % 2 for line in lines):
            rows = self._joined(lines)
            text = "".join(rows.texts)
        if not is_unicode(text):  # a byte that is not UTF-8 was read as half a surrogate
            rows.torn |= {place: NOT_UNICODE for place, row in enumerate(rows.texts) if not is_unicode(row)}
        if _NUL in text:  # in an identifier it would be another customer
            rows.torn |= {place: HAS_NUL for place, row in enumerate(rows.texts) if _NUL in row}
        return rows

    def _joined(self, lines: list[str]) -> "_Rows":
        rows, place = _Rows([]), 0
        while place < len(lines):
            line, end = lines[place], place + 1
            if line.count('"') % 2 and self._fields(line) is None:
                end = self._end(lines, place)
                if not end:
                    rows.torn[len(rows.texts)] = UNCLOSED
            rows.texts.append("".join(lines[place : end or place + 1]))
            place = end or place + 1
        return rows

    def _end(self, lines: list[str], place: int) -> int:
        """Find the end of a row whose first line does not close a quotation mark; 0 if no end gives a row.

        Further lines are read if needed, and belong to the same part.
        """
        end = place + 1
        while end - place < MOST_LINES_OF_A_ROW:
            if end == len(lines):
                lines += islice(self._lines, 1)
            if end == len(lines):
                break
            end += 1
            if lines[end - 1].count('"') % 2:
                fields = self._fields("".join(lines[place:end]), strict=True)
                return end if fields is not None and len(fields) == len(self._names) else 0
        return 0

    def _fields(self, row: str, *, strict: bool = False) -> list[str] | None:
        """Read the fields of a row; None if it does not close its last quotation mark.

        With *strict* a quotation mark must be closed at the end of its field; otherwise text may follow it there.
        """
        try:
            rows = list(csv.reader([row, _AFTER], delimiter=self._delimiter, strict=strict))
        except csv.Error:
            return None
        return rows[0] if len(rows) == 2 else None

    def _parsed(self, rows: list[str]) -> tuple[pa.Table, list[int]]:
        """Read rows; also return the places of the rows that do not have a field for each column."""
        places: list[int] = []

        def note(row: pyarrow.csv.InvalidRow) -> str:
            places.append(row.number - 1)
            return "skip"

        if rows:
            after = _AFTER.removesuffix("\n") + self._delimiter * (len(self._names) - 1)
            end = "" if rows[-1].endswith("\n") else "\n"
            data = "".join([*rows, end, after]).encode()
            names = [f"f{number}" for number in range(len(self._names))]
            reading = pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1)
            parsing = pyarrow.csv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=note
            )
            options = pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            )
            try:
                table = pyarrow.csv.read_csv(pa.BufferReader(data), reading, parsing, options)
            except pa.ArrowInvalid:
                table = None
            if table is not None and table.num_rows + len(places) == len(rows) + 1:
                return table.slice(0, table.num_rows - 1).rename_columns(self._names), places
        return self._parsed_by_one(rows)

    def _parsed_by_one(self, rows: list[str]) -> tuple[pa.Table, list[int]]:
        """Do the same as `_parsed` row by row, for an unclosed quotation mark would swallow the row after it."""
        read = [self._fields(row) for row in rows]
        short = [place for place, fields in enumerate(read) if fields is None or len(fields) != len(self._names)]
        sound = [fields for fields in read if fields is not None and len(fields) == len(self._names)]
        columns = zip(*sound, strict=True) if sound else [()] * len(self._names)
        arrays = [pa.array([text or None for text in column], pa.string()) for column in columns]
        return pa.Table.from_arrays(arrays, self._names), short

    def _torn(self, row: int, text: str, problem: str = "") -> TornRow:
        line = text.removesuffix("\n").encode(errors="surrogateescape").decode(errors="replace")
        fields = tuple(line.split(self._delimiter) if problem else next(csv.reader([line], delimiter=self._delimiter)))
        many = len(self._names)
        count = f"{len(fields)} {'field' if len(fields) == 1 else 'fields'}"
        allowed = f"{many} {'field' if many == 1 else 'fields'}, one for each column of the header"
        return TornRow(row, line, fields, problem or f"has {count}", _ALLOWED.get(problem, allowed))


@dataclass
class _Rows:
    """Rows as text, each with its end of line, and the problems of unreadable rows, by place."""

    texts: list[str]
    torn: dict[int, str] = field(default_factory=dict)
