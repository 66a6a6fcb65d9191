"""The passes over the data: a summary, and the rows to learn from; they stream, and keep only what is needed."""

import ctypes
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tqdm import tqdm

from fivefold.domain.clock import CLOCK_SLACK_US, now_microseconds
from fivefold.domain.errors import NotEnoughDataError
from fivefold.domain.money import Rate, RateTable
from fivefold.domain.parts import Parts
from fivefold.features import digest_loops
from fivefold.features.ahead import read_ahead, work_ahead
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.features.catalogue.probe import check_own_values
from fivefold.features.histories import Floats, Histories, Integers
from fivefold.features.indicator_matrix import catalogue, select_columns, snapshots
from fivefold.features.numba_cache import compile_loops
from fivefold.features.reading.fast_columns import string_column
from fivefold.features.reading.sources import file_reader, is_streamed, stream_from, stream_histories
from fivefold.features.reading.tables import Source
from fivefold.features.reading.text_files import MappedFile, is_parquet
from fivefold.training import continuation
from fivefold.training.config import TrainingConfig
from fivefold.training.continuation import FitParts, digest_of
from fivefold.training.dates import DataPeriod, Dates
from fivefold.training.target import realised_values
from fivefold.training.windows import Quality, Windows

CELLS_AT_ONCE = 1 << 22
"""Indicator values that a thread computes at once, 32 MB; this bounds memory beyond the rows that training keeps."""

_KEY_BYTES = 8

Made = TypeVar("Made")
PieceWork = Callable[[Histories], Made]
"""The work of a pass on a few customers, which depends on these alone; it and its results can be pickled."""


def sampling_keys(user_ids: pa.Array, seed: int) -> Floats:
    """Return a key between 0 and 1 for each customer, evenly spread; the keys below a share are a sample of that size.

    A key depends on the identifier and the seed alone, not on order, library or machine.

    >>> sampling_keys(pa.array(["user_1", "user_2"]), seed=1).round(4).tolist()
    [0.0835, 0.2445]
    """
    start = hashlib.blake2b(digest_size=_KEY_BYTES, salt=seed.to_bytes(_KEY_BYTES, "big"))

    def digest(user_id: str) -> bytes:
        content = start.copy()
        content.update(user_id.encode())
        return content.digest()

    numbers = np.frombuffer(b"".join(map(digest, user_ids.to_pylist())), dtype=">u8")
    return numbers.astype(np.float64) / 2.0 ** (8 * _KEY_BYTES)


@dataclass(frozen=True)
class TrainingRows:
    """The rows that the model learns from: one for each customer and training date with a history up to it.

    Attributes:
        matrix: m x F indicators.
        values: m realised values, money, not floored.
        as_of: m dates, microseconds.
        share: the customers with a row as a share of those of all customers; below 1 if they were sampled.
        windows: counts of customers and rows for each date, of all customers.
        names: the names of the F indicators.
        parts: the parts of the training; None if nothing is kept.
    """

    matrix: Floats
    values: Floats
    as_of: Integers
    share: float
    windows: Windows
    names: tuple[str, ...]
    parts: Parts | None = None

    @cached_property
    def fits(self) -> FitParts:
        """The finished fits on these rows."""
        if self.parts is None:
            return FitParts()
        return FitParts(self.parts, digest_of(self.matrix, self.values, self.as_of, self.names))

    def without_matrix(self) -> "TrainingRows":
        """Return the rows without their matrix, which is most of the memory, once nothing more is learnt from them."""
        return replace(self, matrix=self.matrix[:0].copy())


@dataclass(frozen=True)
class ComparedRates:
    """The rates of the currencies of some rows, by which a later run detects corrections.

    Attributes:
        digest: see `training.plan.rates_digest`.
        known_on: the day whose last known rates they are.
        days: the day of each currency's rate, by its code; None if it had no rate yet.
    """

    digest: str
    known_on: date
    days: Mapping[str, date | None]

    def days_text(self) -> str:
        """Write the days as the tag of a version."""
        days = {code: day and day.isoformat() for code, day in self.days.items()}
        return json.dumps({"known_on": self.known_on.isoformat(), "days": days}, sort_keys=True)

    @classmethod
    def read(cls, digest: str, days_text: str) -> Self:
        """Read what `days_text` wrote."""
        content = json.loads(days_text)
        days = {code: day and date.fromisoformat(day) for code, day in content["days"].items()}
        return cls(digest, date.fromisoformat(content["known_on"]), days)


