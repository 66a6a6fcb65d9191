"""What a worker does with its partition: as one process reads the whole, wherever batches and partitions end."""

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError, FileFormatError, FivefoldError, InvalidDataError, ModelError
from fivefold.domain.provenance import release
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.partitions import (
    RECEIPT,
    FileJob,
    Job,
    Result,
    hand_back,
    hand_back_each,
    marked,
    results_of,
    results_of_each,
)
from fivefold.features.reading.columns import ErrorCollector
from fivefold.features.reading.frames import table_from_rows
from fivefold.features.reading.sources import ROW_NUMBER, read_histories
from fivefold.features.reading.validate import TransactionReader
from tests.features.oracle.equality import by_user
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row
from tests.features.spark.work import contents, joined

SOURCE = "rows.parquet"
AS_OF = AS_OFS[0]


def refuse(parts: Iterator[Histories]) -> Iterator[Result]:
    yield from contents(parts)
    raise ModelError("the model is damaged")


def numbered(rows: list[Row]) -> pa.Table:
    table = table_from_rows(rows, ErrorCollector())
    return table.append_column(ROW_NUMBER, pa.array(range(len(rows)), pa.int64()))


def job_for(table: pa.Table, folder: Path, **changes: Any) -> Job:
    reader = TransactionReader(RATES, source=SOURCE)
    return replace(
        Job(
            reader=reader,
            columns=tuple(table.column_names),
            moments={},
            work=contents,
            folder=folder,
            release=release(),
            rows=table.num_rows,
        ),
        **changes,
    )


def by_customer(table: pa.Table) -> pa.Table:
    return table.sort_by([(c.USER_ID, "ascending"), (ROW_NUMBER, "ascending")])


def worked(partitions: list[pa.Table], job: Job, rows_a_batch: int = 1) -> list[Result]:
    """Do the job on each partition, with what a cluster does to it: it is pickled, and batches end anywhere."""
    receipts = []
    for partition in partitions:
        sent = pickle.loads(pickle.dumps(job))
        for batch in hand_back(partition.to_batches(max_chunksize=rows_a_batch), sent):
            assert batch.schema.names == [RECEIPT]
            receipts += batch.column(0).to_pylist()
    return list(results_of(receipts, job, SOURCE))


