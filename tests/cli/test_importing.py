"""`fivefold import`: a portfolio from files, and what a beginner would do wrong."""

from importlib.resources import files
from pathlib import Path

import polars as pl
import pytest

from tests.cli.running import refuse, succeed

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
def var(tmp_path: Path) -> Path:
    """A platform with the shipped ruleset's levels, fields and lists."""
    made = tmp_path / "var"
    succeed(made, "import", "setup", "fatf-retail")
    return made


def write(path: Path, columns: dict[str, list[object]]) -> Path:
    frame = pl.DataFrame(columns)
    {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".jsonl": frame.write_ndjson}[path.suffix](path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_portfolio_comes_in_once_however_often_it_is_sent(var: Path, tmp_path: Path, suffix: str) -> None:
    entities = write(tmp_path / f"entities{suffix}", ENTITIES)
    transactions = write(tmp_path / f"transactions{suffix}", TRANSACTIONS)
    assert succeed(var, "import", "entities", entities) == "2 rows: 2 new, 0 changed, 0 known before.\n"
    assert succeed(var, "import", "entities", entities) == "2 rows: 0 new, 0 changed, 2 known before.\n"
    assert succeed(var, "import", "transactions", transactions) == "3 rows: 3 new, 0 changed, 0 known before.\n"
    assert succeed(var, "import", "transactions", transactions) == "3 rows: 0 new, 0 changed, 3 known before.\n"
    said = succeed(var, "worker", "--once")
    assert said == "2 assessed, 0 failed; nothing is left to do.\n"
    assert not list((var / "imports").iterdir()), "what is finished leaves no note"


def test_setup_can_be_repeated(var: Path) -> None:
    said = succeed(var, "import", "setup", "fatf-retail")
    assert said.startswith("default has the levels low, medium, high, critical, the type customer, and the lists cash-")


def test_a_list_that_nobody_has_is_told_before_anything_is_put(tmp_path: Path) -> None:
    ruleset = tmp_path / "mine.yaml"
    text = (files("risk") / "rulesets" / "fatf-retail.yaml").read_text(encoding="utf-8")
    ruleset.write_text(text.replace("fatf-call-for-action", "our-black-list"), encoding="utf-8")
    words = refuse(tmp_path / "var", "import", "setup", ruleset)
    assert words.endswith("reads the list our-black-list, which nobody has; give a folder that has it by --lists")
    assert not (tmp_path / "var").exists()


def test_who_owns_what_comes_with_it(var: Path, tmp_path: Path) -> None:
    succeed(var, "import", "entities", write(tmp_path / "e.csv", ENTITIES))
    owned = {"entity_id": ["c", "d"], "owner_id": ["a", None], "owner_type": ["customer", None]}
    assert succeed(var, "import", "entities", write(tmp_path / "o.csv", owned)).startswith("2 rows: 2 new")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({**ENTITIES, "shoe_size": ["1", "2"]}, "shoe_size, which are no fields of customer; its fields are country"),
        ({"name": ["a"]}, "has no column entity_id or user_id; it has name"),
        ({**ENTITIES, "country": ["NO", "Norway"]}, "row 1: country is 'Norway'; allowed: two capital letters"),
        ({**ENTITIES, "entity_id": ["a", "a"]}, "row 1: entity_id 'a' came before; allowed: each once"),
        ({**ENTITIES, "owner_id": ["zz", ""]}, "row 0: owner customer 'zz' is not there"),
    ],
)
def test_what_is_wrong_with_entities_is_named(
    var: Path, tmp_path: Path, columns: dict[str, list[object]], words: str
) -> None:
    assert words in refuse(var, "import", "entities", write(tmp_path / "e.csv", columns))


def test_transactions_of_nobody_are_named(var: Path, tmp_path: Path) -> None:
    words = refuse(var, "import", "transactions", write(tmp_path / "t.csv", TRANSACTIONS))
    assert "row 0: user_id is 'a': there is no such customer; allowed: one that was added" in words


def test_files_that_cannot_be_read_are_told(var: Path, tmp_path: Path) -> None:
    assert "none.csv: No such file" in refuse(var, "import", "entities", tmp_path / "none.csv")
    (tmp_path / "e.xlsx").write_text("x")
    assert "it must end in .parquet" in refuse(var, "import", "entities", tmp_path / "e.xlsx")
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
