"""Imports go on where they were stopped, name rows of the whole file, and take nothing by halves."""

import gzip
import os
from pathlib import Path
from time import time_ns
from typing import Any

import polars as pl
import pytest
from sqlalchemy import update

from fivefold.domain import clock
from fivefold.domain.clock import SECOND_US, now_microseconds
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.features.reading.text_files import ColumnMap
from fivefold.store.sql.database import writing
from fivefold.store.tables.operations import ImportRow
from fivefold.usecases.ingest import files as importing
from fivefold.usecases.ingest.file_parts import parts
from fivefold.usecases.ingest.files import ImportFile, Progress, import_table
from fivefold.usecases.ingest.import_progress import list_imports
from fivefold.usecases.shared.context import Context
from tests.store import databases
from tests.usecases.banks import Bank
from tests.usecases.erasure.erasures import backup, restore
from tests.usecases.full_disk import little_space, little_space_for
from tests.usecases.ingest.files.file_stories import COUNT, StoppedError, count, entities, stopped, take


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz", ".jsonl"])
def test_signs_in_a_name_are_no_pattern(tmp_path: Path, suffix: str) -> None:
    for folder in ("a1", "a[1]"):
        (tmp_path / folder).mkdir()
        path, frame = tmp_path / folder / f"e{suffix}", pl.DataFrame({"entity_id": [folder]})
        if suffix == ".parquet":
            frame.write_parquet(path)
        else:
            with gzip.open(path, "wb") if suffix.endswith(".gz") else path.open("wb") as output:
                (frame.write_ndjson if suffix == ".jsonl" else frame.write_csv)(output)
    (part,) = parts(tmp_path / "a[1]" / f"e{suffix}", 10)
    assert part.rows["entity_id"].to_list() == ["a[1]"]


