"""Our names of the columns in a portfolio's files: of one file, or of all that have the column."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import polars as pl

from fivefold.domain.errors import ConfigError, FileFormatError
from fivefold.domain.text import misspelt_names
from fivefold.features.column_names import OTHER, meant_columns
from fivefold.features.reading.text_files import ColumnMap
from fivefold.features.schema import COLUMNS, USER_ID
from fivefold.risk.facts.portfolio import ENTITY

PARTS = ("entities", "transactions", "cases", "alerts", "tags", "screenings", "links", "labels")
OPTIONAL: Final[Mapping[str, Sequence[str]]] = {
    "entities": ("known_at",),
    "transactions": ("transaction_id", "transaction_state", "user_balance", "user_created", "user_category"),
    "cases": ("closed", "outcome"),
    "alerts": ("closed", "outcome"),
    "tags": ("from", "until"),
    "screenings": ("at",),
    "links": ("valid_from", "valid_until"),
    "labels": ("confirmed", "at"),
}
"""Columns that the file of a part may lack. Its absence changes what rows mean: a tag without an end, for instance."""

_OTHERS: Final[Mapping[str, Sequence[str]]] = {
    "transactions": COLUMNS,
    "cases": ("opened",),
    "alerts": ("opened",),
    "tags": ("tag",),
    "screenings": ("screening", "found"),
    "links": ("type", "from", "to"),
}


def columns_read(part: str, declared: Collection[str]) -> frozenset[str]:
    """Return the columns that are read from the file of a part; *declared* are those that rulesets declare."""
    return frozenset((ENTITY, USER_ID, *OPTIONAL[part], *_OTHERS.get(part, ()), *declared))


def refuse_misspelt(part: str, columns: Sequence[str], source: str, declared: Collection[str] = ()) -> None:
    """Refuse a column whose name differs from that of an absent optional column in case, signs or one letter alone.

    In transactions also a column that means the same, such as a status.

    Args:
        part: the part that the file has, such as tags.
        columns: the file's columns, by our names.
        source: names the file in the message.
        declared: columns that rulesets declare, which are never refused.

    Raises:
        FileFormatError: there is such a column; the message has the `--map` to paste.
    """
    find = meant_columns if part == "transactions" else misspelt_names
    for absent, near in find(columns, OPTIONAL[part], declared).items():
        raise FileFormatError(
            f"{source} has no column {absent}, and has {near}; perhaps {near} is meant: "
            f"--map {part}.{near}={absent}. If it is something else, give it another name, such as "
            f"--map {part}.{near}={near}{OTHER}"
        )


class PortfolioColumns:
    """Names of columns, by file and for all files."""

    def __init__(self, pairs: Sequence[str] = ()) -> None:
        """Read pairs such as customer_id=entity_id or tags.since=from; ConfigError if one has another form."""
        own = {part: [pair for pair in pairs if pair.startswith(f"{part}.")] for part in PARTS}
        self._own = {part: ColumnMap.read([pair.removeprefix(f"{part}.") for pair in own[part]]) for part in PARTS}
        special = {pair for part in PARTS for pair in own[part]}
        self._common = ColumnMap.read([pair for pair in pairs if pair not in special])
        self._wanted = {part for part in PARTS if own[part]}
        self._met: set[str] = set()
        self._read: set[str] = set()

    def rename(self, part: str, frame: pl.DataFrame, source: str) -> pl.DataFrame:
        """Rename the columns of a part's table to ours; FileFormatError if it lacks a column mapped for it alone."""
        names = frame.columns
        own = self._own[part].rename(names, source)
        common = {theirs: ours for theirs, ours in self._common.ours.items() if theirs in names}
        self._met |= common.keys()
        self._read.add(part)
        remaining = {theirs: ours for theirs, ours in common.items() if theirs not in own and ours not in own.values()}
        return frame.rename(ColumnMap({**remaining, **own}).rename(names, source))

    def refuse_unused(self) -> None:
        """Raise ConfigError if a pair was unused: no file has the column, or the file was not given."""
        for theirs, ours in self._common.ours.items():
            if theirs not in self._met:
                raise ConfigError(f"--map {theirs}={ours}: no file has a column {theirs}")
        for part in sorted(self._wanted - self._read):
            raise ConfigError(f"--map {part}.…: no file of {part} was given")
