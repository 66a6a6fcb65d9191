"""`fivefold train --engine spark`: the model and the words of one process, and words for what cannot be."""

import json
import re
import shutil
from pathlib import Path

import pytest

from fivefold.domain.settings import read_settings
from tests.cli.running import CONFIG, Home, finish, refuse, run, start, succeed
from tests.models.making import empty_database

MASTER = ("--engine", "spark", "--spark-master", "local[2]")


def test_what_would_be_read_by_this_process_is_refused_before_anything_starts(home: Home, tmp_path: Path) -> None:
    csv = tmp_path / "rows.csv"
    home.table.head(5).write_csv(csv)
    words = "--spark-master and --spark-folder are for --engine spark"
    assert refuse(home.var, "train", "--spark-master", "local[2]") == words
    assert refuse(home.var, "train", "--data", home.rows, "--spark-folder", tmp_path) == words
    assert refuse(home.var, "train", *MASTER).startswith("--engine spark needs --data: Parquet that every machine has")
    assert (
        refuse(home.var, "train", "--data", csv, *MASTER) == f"{csv} is not Parquet, and Spark reads nothing else here"
    )
    elsewhere = refuse(
        home.var, "train", "--data", home.rows, "--engine", "spark", "--spark-master", "spark://host:7077"
    )
    assert elsewhere.endswith("through a folder that they share with this machine: give --spark-folder")


@pytest.mark.full
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark takes Java, and there is none here")
def test_what_is_said_and_registered_is_that_of_one_process(home: Home, tmp_path: Path) -> None:
    """The rows are in no order, and the two runs have registries of their own."""
    rows, config = tmp_path / "rows.parquet", tmp_path / "config.yaml"
    home.table.sample(fraction=1.0, shuffle=True, seed=4).write_parquet(rows)
    config.write_text(CONFIG, encoding="utf-8")
    for name in ("alone", "spark"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mlflow.db").write_bytes(empty_database())
        (tmp_path / name / "kernels").symlink_to(read_settings().kernels)
    alone = run(tmp_path / "alone", "train", "--data", rows, "--config", config)
    done = finish(start(tmp_path / "spark", "train", "--data", rows, "--config", config, *MASTER))
    assert (done.code, alone.code) == (0, 0), done
    assert re.search(r"model hash [0-9a-f]{12}", done.out)
    assert done.out == alone.out
    assert done.err.count("Traceback") == 0
    assert not list((tmp_path / "spark").glob(".spark-*"))


@pytest.mark.full
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark takes Java, and there is none here")
@pytest.mark.parametrize(("most_off_share", "outcome"), [(9, "nothing_due"), (0.01, "same_data")])
def test_workers_compare_earlier_scores_with_what_came(
    home: Home, registry: Path, tmp_path: Path, most_off_share: float, outcome: str
) -> None:
    """Data that were learnt from are not learnt from again, so the run ends once it is due."""
    scores, config = tmp_path / "scores.parquet", tmp_path / "config.yaml"
    succeed(home.var, "score", home.rows, "-o", scores, "--as-of", "2024-10-02")
    due = (
        f"{{least_customers: 100, most_off_share: {most_off_share}, most_coverage_distance: 0.9, most_gini_fall: 0.9}}"
    )
    config.write_text(f"{CONFIG}due: {due}\n", encoding="utf-8")
    options = ("--data", home.rows, "--config", config, "--when", "due", "--scores", scores)
    alone = run(registry, "train", *options)
    done = finish(start(registry, "train", *options, *MASTER))
    assert (done.code, done.out) == (alone.code, alone.out), done
    assert json.loads(done.out.splitlines()[-1])["outcome"] == outcome
    assert done.err.count("Traceback") == 0
