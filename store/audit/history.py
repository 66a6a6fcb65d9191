"""Seals over history for the audit log: rows as lines of text, and one digest over the lines of a call.

`docs/audit.md` describes these bytes for programs that verify a log on their own. A call writes rows, gives all of them
one random number, the batch, and records an audit entry that seals them. Nothing here touches a database.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl

TRANSACTION: Mapping[str, Any] = {
    "transaction_id": pl.String,
    "entity_id": pl.Int64,
    "at_us": pl.Int64,
    "amount": pl.Float64,
    "currency": pl.String,
    "state": pl.String,
    "balance": pl.Float64,
    "category": pl.String,
    "account_created_us": pl.Int64,
    "content": pl.String,
}
"""Columns of a transaction that are sealed, in this order; `state` as it was when the transaction was added."""

VALUES: Mapping[str, Any] = {
    name: kind for name, kind in TRANSACTION.items() if name not in {"transaction_id", "entity_id"}
}
"""Columns of a transaction that a correction can change; None in a correction leaves the value as it was."""

CORRECTION: Mapping[str, Any] = {
    "external_id": pl.String,
    "transaction_id": pl.String,
    "entity_id": pl.Int64,
    "kind": pl.String,
    "known_us": pl.Int64,
    "reason": pl.String,
    "actor": pl.String,
    **VALUES,
}
"""Columns of a correction that are sealed, in this order, and their types."""

ASSESSMENT: Mapping[str, Any] = {
    "entity_id": pl.Int64,
    "number": pl.Int64,
    "as_of_us": pl.Int64,
    "version_id": pl.Int64,
    "source": pl.String,
    "status": pl.String,
    "level": pl.Int64,
    "rules_level": pl.Int64,
    "floor": pl.Int64,
    "score": pl.String,
    "engine": pl.String,
    "content_sha256": pl.String,
    "moved_from": pl.Int64,
    "moved_to": pl.Int64,
}
"""Columns of an assessment that are sealed; the last two belong to its transition, absent if the level stayed."""

BATCH_BITS = 62
_BETWEEN = "\0"
"""Separates fields; no stored text contains it."""
_SALT_BYTES = 16
SALT_CHARACTERS = 2 * _SALT_BYTES
_MARK_CHARACTERS = 8
_SETTLED, _CORRECTED = f"settled{_BETWEEN}", f"corrected{_BETWEEN}"
"""Prefixes of lines about settlements and corrections."""


@dataclass(frozen=True)
class Seal:
    """A seal over lines.

    Attributes:
        salt: in hexadecimal; without it, the digest reveals nothing about the lines.
        digest: SHA-256 of the salt, a line feed and all lines, in hexadecimal.
        marks: the CRC-32 of each line, to find those that differ.
    """

    salt: str
    digest: str
    marks: str


def new_batch() -> int:
    """Draw a random number for a batch, from a range so large that two calls never draw the same."""
    return secrets.randbits(BATCH_BITS)


def new_salt() -> str:
    """Draw a salt."""
    return new_salts(1)[0]


def new_salts(count: int) -> list[str]:
    """Draw salts in one call: to ask the system for each takes longer than to hash with it."""
    hex_digits, long = secrets.token_hex(_SALT_BYTES * count), SALT_CHARACTERS
    return [hex_digits[begin : begin + long] for begin in range(0, len(hex_digits), long)]


def seal(lines: Sequence[str], salt: str) -> Seal:
    """Seal lines in their order."""
    coded = [line.encode() for line in lines]
    digest = sha256(f"{salt}\n".encode() + _BETWEEN.encode().join(coded)).hexdigest()
    marks = np.fromiter(map(crc32, coded), dtype=">u4", count=len(coded)).tobytes().hex()
    return Seal(salt, digest, marks)


def line_of(fields: Iterable[Any]) -> str:
    r"""Write fields as one line: nothing for an absent field, an equals sign and its text for any other.

    >>> line_of([12, None, "a"])
    '=12\x00\x00=a'
    """
    return _BETWEEN.join(["" if field is None else f"={field}" for field in fields])


def transaction_lines(rows: pl.DataFrame) -> list[str]:
    """Write transactions, `TRANSACTION` among their columns, by `transaction_id` in the order of code points."""
    return table_lines(_sorted(rows[[*TRANSACTION]], "transaction_id"))


def correction_lines(rows: pl.DataFrame) -> list[str]:
    """Write corrections, `CORRECTION` among their columns, by their own numbers in the order of code points."""
    return [f"{_CORRECTED}{line}" for line in table_lines(_sorted(rows[[*CORRECTION]], "external_id"))]


def assessment_lines(rows: pl.DataFrame) -> list[str]:
    """Write assessments, `ASSESSMENT` among their columns, by entity and number."""
    return table_lines(_sorted(rows[[*ASSESSMENT]], "entity_id", "number"))


def _sorted(rows: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Sort rows; a single row is left as it is, as a query of Polars would cost more than all else."""
    return rows.sort(*columns) if len(rows) > 1 else rows


