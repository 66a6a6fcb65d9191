"""The two passes over the data: one to learn from, one to judge by; both stream and hold only what they need."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from tqdm import tqdm

from domain.errors import NotEnoughData
from domain.money import RateTable
from features.histories import Floats, Histories, Integers
from features.matrix import snapshots
from features.paths import suffix_of
from features.sources import read_ahead, stream_histories
from features.tables import Source
from training.config import TrainingConfig
from training.dates import Dates, Period
from training.target import realised_values


@dataclass(frozen=True)
class LearningRows:
    """What the model learns from: one row for each customer and training date with a history by then.

    Attributes:
        matrix: m x F indicators.
        values: m realised values, money, not floored.
        as_of: m dates, microseconds.
        share: share of the customers that were taken.
    """

    matrix: Floats
    values: Floats
    as_of: Integers
    share: float


@dataclass(frozen=True)
class Overview:
    """What a first look at the source says.

    Attributes:
        first_rows: each customer's first moment, microseconds.
        digest: BLAKE2 over everything that was read, as it stands behind the doorway, however it was batched.
    """

    period: Period
    first_rows: Integers
    rows: int
    digest: str

    @property
    def customers(self) -> int:
        """How many customers there are."""
        return len(self.first_rows)

    def known_at(self, moments: Integers) -> int:
        """Count the customers known at each of the moments (microseconds), all together."""
        return int(np.searchsorted(np.sort(self.first_rows), moments, side="right").sum())


class Portfolio:
    """A source that can be read again and again, in batches of whole customers, with progress shown."""

    def __init__(self, source: Source, rates: RateTable) -> None:
        """Read nothing yet: Parquet is streamed at each pass, everything else is kept after the first."""
        self.source = source
        self.rates = rates
        self._streamed = isinstance(source, Path | str) and suffix_of(Path(source)) in {"", ".parquet"}
        self._kept: list[Histories] | None = None

    def batches(self, task: str) -> Iterator[Histories]:
        """Stream the histories; *task* is shown beside the progress bar."""
        with tqdm(desc=task, unit=" customers", disable=None, leave=False) as bar:
            for part in self._parts():
                yield part
                bar.update(part.customers)

    def _parts(self) -> Iterable[Histories]:
        if self._streamed:
            return read_ahead(stream_histories(self.source, self.rates))
        if self._kept is None:
            self._kept = list(stream_histories(self.source, self.rates))
        return self._kept

    def overview(self) -> Overview:
        """Look through all rows once: everything is checked here, before anything is learnt."""
        firsts, lasts, rows = [np.empty(0, dtype=np.int64)], [], 0
        digests = {name: hashlib.blake2b(digest_size=16) for name in _DIGESTED}
        for part in self.batches("checking rows"):
            firsts.append(part.time[part.offsets[:-1]])
            if part.rows:
                lasts.append(int(part.time.max()))
            rows += part.rows
            for name, digest in digests.items():
                digest.update(_bytes(part, name))
        if not rows:
            raise NotEnoughData("the source has no rows")
        whole = hashlib.blake2b(b"".join(digest.digest() for digest in digests.values()), digest_size=16)
        first_rows = np.concatenate(firsts)
        return Overview(Period(int(first_rows.min()), max(lasts)), first_rows, rows, whole.hexdigest())


_DIGESTED = ("user_ids", "counts", "time", "amount", "balance", "kind", "currency", "category", "created")


def _bytes(part: Histories, name: str) -> bytes:
    """Give one column so that the bytes of all batches together do not depend on where they were cut."""
    if name == "user_ids":
        return "".join(f"{len(user_id)} {user_id}" for user_id in part.user_ids.to_pylist()).encode()
    column = np.diff(part.offsets) if name == "counts" else getattr(part, name)
    return bytes(column.tobytes())


def learning_rows(portfolio: Portfolio, dates: Dates, config: TrainingConfig, overview: Overview) -> LearningRows:
    """Take the snapshots at every training date, of a sample of the customers where there are very many."""
    share = min(1.0, config.snapshots.most_rows / max(overview.known_at(dates.training), 1))
    parts = [_learning_part(part, dates, config, share) for part in portfolio.batches("training snapshots")]
    if not any(len(values) for _, values, _ in parts):
        raise NotEnoughData("no customer has a history at any training date")
    matrices, values, as_ofs = zip(*parts, strict=True)
    return LearningRows(np.concatenate(matrices), np.concatenate(values), np.concatenate(as_ofs), share)


def _learning_part(
    part: Histories, dates: Dates, config: TrainingConfig, share: float
) -> tuple[Floats, Floats, Integers]:
    taken = snapshots(part, dates.training)
    # Customers are sampled by a hash of their identifiers, so that the order of the file does not matter.
    places = pl.Series(part.user_ids).hash(config.seed).to_numpy() / 2.0**64
    known = (taken.seen > 0) & (places < share)[:, None]
    values = realised_values(part, dates.training, dates.horizon_days, config.value)
    as_ofs = np.broadcast_to(dates.training, known.shape)
    return taken.values[known], values[known], as_ofs[known]
