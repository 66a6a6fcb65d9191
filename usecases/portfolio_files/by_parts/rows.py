"""Transactions cut into parts by workers: a part has all rows of some entities, in the order of the file.

Workers use the reader of a single process, so that column types are the same. Each worker writes one file of its slice
of the rows, in which the rows of a part are together.
"""

import io
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import msgspec
import polars as pl
import pyarrow as pa

from fivefold.domain.files import replacing
from fivefold.features.partitions import Engine, Result
from fivefold.features.reading.places.stores import open_files
from fivefold.features.reading.text_files import changed_meanwhile
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.usecases.portfolio_files.columns import PortfolioColumns
from fivefold.usecases.portfolio_files.tables import TableFile, read_slice
from fivefold.usecases.portfolio_files.values import ROW

ROWS_A_SLICE: Final = 1 << 20
"""How many rows a worker cuts at once."""
ROWS_A_PART: Final = 1 << 22
"""Rows of entities that are in no part are spread, so that a part gets about this many of them at most."""
PART: Final = "@part"
"""The number of the part of an entity; negative if it is in none."""
COPY: Final = "@copy"
"""Whether an entity is in a part only because entities of the part are linked to it."""
_KNOWN: Final = "@known"
_TRANSACTIONS: Final = "transactions"


class Piece(NamedTuple):
    """The rows of a part in the file of a slice.

    Attributes:
        file: the file of the slice.
        start: the offset of the first byte.
        length: the length in bytes.
    """

    file: Path
    start: int
    length: int


@dataclass(frozen=True)
class PartRows:
    """The rows of a part, in the order of the source.

    Attributes:
        rows: the rows of the part's entities, and some of entities in no part, so that each row is in a part.
        numbers: the numbers of the rows in the source, from 0.
        is_known: whether the entity of a row was read.
        is_copy: whether a row is here only for linked entities, and is counted in another part.
    """

    rows: pl.DataFrame
    numbers: pl.Series
    is_known: pl.Series
    is_copy: pl.Series


class RowsFile(NamedTuple):
    """The file of the transactions.

    Attributes:
        source: Parquet, at a path that this machine and the workers see.
        names: our names of its columns.
        reads: the columns to read, by our names.
    """

    source: Path
    names: PortfolioColumns
    reads: frozenset[str]

    def table(self) -> TableFile:
        """Return it as a table, without warnings: Parquet has no torn rows."""
        return TableFile(
            self.source,
            lambda _: None,
            lambda frame: self.names.rename(_TRANSACTIONS, frame, str(self.source)),
            self.reads,
        )


class _Slice(msgspec.Struct, frozen=True):
    """Rows of the source."""

    first: int
    rows: int


@dataclass(frozen=True)
class _CutSlice:
    """Cuts a slice of the rows, in `features.partitions.Engine.run_each`.

    Attributes:
        transactions: the file of all rows.
        places: a file of all entities that were read, with their `PART` and `COPY`.
        parts: how many parts there are.
        folder: the folder for the cut rows.
    """

    transactions: RowsFile
    places: Path
    parts: int
    folder: Path

    def __call__(self, file: Path) -> Iterator[Result]:
        """Yield the number of each part with rows in the slice, and the bytes where they are."""
        slice_ = msgspec.json.decode(file.read_bytes(), type=_Slice)
        rows = read_slice(self.transactions.table(), slice_.first, slice_.rows)
        if len(rows) != slice_.rows:
            raise changed_meanwhile(self.transactions.source)
        name = f"{secrets.token_hex(16)}.rows"
        places: list[tuple[int, int, int]] = []
        with replacing(self.folder / name, for_this_run=True) as unfinished, unfinished.open("wb") as output:
            for (part,), piece in (
                self._placed(rows, slice_.first)
                .partition_by(PART, as_dict=True, include_key=False, maintain_order=True)
                .items()
            ):
                content = io.BytesIO()
                piece.write_ipc(content, compression="lz4")
                places.append((int(part), output.tell(), len(content.getvalue())))
                output.write(content.getvalue())
        table = {place: [each[number] for each in places] for number, place in enumerate(_PLACES)}
        yield Result(pa.table(table, schema=pa.schema(dict.fromkeys(_PLACES, pa.int64()))), name.encode())

    def _placed(self, rows: pl.DataFrame, first: int) -> pl.DataFrame:
        """Return each row once for each of its parts, with its number, and whether its entity was read."""
        places = pl.scan_ipc(self.places, glob=False).collect()
        owners = rows.select(ENTITY).with_row_index(ROW)
        placed = owners.join(places, on=ENTITY, how="left", maintain_order="left")
        has_part = pl.col(PART).is_not_null() & (pl.col(PART) >= 0)
        others = placed.filter(~has_part & pl.col(ENTITY).is_not_null())[ENTITY].unique()
        # Repeated rows are of the same entity, so they are in the same part.
        spread = {name: crc32(name.encode()) % self.parts for name in others}
        elsewhere = pl.col(ENTITY).replace_strict(spread, default=0, return_dtype=pl.Int32)
        columns = placed.select(
            pl.col(ROW).cast(pl.Int64) + first,
            pl.col(PART).is_not_null().alias(_KNOWN),
            pl.col(COPY).fill_null(value=False),
            pl.when(has_part).then(PART).otherwise(elsewhere).alias(PART),
        )
        return rows[placed[ROW]].with_columns(columns)


_PLACES: Final = ("part", "start", "length")


def cut_rows(engine: Engine, transactions: RowsFile, places: pl.DataFrame, parts: int) -> list[list[Piece]]:
    """Cut the transactions on the workers, and return the pieces of each part in the order of the source.

    A large file gets further parts, for rows of entities that are in no part.

    Args:
        engine: the engine whose workers do it.
        transactions: their file.
        places: `entity_id`, `PART` and `COPY` of all entities that were read; one may be in several parts.
        parts: how many parts have entities.
    """
    placed = engine.folder / "entities.arrow"
    places.write_ipc(placed, compression="uncompressed")
    source = transactions.source
    files = open_files(source)
    count = files.rows
    parts = max(parts, -(-count // ROWS_A_PART))
    slices = []
    for number, first in enumerate(range(0, count, ROWS_A_SLICE)):
        slices.append(engine.folder / f"slice-{number}.json")
        slices[-1].write_bytes(msgspec.json.encode(_Slice(first, min(ROWS_A_SLICE, count - first))))
    pieces: list[list[Piece]] = [[] for _ in range(parts)]
    work = _CutSlice(transactions._replace(source=source.absolute()), placed, parts, engine.folder)
    for table, name in engine.run_each(slices, work) if slices else ():
        for part, start, length in zip(*(table[place].to_pylist() for place in _PLACES), strict=True):
            pieces[part].append(Piece(engine.folder / name.decode(), start, length))
    files.require_unchanged()
    return pieces


def read_pieces(pieces: Sequence[Piece], columns: pl.DataFrame) -> PartRows:
    """Read the rows of a part; *columns* is returned as the rows of a part without pieces."""
    frames = []
    for piece in pieces:
        with piece.file.open("rb") as file:
            file.seek(piece.start)
            frames.append(pl.read_ipc(io.BytesIO(file.read(piece.length))))
    if not frames:
        nothing = pl.Series([], dtype=pl.Boolean)
        return PartRows(columns, pl.Series([], dtype=pl.Int64), nothing, nothing)
    together = pl.concat(frames, rechunk=True)  # Polars 2.1 panics when it streams some filters of many chunks
    return PartRows(together.drop(ROW, _KNOWN, COPY), together[ROW], together[_KNOWN], together[COPY])