@dataclass(frozen=True, kw_only=True)
class SourceSummary:
    """A summary of the source from a first pass.

    Attributes:
        first_rows: each customer's first moment, microseconds.
        digest: the digest of all that was read, with unconverted amounts; it does not depend on batches or on the order
            of the customers.
        sampling_keys: a key for each customer, see `sampling_keys`.
        quality: counts of the rows, for warnings.
        absent: columns that the source lacks (`features.column_names.ABSENCES`).
        seed: the seed of the sampling keys.
        rates: the rates of the rows' currencies; None if nothing is to be learnt.
    """

    period: DataPeriod
    first_rows: Integers
    rows: int
    digest: str
    sampling_keys: Floats
    quality: Quality
    absent: tuple[str, ...] = ()
    seed: int = 1
    rates: ComparedRates | None = None

    @property
    def customers(self) -> int:
        """Number of customers."""
        return len(self.first_rows)

    def sampled_below(self, moments: Integers, most_rows: int) -> float:
        """Find the key below which customers give at most *most_rows* rows, one for each moment they are known at."""
        order = np.argsort(self.sampling_keys, kind="stable")
        rows = np.cumsum((self.first_rows[order][:, None] <= moments).sum(axis=1))
        count = int(np.searchsorted(rows, most_rows, side="right"))
        return 1.0 if count == len(order) else float(self.sampling_keys[order[count]])


def _path_of(source: Source) -> Path | None:
    """Return the file or folder of a source; None if it is in memory."""
    if isinstance(source, MappedFile):
        return source.path
    return Path(source) if isinstance(source, Path | str) else None