def table_lines(rows: pl.DataFrame) -> list[str]:
    r"""Write the rows of any table as lines, in their order: `line_of` for all rows at once.

    A float is written as the whole number with the same 64 bits, minus 0 as 0; a flag as 1 or 0.

    >>> table_lines(pl.DataFrame({"id": [1, 2], "tag": ["a", None], "gone": [None, None]}))
    ['=1\x00=a\x00', '=2\x00\x00']
    """
    texts, columns = [], []
    for column in rows:
        nulls = column.null_count()
        if nulls == len(column):
            texts.append("")
            continue
        values = _exact(column)
        texts.append("{}" if nulls else "={}")
        columns.append(("=" + values.cast(pl.String)).fill_null("") if nulls else values)
    if not columns:
        return [_BETWEEN.join(texts)] * len(rows)
    # One pass over all columns: concatenating column by column takes four times as long.
    return pl.select(pl.format(_BETWEEN.join(texts), *columns)).to_series().to_list()


def _exact(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Boolean:
        return values.cast(pl.Int8)
    if values.dtype != pl.Float64:
        return values
    bits = pl.Series(values.name, (values.to_numpy() + 0.0).view(np.int64))
    return bits.zip_with(values.is_not_null(), pl.Series([None], dtype=pl.Int64)) if values.null_count() else bits


def settled_lines(rows: Iterable[tuple[str, str | None]]) -> list[str]:
    """Write the settled transactions with their new states, by their numbers in the order of code points."""
    return [f"{_SETTLED}{line_of(row)}" for row in sorted(rows, key=lambda row: row[0])]


def content_digest(salt: str, inputs: str | None, breakdown: str | None) -> str:
    """Hash the inputs and the breakdown of an assessment: SHA-256, in hexadecimal."""
    return sha256(f"{salt}\n{line_of((inputs, breakdown))}".encode()).hexdigest()


def find_differences(lines: Sequence[str], marks: str) -> tuple[list[str], int]:
    """Find the lines that are not among the sealed ones, and the number of sealed lines that are missing.

    >>> find_differences(["a", "c"], seal(["a", "b"], "").marks)
    (['c'], 1)
    """
    sealed: dict[str, int] = {}
    for begin in range(0, len(marks), _MARK_CHARACTERS):
        mark = marks[begin : begin + _MARK_CHARACTERS]
        sealed[mark] = sealed.get(mark, 0) + 1
    other = []
    for line in lines:
        mark = f"{crc32(line.encode()):08x}"
        if sealed.get(mark, 0):
            sealed[mark] -= 1
        else:
            other.append(line)
    return other, sum(sealed.values())


def subject_of_line(line: str, fields: int) -> str:
    r"""Return the name of a line's subject: its first fields.

    >>> subject_of_line("=12\0=3\0=x", 2)
    '12.3'
    """
    parts = line.removeprefix(_SETTLED).removeprefix(_CORRECTED).split(_BETWEEN)
    return ".".join(part.removeprefix("=") for part in parts[:fields])
