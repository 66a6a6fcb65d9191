"""Rows that cannot be taken are set aside in a file that can be mended and imported."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fivefold.domain.errors import StoreError, UnknownOutcomeError
from fivefold.domain.files import naming
from fivefold.features.reading.text_files import ColumnMap
from fivefold.usecases.ingest import file_parts
from fivefold.usecases.ingest import files as importing
from fivefold.usecases.ingest.files import ImportFile, Progress, import_table
from tests.usecases.banks import Bank
from tests.usecases.ingest.files.file_stories import (
    COUNT,
    count,
    entities,
    rows_refused,
    stopped,
    take,
)


def test_what_was_taken_away_from_the_refused_rows_is_not_written_into(bank: Bank, tmp_path: Path) -> None:
    path, mended = entities(tmp_path / "e.csv", income=["much"] * COUNT), tmp_path / "e.refused.csv"

    stopped(bank, path, 10)
    mended.write_text("entity_id,income\nc1,5\n")
    done = take(bank, path)
    assert (done.refused, done.refused_path) == (COUNT, tmp_path / "e.refused-2.csv")
    assert mended.read_text() == "entity_id,income\nc1,5\n"


@pytest.mark.parametrize("is_named", [False, True])
@pytest.mark.parametrize(("mode", "of_refused"), [(0o600, 0o600), (0o640, 0o640), (0o444, 0o644)])
def test_who_may_not_read_the_import_may_not_read_its_refused_rows(
    tmp_path: Path, mode: int, of_refused: int, is_named: bool
) -> None:
    path = tmp_path / "e.csv"
    path.touch()
    path.chmod(mode)
    made = file_parts.make_refused_file(path, tmp_path / "other.csv" if is_named else None)
    assert stat.S_IMODE(made.stat().st_mode) & ~of_refused == 0
    assert made.stat().st_mode & 0o600 == 0o600


@pytest.mark.parametrize("other", ["other rows", "other organisation", "other content"])
def test_one_that_goes_on_leaves_what_another_import_of_the_file_refused(
    bank: Bank, tmp_path: Path, other: str
) -> None:
    path = entities(tmp_path / "e.csv", income=["5"] * 24 + ["much"])
    first, stamp = path.read_bytes(), path.stat()

    stopped(bank, path, 10)
    if other == "other rows":
        done = take(bank, path, "tags", names=ColumnMap.read(["income=tag"]))
    elif other == "other organisation":
        done = take(Bank(bank.engine, "other"), path)
    else:
        done = take(bank, entities(path, income=["much"] * 3 + ["5"] * 22))
    refused = rows_refused(done)
    assert len(refused) == done.refused > 0
    path.write_bytes(first)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    continued = take(bank, path)
    assert (continued.rows, continued.refused, rows_refused(continued)) == (COUNT, 1, [COUNT + 1])
    assert (rows_refused(done), continued.refused_path) == (refused, tmp_path / "e.refused-2.csv")


def test_two_imports_of_one_file_at_once_write_refused_rows_into_files_of_their_own(bank: Bank, tmp_path: Path) -> None:
    path, done = entities(tmp_path / "e.csv", income=["much"] * COUNT), {}
    banks_at_once = [Bank(bank.engine, "one"), Bank(bank.engine, "two")]

    def nested(progress: Progress) -> None:
        if not progress.rows:  # both have begun before a row of either is refused
            done["two"] = take(banks_at_once[1], path)

    done["one"] = take(banks_at_once[0], path, tell=nested)
    assert [rows_refused(done[name]) for name in ("one", "two")] == [list(range(2, COUNT + 2))] * 2
    assert {each.refused_path for each in done.values()} == {tmp_path / "e.refused.csv", tmp_path / "e.refused-2.csv"}


@pytest.mark.parametrize(("error", "left"), [(StoreError, []), (UnknownOutcomeError, ["e.refused.csv"])])
def test_a_part_that_was_not_stored_leaves_no_file_of_refused_rows(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[StoreError], left: list[str]
) -> None:
    """The first rows of the file are sound, so that it is the second part which makes the file of refused rows."""
    path = entities(tmp_path / "e.csv", income=[*["5"] * 12, "much", *["5"] * 12])
    real = importing.import_part

    @contextmanager
    def lost(*arguments: Any) -> Iterator[Any]:
        with real(*arguments) as opened:
            yield opened
            if list(tmp_path.glob("*.refused*")):
                raise error("the database cannot be reached")

    monkeypatch.setattr(importing, "import_part", lost)
    with pytest.raises(error):
        take(bank, path)
    assert [each.name for each in tmp_path.glob("*.refused*")] == left
    monkeypatch.setattr(importing, "import_part", real)
    done = take(bank, path)
    assert (done.refused, rows_refused(done)) == (1, [14])
    assert done.refused_path == tmp_path / ("e.refused-2.csv" if left else "e.refused.csv")


def test_a_file_of_refused_rows_that_could_not_be_written_leaves_its_name(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = entities(tmp_path / "e.csv", income=["much"] * COUNT)

    def full(_: object) -> Any:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(file_parts, "naming", full)
    with pytest.raises(OSError, match="full"):
        take(bank, path)
    monkeypatch.setattr(file_parts, "naming", naming)
    assert [each.name for each in tmp_path.glob("*.refused*")] == []
    done = take(bank, path)
    assert (done.refused_path, rows_refused(done)) == (tmp_path / "e.refused.csv", list(range(2, COUNT + 2)))


def test_where_no_file_of_refused_rows_can_be_beside_the_import_the_error_says_what_to_do(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows before the first that is refused stay, and the import goes on behind them; without one nothing is asked."""
    path = entities(tmp_path / "e.csv", income=[*["5"] * 12, "much", *["5"] * 12])
    touching = Path.touch

    def read_only(self: Path, *options: Any, **named: Any) -> None:
        if self.name.startswith("e.refused"):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        touching(self, *options, **named)

    monkeypatch.setattr(Path, "touch", read_only)
    with pytest.raises(OSError, match="Permission denied; name another file by --refused") as refused:
        take(bank, path)
    assert refused.value.filename == str(tmp_path / "e.refused.csv")
    done = import_table(bank.context, "entities", "customer", ImportFile(path, refused=tmp_path / "other.csv"))
    assert (done.rows, done.refused, rows_refused(done)) == (COUNT, 1, [14])


