"""Scoring a source: histories in, one row a customer out, batch by batch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from fivefold.features.histories import Histories
from fivefold.features.partitions import Engine, Result
from fivefold.features.reading.sources import file_reader, read_ahead, stream_histories
from fivefold.features.reading.tables import Source
from fivefold.features.reading.text_files import MappedFile
from fivefold.models.embedded import require_registered
from fivefold.models.explain import explain
from fivefold.models.value_model import ValueModel


@dataclass(frozen=True)
class ScoredBatch:
    """The scores of some customers.

    Attributes:
        table: user_id, score (unrounded), category, expected_value (money), currency, percentile, the ends of the
            interval and its level, consistency (0 to 1); null where it is unknown. More if asked for.
        left_out: customers without a row by the as-of, or with a row that lacks a value which the model reads; they
            have no score.
        newest: time of the newest row read, whatever the as-of, microseconds; None where there was no row.
        currencies: codes of the amounts that were read, before they were converted.
    """

    table: pl.DataFrame
    left_out: int
    newest: int | None
    currencies: frozenset[str]


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


@dataclass(frozen=True)
class Scoring:
    """How customers are to be scored; the attributes are the arguments of `score_source`."""

    as_of: int
    explained: bool = False
    compare_as_of: int | None = None
    level_percent: int | None = None


def score_stream(model: ValueModel, parts: Iterable[Histories], how: Scoring) -> Iterator[ScoredBatch]:
    """Score the customers of a stream, container by container; the next is read while one is scored."""
    for part in read_ahead(parts):
        yield score_histories(
            model,
            part,
            how.as_of,
            explained=how.explained,
            compare_as_of=how.compare_as_of,
            level_percent=how.level_percent,
        )


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
        left_out, newest, currencies = msgspec.msgpack.decode(note, type=_Note)
        yield ScoredBatch(pl.DataFrame(pl.from_arrow(table)), left_out, newest, currencies)


_Note = tuple[int, int | None, frozenset[str]]
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
            note: _Note = (batch.left_out, batch.newest, batch.currencies)
            yield Result(batch.table.to_arrow(compat_level=pl.CompatLevel.oldest()), msgspec.msgpack.encode(note))


@lru_cache(maxsize=1)
def _load(folder: Path, content_hash: str) -> ValueModel:
    """Load the model once in a process, which has many partitions."""
    model = ValueModel.load(folder)
    require_registered(model, content_hash, f"the model in {folder}")
    return model


def score_histories(
    model: ValueModel,
    histories: Histories,
    as_of: int,
    *,
    explained: bool = False,
    compare_as_of: int | None = None,
    level_percent: int | None = None,
) -> ScoredBatch:
    """Score the customers of one container; one customer is a batch of one."""
    matrix, row_counts = model.matrix(histories, as_of)
    is_known = (row_counts > 0) & ~model.unknown(histories, as_of)
    scores = model.scores(matrix[is_known])
    intervals = model.intervals_of(scores.expected_value, level_percent)
    user_ids = histories.user_ids.filter(is_known)
    table = pl.DataFrame(
        {
            "user_id": pl.Series(user_ids, dtype=pl.String),
            "score": scores.score,
            "category": pl.Series(scores.category, dtype=pl.String),
            "expected_value": scores.expected_value,
            "currency": pl.Series([model.currency] * len(user_ids), dtype=pl.String),
            "percentile": scores.percentile,
            **{name: pl.Series(ends).fill_nan(None) for name, ends in intervals.columns().items()},
            "interval_level_percent": pl.Series([intervals.level_percent] * len(user_ids), dtype=pl.Int64),
            "consistency": pl.Series(model.consistency_of(matrix[is_known])).fill_nan(None),
        }
    )
    if compare_as_of is not None:
        table = table.with_columns(_before(model, histories, compare_as_of, is_known, scores.score))
    if explained:
        explanations = explain(model, matrix[is_known])
        points = {f"points_{name}": explanations.points[:, number] for number, name in enumerate(model.catalogue.names)}
        table = table.with_columns(pl.Series("base", np.full(len(table), explanations.base)), **_series(points))
    newest = int(histories.time.max()) if histories.rows else None
    currencies = frozenset(model.rates.codes[position] for position in np.flatnonzero(np.bincount(histories.currency)))
    return ScoredBatch(table, int((~is_known).sum()), newest, currencies)


def _before(
    model: ValueModel, histories: Histories, as_of: int, is_known: np.ndarray, now: np.ndarray
) -> list[pl.Series]:
    matrix, row_counts = model.matrix(histories, as_of)
    is_scored = row_counts[is_known] > 0
    before = model.scores(matrix[is_known])
    scores = pl.Series("score_before", np.where(is_scored, before.score, np.nan)).fill_nan(None)
    category = pl.Series("category_before", np.where(is_scored, before.category, ""), dtype=pl.String).replace("", None)
    return [scores, category, (pl.Series(now) - scores).alias("move")]


def _series(columns: dict[str, np.ndarray]) -> dict[str, pl.Series]:
    return {name: pl.Series(name, values) for name, values in columns.items()}
