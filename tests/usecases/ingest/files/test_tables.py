"""Tags, screenings, cases and alerts of a file: what is known is known again, and what changes becomes due."""

from pathlib import Path

import polars as pl
import pytest

from fivefold.domain.errors import FileFormatError
from fivefold.features.reading.text_files import ColumnMap
from fivefold.usecases.ingest.file_rows import read_entity_rows
from fivefold.usecases.ingest.import_progress import list_imports
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.ingest.files.file_stories import count, entities, imported, take


@pytest.mark.parametrize(
    ("strange", "fields", "words"),
    [
        (("hat",), (), "hat, which is not a field of customer; no fields are declared"),
        (("hat",), ("age",), "hat, which is not a field of customer; the only field is age"),
        (("hat", "shoe"), ("age", "size"), "hat, shoe, which are not fields of customer; the fields are age, size"),
    ],
)
def test_a_column_that_is_no_field_is_refused_with_the_fields_that_there_are(
    strange: tuple[str, ...], fields: tuple[str, ...], words: str
) -> None:
    part = pl.DataFrame({name: ["a"] for name in ("entity_id", *strange)})
    with pytest.raises(FileFormatError) as refused:
        read_entity_rows(part, dict.fromkeys(fields, "number"), "customer", "e.csv")
    assert str(refused.value) == f"e.csv has {words}"


def test_tags_are_known_again_and_get_another_end(bank: Bank, tmp_path: Path) -> None:
    bank.put("a")
    rows = "entity_id,tag,from,until\na,vip,2020-01-01,\na,watch,,\nz,vip,,\na,,,\na,vip,soon,\n"
    assert imported(bank, "tags", tmp_path / "t.csv", rows) == (2, 0, 0, 3)
    assert imported(bank, "tags", tmp_path / "t2.csv", rows) == (0, 0, 2, 3)
    ended = "entity_id,tag,from,until\na,vip,2020-01-01,2021-01-01\na,watch,,\n"
    assert imported(bank, "tags", tmp_path / "t3.csv", ended) == (0, 1, 1, 0)
    assert count(bank, "tags") == 2


def test_screenings_are_known_again(bank: Bank, tmp_path: Path) -> None:
    bank.put("a")
    rows = "entity_id,screening,found,at\na,pep,true,2020-01-01\na,pep,perhaps,2020-01-02\na,pep,true,\n"
    assert imported(bank, "screenings", tmp_path / "s.csv", rows) == (1, 0, 0, 2)
    assert imported(bank, "screenings", tmp_path / "s2.csv", rows) == (0, 0, 1, 2)
    assert count(bank, "screenings") == 1


@pytest.mark.parametrize("table", ["cases", "alerts"])
def test_cases_and_alerts_are_known_by_their_numbers(bank: Bank, tmp_path: Path, table: str) -> None:
    bank.put("a")
    bank.put("b")
    rows = (
        "entity_id,number,opened,closed,outcome\na,1,2020-01-01,,\na,2,2020-01-01,2020-02-01,confirmed\n"
        "a,3,2020-01-01,,confirmed\na,4,2020-02-01,2020-01-01,\n"
    )
    assert imported(bank, table, tmp_path / "c.csv", rows) == (2, 0, 0, 2)
    assert imported(bank, table, tmp_path / "c2.csv", rows) == (0, 0, 2, 2)
    closed = "entity_id,number,opened,closed,outcome\na,1,2020-01-01,2020-03-01,dismissed\nb,2,2020-01-01,,\n"
    assert imported(bank, table, tmp_path / "c3.csv", closed) == (0, 1, 0, 1)
    reason = pl.read_csv(tmp_path / "c3.refused.csv")["refused_reason"].item()
    assert reason.startswith("number is '2', which is about another entity")


def test_what_an_import_of_tags_changes_becomes_due(bank: Bank, tmp_path: Path) -> None:
    bank.put("a")
    bank.activate(banks.document({"watch": banks.WATCH}))
    bank.settle()
    imported(bank, "tags", tmp_path / "t.csv", "entity_id,tag\na,watch\n")
    bank.settle()
    assert bank.level("a") == 3


@pytest.mark.parametrize(
    ("columns", "pair"),
    [
        ("entity_id,from", "COLUMN=tag"),
        ("entity_id,Tags", "Tags=tag"),
        ("from,Tagg,entity_id", "Tagg=tag"),
        ("customer,tag", "COLUMN=entity_id"),
        ("tag,entity id", "entity id=entity_id"),
    ],
)
def test_the_map_suggested_for_a_tag_is_of_a_column_with_a_like_name_that_is_nothing_else(
    bank: Bank, tmp_path: Path, columns: str, pair: str
) -> None:
    (tmp_path / "t.csv").write_text(f"{columns}\n{','.join('x' for _ in columns.split(','))}\n")
    with pytest.raises(FileFormatError, match=f"such as --map {pair}$"):
        take(bank, tmp_path / "t.csv", "tags")


def test_a_column_that_is_nearly_a_field_of_transactions_is_refused_with_its_map(bank: Bank, tmp_path: Path) -> None:
    take(bank, entities(tmp_path / "e.csv"))
    path = tmp_path / "t.csv"
    path.write_text(
        "user_id,transaction_id,transaction_amount,transaction_currency,transaction_date,Operation,transaction_stat,note\n"
        "c1,1,5,EUR,2026-01-01,cash,FAILED,x\n"
    )
    names = {"Operation": "operation"}
    with pytest.raises(FileFormatError, match=r"has no column operation, and has Operation.*--map Operation=operation"):
        take(bank, path, "transactions")
    with pytest.raises(FileFormatError, match="--map transaction_stat=transaction_state"):
        take(bank, path, "transactions", names=ColumnMap(names))
    assert count(bank, "transactions") == 0
    names["transaction_stat"] = "status"
    with pytest.raises(FileFormatError, match="such as --map status=status_other"):
        take(bank, path, "transactions", names=ColumnMap(names))
    names["transaction_stat"] = "status_other"
    assert take(bank, path, "transactions", names=ColumnMap(names)).new == 1
    imports = [(line.content, line.finished_us is not None) for line in list_imports(bank.context)]
    assert imports == [("transactions", True), ("entities", True)], "none that was refused is left unfinished"
