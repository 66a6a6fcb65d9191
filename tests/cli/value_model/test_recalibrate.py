"""`fivefold recalibrate`: what it says of the new curve, and what makes it champion."""

import re
from pathlib import Path

import polars as pl
import pytest

from tests.cli.running import Home, cells, refuse, succeed


@pytest.fixture
def richer(home: Home, tmp_path: Path) -> Path:
    """The same customers on the same days, of whom every second one moves ten times the money."""
    times = pl.when(pl.col("user_id").rank("dense") % 2 == 0).then(10.0).otherwise(1.0)
    columns = ("transaction_amount", "user_balance")
    path = tmp_path / "richer.parquet"
    home.table.with_columns(pl.col(name) * times for name in columns).write_parquet(path)
    return path


def test_both_curves_are_shown_and_a_person_makes_the_version_champion(
    registry: Path, richer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fivefold.training.register.write_pictures", lambda *_: [])
    out = succeed(registry, "recalibrate", "--data", richer, columns=200)
    title = out.splitlines()[0]
    assert re.fullmatch(r"\d+ customers known on 2024-10-02: curve of version 1, and new", title)
    rows = cells(out, title)
    assert [row[0] for row in rows] == ["low", "medium", "high", "top"]
    for column in (1, 2):
        assert sum(float(row[column].rstrip("%")) for row in rows) == pytest.approx(100, abs=0.3)
    assert [row[1] for row in rows] != [row[2] for row in rows]
    assert "Ranking: that of version 1 by construction." in out
    assert re.search(r"Segments: [1-9][0-9.]*% of these customers are in another segment", out)
    assert "Expected value: the same money as version 1 predicts. " in out
    assert "On the window of version 1, as of 2024-10-02, the calibration error was" in out
    assert "Registered as fivefold-value version 3; model hash " in out
    command = re.search(r": (fivefold promote 3 (?:--force )?--reason TEXT)\n$", out)
    assert command, out
    assert "What served before still serves" in out or "the champion before it still serves" in out

    listed = succeed(registry, "models", columns=200)
    assert "Version 3 has the trees of version 1 and a later score curve.\n" in listed
    assert [row[0] for row in cells(listed, "fivefold-value") if row[1:2] == ["champion"]] == ["1"]
    arguments = command[1].removeprefix("fivefold ").replace("TEXT", "richer").split()
    assert succeed(registry, *arguments).startswith("Version 3 is the champion now instead of version 1.")


def test_the_rows_that_the_champion_was_trained_on_change_nothing(registry: Path, home: Home) -> None:
    said = refuse(registry, "recalibrate", "--data", home.rows)
    assert said.startswith("nothing would change: version 1 has the curve of the customers known on 2024-10-02")
    assert [row[0] for row in cells(succeed(registry, "models"), "fivefold-value")] == ["2", "1"]


def test_an_as_of_that_the_data_do_not_cover_is_refused(registry: Path, richer: Path) -> None:
    said = refuse(registry, "recalibrate", "--data", richer, "--as-of", "2024-12-01")
    assert "test as-of 2024-12-01 plus 90 days ends 2025-03-01" in said
    assert said.endswith("give an earlier --as-of, or later data")
