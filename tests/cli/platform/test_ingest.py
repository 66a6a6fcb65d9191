"""`fivefold import`: a portfolio from files, and what a beginner would do wrong."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text

from fivefold.domain.clock import SECOND_US, now_microseconds
from fivefold.domain.errors import StoreError
from fivefold.store.sql.clocks import DatabaseClock
from fivefold.usecases.ingest import files as importing
from fivefold.usecases.ingest.entities import RowCounts
from tests.cli.running import refuse, run, succeed
from tests.depth import some
from tests.store import databases

ENTITIES = {"entity_id": ["a", "b"], "kind": ["person", "person"], "country": ["NO", "IR"]}
TRANSACTIONS = {
    "transaction_id": [1, 2, 3],
    "user_id": ["a", "a", "b"],
    "transaction_amount": [10.5, -3.0, 7.0],
    "transaction_currency": ["EUR", "EUR", "USD"],
    "transaction_date": ["2026-01-01", "2026-01-02T10:00:00", "2026-01-03"],
    "operation": ["cash", None, "card"],
}


@pytest.fixture
def var(set_up: Path) -> Path:
    return set_up


def write(path: Path, columns: dict[str, list[object]]) -> Path:
    frame = pl.DataFrame(columns)
    {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".jsonl": frame.write_ndjson}[path.suffix](path)
    return path


def fill_disk_at_second_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each row be a part of its own, and the second one find no room."""
    real = importing.put_entities

    def full(context: Any, kind: str, rows: Any, **options: Any) -> RowCounts:
        if rows[0].external_id == "b":
            raise StoreError("the disk is full")
        return real(context, kind, rows, **options)

    monkeypatch.setattr(importing, "ROWS", {"entities": 1})
    monkeypatch.setattr(importing, "put_entities", full)


@pytest.mark.parametrize("suffix", some([".csv", ".parquet", ".jsonl"], 3))
def test_a_portfolio_comes_in_once_however_often_it_is_sent(var: Path, tmp_path: Path, suffix: str) -> None:
    entities = write(tmp_path / f"entities{suffix}", ENTITIES)
    transactions = write(tmp_path / f"transactions{suffix}", TRANSACTIONS)
    assert succeed(var, "import", "entities", entities) == "2 rows: 2 new, 0 changed, 0 known before.\n"
    assert succeed(var, "import", "entities", entities) == "2 rows: 0 new, 0 changed, 2 known before.\n"
    assert succeed(var, "import", "transactions", transactions) == "3 rows: 3 new, 0 changed, 0 known before.\n"
    assert succeed(var, "import", "transactions", transactions) == "3 rows: 0 new, 0 changed, 3 known before.\n"
    said = succeed(var, "worker", "--once", "--quiet")
    assert said == (
        "2 assessed (0 with a level), 0 failed; nothing is left to do.\n`fivefold level` says why some have no level.\n"
    )
    assert "(no ruleset decides yet)" in succeed(var, "level")
    assert not (var / "imports").exists(), "the progress is in the database"