class TransactionSource:
    """A source that can be read again and again, in batches of whole customers, with progress shown."""

    is_hidden: bool | None = None
    """Whether progress is hidden; None shows it in a terminal alone."""
    keeps_passes = True
    """Whether results of a pass are kept by rows, if the source is streamed and there are parts to keep them in."""

    def __init__(
        self,
        source: Source,
        rates: RateTable,
        now: int | None = None,
        *,
        absent: tuple[str, ...] | None = None,
        own: OwnIndicators | None = None,
        parts: Parts | None = None,
    ) -> None:
        """Read nothing yet: Parquet is streamed at each pass, everything else is kept after the first.

        Args:
            source: the transactions.
            rates: the rates that convert their money.
            now: microseconds, the present by default. Rows dated more than a day later are refused, as in serving.
            absent: the columns that an existing model does not read; None if a new model is to be learnt.
            own: the operator's own indicators, computed beside those of the catalogue.
            parts: where a training keeps finished work, so that an interruption loses little.
        """
        # One object for all passes: it finds its files once.
        self.source = MappedFile(Path(source)) if isinstance(source, Path | str) else source
        self.rates = rates
        self.own = own
        self.training_parts = parts
        self._absent = absent
        self._latest = (now_microseconds() if now is None else now) + CLOCK_SLACK_US
        self._streamed = (path := _path_of(self.source)) is not None and is_parquet(path)
        self._batches_in_memory: list[Histories] | None = None

    def batches(self, task: str) -> Iterator[Histories]:
        """Stream the histories; *task* is shown beside the progress bar."""
        with self._bar(task) as bar, _giving_back():
            yield from self._counted(bar, self.rates)

    def _counted(self, bar: "tqdm[Any]", rates: RateTable) -> Iterator[Histories]:
        for part in self.parts(rates):
            yield part
            bar.update(part.rows)

    def _bar(self, task: str) -> "tqdm[Any]":
        """Make a progress bar of the rows; it has a total if that is known without reading them."""
        total = None
        if isinstance(self.source, MappedFile) and self._streamed:
            total = self.source.parquet.rows
        elif self._batches_in_memory is not None:
            total = sum(part.rows for part in self._batches_in_memory)
        return tqdm(desc=task, unit=" rows", unit_scale=True, total=total, disable=self.is_hidden, leave=False)

    def pieces(self, task: str, moments: int, columns: int) -> Iterator[Histories]:
        """Stream the histories a few customers at a time, so that their indicators fit `CELLS_AT_ONCE`."""
        for part in self.batches(task):
            yield from cut(part, moments, columns)

    def made_of(
        self, task: str, moments: int, columns: int, work: PieceWork[Made], slim: Callable[[Made], Made] | None = None
    ) -> Iterator[Made]:
        """Yield the result of the work on each of the `pieces`, in the order of the customers.

        *slim* removes from a result what is not needed after all results before it, so that less is kept on disk.
        """
        yield from self._through(
            task, self.rates, partial(cut, moments=moments, columns=columns), work, work_ahead, slim
        )

    def _through(
        self,
        task: str,
        rates: RateTable,
        split: Callable[[Histories], Iterable[Histories]],
        work: PieceWork[Made],
        apply: Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]],
        slim: Callable[[Made], Made] | None = None,
    ) -> Iterator[Made]:
        """Yield the results of the pieces of all batches; those that an interrupted run finished are read."""
        with self._bar(task) as bar, _giving_back():
            file = self._kept_by_rows()
            if file is None or self.training_parts is None:
                yield from apply(work, (piece for part in self._counted(bar, rates) for piece in split(part)))
                return
            reader = file_reader(file, rates, self._latest, absent=self._absent)
            yield from continuation.KeptPass(
                parts=self.training_parts,
                key=digest_of(rates, self._absent, work),
                stream=lambda place, hashes: read_ahead(stream_from(file, reader, place, hashes)),
                split=split,
                work_on=partial(apply, lambda piece: (work(piece[0]), piece[1])),
                slim=slim or _all_of,
                bar=bar,
            ).results()

    def _kept_by_rows(self) -> MappedFile | None:
        """Return the source if results of a pass are kept by its rows; None if they are not, or it is small."""
        if self.training_parts is None or not self._streamed or not isinstance(self.source, MappedFile):
            return None
        is_large = self.source.parquet.rows >= continuation.ROWS_A_PART
        return self.source if self.keeps_passes and is_large and is_streamed(self.source) else None

    def parts(self, rates: RateTable) -> Iterable[Histories]:
        """Return the histories, whole customers at a time, with money converted at these rates."""
        if self._streamed:
            return read_ahead(stream_histories(self.source, rates, self._latest, absent=self._absent))
        if self._batches_in_memory is None:
            rates_of_one = unconverted(self.rates)
            self._batches_in_memory = list(
                stream_histories(self.source, rates_of_one, self._latest, absent=self._absent)
            )
        return (converted(part, rates) for part in self._batches_in_memory)

    def summary(self, seed: int = 1) -> SourceSummary:
        """Summarise all rows in one pass: everything is checked here, before anything is learnt."""
        firsts, lasts, keys = [np.empty(0, dtype=np.int64)], [], [np.empty(0)]
        quality, digest = Quality(), np.zeros(2, dtype=np.uint64)
        rates_of_one = unconverted(self.rates)
        absent: tuple[str, ...] = ()
        look = _Look(seed, rates_of_one.codes)
        for batch in self._through("checking rows", rates_of_one, lambda part: [part], look, map):
            absent = batch.absent
            firsts.append(batch.first_rows)
            keys.append(batch.sampling_keys)
            lasts += batch.last
            quality.include(batch.quality)
            digest += batch.digest
        if not quality.rows:
            raise NotEnoughDataError("the source has no rows")
        first_rows = np.concatenate(firsts)
        period = DataPeriod(int(first_rows.min()), max(lasts))
        if period.last > self._latest:
            # A run whose clock was ahead kept these rows. They are read again, and refused by name.
            self.keeps_passes = False
            return self.summary(seed)
        text = digest.astype(">u8").tobytes().hex()
        return SourceSummary(
            period=period,
            first_rows=first_rows,
            rows=quality.rows,
            digest=text,
            sampling_keys=np.concatenate(keys),
            quality=quality,
            absent=absent,
            seed=seed,
        )


@contextmanager
def _giving_back() -> Iterator[None]:
    """Return memory to the system at the end of a pass: Arrow and the C library would keep that of the batches."""
    try:
        yield
    finally:
        pa.default_memory_pool().release_unused()
        if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
            trim(0)  # only some C libraries have it


def _all_of(result: Made) -> Made:
    """Return the whole result."""
    return result


class _BatchSummary(NamedTuple):
    """The summary of a batch, see `SourceSummary`; *last* has the last moment, or is empty without rows."""

    first_rows: Integers
    sampling_keys: Floats
    last: list[int]
    quality: Quality
    digest: npt.NDArray[np.uint64]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class _Look:
    """Summarises a batch, with unconverted amounts; *codes* are the currencies by position."""

    seed: int
    codes: tuple[str, ...]

    def __call__(self, part: Histories) -> _BatchSummary:
        quality = Quality()
        quality.add(part, self.codes)
        return _BatchSummary(
            part.time[part.offsets[:-1]],
            sampling_keys(part.user_ids, self.seed),
            [int(part.time.max())] if part.rows else [],
            quality,
            _digest(part, self.codes),
            part.absent,
        )


