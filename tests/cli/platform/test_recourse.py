"""`fivefold statement` and `challenge`: pages for the person concerned; opened, settled by a member, and answered."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine

from fivefold.store.sql.database import open_database
from tests.cli.running import cells, refuse, run, succeed
from tests.usecases import banks
from tests.usecases.banks import Bank

OF = ("--organisation", "bank")
SAID = ("--words", "That is not so.")


def engine_of(var: Path) -> Engine:
    return open_database(f"sqlite:///{var / 'fivefold.db'}")


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A customer who was assessed once."""
    monkeypatch.delenv("FIVEFOLD_TOKEN", raising=False)
    made = tmp_path / "var"
    assert succeed(made, "worker", "--once")
    engine = engine_of(made)
    bank = Bank(engine)
    bank.put("a", country="NO")
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.settle()
    engine.dispose()
    return made


def token(var: Path, name: str, role: str) -> str:
    succeed(var, "members", "add", name, "--role", role, *OF)
    return run(var, "tokens", "create", "--role", role, "--member", name, *OF).out.strip()


def test_a_challenge_from_the_words_to_the_reply(var: Path, tmp_path: Path) -> None:
    opened = succeed(var, "challenge", "open", "1.1", *SAID, *OF)
    assert opened.startswith("Challenge 1 of assessment 1.1 is open, due on ")
    assert "--organisation bank --reason …" in opened
    assert "Challenge 1 of assessment" in succeed(var, "challenge", "open", "1.1", *SAID, *OF), "the same one"
    (row,) = cells(succeed(var, "challenge", "list", "--state", "open", *OF, columns=120), "Challenges")
    assert (row[:4], row[-1]) == (["1", "open", "1.1", "a"], "0 days")
    settle = ("challenge", "settle", 1, "confirmed", "--reason", "The register says so.", "--answer", "We looked.", *OF)
    assert "is not a member" in refuse(var, *settle)
    refused = refuse(var, *settle, "--token", token(var, "pia", "publisher"))
    assert "is of the role publisher; it must be approver or admin" in refused
    asked = ("challenge", "reply", 1, *OF, "--output")
    assert "is open" in refuse(var, *asked, tmp_path / "a.json")
    ada = ("--token", token(var, "ada", "approver"))
    assert "challenge 1 is another one now" in refuse(var, *settle, *ada, "--opened-at", "2001-01-01")
    (seen,) = re.findall(r"--opened-at \S+", opened)
    assert f"opened {seen.split()[1]} by" in succeed(var, "challenge", "show", 1, *OF)
    done = succeed(var, *settle, *ada, *seen.split())
    assert done.startswith("Challenge 1 is settled: confirmed.")
    assert "fivefold challenge reply 1 --output reply.pdf --organisation bank" in done
    shown = succeed(var, "challenge", "show", 1, *OF)
    assert "That is not so." in shown
    assert "The register says so." in shown
    said = succeed(var, *asked, tmp_path / "a.json")
    given = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(given)["answer"] == "We looked."
    assert "register" not in given
    (line,) = [line for line in said.splitlines() if "SHA-256" in line]
    assert line.split()[-1] in succeed(var, "audit", "show", *OF, columns=400)
    succeed(var, *asked, tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert "must end in .pdf or .json" in refuse(var, *asked, tmp_path / "a.txt")


def test_corrected_facts_are_named(var: Path) -> None:
    succeed(var, "challenge", "open", "1.1", *SAID, *OF)
    ada = token(var, "ada", "approver")
    settle = ("challenge", "settle", 1, "corrected", "--reason", "Moved.", "--fact", "field country", *OF)
    assert "no field 'country' was added, changed or ended since assessment 1.1" in refuse(var, *settle, "--token", ada)
    file = var.parent / "customers.csv"
    file.write_text("entity_id,country\na,KP\n", encoding="utf-8")
    assert "1 changed" in succeed(var, "import", "entities", file, *OF)
    done = succeed(var, *settle, "--token", ada)
    assert done.startswith("Challenge 1 is settled: corrected; the new assessment is 1.2.")
    assert "Corrected facts: field country" in succeed(var, "challenge", "show", 1, *OF)


def test_what_is_refused(var: Path) -> None:
    succeed(var, "challenge", "open", "1.1", *SAID, *OF)
    assert "the outcome is 'maybe'" in refuse(var, "challenge", "settle", 1, "maybe", "--reason", "x", *OF)
    absent = ("show", 9), ("reply", 9, "-o", var / "reply.pdf"), ("settle", 9, "confirmed", "--reason", "x")
    for words in absent:
        assert "in the organisation 'bank' there is no challenge 9" in refuse(var, "challenge", *words, *OF)
    assert "in the organisation 'bank' there is no assessment '9.9'" in refuse(
        var, "challenge", "open", "9.9", *SAID, *OF
    )


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
    assert "in the organisation 'bank' there is no assessment '9.9'" in refuse(
        var, "statement", "9.9", "--organisation", "bank", "-o", tmp_path / "a.pdf"
    )
