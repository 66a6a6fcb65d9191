"""An engine in this process that does to a job what a cluster does: it is pickled, cut, and answered in any order."""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fivefold.domain.provenance import release
from fivefold.features import schema as c
from fivefold.features.kept import keep
from fivefold.features.partitions import (
    RECEIPT,
    FileJob,
    FileWork,
    Job,
    Result,
    Work,
    hand_back,
    hand_back_each,
    kept_of,
    results_of_each,
)
from fivefold.features.reading.sources import ROW_NUMBER
from fivefold.features.reading.text_files import MappedFile
from fivefold.features.reading.validate import TransactionReader


@dataclass(frozen=True)
class SplitEngine:
    """Workers for a file of Parquet.

    Attributes:
        folder: shared.
        partitions: of the customers, by their first rows.
        rows_a_batch: batches end after so many rows.
        rows_at_once: see `features.partitions.Job`.
    """

    folder: Path
    partitions: int = 3
    rows_a_batch: int = 1000
    rows_at_once: int = 1000

    def run(self, source: MappedFile, reader: TransactionReader, work: Work) -> Iterator[Result]:
        raise NotImplementedError

    def keep(self, source: MappedFile, reader: TransactionReader) -> list[Path]:
        table = pq.read_table(source.path)
        _, firsts, whose = np.unique(table[c.USER_ID].to_numpy(), return_index=True, return_inverse=True)
        appears = firsts[whose]
        numbered = table.append_column(ROW_NUMBER, pa.array(range(len(table)), pa.int64()))
        job = Job(
            reader=reader,
            columns=tuple(numbered.column_names),
            moments={},
            work=keep,
            folder=self.folder,
            release=release(),
            rows=len(table),
            rows_at_once=self.rows_at_once,
        )
        receipts = []
        for customers in reversed(np.array_split(np.sort(firsts), self.partitions)):
            inside = np.flatnonzero(np.isin(appears, customers))
            part = numbered.take(pa.array(inside[np.argsort(appears[inside], kind="stable")]))
            receipts += _receipts(hand_back(part.to_batches(max_chunksize=self.rows_a_batch), _sent(job)))
        return kept_of(receipts, job, str(source))

    def run_each(self, files: Sequence[Path], work: FileWork) -> Iterator[Result]:
        job = FileJob(work, self.folder, release())
        receipts = []
        for number, file in reversed(list(enumerate(files))):
            batch = pa.record_batch([pa.array([number]), pa.array([str(file)])], names=list(job.columns))
            receipts += _receipts(hand_back_each([batch], _sent(job)))
        return results_of_each(receipts, job, len(files))


def _sent(job: Any) -> Any:
    return pickle.loads(pickle.dumps(job))


def _receipts(batches: Iterator[pa.RecordBatch]) -> list[bytes]:
    return [receipt for batch in batches for receipt in batch.column(RECEIPT).to_pylist()]