@given(
    ledger=ledgers(AS_OF),
    rows_a_batch=st.integers(1, 4),
    rows_at_once=st.integers(1, 4),
    partitions=st.dictionaries(st.sampled_from(("ann", "bob", "cid")), st.integers(0, 2)),
)
def test_partitions_hold_what_one_process_reads(
    ledger: list[Row],
    rows_a_batch: int,
    rows_at_once: int,
    partitions: dict[str, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    table = numbered(ledger)
    of_row = np.array([partitions.get(row["user_id"], 0) for row in ledger], dtype=np.int64)
    parts = [by_customer(table.filter(pa.array(of_row == number))) for number in range(3)]
    job = job_for(table, tmp_path_factory.mktemp("job"), rows_at_once=rows_at_once)
    assert joined(worked(parts, job, rows_a_batch)) == by_user(read_histories(ledger, RATES))


def test_a_customer_goes_on_from_batch_to_batch(tmp_path: Path) -> None:
    ledger = [row(user_id=user, transaction_amount=float(day), transaction_date=f"2024-06-{day:02}")
              for user in ("ann", "bob") for day in range(1, 29)]  # fmt: skip
    job = job_for(numbered(ledger), tmp_path, rows_at_once=1)
    results = worked([numbered(ledger)], job)
    assert [result.table.num_rows for result in results] == [1, 1]
    assert joined(results) == by_user(read_histories(ledger, RATES))


def test_a_customer_in_two_partitions_is_an_error(tmp_path: Path) -> None:
    table = numbered([row(user_id="ann"), row(user_id="bob"), row(user_id="ann", transaction_amount=1)])
    with pytest.raises(FileFormatError, match=r"rows.parquet: the rows of customer 'ann' are in two places"):
        worked([table.slice(0, 2), table.slice(2)], job_for(table, tmp_path))


@pytest.mark.parametrize("rows_at_once", [1, 100])
def test_a_customer_in_two_places_of_one_partition_is_an_error(rows_at_once: int, tmp_path: Path) -> None:
    table = numbered([row(user_id="ann"), row(user_id="bob"), row(user_id="ann", transaction_amount=1)])
    with pytest.raises(FileFormatError, match="the rows of customer 'ann' are in two places"):
        worked([table], job_for(table, tmp_path, rows_at_once=rows_at_once))


def test_bad_rows_of_all_partitions_are_named_by_their_places_in_the_source(tmp_path: Path) -> None:
    ledger = [row(user_id=f"u{number % 7}", transaction_id=str(number)) for number in range(40)]
    ledger[3] |= {"user_balance": float("nan")}
    ledger[17] |= {"user_balance": None}
    ledger[39] |= {"transaction_state": "LOST"}
    ledger[33] |= {"transaction_id": "5", "transaction_amount": 7.0}  # the customer of row 5, another amount
    table = numbered(ledger)
    parts = [by_customer(table.filter(pa.array([number % 7 % 2 == half for number in range(40)]))) for half in range(2)]
    with pytest.raises(InvalidDataError) as of_one:
        TransactionReader(RATES, source=SOURCE).histories(table)
    with pytest.raises(InvalidDataError) as of_many:
        worked(parts, job_for(table, tmp_path, rows_at_once=1))
    assert str(of_many.value) == str(of_one.value)
    assert of_many.value.every == of_one.value.every
    assert [(problem.row, problem.problem) for problem in of_many.value.every] == [
        (3, "is nan"),
        (17, "is missing"),
        (33, "'5' stands in row 6 with other values"),
        (39, "is 'LOST'"),
    ]


def test_columns_in_another_order_are_refused(tmp_path: Path) -> None:
    table = numbered([row()])
    names = table.column_names
    swapped = [c.BALANCE if name == c.AMOUNT else c.AMOUNT if name == c.BALANCE else name for name in names]
    with pytest.raises(ConfigError, match="they must be in the order of the job"):
        worked([table.select(swapped)], job_for(table, tmp_path))


def test_a_row_without_a_number_is_refused(tmp_path: Path) -> None:
    table = numbered([row()]).drop_columns([ROW_NUMBER]).append_column(ROW_NUMBER, pa.nulls(1, pa.int64()))
    with pytest.raises(FileFormatError, match="was changed while it was read"):
        worked([table], job_for(table, tmp_path))


def test_rows_that_no_worker_saw_are_an_error(tmp_path: Path) -> None:
    """A cluster may be set up to pass over files that it cannot read."""
    table = numbered([row(user_id="ann"), row(user_id="bob")])
    with pytest.raises(FileFormatError, match=r"rows.parquet holds 2 rows, and the workers saw 1"):
        worked([table.slice(0, 1)], job_for(table, tmp_path))


def test_what_a_worker_refuses_is_raised_as_it_was(tmp_path: Path) -> None:
    table = numbered([row()])
    with pytest.raises(ModelError, match="the model is damaged"):
        worked([table], job_for(table, tmp_path, work=refuse))
    with pytest.raises(ConfigError, match=f"a worker has fivefold {release()}; it must have 0.0.9, as the driver"):
        worked([table], job_for(table, tmp_path, release="0.0.9"))


def test_what_a_dead_worker_left_is_never_read(tmp_path: Path) -> None:
    """A partition that is done again writes under names of its own; only what has a receipt counts."""
    table = numbered([row(user_id="ann"), row(user_id="bob")])
    job = job_for(table, tmp_path, rows_at_once=1)
    first = hand_back(table.to_batches(max_chunksize=1), job)
    next(first)  # the worker dies here
    (tmp_path / ".half.arrow.part").write_bytes(b"half")
    assert joined(worked([table], job)) == by_user(read_histories([row(user_id="ann"), row(user_id="bob")], RATES))


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_whole_numbers_are_the_moments_that_they_stand_for(unit: str, tmp_path: Path) -> None:
    moments = ["2024-03-10T02:30:00.123456", "2024-11-03T01:30:00"]  # neither is a time of its own in New York
    ledger = [row(transaction_date=moment) for moment in moments]
    plain = numbered(ledger)
    ticks = plain[c.DATE].cast(pa.timestamp("us")).cast(pa.timestamp(unit)).cast(pa.int64())
    table = plain.set_column(plain.column_names.index(c.DATE), c.DATE, ticks)
    job = job_for(table, tmp_path, moments={c.DATE: pa.timestamp(unit)})
    assert joined(worked([table], job)) == by_user(read_histories(ledger, RATES))


def over_files(job: FileJob, every: Iterable[int]) -> list[bytes]:
    batch = pa.record_batch(
        [pa.array(list(every)), pa.array([f"{number}.arrow" for number in every])], names=list(job.columns)
    )
    return [receipt for each in hand_back_each([batch], job) for receipt in each.column(0).to_pylist()]


def named(path: Path) -> Iterator[Result]:
    """Give two results for each file."""
    for place in range(2):
        yield Result(pa.table({"name": [path.stem]}), str(place).encode())


def test_results_of_files_come_in_their_order_and_their_own_files_go(tmp_path: Path) -> None:
    job = FileJob(named, tmp_path, release())
    receipts = over_files(job, range(11, -1, -1))
    lost = over_files(job, [3])  # of a worker that died: nobody has its receipts
    found = [(result.table["name"][0].as_py(), result.note) for result in results_of_each(receipts, job, 12)]
    assert found == [(str(number), place) for number in range(12) for place in (b"0", b"1")]
    assert len(list(tmp_path.iterdir())) == len([each for each in lost if b"arrow" in each])


@pytest.mark.parametrize("every", [[0, 2], [0, 1, 1, 2], []])
def test_a_file_that_was_not_worked_on_once_is_an_error(every: list[int], tmp_path: Path) -> None:
    job = FileJob(named, tmp_path, release())
    with pytest.raises(FivefoldError, match="the workers did not work on each of 3 files once"):
        list(results_of_each(over_files(job, every), job, 3))


def test_what_a_worker_refuses_of_a_file_is_its_own_error(tmp_path: Path) -> None:
    def refuse_file(path: Path) -> Iterator[Result]:
        raise ModelError(f"{path.name} is damaged")
        yield

    job = FileJob(refuse_file, tmp_path, release())
    with pytest.raises(ModelError, match=r"0\.arrow is damaged"):
        list(results_of_each(over_files(job, [0]), job, 1))
    other = replace(job, release="another")
    with pytest.raises(ConfigError, match="it must have another, as the driver"):
        list(results_of_each(over_files(other, [0]), other, 1))


def test_workers_leave_marks_of_how_far_they_are_where_they_are_asked_to(tmp_path: Path) -> None:
    table = numbered([row(user_id=f"u{number // 3}") for number in range(30)])
    silent = job_for(table, tmp_path, rows_at_once=7)
    worked([table], silent)
    assert not list(tmp_path.glob("*.mark"))
    job = job_for(table, tmp_path, rows_at_once=7, marks="progress-1")
    receipts = hand_back(table.to_batches(max_chunksize=1), job)
    seen = [marked(job) for _ in receipts]
    assert seen == sorted(seen)
    assert 0 < seen[2] < 30
    assert seen[-1] == 30
    assert marked(replace(job, marks="progress-2")) == 0
