"""`fivefold score --engine spark`: the same file, and words for what cannot be."""

import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fivefold.cli.value_model.engines import EngineName, require_engine
from fivefold.domain.errors import ConfigError
from tests.cli.running import AS_OF, Home, finish, refuse, run, start, succeed

MASTER = ("--engine", "spark", "--spark-master", "local[2]")


def test_options_of_spark_are_for_spark(home: Home, tmp_path: Path) -> None:
    words = "--spark-master and --spark-folder are for --engine spark"
    assert refuse(home.var, "score", home.rows, "--spark-master", "local[2]") == words
    assert refuse(home.var, "score", home.rows, "--spark-folder", tmp_path) == words
    assert run(home.var, "score", home.rows, "--engine", "hadoop").code == 2


def test_what_spark_cannot_read_or_share_is_refused_before_it_starts(home: Home, tmp_path: Path) -> None:
    csv = tmp_path / "rows.csv"
    home.table.head(5).write_csv(csv)
    assert refuse(home.var, "score", csv, *MASTER) == f"{csv} is not Parquet, and Spark reads nothing else here"
    nowhere = tmp_path / "nowhere"
    words = refuse(home.var, "score", home.rows, *MASTER, "--spark-folder", nowhere)
    assert words == f"--spark-folder is {nowhere}; there is no such folder"


@pytest.mark.parametrize("master", ["local[x]", "local[0]", "local[", "spark:/x", "spark://cluster", "nonsense", ""])
def test_an_address_that_spark_does_not_know_is_refused_before_it_starts(master: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    pl.DataFrame({"user_id": ["a"]}).write_parquet(rows)
    with pytest.raises(ConfigError, match=rf"^--spark-master is {re.escape(repr(master))}; allowed: local\[2\], "):
        require_engine(EngineName.SPARK, master, tmp_path, rows, None)


@pytest.mark.parametrize(
    "master", ["spark://cluster:7077", "spark://a:7077,b:7077", "spark://[fd00::1]:7077", "sc://cluster:15002", "yarn"]
)
def test_workers_elsewhere_need_a_folder_that_they_share(
    master: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default the folder would be the settings' own, which no other machine has."""
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    given = ("score", home.rows, "--engine", "spark", "--spark-master", master)
    words = refuse(home.var, *given)
    assert words.startswith(f"--spark-master is {master}, whose workers pass results through a folder that")
    assert words.endswith("give --spark-folder, or --output in such a folder")
    for rest in (("--spark-folder", tmp_path), ("-o", tmp_path / "a.parquet")):
        require_engine(EngineName.SPARK, master, *_paths(rest, home.rows))
    for local in ("local", "local[2]", "local[*]", "local[2,3]", "local[*, 3]"):
        require_engine(EngineName.SPARK, local, None, home.rows, None)
    require_engine(EngineName.SPARK, None, None, home.rows, None)


def _paths(option: tuple[str, Path], rows: Path) -> tuple[Path | None, Path, Path | None]:
    """Give the folder, the transactions and the output, where one option names one of them."""
    return (option[1], rows, None) if option[0] == "--spark-folder" else (None, rows, option[1])


def test_without_java_one_line_says_so(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    words = refuse(home.var, "score", home.rows, "-o", tmp_path / "a.parquet", *MASTER)
    assert words.startswith("Spark takes Java 17 or later, and there is no java under JAVA_HOME, /nowhere")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["recalibrate", "explain", "realised"])
def test_commands_that_do_not_run_on_spark_have_no_such_option(command: str, home: Home) -> None:
    assert "No such option: --engine" in run(home.var, command, "--engine", "spark").err


@pytest.mark.full
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark takes Java, and there is none here")
def test_the_file_holds_what_one_process_writes(home: Home, tmp_path: Path) -> None:
    """The rows are in no order: Spark groups them."""
    rows, alone, by_spark = (tmp_path / name for name in ("rows.parquet", "alone.parquet", "spark.csv"))
    home.table.sample(fraction=1.0, shuffle=True, seed=4).write_parquet(rows)
    out = succeed(home.var, "score", rows, "-o", alone, "--as-of", AS_OF)
    done = finish(start(home.var, "score", rows, "-o", by_spark, "--as-of", AS_OF, *MASTER))
    assert done.code == 0, done
    assert done.out == out.replace(str(alone), str(by_spark))
    assert "Warning" not in done.err
    assert "pandas" not in done.err
    assert_frame_equal(pl.read_csv(by_spark).sort("user_id"), pl.read_parquet(alone).sort("user_id"), check_exact=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.parquet", "rows.parquet", "spark.csv"]
