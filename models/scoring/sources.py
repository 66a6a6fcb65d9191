"""Scoring a source: files and frames in, one row a customer out, batch by batch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from fivefold.domain.parts import Parts, numbered
from fivefold.features.ahead import read_ahead, work_ahead
from fivefold.features.arrow_files import as_bytes, of_bytes
from fivefold.features.histories import AmountChecks, Histories, Stateless, Ties
from fivefold.features.partitions import Engine, Result
from fivefold.features.reading.parquet_stream import START, KeptPosition
from fivefold.features.reading.sources import StreamPart, file_reader, is_streamed, stream_from, stream_histories
from fivefold.features.reading.tables import Source
from fivefold.features.reading.text_files import MappedFile
from fivefold.models.embedded import require_registered
from fivefold.models.scoring.histories import ScoredBatch, Scoring, score_histories
from fivefold.models.value_model import ValueModel

_SCORES: Final = "scores"
_SCORED_AT_ONCE: Final = 1
"""Batches that are scored at once; each is divided among the processors already."""


def score_source(model: ValueModel, source: Source, how: Scoring) -> Iterator[ScoredBatch]:
    """Score every customer of a source."""
    yield from score_stream(model, stream_histories(source, model.rates, absent=model.absent), how)


def score_stream(model: ValueModel, parts: Iterable[Histories], how: Scoring) -> Iterator[ScoredBatch]:
    """Score the customers of a stream, container by container; the next is read while one is scored."""
    for part in read_ahead(parts):
        yield score_histories(model, part, how)


def score_in_parts(model: ValueModel, source: MappedFile, how: Scoring, parts: Parts) -> Iterator[ScoredBatch]:
    """Yield the batches of `score_source`; finished ones are read from *parts*, and others are kept there.

    Only Parquet that is streamed has parts: everything else is read as a whole.

    Raises:
        FileFormatError, InvalidDataError: as of `features.reading.sources.read_histories`.
    """
    if not is_streamed(source):
        yield from score_source(model, source, how)
        return
    place, hashes_of_parts = START, list[npt.NDArray[np.uint64]]()
    for finished in parts.series(_SCORES):
        finished_batch = msgspec.msgpack.decode(finished.read_bytes(), type=_KeptBatch)
        place = finished_batch.end.place()
        hashes_of_parts.append(finished_batch.end.customers())
        yield finished_batch.batch()
    begin = len(hashes_of_parts)
    stream = stream_from(source, file_reader(source, model.rates, absent=model.absent), place, hashes_of_parts)
    score = partial(_scored, model, how)
    for number, (part, batch) in enumerate(work_ahead(score, read_ahead(stream), _SCORED_AT_ONCE), begin):
        with parts.writing(numbered(_SCORES, number)) as path:
            path.write_bytes(msgspec.msgpack.encode(_KeptBatch.of(batch, KeptPosition.of(part.place, part.hashes))))
        yield batch


def _scored(model: ValueModel, how: Scoring, part: StreamPart) -> tuple[StreamPart, ScoredBatch]:
    return part, score_histories(model, part.histories, how)


_Note = tuple[int, int | None, frozenset[str], int, Ties, dict[str, int], tuple[str, ...], Stateless, AmountChecks]
"""What a scored batch has beside its table."""


def _note_of(batch: ScoredBatch) -> _Note:
    return (
        batch.left_out, batch.newest, batch.currencies, batch.rows, batch.ties, batch.outside_units, batch.absent,
        batch.stateless, batch.amount_checks,
    )  # fmt: skip


class _KeptBatch(msgspec.Struct, frozen=True):
    """A scored batch, as a table in Arrow's form, and the place after it."""

    table: bytes
    note: _Note
    end: KeptPosition

    @classmethod
    def of(cls, batch: ScoredBatch, end: KeptPosition) -> Self:
        """Keep a batch."""
        return cls(as_bytes(batch.table.to_arrow(compat_level=pl.CompatLevel.oldest())), _note_of(batch), end)

    def batch(self) -> ScoredBatch:
        """Return the batch."""
        return ScoredBatch(pl.DataFrame(pl.from_arrow(of_bytes(self.table))), *self.note)


def score_on_engine(engine: Engine, model: ValueModel, source: MappedFile, how: Scoring) -> Iterator[ScoredBatch]:
    """Score every customer of Parquet on the workers of an engine: the batches of `score_source`, in another order.

    The model goes by the folder that the workers share.

    Raises:
        FileFormatError: what is not Parquet, or a customer whom two partitions have.
        InvalidDataError: rows with bad values.
    """
    folder = engine.folder / "model"
    model.save(folder)
    reader = file_reader(source, model.rates, absent=model.absent)
    for table, note in engine.run(source, reader, _ScoringWork(folder, model.content_hash, how)):
        yield ScoredBatch(pl.DataFrame(pl.from_arrow(table)), *msgspec.msgpack.decode(note, type=_Note))


@dataclass(frozen=True)
class _ScoringWork:
    """The scoring of one partition."""

    folder: Path
    content_hash: str
    how: Scoring

    def __call__(self, parts: Iterator[Histories]) -> Iterator[Result]:
        model = load_shared(self.folder, self.content_hash)
        for batch in score_stream(model, parts, self.how):
            table = batch.table.to_arrow(compat_level=pl.CompatLevel.oldest())
            yield Result(table, msgspec.msgpack.encode(_note_of(batch)))


@lru_cache(maxsize=1)
def load_shared(folder: Path, content_hash: str) -> ValueModel:
    """Load a model that workers share, once in a process, which has many partitions."""
    model = ValueModel.load(folder)
    require_registered(model.content_hash, content_hash, f"the model in {folder}")
    return model
