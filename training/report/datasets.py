"""The data of a run as MLflow records them: the transactions, and the rows of each window, by their digests."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset import Dataset

from fivefold.domain.clock import day_text
from fivefold.features.histories import Integers
from fivefold.features.reading.columns import Mask
from fivefold.training.data import SourceSummary, TrainingRows
from fivefold.training.dates import Dates
from fivefold.training.judging.predictions import WindowPredictions

DIGEST_BYTES = 8
ROWS_A_BLOCK = 8_192
TRANSACTIONS = "transactions"
TRAINING, VALIDATION, TEST = "training", "validation", "test"
"""The windows; their names are also MLflow's contexts of their data."""


class LoggedDataset(Dataset):
    """Data that are kept elsewhere: their source, a profile and their digest."""

    def __init__(self, name: str, source: str, digest: str, profile: Mapping[str, Any]) -> None:
        """Describe data by the name of their source, for people, and a *digest* of at most 36 characters."""
        self._given_digest = digest
        self._given_profile = dict(profile)
        super().__init__(source=CodeDatasetSource({"mlflow.source.name": source}), name=name)

    def to_dict(self) -> dict[str, str]:
        """Return the fields that MLflow stores."""
        return {**super().to_dict(), "profile": json.dumps(self.profile)}

    def _compute_digest(self) -> str:
        return self._given_digest

    @property
    def schema(self) -> None:
        """None: the columns are those of the API, or the model's indicators."""

    @property
    def profile(self) -> dict[str, Any]:
        """Counts and dates, for people."""
        return self._given_profile


def transactions_dataset(source: str, summary: SourceSummary) -> LoggedDataset:
    """Describe all transactions that were read."""
    period = summary.period
    profile = {
        "num_rows": summary.rows,
        "customers": summary.customers,
        "first": day_text(period.first),
        "last": day_text(period.last),
    }
    return LoggedDataset(TRANSACTIONS, source, summary.digest, profile)


def learnt_datasets(source: str, rows: TrainingRows, dates: Dates) -> dict[str, LoggedDataset]:
    """Describe the rows of indicators and values that were learnt from and validated with, by window.

    The rows of the validation date are learnt from too, once the number of rounds is found. A window without rows is
    left out.
    """
    datasets = {}
    for window, moments in ((TRAINING, dates.training), (VALIDATION, dates.training[-1:])):
        chosen = np.isin(rows.as_of, moments)
        if chosen.any():
            digest = _digest(rows.as_of, rows.values, rows.matrix, chosen=chosen)
            datasets[window] = _of_window(window, source, digest, int(chosen.sum()), moments, dates)
    return datasets


def judged_dataset(source: str, dates: Dates, judged: WindowPredictions) -> dict[str, LoggedDataset]:
    """Describe the test window: the values and the last year of every customer, and the indicators of a sample."""
    digest = _digest(judged.realised, judged.recency, judged.frequency, judged.money, judged.positions, judged.matrix)
    moments = np.array([dates.test])
    return {TEST: _of_window(TEST, source, digest, len(judged.realised), moments, dates)}


def _of_window(window: str, source: str, digest: str, rows: int, moments: Integers, dates: Dates) -> LoggedDataset:
    profile = {
        "num_rows": rows,
        "dates": len(moments),
        "first": day_text(int(moments[0])),
        "last": day_text(int(moments[-1])),
        "horizon_days": dates.horizon_days,
    }
    return LoggedDataset(f"{window}_rows", source, digest, profile)


def _digest(*arrays: np.ndarray, chosen: Mask | None = None) -> str:
    """Return the digest of arrays, or of their *chosen* rows, block by block: the matrix is most of a run's memory."""
    content = blake2b(digest_size=DIGEST_BYTES)
    for array in arrays:
        mask = np.ones(len(array), dtype=bool) if chosen is None else chosen
        content.update(repr((array.dtype.str, (int(mask.sum()), *array.shape[1:]))).encode())
        for start in range(0, len(array), ROWS_A_BLOCK):
            block = slice(start, start + ROWS_A_BLOCK)
            content.update(array[block][mask[block]].tobytes())
    return content.hexdigest()
