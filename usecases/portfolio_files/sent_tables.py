"""Decision tables that a page or a program sends: export a rule's cases, and import a file's cases into a text.

Nothing is stored: the result of an import is a text, which a person can save as a draft.
"""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final

from fivefold.domain.errors import ConfigError
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.usecases.portfolio_files.decision_tables import (
    Foreign,
    TableDraft,
    draft_from_bytes,
    format_of,
    table_bytes,
)

MEDIA_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
"""The media types of exported files, by format."""
MOST_UNPACKED_BYTES: Final = 4_000_000
"""Most unpacked bytes of a workbook that was sent: requests share the memory, and a table of two hundred cases has a
tenth of that."""
MOST_PAIRS: Final = 100
"""Most columns of another system that one request can map."""
_TEXT: Final = "the text"


@dataclass(frozen=True)
class CaseTableFile:
    """The cases of a rule as a file: its name, which is plain ASCII, its type, and its bytes."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class TableSent:
    """A file with the cases of a rule.

    Attributes:
        name: of the file; its ending tells the format where none is named.
        content: its bytes.
        format: csv, xlsx, jdm or dmn; None for what the ending says.
        foreign: what is to be known to read a table of JDM or DMN.
    """

    name: str
    content: bytes
    format: str | None = None
    foreign: Foreign = field(default_factory=Foreign)


def export_table(document: str, rule: str, format_: str) -> CaseTableFile:
    """Return the cases of a rule of a ruleset's text as a CSV or a workbook.

    Raises:
        InvalidRulesetError: the text has faults.
        ConfigError: there is no such rule, or workbooks cannot be written here.
    """
    analysed = analyse_text(document, _TEXT)
    analysed.require_usable()
    with extra_named():
        content = table_bytes(analysed.ruleset, rule, format_)
    return CaseTableFile(f"{rule}.{format_}", MEDIA_TYPES[format_], content)


def import_table(document: str, rule: str, table_file: TableSent) -> TableDraft:
    """Return a ruleset's text in which one rule has the cases of a file, and what that changes.

    Raises:
        InvalidRulesetError: the text has faults; or a cell cannot be read exactly, or does not fit: each is named.
        ConfigError: the file cannot be read, or an extra that it needs is not installed.
    """
    source, format_ = source_of(table_file)
    with extra_named():
        return draft_from_bytes(document, _TEXT, rule, table_file.content, source, format_, table_file.foreign)


def source_of(table_file: TableSent) -> tuple[str, str]:
    """Return the name of a sent file in messages, and its format; ConfigError if it is empty, too large or unknown."""
    source = PurePath(table_file.name.replace("\\", "/")).name[-60:] or "the file"
    format_ = format_of(PurePath(source), table_file.format)
    if not table_file.content:
        raise ConfigError(f"{source} is empty")
    if format_ == "xlsx":
        _refuse_large(table_file.content, source)
    return source, format_


def foreign_of(table: str, lines: str) -> Foreign:
    """Read the name of a table of JDM or DMN, and our names of its columns: a line THEIRS=OURS for each.

    Raises:
        ConfigError: a line has another form, or there are more than `MOST_PAIRS`.

    >>> foreign_of("", "customer.land = country").names
    {'customer.land': 'country'}
    """
    return Foreign(table.strip() or None, column_pairs(lines))


def column_pairs(lines: str, called: str = "a column") -> dict[str, str]:
    """Read our names of columns or inputs of another system: a line THEIRS=OURS for each.

    ConfigError if a line has another form, or there are more than `MOST_PAIRS`; *called* names one in the message.
    """
    written = [line for line in lines.splitlines() if line.strip()]
    if len(written) > MOST_PAIRS:
        raise ConfigError(f"{len(written)} lines say what {called} is; {MOST_PAIRS} at most")
    return dict(column_pair(line, called) for line in written)


def column_pair(text: str, called: str = "a column") -> tuple[str, str]:
    """Read THEIRS=OURS for a column of another system; ConfigError for another form, with what it is *called*.

    >>> column_pair("risk=points")
    ('risk', 'points')
    """
    theirs, sign, ours = text.partition("=")
    if not sign or not theirs.strip() or not ours.strip():
        raise ConfigError(f"{called} is {text[:60]!r}; write it as THEIRS=OURS, such as customer.land=country")
    return theirs.strip(), ours.strip()


def _refuse_large(content: bytes, source: str) -> None:
    """Refuse a workbook that unpacks to much more than a table needs; the reader refuses what is not a workbook."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(part.file_size for part in packed.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):  # ValueError from a damaged index
        return
    if size > MOST_UNPACKED_BYTES:
        raise ConfigError(
            f"{source} unpacks to {size:,} bytes; at most {MOST_UNPACKED_BYTES:,} can be read: copy the table into a "
            "workbook of its own"
        )


@contextmanager
def extra_named() -> Iterator[None]:
    """Raise ConfigError that names the extra to install if a module is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"XLSX and DMN need {error.name}, which is not installed here: pip install 'fivefold[tables]'; CSV and JDM"
            " do without"
        ) from None