def test_one_that_was_stopped_goes_on_where_it_was(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv")

    stopped(bank, path, 20)
    assert count(bank, "entities") == 20
    told: list[Progress] = []
    done = take(bank, path, tell=told.append)
    assert done == Progress(rows=COUNT, new=COUNT, changed=0, same=0, finished=True)
    assert [progress.rows for progress in told] == [20, 25, 25], "what was stored is not read again"
    assert count(bank, "entities") == COUNT


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["postgresql"])
def test_the_record_of_an_import_has_the_times_of_the_database(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, url = entities(tmp_path / "e.csv"), bank.engine.url.render_as_string(hide_password=False)
    with databases.opened(url, 7200) as of_other_machine, monkeypatch.context() as off:
        off.setattr(clock, "time_ns", lambda: time_ns() + 3_600 * 10**9)
        import_table(Context(of_other_machine, bank.actor), "entities", "customer", ImportFile(path), lambda _: None)
    (line,) = list_imports(bank.context)
    for moment_us in (line.started_us, line.updated_us, line.finished_us):
        assert moment_us == pytest.approx(now_microseconds(), abs=600 * SECOND_US)


@pytest.mark.postgresql
@pytest.mark.parametrize("stored", [0, 10])
def test_after_a_restore_one_that_was_stopped_goes_on_behind_the_rows_that_are_there(
    bank: Bank, kind: str, tmp_path: Path, stored: int
) -> None:
    path = entities(tmp_path / "e.csv", income=["much"] + ["5"] * 23 + ["much"])
    kept: list[Path] = []

    def stop(progress: Progress) -> None:
        if progress.rows == stored:
            kept.append(backup(bank, kind, tmp_path))
        if progress.rows == 20:
            raise StoppedError

    with pytest.raises(StoppedError):
        import_table(Context(bank.engine, bank.actor), "entities", "customer", ImportFile(path), stop)
    told: list[Progress] = []
    with databases.opened(restore(bank, kind, kept[0], tmp_path)) as restored:
        bank.engine = restored
        done = take(bank, path, tell=told.append)
        assert [progress.rows for progress in told] == [*range(stored, 21, 10), COUNT, COUNT]
        assert (done.new, done.same, done.refused, count(bank, "entities")) == (COUNT - 2, 0, 2, COUNT - 2)
    assert done.refused_path == tmp_path / ("e.refused.csv" if stored else "e.refused-2.csv")
    assert pl.read_csv(done.refused_path)["refused_row"].to_list() == [2, COUNT + 1]


@pytest.mark.postgresql
def test_a_part_and_the_position_behind_it_are_stored_together(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plug is pulled between the rows of the second part and its position: neither is there."""
    real = importing.refused_rows
    taken: list[object] = []

    def stop(*arguments: Any) -> Any:
        taken.append(arguments)
        if len(taken) == 2:
            raise StoppedError
        return real(*arguments)

    path = entities(tmp_path / "e.csv", income=["much", *["5"] * 9, "much", *["5"] * 14])
    monkeypatch.setattr(importing, "refused_rows", stop)
    with pytest.raises(StoppedError):
        take(bank, path)
    assert (count(bank, "entities"), [line.rows for line in list_imports(bank.context)]) == (9, [10])
    done = take(bank, path)
    assert (done.new, done.same, done.refused, count(bank, "entities")) == (COUNT - 2, 0, 2, COUNT - 2)


@pytest.mark.postgresql
def test_of_two_imports_of_a_file_at_once_one_goes_on(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv", income=["much"] * COUNT)
    others: list[Progress] = []

    def other(progress: Progress) -> None:
        if progress.rows == 10 and not others:
            others.append(take(bank, path))

    with pytest.raises(
        ConflictError, match=r"e\.csv is imported by another process too, which has stored 25 rows of it"
    ):
        take(bank, path, tell=other)
    assert [one.refused for one in others] == [COUNT]
    assert pl.read_csv(tmp_path / "e.refused.csv")["refused_row"].to_list() == list(range(2, COUNT + 2))


@pytest.mark.parametrize("income", ["77", "7"])
def test_another_file_of_that_name_begins_anew_whatever_its_size(bank: Bank, tmp_path: Path, income: str) -> None:
    path = entities(tmp_path / "e.csv")
    stamp = path.stat()

    stopped(bank, path, 10)
    entities(path, income=[income] * COUNT)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1_000_000_000))
    assert take(bank, path).changed == 10


def test_columns_of_other_names_semicolons_and_gzip(bank: Bank, tmp_path: Path) -> None:
    text = "kunde;einkommen\n" + "".join(f"c{number};5\n" for number in range(24)) + "c24;viel\n"
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(text.encode()))
    names = ColumnMap.read(["kunde=entity_id", "einkommen=income"])
    done = take(bank, tmp_path / "e.csv.gz", names=names)
    assert (done.new, done.refused) == (24, 1)
    first, second = (tmp_path / "e.refused.csv").read_text().splitlines()
    assert (first, second[:12]) == ("kunde;einkommen;refused_row;refused_reason", "c24;viel;26;")


def test_transactions_come_in_parts_too(bank: Bank, tmp_path: Path) -> None:
    take(bank, entities(tmp_path / "e.csv"))
    rows = {
        "transaction_id": [f"t{number}" for number in range(COUNT)],
        "user_id": [f"c{number}" for number in range(COUNT)],
        "transaction_amount": ["12.5"] * COUNT,
        "transaction_currency": ["EUR"] * COUNT,
        "transaction_date": ["2026-01-01"] * COUNT,
    }
    pl.DataFrame(rows).write_csv(tmp_path / "t.csv")
    done = take(bank, tmp_path / "t.csv", "transactions")
    assert (done.rows, done.new) == (COUNT, COUNT)
    assert count(bank, "transactions") == COUNT


def test_amounts_without_their_signs_and_in_cents_are_doubted_over_all_parts(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(importing.ROWS, "transactions", 400)
    take(bank, entities(tmp_path / "e.csv"))
    rows = pl.DataFrame({"transaction_id": range(1_000)}, schema={"transaction_id": pl.Int64}).with_columns(
        user_id=pl.format("c{}", pl.col("transaction_id") // 50),
        transaction_amount=pl.lit(250),
        transaction_currency=pl.lit("EUR"),
        transaction_date=pl.datetime(2025, 1, 1) + pl.duration(hours=pl.col("transaction_id")),
        user_balance=2.5 * pl.col("transaction_id"),
    )
    rows.write_parquet(tmp_path / "t.parquet")
    signs, unit = take(bank, tmp_path / "t.parquet", "transactions").doubts
    assert signs == "no amount is below 0, so every row is a deposit: a withdrawal is a negative amount"
    assert unit.startswith("in 980 of 980 rows the balance moves by a hundredth of the amount: amounts are in cents")
    rows[:999].write_parquet(tmp_path / "less.parquet")
    assert take(bank, tmp_path / "less.parquet", "transactions").doubts == (unit.replace("980", "979"),)


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["c0", "c1", "EUR"])])
def test_categories_are_the_texts_that_they_stand_for(
    bank: Bank, tmp_path: Path, kind: pl.DataType | type[pl.DataType]
) -> None:
    take(bank, entities(tmp_path / "e.csv"))
    rows = pl.DataFrame(
        {
            "user_id": ["c0", "c1"],
            "transaction_id": ["c0", "c1"],
            "transaction_amount": [2, 5],
            "transaction_currency": ["EUR", "EUR"],
            "transaction_date": ["2025-01-01", "2025-01-02"],
        }
    )
    texts = ["user_id", "transaction_id", "transaction_currency"]
    rows.with_columns(pl.col(texts).cast(kind)).write_parquet(tmp_path / "t.parquet")
    rows.write_parquet(tmp_path / "plain.parquet")
    assert take(bank, tmp_path / "t.parquet", "transactions").new == 2
    assert take(bank, tmp_path / "plain.parquet", "transactions").same == 2


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_parts_together_are_the_file(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame({"a": [str(number) for number in range(COUNT)]})
    path = tmp_path / f"f{suffix}"
    {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".jsonl": frame.write_ndjson}[suffix](path)
    read = list(parts(path, 10, 3))
    assert all(len(part) <= 10 for part in read)
    assert pl.concat([part.rows for part in read])["a"].to_list() == frame["a"].to_list()[3:]
    first = 5 if suffix == ".csv" else 4
    assert [number for part in read for number in part.numbers] == list(range(first, first + COUNT - 3))


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.parquet, \.csv"):
        list(parts(tmp_path / "f.xlsx", 10))


@pytest.mark.parametrize("kind", ["sqlite"])
def test_one_that_a_full_disk_ended_goes_on_where_it_was_once_there_is_space(bank: Bank, tmp_path: Path) -> None:
    rows = 600
    names = [f"c{number}" for number in range(rows)]
    path = entities(tmp_path / "e.csv", entity_id=names, income=["5"] * (rows - 1) + ["much"])
    told: list[Progress] = []
    with little_space(bank.engine):
        take(bank, path, tell=told.append)
    stored = count(bank, "entities")
    assert 0 < stored < rows
    assert (stored, count(bank, "attributes")) == (told[-1].rows, told[-1].rows), "no part is there by halves"
    done = take(bank, path)
    assert (done.rows, done.new, done.refused) == (rows, rows - 1, 1)
    assert count(bank, "entities") == rows - 1


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_disk_that_is_full_within_a_part_is_named(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv")
    with little_space_for(bank.engine, "INSERT INTO audit_entries"):
        take(bank, path)
    assert count(bank, "entities") == 0
    assert take(bank, path).new == COUNT
    assert count(bank, "entities") == COUNT


def test_an_import_whose_record_a_restored_database_lacks_is_refused_and_leaves_the_one_that_has_its_number(
    bank: Bank, tmp_path: Path
) -> None:
    path = entities(tmp_path / "e.csv", income=["5"] * COUNT)

    def fail_over(progress: Progress) -> None:
        if progress.rows == 10:
            with writing(bank.engine) as session:
                session.execute(update(ImportRow).values(source="of another file", started_us=1, rows=0))

    with pytest.raises(ConflictError, match="the database no longer has this import: it was restored"):
        take(bank, path, tell=fail_over)
    assert [line.rows for line in list_imports(bank.context)] == [0]
    assert take(bank, path).rows == COUNT
