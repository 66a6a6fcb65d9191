"""What columns of a portfolio's files are called here, of one file or of all that have them."""

from collections.abc import Sequence
from typing import Annotated

import polars as pl
import typer

from fivefold.domain.errors import ConfigError
from fivefold.features.reading.text_files import ColumnMap

PARTS = ("entities", "transactions", "cases", "alerts", "tags", "screenings", "labels")
PortfolioMapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="What a column is, such as customer_id=entity_id, in every file that has it; of one file alone: "
        "transactions.day=transaction_date. Repeat it.",
    ),
]


class PortfolioColumns:
    """Names of columns, by file and for all files."""

    def __init__(self, pairs: Sequence[str] = ()) -> None:
        """Read pairs such as customer_id=entity_id or tags.since=from; ConfigError where one has another form."""
        own = {part: [pair for pair in pairs if pair.startswith(f"{part}.")] for part in PARTS}
        self._own = {
            part: ColumnMap.read([pair.removeprefix(f"{part}.") for pair in found]) for part, found in own.items()
        }
        special = {pair for found in own.values() for pair in found}
        self._common = ColumnMap.read([pair for pair in pairs if pair not in special])
        self._wanted = {part for part, found in own.items() if found}
        self._met: set[str] = set()
        self._read: set[str] = set()

    def rename(self, part: str, frame: pl.DataFrame, source: str) -> pl.DataFrame:
        """Give the table of a part under our names; FileFormatError where it lacks a column that is its own alone."""
        names = frame.columns
        own = self._own[part].rename(names, source)
        common = {theirs: ours for theirs, ours in self._common.ours.items() if theirs in names}
        self._met |= common.keys()
        self._read.add(part)
        left = {theirs: ours for theirs, ours in common.items() if theirs not in own and ours not in own.values()}
        return frame.rename(ColumnMap({**left, **own}).rename(names, source))

    def refuse_unused(self) -> None:
        """Raise ConfigError where a pair was of no use: no file has the column, or there is no such file."""
        for theirs, ours in self._common.ours.items():
            if theirs not in self._met:
                raise ConfigError(f"--map {theirs}={ours}: no file has a column {theirs}")
        for part in sorted(self._wanted - self._read):
            raise ConfigError(f"--map {part}.…: no file of {part} was given")
