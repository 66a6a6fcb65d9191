"""`fivefold evidence`: an archive that can be checked, and words that say what to do where there is none."""

import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fivefold.domain.settings import Settings
from fivefold.store.sql.database import open_database
from fivefold.usecases.accounts.organisations import actor_in_new, add_member
from fivefold.usecases.shared.context import Context
from tests.cli.running import refuse, run, succeed
from tests.store.databases import upgrade_by_copy


def quarter_of_now() -> str:
    now = datetime.now(UTC)
    return f"{now.year}Q{(now.month + 2) // 3}"


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """A database in which a member was added today."""
    engine = open_database(Settings(var=tmp_path).database)
    upgrade_by_copy(engine)
    add_member(Context(engine, actor_in_new(engine, "default", "cli:ana")), "Constanze", ["admin"])
    engine.dispose()
    return tmp_path


def test_an_archive_is_made_and_checked(var: Path) -> None:
    path = var / "made.zip"
    out = succeed(var, "evidence", "--quarter", "2020Q1", "--output", path)
    assert f"Evidence of 2020Q1: {path}" in out
    told = re.search(r"SHA-256 of its manifest, to store elsewhere: ([0-9a-f]{64})", out)
    assert told
    checked = succeed(var, "evidence", "--check", path)
    assert "0 problems" in checked
    assert told[1] in checked
    again = var / "again.zip"
    succeed(var, "evidence", "--quarter", "2020Q1", "-o", again, "--organisation", "default")
    assert again.read_bytes() == path.read_bytes()


def test_a_quarter_that_is_not_over_is_told(var: Path) -> None:
    present = quarter_of_now()
    done = run(var, "evidence", "--quarter", present, "--output", var / "made.zip")
    assert done.code == 0
    assert done.err == f"warning: {present} is not over; the archive ends now\n"
    assert "audit entries 1" in done.out


def test_a_quarter_that_has_not_begun_has_no_evidence(var: Path) -> None:
    assert "2097Q1 has not begun" in refuse(var, "evidence", "--quarter", "2097Q1", "--output", var / "made.zip")
    assert not (var / "made.zip").exists()


@pytest.mark.parametrize(
    "command",
    [("evidence", "--quarter", "2020Q1"), ("audit", "heads"), ("statement", "1.1"), ("challenge", "reply", 1)],
)
def test_a_place_is_checked_before_a_database_is_made(tmp_path: Path, command: tuple[object, ...]) -> None:
    said = refuse(tmp_path / "var", *command, "--output", tmp_path / "none" / "file.pdf")
    assert "there is no folder" in said
    assert not (tmp_path / "var").exists()


def test_what_was_changed_is_named_with_another_exit_code(var: Path) -> None:
    path = var / "made.zip"
    succeed(var, "evidence", "--quarter", "2020Q1", "--output", path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.txt", "more")
    done = run(var, "evidence", "--check", path)
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("more.txt: is not in the manifest\n")
    assert "1 problem\n" in done.out


@pytest.mark.parametrize("options", [[], ["--quarter", "2026Q3"], ["--output", "a.zip"], ["--check", "a", "--quarter", "2026Q3"]])  # fmt: skip # noqa: E501 (a row of the table)
def test_one_thing_or_the_other(var: Path, options: list[str]) -> None:
    assert refuse(var, "evidence", *options) == (
        "evidence takes --quarter and --output to make an archive, or --check alone to check one"
    )


def test_what_is_wrong_is_said_plainly(var: Path) -> None:
    out = ["--output", str(var / "made.zip")]
    assert refuse(var, "evidence", "--quarter", "third", *out) == (
        "the quarter is 'third'; it must be a year and a quarter from Q1 to Q4, such as 2026Q3"
    )
    assert refuse(var, "evidence", "--quarter", "2020Q1", "--organisation", "none", *out).startswith(
        "there is no organisation 'none'"
    )
    assert "there is no folder" in refuse(var, "evidence", "--quarter", "2020Q1", "-o", str(var / "no" / "made.zip"))
    assert "No such file" in refuse(var, "evidence", "--check", str(var / "none.zip"))
    assert not (var / "made.zip").exists()


def test_a_quarter_is_read_before_a_database_is_made(tmp_path: Path) -> None:
    refuse(tmp_path, "evidence", "--quarter", "third", "--output", tmp_path / "made.zip")
    assert list(tmp_path.iterdir()) == []
