"""Training on many machines: workers check and keep rows once, and compute from these in the order of one process."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from fivefold.domain.money import RateTable
from fivefold.domain.parts import Parts
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.features.histories import Histories
from fivefold.features.indicator_matrix import warm
from fivefold.features.kept import read_kept
from fivefold.features.partitions import Engine, Result
from fivefold.features.reading.sources import file_reader, require_columns
from fivefold.features.reading.tables import Source
from fivefold.features.reading.text_files import MappedFile
from fivefold.training.data import Made, PieceWork, TransactionSource, converted, cut, unconverted

_MADE = "made"


@dataclass(frozen=True)
class EngineFile:
    """Parquet, and the engine whose workers read it."""

    engine: Engine
    file: MappedFile


class EngineSource(TransactionSource):
    """Parquet that an engine reads: `TransactionSource`, whose rows need not be grouped by customer.

    The order of customers decides what trees learn. It is that of their first rows in the source, as in one process, so
    the trees are the same.
    """

    source: MappedFile
    keeps_passes = False

    def __init__(
        self,
        source: EngineFile,
        rates: RateTable,
        now: int | None = None,
        *,
        absent: tuple[str, ...] | None = None,
        own: OwnIndicators | None = None,
        parts: Parts | None = None,
    ) -> None:
        """Read nothing yet; the arguments are those of `TransactionSource`."""
        super().__init__(source.file, rates, now, absent=absent, own=own, parts=parts)
        self._engine = source.engine
        self._files: list[Path] | None = None

    def parts(self, rates: RateTable) -> Iterator[Histories]:
        """Return the histories from the files that workers kept."""
        return (converted(read_kept(file), rates) for file in self._kept_files())

    def _kept_files(self) -> list[Path]:
        if self._files is None:
            reader = file_reader(self.source, unconverted(self.rates), self._latest, absent=self._absent)
            self._files = self._engine.keep(self.source, reader)
        return self._files

    def made_of(
        self, task: str, moments: int, columns: int, work: PieceWork[Made], slim: Callable[[Made], Made] | None = None
    ) -> Iterator[Made]:
        """Yield the result of the work on each piece, which workers compute, in the order of the customers."""
        each = _EachPiece(work, self.rates, moments, columns)
        for table, _ in self._engine.run_each(self._kept_files(), each):
            yield pickle.loads(table[_MADE][0].as_buffer())  # noqa: S301 (a worker wrote it, where this account alone may)


def open_source(
    source: Source | EngineFile,
    rates: RateTable,
    now: int | None = None,
    *,
    absent: tuple[str, ...] | None = None,
    own: OwnIndicators | None = None,
    parts: Parts | None = None,
) -> TransactionSource:
    """Open transactions; workers read those of an `EngineFile`. The arguments are those of both classes.

    A header that lacks a column is refused here, before anything is compiled for its rows.

    Raises:
        FileFormatError: see `require_columns`.
    """
    require_columns(source.file if isinstance(source, EngineFile) else source, rates, absent=absent)
    warm()
    if isinstance(source, EngineFile):
        return EngineSource(source, rates, now, absent=absent, own=own, parts=parts)
    return TransactionSource(source, rates, now, absent=absent, own=own, parts=parts)


@dataclass(frozen=True)
class _EachPiece:
    """The work on the pieces of a file of kept histories."""

    work: PieceWork[object]
    rates: RateTable
    moments: int
    columns: int

    def __call__(self, file: Path) -> Iterator[Result]:
        for piece in cut(converted(read_kept(file), self.rates), self.moments, self.columns):
            content = pickle.dumps(self.work(piece), pickle.HIGHEST_PROTOCOL)
            yield Result(pa.table({_MADE: pa.array([content], pa.large_binary())}), b"")
