"""Own indicators by the commands alone: a new curve keeps them, and a clock knows the data by their text too."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fivefold.cli.value_model.scheduled import ScheduledOutcome
from fivefold.domain.clock import parse_moment
from fivefold.domain.settings import Settings, read_settings
from fivefold.features.indicator_matrix import catalogue
from fivefold.models.registry import CHAMPION, OWN_TAG, Registry
from tests.cli.running import CONFIG, Home, run, succeed
from tests.features.own import example

NAME = "own-value"
THEN = "2024-10-02"
NEVER = "\n".join(CONFIG.splitlines()[:-1]) + "\ngate: {margin: 0.9}\n"
"""Settings by which no version is promoted, so that the champion is due still."""


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fivefold.training.register.write_pictures", lambda *_: [])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "bank.py").write_text(example().text, encoding="utf-8")
    path = tmp_path / "own.yaml"
    bounds = "due: {least_customers: 100, most_off_share: 0.2}\n"
    path.write_text(f"name: {NAME}\nindicators: bank.py\n{NEVER}{bounds}", encoding="utf-8")
    return path


@pytest.fixture
def var(registry: Path, home: Home, config: Path) -> Path:
    """A registry whose champion, trained by the command, reads own indicators."""
    (registry / "kernels").symlink_to(read_settings().kernels)
    succeed(registry, "train", "--data", home.rows, "--config", config, columns=200)
    opened(registry).set_alias(CHAMPION, 1)
    return registry


@pytest.fixture
def richer(home: Home, tmp_path: Path) -> Path:
    """The same customers, of whom every second one moves nine times the money after the scores."""
    return write_richer(home, tmp_path, pl.col("transaction_date").dt.epoch("us") > parse_moment(THEN))


def write_richer(home: Home, folder: Path, when: pl.Expr) -> Path:
    """Write the same customers; every second one moves nine times the money in some of the rows."""
    is_richer = when & (pl.col("user_id").rank("dense") % 2 == 0)
    columns = ("transaction_amount", "user_balance")
    path = folder / "richer.parquet"
    home.table.with_columns(
        pl.when(is_richer).then(pl.col(name) * 9).otherwise(pl.col(name)).alias(name) for name in columns
    ).write_parquet(path)
    return path


def opened(var: Path) -> Registry:
    return Registry(Settings(var=var), NAME)


@pytest.mark.full
def test_a_new_curve_keeps_the_indicators_and_needs_no_file_of_them(
    var: Path, home: Home, config: Path, tmp_path: Path
) -> None:
    (config.parent / "bank.py").unlink()
    always_richer = write_richer(home, tmp_path, pl.lit(value=True))
    out = succeed(var, "recalibrate", "--data", always_richer, "--name", NAME, columns=200)
    assert f"Registered as {NAME} version 2" in out
    registry = opened(var)
    before, after = registry.load(1), registry.load(2)
    assert registry.version(2).tags[OWN_TAG] == registry.version(1).tags[OWN_TAG] == f"bank.py {example().digest}"
    assert after.own is not None
    assert (after.own.text, after.indicators) == (example().text, before.indicators)
    assert after.indicators[-3:] == tuple(catalogue((), example()).names[-3:])
    assert after.content_hash != before.content_hash
    assert set(after.indicators[-3:]) <= set(after.reference.names)  # their drift is watched from now on too
    # Both give the same money; the curve alone makes other scores of it.
    tables = []
    for number in (1, 2):
        path = tmp_path / f"{number}.parquet"
        succeed(var, "score", home.rows, "-o", path, "--as-of", THEN, "--model", f"models:/{NAME}/{number}")
        tables.append(pl.read_parquet(path).sort("user_id"))
    assert tables[0]["expected_value"].to_list() == tables[1]["expected_value"].to_list()
    assert tables[0]["score"].to_list() != tables[1]["score"].to_list()


def test_a_clock_that_finds_the_same_rows_and_the_same_text_does_not_train_again(
    var: Path, richer: Path, home: Home, config: Path, tmp_path: Path
) -> None:
    scores = tmp_path / "scores.parquet"
    succeed(var, "score", home.rows, "-o", scores, "--as-of", THEN, "--model", f"models:/{NAME}@{CHAMPION}")

    def night() -> dict[str, Any]:
        done = run(var, "train", "--data", richer, "--config", config, "--when", "due", "--scores", scores)
        line: dict[str, Any] = json.loads(done.out.splitlines()[-1])
        assert line["exit_code"] == done.code, done
        return line

    first = night()
    assert (first["exit_code"], first["version"]) == (ScheduledOutcome.REFUSED, 2), first
    assert any("realised money is" in reason for reason in first["due"])
    second = night()
    assert (second["exit_code"], second["version"]) == (ScheduledOutcome.SAME_DATA, 2), second
    assert "version 2 was learnt from these data already; it was refused by the gate" in second["text"]
    assert second["due"] == first["due"]
    # Another line of the text makes other indicators, so it is another training.
    (config.parent / "bank.py").write_text(f"{example().text}\n# reviewed\n", encoding="utf-8")
    third = night()
    assert (third["exit_code"], third["version"]) == (ScheduledOutcome.REFUSED, 3), third
    assert [version.number for version in opened(var).versions()] == [3, 2, 1]
