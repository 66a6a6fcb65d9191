"""Files of an import, read part by part, and the file of the rows that were refused."""

import json
import stat
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import Any, Final

import polars as pl
import polars.selectors as cs

from fivefold.domain.errors import ConfigError, FileFormatError, Problem, UnknownOutcomeError, first_row_of
from fivefold.domain.files import naming
from fivefold.features.reading.csv_file import csv_frame, csv_parts, torn_frame
from fivefold.features.reading.formulas import escape_formulas_of_frame, unescape_formulas_of_frame
from fivefold.features.reading.json_lines import JsonLine, json_lines
from fivefold.features.reading.places.parquet_frame import unchanged_parquet
from fivefold.features.reading.text_files import (
    GZIP,
    ColumnMap,
    TornRow,
    changed_meanwhile,
    csv_header,
    is_gzipped,
    stamp_of,
    suffix_of_name,
    workbook_hint,
)
from fivefold.risk.facts.reading import fits_typed_column

SUFFIXES = (".parquet", ".csv", ".jsonl", ".ndjson")
REFUSED_ROW: Final = "refused_row"
REFUSED_REASON: Final = "refused_reason"
_ADDED = (REFUSED_ROW, REFUSED_REASON)


def format_of(path: Path) -> str:
    """Return the format of a file by its name; ConfigError if it cannot be imported."""
    suffix = suffix_of_name(path)
    if suffix not in SUFFIXES or (suffix == ".parquet" and is_gzipped(path)):
        raise ConfigError(
            f"{path} ends in {path.suffix!r}; it must end in {', '.join(SUFFIXES)} (text also with {GZIP})"
            f"{workbook_hint(path)}"
        )
    return suffix


@dataclass(frozen=True)
class ImportPart:
    """Some rows of a file.

    Attributes:
        rows: the readable rows, under the file's own column names.
        numbers: the numbers of the rows, as people count them.
        torn: torn lines, in the same columns as far as they can be read.
        torn_rows: the problem of each of them.
    """

    rows: pl.DataFrame
    numbers: Sequence[int]
    torn: pl.DataFrame = field(default_factory=pl.DataFrame)
    torn_rows: tuple[TornRow, ...] = ()

    def __len__(self) -> int:
        """Count all rows."""
        return len(self.numbers) + len(self.torn_rows)

    def after(self, skip: int) -> "ImportPart":
        """Return the part without its first rows, readable or not."""
        if not skip:
            return self
        first = sorted([*self.numbers, *(row.row for row in self.torn_rows)])[skip]
        rows, torn = bisect_left(self.numbers, first), sum(row.row < first for row in self.torn_rows)
        return ImportPart(self.rows[rows:], self.numbers[rows:], self.torn[torn:], self.torn_rows[torn:])


def parts(path: Path, size: int, skip: int = 0, names: ColumnMap | None = None) -> Iterator[ImportPart]:
    """Read a file in parts of about *size* rows, after the first *skip*; everything in CSV is text.

    *names* are our names of its columns; the parts keep the file's own.

    FileFormatError if it cannot be read.
    """
    suffix = format_of(path)
    with path.open("rb"):  # so that the error names a missing file
        pass
    if suffix == ".csv":
        yield from _csv_parts(path, size, skip, names)
        return
    if suffix == ".parquet":
        yield from _parquet_parts(path, size, skip)
        return
    yield from _json_parts(path, size, skip)


def _parquet_parts(path: Path, size: int, skip: int) -> Iterator[ImportPart]:
    number = first_row_of(str(path)) + skip
    try:
        with unchanged_parquet(path, first=skip) as rows:
            for batch in rows.collect_batches(chunk_size=size, maintain_order=True):
                for part in batch.with_columns(cs.by_dtype(pl.Categorical, pl.Enum).cast(pl.String)).iter_slices(size):
                    yield ImportPart(part, range(number, number + len(part)))
                    number += len(part)
    except pl.exceptions.PolarsError as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from None


