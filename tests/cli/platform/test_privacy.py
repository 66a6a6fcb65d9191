"""`fivefold erase`, `erase-again` and `hold`."""

import re
from pathlib import Path

import pytest

from tests.cli.running import refuse, run, succeed

LONG_AGO = "2001-01-01"


@pytest.fixture
def var(set_up: Path, tmp_path: Path) -> Path:
    """Two customers of long ago."""
    (tmp_path / "e.jsonl").write_text('{"entity_id": "a", "occupation": "spy"}\n{"entity_id": "b"}\n')
    succeed(set_up, "import", "entities", tmp_path / "e.jsonl", "--as-of", LONG_AGO)
    return set_up


def test_somebody_is_erased_and_the_log_stays_whole(var: Path) -> None:
    said = succeed(var, "erase", "a", columns=200)
    assert said.startswith("customer a is erased; values of ")
    assert f"The register {var / 'erasures.jsonl'} records it by numbers" in said
    assert "there is no customer 'a'" in refuse(var, "erase", "a")
    assert succeed(var, "erase-again") == "0 entities were there again, and erased.\n"
    succeed(var, "audit", "verify")


def test_what_must_be_kept_is_not_erased(var: Path, tmp_path: Path) -> None:
    said = succeed(var, "hold", "a", "--until", "2999-01-01", "--reason", "Court order 7.")
    assert said.startswith("customer a is on hold until 2999-01-01.\nThe register ")
    assert "a legal hold is on it until 2999-01-01; nothing was erased" in refuse(var, "erase", "a")
    (tmp_path / "new.jsonl").write_text('{"entity_id": "c"}\n')
    succeed(var, "import", "entities", tmp_path / "new.jsonl")
    assert "records are kept for 1,826 days after the last activity" in refuse(var, "erase", "c")


def test_what_would_be_erased_is_counted_and_nothing_is_changed(var: Path, tmp_path: Path) -> None:
    before = succeed(var, "audit", "show", columns=200)
    said = succeed(var, "erase", "a", "--dry-run")
    assert "What would be erased of customer a" in said
    assert re.search(r"^attributes +1\b", said, re.MULTILINE)
    assert "Nothing was changed." in said
    assert succeed(var, "audit", "show", columns=200) == before
    assert not (var / "erasures.jsonl").exists()
    (tmp_path / "a.jsonl").write_text('{"entity_id": "a", "occupation": "nurse"}\n')
    succeed(var, "import", "entities", tmp_path / "a.jsonl")
    succeed(var, "hold", "a", "--until", "2999-01-01", "--reason", "Court order 7.")
    done = run(var, "erase", "a", "--dry-run", columns=200)
    said = done.out
    assert done.code == 1
    assert "It would be refused: a legal hold is on it until 2999-01-01.\n" in said
    assert "It would be refused: records are kept for 1,826 days after the last activity, here until 2" in said
    assert "there is no customer 'none'" in refuse(var, "erase", "none", "--dry-run")


def test_a_register_that_is_not_there_is_told(var: Path, tmp_path: Path) -> None:
    assert "there is no register" in refuse(var, "erase-again")
    assert "there is no register" in refuse(var, "erase-again", "--register", tmp_path / "none")


def test_a_hold_needs_a_moment_and_a_reason(var: Path) -> None:
    assert "--until is 'soon'" in refuse(var, "hold", "a", "--until", "soon", "--reason", "x")
    assert "needs a reason" in refuse(var, "hold", "a", "--until", "2999-01-01", "--reason", "")