def test_a_row_that_cannot_be_taken_is_set_aside_and_the_others_are_stored(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv", income=["5"] * 22 + ["much"] + ["5"] * 2)
    done = take(bank, path)
    assert (done.rows, done.new, done.refused) == (COUNT, COUNT - 1, 1)
    assert count(bank, "entities") == COUNT - 1
    assert [str(problem) for problem in done.problems] == ["row 24: income is 'much'; allowed: a finite number"]
    refused = pl.read_csv(tmp_path / "e.refused.csv", infer_schema=False)
    assert refused.rows() == [("c22", "much", "24", "income is 'much' (allowed: a finite number)")]
    assert refused.columns == ["entity_id", "income", "refused_row", "refused_reason"]


def test_the_first_problems_are_named_and_every_refused_row_is_counted(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MOST_PROBLEMS", 12)
    done = take(bank, entities(tmp_path / "e.csv", income=["much"] * COUNT))
    assert (done.refused, [problem.row for problem in done.problems]) == (COUNT, list(range(2, 14)))


def test_the_file_of_refused_rows_is_mended_and_imported_as_it_is(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv", income=["much"] * 2 + ["5"] * 21 + ["more"] * 2)
    done = take(bank, path)
    assert (done.new, done.refused) == (COUNT - 4, 4)
    mended = tmp_path / "e.refused.csv"
    assert done.refused_path == mended
    mended.write_text(mended.read_text().replace(",much,", ",7,").replace(",more,", ",8,"))
    assert take(bank, mended).new == 4
    again = take(bank, path)
    assert (again.same, again.refused, count(bank, "entities")) == (COUNT - 4, 4, COUNT)
    assert again.refused_path == tmp_path / "e.refused-2.csv", "what was mended by hand is not written over"


def test_every_row_of_a_kind_is_refused_with_its_reason(bank: Bank, tmp_path: Path) -> None:
    bank.put("a")
    columns = {
        "transaction_id": [f"t{number}" for number in range(300)],
        "user_id": ["a"] * 100 + ["nobody"] * 200,
        "transaction_amount": ["1"] * 50 + ["x"] * 150 + ["1"] * 100,
        "transaction_currency": ["EUR"] * 300,
        "transaction_date": ["2026-01-01"] * 300,
    }
    pl.DataFrame(columns).write_csv(tmp_path / "t.csv")
    done = take(bank, tmp_path / "t.csv", "transactions")
    assert (done.new, done.refused) == (50, 250)
    reasons = pl.read_csv(tmp_path / "t.refused.csv")["refused_reason"].str.slice(0, 25).value_counts()
    assert dict(reasons.iter_rows()) == {"transaction_amount is 'x'": 150, "user_id is 'nobody': ther": 100}


def test_one_that_was_stopped_writes_no_refused_row_twice(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv", income=["much"] * COUNT)

    stopped(bank, path, 10)
    with (tmp_path / "e.refused.csv").open("a") as file:
        file.write("what was written before the plug was pulled\n")
    done = take(bank, path)
    assert (done.refused, [problem.row for problem in done.problems]) == (COUNT, list(range(12, COUNT + 2)))
    assert pl.read_csv(tmp_path / "e.refused.csv")["refused_row"].to_list() == list(range(2, COUNT + 2))
