"""`fivefold statement`: a page for the person concerned, as PDF or JSON."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from fivefold.store.sql.database import open_database
from tests.cli.running import refuse, succeed
from tests.usecases import banks
from tests.usecases.banks import Bank


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """A customer who was assessed once."""
    made = tmp_path / "var"
    assert succeed(made, "worker", "--once")
    engine = open_database(f"sqlite:///{made / 'fivefold.db'}")
    bank = Bank(engine)
    bank.put("a", country="NO")
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.settle()
    engine.dispose()
    return made


def test_a_statement_is_written(var: Path, tmp_path: Path) -> None:
    asked = ("statement", "1.1", "--organisation", "bank", "--output")
    said = succeed(var, *asked, tmp_path / "a.json")
    given = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert [factor["title"] for factor in given["factors"]] == ["Country"]
    succeed(var, *asked, tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    (line,) = [line for line in said.splitlines() if "SHA-256" in line]
    assert line.split()[-1] in succeed(var, "audit", "show", "--organisation", "bank", columns=400)
    assert len(line.split()[-1]) == len(sha256().hexdigest())


def test_what_cannot_be_written(var: Path, tmp_path: Path) -> None:
    assert ".pdf or .json" in refuse(var, "statement", "1.1", "--organisation", "bank", "-o", tmp_path / "a.txt")
    assert "there is no assessment" in refuse(
        var, "statement", "9.9", "--organisation", "bank", "-o", tmp_path / "a.pdf"
    )
