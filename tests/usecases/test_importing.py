"""Imports go on where they were stopped, name rows of the whole file, and take nothing by halves."""

from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine, text

from domain.errors import ConfigError, DataNotValid
from tests.usecases.banks import Bank
from usecases import importing
from usecases.importing import Progress, import_entities, import_transactions, parts

COUNT = 25


@pytest.fixture
def bank(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setattr(importing, "ROWS", {"entities": 10, "transactions": 10})
    return Bank(engine)


def entities(path: Path, **changed: list[str]) -> Path:
    columns = {"entity_id": [f"c{number}" for number in range(COUNT)], "income": ["5"] * COUNT, **changed}
    pl.DataFrame(columns).write_csv(path)
    return path


def count(bank: Bank, table: str) -> int:
    with bank.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


class Stopped(Exception):
    """Somebody pulled the plug."""


def test_one_that_was_stopped_goes_on_where_it_was(bank: Bank, tmp_path: Path) -> None:
    path, notes = entities(tmp_path / "e.csv"), tmp_path / "notes"

    def stop(progress: Progress) -> None:
        if progress.rows == 20:
            raise Stopped

    with pytest.raises(Stopped):
        import_entities(bank.engine, bank.actor, "customer", path, notes, stop)
    assert count(bank, "entities") == 20
    told: list[Progress] = []
    done = import_entities(bank.engine, bank.actor, "customer", path, notes, told.append)
    assert done == Progress(COUNT, COUNT, 0, 0, finished=True)
    assert [progress.rows for progress in told] == [20, 25, 25], "what was stored is not read again"
    assert count(bank, "entities") == COUNT
    assert not list(notes.iterdir())


def test_another_file_of_that_name_begins_anew(bank: Bank, tmp_path: Path) -> None:
    path, notes = entities(tmp_path / "e.csv"), tmp_path / "notes"

    def stop(progress: Progress) -> None:
        if progress.rows:
            raise Stopped

    with pytest.raises(Stopped):
        import_entities(bank.engine, bank.actor, "customer", path, notes, stop)
    entities(path, income=["77"] * COUNT)
    assert import_entities(bank.engine, bank.actor, "customer", path, notes).changed == 10


def test_rows_are_numbered_from_the_beginning_of_the_file(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv", income=["5"] * 22 + ["much"] + ["5"] * 2)
    with pytest.raises(DataNotValid, match="row 22: income is 'much'"):
        import_entities(bank.engine, bank.actor, "customer", path, tmp_path / "notes")
    assert count(bank, "entities") == 20, "the parts before it are stored, and nothing of its own"
    assert import_entities(bank.engine, bank.actor, "customer", entities(path), tmp_path / "notes").same == 20


def test_transactions_come_in_parts_too(bank: Bank, tmp_path: Path) -> None:
    import_entities(bank.engine, bank.actor, "customer", entities(tmp_path / "e.csv"), tmp_path)
    rows = {
        "transaction_id": [f"t{number}" for number in range(COUNT)],
        "user_id": [f"c{number}" for number in range(COUNT)],
        "transaction_amount": ["12.5"] * COUNT,
        "transaction_currency": ["EUR"] * COUNT,
        "transaction_date": ["2026-01-01"] * COUNT,
    }
    pl.DataFrame(rows).write_csv(tmp_path / "t.csv")
    done = import_transactions(bank.engine, bank.actor, "customer", tmp_path / "t.csv", tmp_path)
    assert (done.rows, done.new) == (COUNT, COUNT)
    assert count(bank, "transactions") == COUNT


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_parts_together_are_the_file(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame({"a": [str(number) for number in range(COUNT)]})
    path = tmp_path / f"f{suffix}"
    {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".jsonl": frame.write_ndjson}[suffix](path)
    read = list(parts(path, 10, 3))
    assert all(len(part) <= 10 for part in read)
    assert pl.concat(read)["a"].to_list() == frame["a"].to_list()[3:]


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.parquet, \.csv"):
        list(parts(tmp_path / "f.xlsx", 10))