def _json_parts(path: Path, size: int, skip: int) -> Iterator[ImportPart]:
    """Read JSON lines; a column has one type in all parts, that of all its values in the file.

    FileFormatError if the file is changed after the types were chosen: they might not fit what was added since.
    """
    stamp = stamp_of(path)
    types = _json_types(path)
    lines = islice(json_lines(path, finite=True), skip, None)
    while part := list(islice(lines, size)):
        if stamp_of(path) != stamp:
            raise changed_meanwhile(path)
        sound, torn = ([line for line in part if (line.torn is None) is is_sound] for is_sound in (True, False))
        numbers, torn_rows = [line.row for line in sound], tuple(line.torn for line in torn if line.torn)
        yield ImportPart(_json_frame(sound, types), numbers, _json_frame(torn, types), torn_rows)


def _json_types(path: Path) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Choose the type of each column: `pl.Object`, which keeps each value as it is, if no type holds all exactly.

    FileFormatError if no line is an object with a field.
    """
    kinds: dict[str, set[type]] = {}
    torn = None
    for line in json_lines(path, finite=True):
        if line.torn is not None:
            torn = torn or line.torn
            continue
        for name, value in line.values.items():
            kinds.setdefault(name, set()).add(_kind(value))
    if not kinds:
        problem = f": {torn.as_problem()}" if torn else ""
        raise FileFormatError(f"{path} has no line that is a JSON object with a field{problem}")
    return {name: _TYPES.get(frozenset(of_column - {NoneType}), pl.Object) for name, of_column in kinds.items()}


def _json_frame(lines: Sequence[JsonLine], types: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
    """Put lines into columns of given types; a torn line's values of another type are left out."""

    def value_in(line: JsonLine, name: str) -> Any:
        value, dtype = line.values.get(name), types[name]
        fits = line.torn is None or dtype is pl.Object or _TYPES.get(frozenset({_kind(value)})) == dtype
        return value if fits else None

    columns = {name: [value_in(line, name) for line in lines] for name in types}
    return pl.DataFrame([pl.Series(name, columns[name], dtype, strict=False) for name, dtype in types.items()])


def _kind(value: Any) -> type:
    return type(value) if fits_typed_column(value) else object


_TYPES: Final[Mapping[frozenset[type], pl.DataType | type[pl.DataType]]] = {
    frozenset(): pl.Null,
    frozenset({str}): pl.String,
    frozenset({bool}): pl.Boolean,
    frozenset({int}): pl.Int64,
    frozenset({float}): pl.Float64,
    frozenset({list}): pl.List(pl.String),
}


def _csv_parts(path: Path, size: int, skip: int, names: ColumnMap | None) -> Iterator[ImportPart]:
    ours = names.ours if names else {}
    for read in csv_parts(path, size, lambda theirs: [ours.get(name, name) for name in theirs]):
        rows, torn = _original_texts(csv_frame(read.table, path)), _original_texts(torn_frame(read, path))
        part = ImportPart(rows, read.rows.tolist(), torn, read.torn)
        if len(part) > skip:
            yield part.after(skip)
        skip = max(0, skip - len(part))