def test_one_that_a_full_disk_ends_says_how_many_rows_are_there(
    var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entities = write(tmp_path / "entities.csv", ENTITIES)
    fill_disk_at_second_row(monkeypatch)
    done = run(var, "import", "entities", entities)
    assert (done.code, done.out) == (2, "")
    words = f"1 row of {entities} was imported before; the same command continues after them"
    assert " ".join(done.err.split()) == f"warning: {words} fivefold: the disk is full"
    monkeypatch.undo()
    assert succeed(var, "import", "entities", entities) == "2 rows: 2 new, 0 changed, 0 known before.\n"


def test_one_that_goes_on_says_when_the_file_of_its_refused_rows_is_gone(
    var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entities = write(tmp_path / "e.csv", {**ENTITIES, "country": ["Norway", "NO"]})
    fill_disk_at_second_row(monkeypatch)
    assert run(var, "import", "entities", entities).code == 2
    monkeypatch.undo()
    (tmp_path / "e.refused.csv").unlink()
    done = run(var, "import", "entities", entities)
    assert (done.code, done.out) == (1, "2 rows: 1 new, 0 changed, 0 known before.\n")
    words = f"the file with it was deleted or cut; import {entities} again for a new one"
    assert " ".join(done.err.split()).endswith(words)
    assert run(var, "import", "entities", entities).code == 1
    assert (tmp_path / "e.refused.csv").is_file()


def test_setup_can_be_repeated(var: Path) -> None:
    said = succeed(var, "import", "setup", "fatf-retail")
    assert said.startswith("default has the levels low, medium, high, critical, the type customer, and the lists cash-")


def test_a_ruleset_comes_before_its_reference(tmp_path: Path) -> None:
    said = succeed(tmp_path / "var", "import", "setup", "transaction-monitoring")
    assert "The reference portfolio transaction-monitoring-peers does not exist yet." in " ".join(said.split())


def test_a_list_that_nobody_has_is_told_before_anything_is_put(tmp_path: Path) -> None:
    ruleset = tmp_path / "mine.yaml"
    text = (files("fivefold.risk") / "rulesets" / "fatf-retail.yaml").read_text(encoding="utf-8")
    ruleset.write_text(text.replace("fatf-call-for-action", "our-black-list"), encoding="utf-8")
    words = refuse(tmp_path / "var", "import", "setup", ruleset)
    assert words.endswith("reads the list our-black-list, which does not exist; give a folder with it by --lists")
    assert not (tmp_path / "var").exists()


def test_who_owns_what_comes_with_it(var: Path, tmp_path: Path) -> None:
    succeed(var, "import", "entities", write(tmp_path / "e.csv", ENTITIES))
    owned = {"entity_id": ["c", "d"], "owner_id": ["a", None], "owner_type": ["customer", None]}
    assert succeed(var, "import", "entities", write(tmp_path / "o.csv", owned)).startswith("2 rows: 2 new")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {**ENTITIES, "shoe_size": ["1", "2"]},
            "e.csv has shoe_size, which is not a field of customer; the fields are country",
        ),
        (
            {**ENTITIES, "shoe_size": ["1", "2"], "hat": ["3", "4"]},
            "e.csv has shoe_size, hat, which are not fields of customer; the fields are country",
        ),
        ({"name": ["a"]}, "has no column entity_id or user_id; it has name"),
    ],
)
def test_columns_that_no_entity_has_are_refused(
    var: Path, tmp_path: Path, columns: dict[str, list[object]], words: str
) -> None:
    assert words in refuse(var, "import", "entities", write(tmp_path / "e.csv", columns))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({**ENTITIES, "country": ["NO", "Norway"]}, "row 3: country is 'Norway'; allowed: two capital letters"),
        ({**ENTITIES, "entity_id": ["a", "a"]}, "row 3: entity_id 'a' is repeated; allowed: each once"),
        ({**ENTITIES, "owner_id": ["zz", ""]}, "row 2: owner customer 'zz' does not exist"),
    ],
)
def test_a_row_that_is_wrong_is_named_and_the_others_are_stored(
    var: Path, tmp_path: Path, columns: dict[str, list[object]], words: str
) -> None:
    done = run(var, "import", "entities", write(tmp_path / "e.csv", columns))
    assert (done.code, done.out) == (1, "2 rows: 1 new, 0 changed, 0 known before.\n")
    assert words in done.err
    assert "1 row was refused, and nothing of it was stored (the header is row 1)" in done.err
    assert f"they are in {tmp_path / 'e.refused.csv'}, each with the reason" in done.err


