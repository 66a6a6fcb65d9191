"""`fivefold erase`, `erase-again` and `hold`."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.running import refuse, run, succeed

LONG_AGO = "2001-01-01"
FILES_MAY_NOT_GROW = """
import resource, sys
from fivefold.cli.main import main
sys.dont_write_bytecode = True  # Python takes the part that it could write of a module for the whole
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
main()
"""


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
    assert refuse(var, "erase", "a") == (
        "in the organisation 'default' there is no customer 'a'; if it was erased by a command that was killed,"
        " `fivefold erase-again` finishes what follows an erasure"
    )
    assert succeed(var, "erase-again") == "0 entities were in the database again, and erased.\n"
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
    assert "create an empty file of that name" in refuse(var, "erase-again")
    (var / "erasures.jsonl").touch()
    assert succeed(var, "erase-again") == "0 entities were in the database again, and erased.\n"


def test_a_hold_needs_a_moment_and_a_reason(var: Path) -> None:
    assert "--until is 'soon'" in refuse(var, "hold", "a", "--until", "soon", "--reason", "x")
    assert "needs a reason" in refuse(var, "hold", "a", "--until", "2999-01-01", "--reason", "")


def test_a_release_says_what_became_of_the_hold(var: Path) -> None:
    of = ("hold", "a", "--reason", "Over.", "--until")
    assert succeed(var, *of, LONG_AGO) == "customer a was not on hold; nothing was changed.\n"
    assert not (var / "erasures.jsonl").exists()
    succeed(var, *of, "2999-01-01")
    assert succeed(var, *of, LONG_AGO).startswith("customer a is not on hold now.\nThe register ")
    succeed(var, "erase", "a")


def test_who_came_after_the_backup_is_named_and_nobody_else_is_erased_or_held(var: Path, tmp_path: Path) -> None:
    """Others, in another order, get the numbers and the moment of those that the register is about."""

    def send(*names: str) -> None:
        (tmp_path / "new.jsonl").write_text("".join(f'{{"entity_id": "{name}"}}\n' for name in names))
        succeed(var, "import", "entities", tmp_path / "new.jsonl", "--as-of", LONG_AGO)

    with closing(sqlite3.connect(var / "fivefold.db")) as database:
        database.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
    send("n1", "n2")
    succeed(var, "erase", "n1")
    succeed(var, "hold", "n2", "--until", "2999-01-01", "--reason", "Court order 7.")
    for file in var.glob("fivefold.db*"):
        file.unlink()
    shutil.copyfile(tmp_path / "backup.db", var / "fivefold.db")
    send("n2", "n3")
    done = run(var, "erase-again", columns=200)
    assert done.code == 3
    assert "0 entities were in the database again" in done.out
    assert "line 1, default, entities 3\n" in done.out
    assert "line 2, default, hold on entity 4 of " in done.err
    succeed(var, "hold", "n3", "--until", "2999-01-01", "--reason", "Court order 7.", "--for-line", "2")
    assert run(var, "erase-again").code == 0
    succeed(var, "hold", "n3", "--until", LONG_AGO, "--reason", "Over.")
    succeed(var, "erase", "n2")
    succeed(var, "erase", "n3")


def test_an_erasure_for_which_the_disk_is_too_small_is_not_carried_out_later(var: Path) -> None:
    """A file may not grow beyond a bound, as on a disk that is full: the database refuses the erasure, alone."""
    process = subprocess.run(
        [sys.executable, "-c", FILES_MAY_NOT_GROW, "erase", "a"],
        env={**os.environ, "FIVEFOLD_VAR": str(var)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert "; nothing was erased" in " ".join(process.stderr.split())
    assert (var / "erasures.jsonl").read_bytes() == b""
    assert succeed(var, "erase-again") == "0 entities were in the database again, and erased.\n"
    assert succeed(var, "erase", "a").startswith("customer a is erased")
