"""`fivefold realised`: what it says of earlier scores, and what it refuses."""

from pathlib import Path

import polars as pl
import pytest

from fivefold.cli.value_model.realised import figure_cells
from tests.cli.running import Home, cells, refuse, run, succeed

THEN = "2024-10-02"


@pytest.fixture
def scores(home: Home, tmp_path: Path) -> Path:
    path = tmp_path / "scores.csv"
    succeed(home.var, "score", home.rows, "-o", path, "--as-of", THEN)
    return path


def test_earlier_scores_are_put_beside_what_came(home: Home, scores: Path, tmp_path: Path) -> None:
    output = tmp_path / "figures.csv"
    bounds = tmp_path / "bounds.yaml"
    bounds.write_text("due: {least_customers: 100, most_off_share: 9, most_coverage_distance: 0.9}\n")
    out = succeed(
        home.var, "realised", scores, "--data", home.rows, "--output", output, "--config", bounds, columns=200
    )
    customers = len(pl.read_csv(scores))
    (row,) = cells(out, "fivefold-value version 1, the champion: predicted and realised mean value")
    assert row[:2] == [THEN, f"{customers}"]
    by_segment = cells(out, f"Predictions of {THEN} by segment")
    assert sum(int(row[1]) for row in by_segment) == customers
    assert len(cells(out, f"Predictions of {THEN} by tenth by prediction")) == 10
    assert "Version 1, the champion: it holds: " in out
    table = pl.read_csv(output)
    assert out.endswith(f"Written to {output}: {len(table)} rows\n")
    assert table.filter(pl.col("by") == "all")["customers"].to_list() == [customers]
    # By its own settings the version has too few customers, and nothing is said of it.
    again = succeed(home.var, "realised", scores, "--data", home.rows)
    assert "not known whether it holds:" in again


def test_older_files_are_told_their_moment_and_model(home: Home, scores: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.parquet"
    pl.read_csv(scores).drop("as_of", "model_hash").write_parquet(old)
    assert "name it by --as-of" in refuse(home.var, "realised", old, "--data", home.rows)
    given = ("--as-of", THEN, "--model", "models:/fivefold-value@champion")
    told = succeed(home.var, "realised", old, "--data", home.rows, *given)
    assert told == succeed(home.var, "realised", scores, "--data", home.rows)


def test_predictions_of_an_unknown_model_are_named(home: Home, scores: Path) -> None:
    pl.read_csv(scores).with_columns(model_hash=pl.lit("sha256:0")).write_csv(scores)
    done = run(home.var, "realised", scores, "--data", home.rows)
    assert (done.code, done.out) == (0, "")
    assert "are by the model sha256:0, which fivefold-value does not have" in done.err


def test_scores_of_customers_who_are_not_in_the_data_have_no_tables_of_groups(home: Home, scores: Path) -> None:
    pl.read_csv(scores).with_columns(user_id="other-" + pl.col("user_id")).write_csv(scores)
    out = succeed(home.var, "realised", scores, "--data", home.rows)
    assert "by segment" not in out
    assert "tenth" not in out
    assert "are not in the data: are these the same customers?" in out


def test_an_interval_that_does_not_hold_one_is_not_written_as_if_it_did() -> None:
    row = {"customers": 500.0, "predicted_mean": 10.0, "realised_mean": 8.0, "covered_share": None}
    cells = figure_cells({**row, "ratio": 0.8, "ratio_low": 0.6, "ratio_high": 0.997}, "EUR")
    assert cells[3] == "0.80 (0.60 to 0.997)"