def test_the_imported_file_is_never_that_of_its_refused_rows(var: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", {**ENTITIES, "owner_id": ["zz", ""]})
    before = path.read_bytes()
    assert "which is read as the argument PATH" in refuse(var, "import", "entities", path, "--refused", path)
    assert path.read_bytes() == before


def test_equal_problems_are_one_line(var: Path, tmp_path: Path) -> None:
    many = {name: [values[0]] * 500 for name, values in TRANSACTIONS.items()}
    path = write(tmp_path / "t.csv", {**many, "transaction_id": [*range(500)]})
    done = run(var, "import", "transactions", path, "--refused", tmp_path / "mine.csv")
    assert done.code == 1
    (line,) = [line for line in done.err.splitlines() if "user_id" in line]
    assert line.startswith(
        "warning: rows 2, 3, 4 and 497 more: user_id is 'a': there is no such customer; allowed: an existing one"
    )
    assert len(pl.read_csv(tmp_path / "mine.csv")) == 500


def test_everything_that_is_known_of_entities_comes_from_files(var: Path, tmp_path: Path) -> None:
    people = {"customer": ["a", "b"], "kind": ["person", "person"]}
    succeed(var, "import", "entities", write(tmp_path / "e.csv", people), "--map", "customer=entity_id")
    files: dict[str, dict[str, list[object]]] = {
        "tags": {"entity_id": ["a"], "tag": ["vip"], "from": ["2024-01-01"]},
        "screenings": {"entity_id": ["a"], "screening": ["pep"], "found": ["false"], "at": ["2024-01-01"]},
        "cases": {"entity_id": ["a"], "number": [7], "opened": ["2024-01-01"]},
        "alerts": {"entity_id": ["a"], "number": [7], "opened": ["2024-01-01"]},
    }
    for part, columns in files.items():
        path = write(tmp_path / f"{part}.csv", columns)
        assert succeed(var, "import", part, path) == "1 row: 1 new, 0 changed, 0 known before.\n"
        assert succeed(var, "import", part, path) == "1 row: 0 new, 0 changed, 1 known before.\n"


def test_a_tag_without_a_first_moment_begins_with_the_import_and_the_command_says_so(var: Path, tmp_path: Path) -> None:
    succeed(var, "import", "entities", write(tmp_path / "e.csv", {"entity_id": ["a", "b"], "kind": ["person"] * 2}))
    tags = write(
        tmp_path / "t.csv", {"entity_id": ["a", "b", "b"], "tag": ["vip"] * 3, "from": [None, None, "2024-01-01"]}
    )
    said = succeed(var, "import", "tags", tags)
    assert said == "3 rows: 3 new, 0 changed, 0 known before.\n2 tags had no from; they begin now.\n"
    assert succeed(var, "import", "tags", tags) == "3 rows: 0 new, 0 changed, 3 known before.\n"
    past = write(tmp_path / "p.csv", {"entity_id": ["a"], "tag": ["pep"], "until": ["2024-01-01"]})
    done = run(var, "import", "tags", past)
    assert "until is in the past, and the row has no from, so it would begin now; allowed: an earlier from" in done.err


@pytest.mark.parametrize(
    ("stored", "sent", "found"),
    [
        (
            ["\u00fc1", "c"],
            ["u\u03081", "d"],
            r"1 identifier looks like that of another customer, such as 'u\u03081': ",
        ),
        (["u\u03081"], ["\u00fc1"], r"1 identifier looks like that of another customer, such as 'u\u03081': "),
        (["a b"], ["a\u00a0b"], r"1 identifier looks like that of another customer, such as 'a\xa0b': "),
        (["c"], ["a b", "a\u00a0b"], r"1 identifier looks like that of another customer, such as 'a\xa0b': "),
        (["\u00fc1", "12"], ["\u00fc2", "0012", "B"], None),
    ],
)
def test_new_identifiers_that_look_like_others_are_named(
    var: Path, tmp_path: Path, stored: list[object], sent: list[object], found: str | None
) -> None:
    def said(*names: object) -> str:
        path = write(tmp_path / f"{names[0]}.csv", {"entity_id": names, "kind": ["person"] * len(names)})
        done = run(var, "import", "entities", path)
        assert done.code == 0
        return done.err

    assert said(*stored) == ""
    warning = said(*sent)
    assert warning == "" if found is None else found in " ".join(warning.split())
    assert said("new", *sent) == "", "they are stored as they are, and new ones alone are named"


def test_a_map_that_cannot_be_is_refused(var: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", ENTITIES)
    assert "it must be the file's column, =" in refuse(var, "import", "entities", path, "--map", "customer")
    assert "has no column nobody to map" in refuse(var, "import", "entities", path, "--map", "nobody=entity_id")


def test_files_that_cannot_be_read_are_told(var: Path, tmp_path: Path) -> None:
    assert "none.csv: No such file" in refuse(var, "import", "entities", tmp_path / "none.csv")
    (tmp_path / "e.xlsx").write_text("x")
    said = refuse(var, "import", "entities", tmp_path / "e.xlsx")
    assert "it must end in .parquet" in said
    assert said.endswith("; save it as CSV UTF-8")
    (tmp_path / "e.parquet").write_text("x")
    assert "cannot be read" in refuse(var, "import", "entities", tmp_path / "e.parquet")


def test_an_organisation_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", ENTITIES)
    assert "there is no organisation 'acme'" in refuse(
        tmp_path / "var", "import", "entities", path, "--organisation", "acme"
    )


def test_a_past_that_is_no_moment_is_told(var: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", ENTITIES)
    assert "--as-of is 'yesterday'" in refuse(var, "import", "entities", path, "--as-of", "yesterday")


def test_who_is_imported_is_due_by_the_clock_of_the_database(
    set_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine 50 s ahead, `worker --once` right after an import said that nothing was left to do."""
    (tmp_path / "e.jsonl").write_text('{"entity_id": "a"}\n')
    there_us = now_microseconds() - 50 * SECOND_US
    monkeypatch.setattr(DatabaseClock, "now_us", lambda _: there_us)
    succeed(set_up, "import", "entities", tmp_path / "e.jsonl")
    with databases.opened(f"sqlite:///{set_up / 'fivefold.db'}") as engine, engine.connect() as connection:
        assert connection.scalar(text("SELECT due_us FROM due_marks")) == there_us
