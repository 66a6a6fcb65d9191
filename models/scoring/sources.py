"""Scoring a source: files and frames in, one row a customer out, batch by batch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
import polars as pl

from fivefold.features.ahead import read_ahead
from fivefold.features.histories import Histories
from fivefold.features.partitions import Engine, Result
from fivefold.features.reading.sources import file_reader, stream_histories
from fivefold.features.reading.tables import Source
from fivefold.features.reading.text_files import MappedFile
from fivefold.models.embedded import require_registered
from fivefold.models.scoring.histories import ScoredBatch, Scoring, score_histories
from fivefold.models.value_model import ValueModel


def score_source(
    model: ValueModel,
    source: Source,
    as_of: int,
    *,
    explained: bool = False,
    compare_as_of: int | None = None,
    level_percent: int | None = None,
) -> Iterator[ScoredBatch]:
    """Score every customer of a source as known at *as_of* (microseconds).

    *explained* adds `base` and one column of points for each indicator: their sum is the score within 1e-9.
    *compare_as_of* adds `score_before`, `category_before` and `move`: null for customers not yet known then.
    *level_percent* is the level of the interval, the model's own by default.
    """
    how = Scoring(as_of, explained=explained, compare_as_of=compare_as_of, level_percent=level_percent)
    yield from score_stream(model, stream_histories(source, model.rates, absent=model.absent), how)


def score_stream(model: ValueModel, parts: Iterable[Histories], how: Scoring) -> Iterator[ScoredBatch]:
    """Score the customers of a stream, container by container; the next is read while one is scored."""
    for part in read_ahead(parts):
        yield score_histories(model, part, **vars(how))


def score_on_engine(engine: Engine, model: ValueModel, source: MappedFile, how: Scoring) -> Iterator[ScoredBatch]:
    """Score every customer of Parquet on the workers of an engine: the batches of `score_source`, in another order.

    The model goes by the folder that the workers share.

    Raises:
        FileFormatError: what is no Parquet, or a customer whom two partitions have.
        InvalidDataError: rows with bad values.
    """
    folder = engine.folder / "model"
    model.save(folder)
    reader = file_reader(source, model.rates, absent=model.absent)
    for table, note in engine.run(source, reader, _ScoringWork(folder, model.content_hash, how)):
        left_out, newest, currencies, rows = msgspec.msgpack.decode(note, type=_Note)
        yield ScoredBatch(pl.DataFrame(pl.from_arrow(table)), left_out, newest, currencies, rows)


_Note = tuple[int, int | None, frozenset[str], int]
"""What a scored batch has beside its table."""


@dataclass(frozen=True)
class _ScoringWork:
    """The scoring of one partition."""

    folder: Path
    content_hash: str
    how: Scoring

    def __call__(self, parts: Iterator[Histories]) -> Iterator[Result]:
        model = _load(self.folder, self.content_hash)
        for batch in score_stream(model, parts, self.how):
            note: _Note = (batch.left_out, batch.newest, batch.currencies, batch.rows)
            yield Result(batch.table.to_arrow(compat_level=pl.CompatLevel.oldest()), msgspec.msgpack.encode(note))


@lru_cache(maxsize=1)
def _load(folder: Path, content_hash: str) -> ValueModel:
    """Load the model once in a process, which has many partitions."""
    model = ValueModel.load(folder)
    require_registered(model, content_hash, f"the model in {folder}")
    return model
