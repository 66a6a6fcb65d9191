"""`fivefold simulate` and `fivefold sort`."""

from pathlib import Path

import polars as pl
import pytest

from tests.cli.running import Home, refuse, run, succeed


def test_simulated_customers_are_the_same_for_the_same_seed(fresh: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        out = succeed(fresh, "simulate", "-o", tmp_path / f"{name}.parquet", "--customers", 20, "--seed", seed)
        rows = len(pl.read_parquet(tmp_path / f"{name}.parquet"))
        assert out == f"{rows:,} transactions of 20 simulated customers: {tmp_path / f'{name}.parquet'}\n"
    first, second, other = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in "abc")
    assert first.equals(second)
    assert not first.equals(other)
    assert first["user_id"].n_unique() == 20


def test_sorting_says_what_it_did(home: Home, tmp_path: Path) -> None:
    home.table.sort("transaction_date").write_csv(tmp_path / "rows.csv")
    out = succeed(home.var, "sort", tmp_path / "rows.csv", "--output", tmp_path / "grouped.parquet")
    assert out == f"{len(home.table):,} rows, grouped by customer: {tmp_path / 'grouped.parquet'}\n"
    runs = pl.read_parquet(tmp_path / "grouped.parquet")["user_id"].rle_id()
    assert runs.max() == home.table["user_id"].n_unique() - 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grouped.parquet", "rows.csv"]


def test_a_long_path_is_not_broken_in_two(fresh: Path, tmp_path: Path) -> None:
    output = tmp_path / ("long " * 20) / "a.parquet"
    output.parent.mkdir()
    assert str(output) in succeed(fresh, "simulate", "-o", output, "--customers", 2, columns=40)


def test_simulate_names_the_file_in_whose_place_it_would_make_a_folder(fresh: Path, tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("", encoding="utf-8")
    for output in (tmp_path / "rows" / "a.parquet", tmp_path / "rows" / "deep" / "a.parquet"):
        said = refuse(fresh, "simulate", "-o", output)
        assert said.endswith(f"and {tmp_path / 'rows'} cannot be a folder: a file is there"), said
    (tmp_path / "b.parquet").mkdir()
    assert "b.parquet, which is a folder; it must be a file" in refuse(fresh, "simulate", "-o", tmp_path / "b.parquet")


def test_simulate_gives_a_portfolio_as_sample_does(fresh: Path, tmp_path: Path) -> None:
    said = [
        succeed(fresh, *command, tmp_path / "try", "--customers", 20, "--seed", 3)
        for command in (("simulate", "--portfolio"), ("sample",))
    ]
    assert said[0] == said[1]
    assert (tmp_path / "try" / "now.yaml").exists()
    beside = refuse(fresh, "simulate", "--portfolio", tmp_path / "other", "-o", tmp_path / "a.parquet")
    assert "--output is given beside --portfolio" in beside
    assert "customers is 19; it must be 20" in refuse(
        fresh, "simulate", "--portfolio", tmp_path / "other", "--customers", 19
    )
    assert "give --output FILE.parquet for transactions, or --portfolio FOLDER" in refuse(fresh, "simulate")
    assert not (tmp_path / "other").exists()


def test_simulate_about_so_many_rows(fresh: Path, tmp_path: Path) -> None:
    output = tmp_path / "some.parquet"
    succeed(fresh, "simulate", "-o", output, "--rows", "20_000")
    assert 15_000 < len(pl.read_parquet(output)) < 25_000
    assert "say one of them" in refuse(fresh, "simulate", "-o", output, "--rows", 9, "--customers", 2)


@pytest.mark.parametrize("command", ["simulate", "sort"])
def test_other_formats_are_not_written(command: str, home: Home, tmp_path: Path) -> None:
    source = [home.rows] if command == "sort" else []
    said = refuse(home.var, command, *source, "-o", tmp_path / "a.csv")
    assert said == f"--output is {tmp_path / 'a.csv'}; it must end in .parquet"


def test_a_folder_that_is_not_there_is_named(home: Home, tmp_path: Path) -> None:
    said = refuse(home.var, "sort", home.rows, "-o", tmp_path / "none" / "a.parquet")
    assert said.endswith(f"cannot be written: there is no folder {tmp_path / 'none'}")
    assert list(tmp_path.iterdir()) == []


def test_nobody_can_be_simulated(fresh: Path, tmp_path: Path) -> None:
    done = run(fresh, "simulate", "-o", tmp_path / "a.parquet", "--customers", 0)
    assert done.code == 2
    assert "Invalid value for '--customers'" in done.err
    assert list(tmp_path.iterdir()) == []