def _original_texts(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the texts of a file of refused rows as they were before `RefusedRows` wrote them; others unchanged."""
    return unescape_formulas_of_frame(rows) if set(_ADDED) <= set(rows.columns) else rows


def renamed_columns(part: pl.DataFrame, names: ColumnMap, path: Path) -> pl.DataFrame:
    """Return a part under our names, without the columns that an earlier import added to refused rows."""
    own = part.drop(*_ADDED, strict=False)
    return own.rename(names.rename(own.columns, str(path)))


@dataclass
class RefusedRows:
    """The file of refused rows: the columns of the import, with each row's number and reasons.

    It is CSV if the import is CSV, and JSON lines otherwise, so that it can be corrected and imported as it is. In CSV,
    texts that a spreadsheet would execute have an apostrophe before them, which the import removes again.

    Attributes:
        source: the imported file.
        given_path: the path that the caller chose, which is overwritten; None for a file beside the import.
        path: the path of the file; None until a row is refused, so that all of its bytes are of this import.
        size: the bytes of finished parts; further bytes of an interrupted import are dropped.
    """

    source: Path
    given_path: Path | None = None
    path: Path | None = None
    size: int = 0

    def add(self, rows: pl.DataFrame, numbers: Sequence[int], reasons: Sequence[str]) -> None:
        """Add rows, their numbers as people count them, and the reasons of each refusal, in `stored_together`."""
        columns = [pl.Series(REFUSED_ROW, numbers, pl.Int64), pl.Series(REFUSED_REASON, reasons, pl.String)]
        text = self._text(rows.drop(*_ADDED, strict=False).hstack(columns))
        self.path = path = self.path or make_refused_file(self.source, self.given_path)
        with naming(path), path.open("ab") as file:
            file.truncate(self.size)
            file.seek(self.size)
            file.write(text.encode())
            self.size = file.tell()

    @contextmanager
    def stored_together(self) -> Iterator[None]:
        """Remove the file if this block made it and fails: an import that continues later would not know it.

        If it is unknown whether the block's transaction was stored, the file stays.
        """
        before = self.path
        try:
            yield
        except UnknownOutcomeError:
            raise
        except BaseException:
            if before is None and self.path is not None:
                self.path.unlink(missing_ok=True)
            raise

    def _text(self, frame: pl.DataFrame) -> str:
        """Format rows as text for the file, with a header if they are the first ones."""
        if refused_suffix(self.source) == ".csv":
            separator = csv_header(self.source)[1]
            return escape_formulas_of_frame(frame).write_csv(include_header=not self.size, separator=separator)
        lines = (json.dumps(row, ensure_ascii=False, default=str) for row in frame.iter_rows(named=True))
        return "".join(f"{line}\n" for line in lines)


def refused_suffix(path: Path) -> str:
    """Return the suffix of the file of an import's refused rows."""
    return ".csv" if format_of(path) == ".csv" else ".jsonl"


def require_refused_format(path: Path, given_path: Path) -> None:
    """Raise ConfigError if the file chosen for an import's refused rows has another format."""
    if given_path.suffix.lower() != (suffix := refused_suffix(path)):
        raise ConfigError(f"the file of refused rows is {given_path}; for {path} it must end in {suffix}")


def make_refused_file(path: Path, given_path: Path | None) -> Path:
    """Make the empty file of an import's refused rows: a new one beside the import.

    Several imports at the same time get a file each. A *given_path* is used as it is, and overwritten. ConfigError if
    all names are taken; an OSError that names `--refused` if none can be made there. An import without refused rows
    makes no file, so that it can read from a read-only folder.
    """
    # It has rows of the import, so the same users may read it.
    mode = stat.S_IMODE(path.stat().st_mode) & 0o666 | 0o600
    if given_path is not None:
        given_path.touch(mode)
        given_path.write_bytes(b"")
        return given_path
    stem, suffix = path.name.removesuffix(GZIP).rsplit(".", 1)[0], refused_suffix(path)
    candidates = [
        path.with_name(f"{stem}.refused{'' if number == 1 else f'-{number}'}{suffix}") for number in range(1, 1000)
    ]
    for candidate in candidates:
        try:
            candidate.touch(mode, exist_ok=False)
        except FileExistsError:
            continue
        except OSError as error:  # the folder of the import may be read-only
            raise OSError(error.errno, f"{error.strerror}; name another file by --refused", str(candidate)) from error
        return candidate
    raise ConfigError(
        f"there are {len(candidates)} files such as {candidates[0]}; move them away, or name one by --refused"
    )


def refused_rows(
    part: ImportPart, problems: Mapping[int, Sequence[Problem]]
) -> tuple[pl.DataFrame, list[int], list[str]]:
    """Return torn rows and rows with *problems* (by place), in order, in the form of `RefusedRows.add`."""
    places = sorted(problems)
    numbers = [*(part.numbers[place] for place in places), *(row.row for row in part.torn_rows)]
    reasons = ["; ".join(f"{one.field} {_with_allowed(one)}" for one in problems[place]) for place in places]
    reasons += [f"line {_with_allowed(row)}: {row.line}" for row in part.torn_rows]
    rows = part.rows[places] if part.torn.is_empty() else pl.concat([part.rows[places], part.torn])
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    return rows[order], [numbers[place] for place in order], [reasons[place] for place in order]


def _with_allowed(problem: Problem | TornRow) -> str:
    return f"{problem.problem} (allowed: {problem.allowed})"