def cut(part: Histories, moments: int, columns: int) -> Iterator[Histories]:
    """Yield a few customers at a time, so that their indicators fit `CELLS_AT_ONCE`."""
    at_once = max(1, CELLS_AT_ONCE // (moments * columns))
    for first in range(0, part.customers, at_once):
        yield part.select(first, min(first + at_once, part.customers))


def unconverted(rates: RateTable) -> RateTable:
    """Make the table that leaves every amount unconverted, so that a digest does not depend on rates."""
    return replace(rates, rates={code: Rate(1.0, rate.known_on) for code, rate in rates.rates.items()})


def converted(part: Histories, rates: RateTable) -> Histories:
    """Convert the money of histories that were read `unconverted`."""
    unit = np.array(rates.units)[part.currency]
    return replace(part, amount=part.amount * unit, balance=part.balance * unit)


def _digest(part: Histories, codes: tuple[str, ...]) -> npt.NDArray[np.uint64]:
    """Return two sums over the content of customers, with unconverted amounts; the sums of batches add up.

    The order of the customers and of the *codes* makes no difference.
    """
    currencies = np.array([int.from_bytes(code.encode(), "big") for code in codes], dtype=np.uint64)
    sums = np.zeros(2, dtype=np.uint64)
    names = string_column(part.user_ids)
    if names is None:  # no customer at all
        return sums
    words = (part.time, part.amount, part.balance, part.created)
    compile_loops(digest_loops).add_customers(
        names.data,
        (names.begins, names.ends),
        part.offsets,
        tuple(column.view(np.uint64) for column in words),
        (part.kind, part.category),
        part.currency,
        currencies,
        sums,
    )
    return sums


class _Snapshots(NamedTuple):
    """The rows of a few customers, see `TrainingRows`; the windows count all of them, sampled or not."""

    matrix: Floats
    values: Floats
    as_of: Integers
    windows: Windows


@dataclass(frozen=True)
class _SnapshotWork:
    """Computes the rows of a few customers at every training date, for customers with a key below the share."""

    dates: Dates
    config: TrainingConfig
    share: float
    seed: int
    absent: tuple[str, ...]
    own: OwnIndicators | None

    def __call__(self, piece: Histories) -> _Snapshots:
        dates, windows = self.dates, Windows.empty(self.dates)
        windows.add(piece, dates.lag_us)
        if self.share < 1:
            piece = piece.take(np.flatnonzero(sampling_keys(piece.user_ids, self.seed) < self.share))
        at_dates = snapshots(piece, dates.training - dates.lag_us, own=self.own)
        has_rows = at_dates.row_counts > 0
        values = realised_values(piece, dates.training, dates.horizon_days, self.config.value)
        return _Snapshots(
            select_columns(at_dates.values[has_rows], self.absent, self.own),
            values[has_rows],
            np.broadcast_to(dates.training, has_rows.shape)[has_rows],
            windows,
        )


def training_rows(
    portfolio: TransactionSource, dates: Dates, config: TrainingConfig, summary: SourceSummary
) -> TrainingRows:
    """Compute the rows at every training date, for a sample of the customers if there are very many."""
    moments = dates.training - dates.lag_us
    share = summary.sampled_below(moments, config.snapshots.most_rows)
    sampled = summary.sampling_keys < share if share < 1 else np.ones(summary.customers, dtype=np.bool_)
    rows = int((summary.first_rows[sampled][:, None] <= moments).sum())
    columns = catalogue(summary.absent, portfolio.own)
    names = columns.names
    matrix, values = np.empty((rows, len(names))), np.empty(rows)
    as_ofs, windows = np.empty(rows, dtype=np.int64), Windows.empty(dates)
    work = _SnapshotWork(dates, config, share, summary.seed, summary.absent, portfolio.own)
    start = end = 0
    for piece in portfolio.made_of("training snapshots", len(moments), len(names), work):
        windows.include(piece.windows)
        start, end = end, end + len(piece.values)
        matrix[start:end] = piece.matrix
        values[start:end] = piece.values
        as_ofs[start:end] = piece.as_of
    if not rows:
        raise NotEnoughDataError("no customer has a history at any training date")
    if portfolio.own is not None:
        check_own_values(portfolio.own, columns, matrix)
    has_row = summary.first_rows <= moments[-1]
    share_of_customers = np.count_nonzero(sampled & has_row) / np.count_nonzero(has_row)
    return TrainingRows(matrix, values, as_ofs, share_of_customers, windows, names, portfolio.training_parts)
