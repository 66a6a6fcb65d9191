"""Indicators and values of a part, which its worker computes from the part's rows as one process does from all."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import pyarrow as pa

from fivefold.domain.money import RateTable
from fivefold.features.partitions import Engine, Result
from fivefold.features.reading.sources import empty_columns
from fivefold.features.schema import ABSENT
from fivefold.risk.compiler.analysis import Analysed
from fivefold.usecases.portfolio_files.values import Gap, ValueSide, visible_rows

if TYPE_CHECKING:
    from fivefold.models.value_model import ValueModel

ReadRows = Callable[[Path], pl.DataFrame]
"""Reads the rows of a part, in the order of the source; can be pickled."""


@dataclass(frozen=True)
class SharedModel:
    """The value model in the folder that workers share."""

    folder: Path
    content_hash: str

    @classmethod
    def of(cls, model: "ValueModel", folder: Path) -> "SharedModel":
        """Write a model for the workers."""
        model.save(folder)
        return cls(folder, model.content_hash)

    def load(self) -> "ValueModel":
        """Load the model, once in a process."""
        from fivefold.models.scoring.sources import load_shared  # noqa: PLC0415 (imports LightGBM)

        return load_shared(self.folder, self.content_hash)


@dataclass(frozen=True, kw_only=True)
class ValuesOfParts:
    """Computes the indicators and values that rulesets read, one part after the other; can be pickled.

    Attributes:
        rates: rates into the base currency.
        as_of: the moment, microseconds; nothing later is seen.
        source: the file of all rows.
        model: the value model; None if no ruleset reads the value.
        empty: the columns that are empty in all rows that are read, of all parts.
    """

    rates: RateTable
    as_of: int
    source: Path
    model: SharedModel | None
    empty: tuple[str, ...]

    def frames(
        self, rulesets: Sequence[Analysed[Any]], rows: pl.DataFrame, note: Callable[[Gap], None]
    ) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
        """Compute `Portfolio.indicators` and `Portfolio.values` of the rows of a part."""
        side = ValueSide(
            rulesets=rulesets,
            rates=self.rates,
            as_of=self.as_of,
            load_model=self._load_model,
            note=note,
            empty=self.empty,
        )
        return side.frames(self.source, rows)

    def _load_model(self) -> "ValueModel":
        assert self.model is not None
        return self.model.load()


def find_empty_columns(engine: Engine, files: Sequence[Path], read_rows: ReadRows, as_of: int) -> tuple[str, ...]:
    """Return the columns that are empty in all rows that are read, of all parts: a part alone cannot know."""
    filled: set[str] = set()
    for _, note in engine.run_each(files, partial(_filled_columns, read_rows=read_rows, as_of=as_of)):
        filled.update(msgspec.msgpack.decode(note, type=list[str]))
    return tuple(name for name in ABSENT if name not in filled)


def _filled_columns(file: Path, read_rows: ReadRows, as_of: int) -> Iterator[Result]:
    rows, _ = visible_rows(read_rows(file), as_of)
    empty = empty_columns(rows)
    filled = [name for name in ABSENT if name in rows.columns and name not in empty]
    yield Result(pa.table({}), msgspec.msgpack.encode(filled))
