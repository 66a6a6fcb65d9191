"""What is wrong with the arguments is said before anything slow is imported, opened or compiled."""

import json
import os
import subprocess
import sys
from pathlib import Path

SLOW = ("mlflow", "shap", "lightgbm", "numba", "sqlalchemy", "altair", "bentoml", "optuna", "sklearn")
PROGRAM = """
import io, json, sys
from fivefold.cli import terminal
from fivefold.cli.main import main
said = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["fivefold", *arguments]
    terminal.errors.file = io.StringIO()
    try:
        main()
    except SystemExit as end:
        said.append([end.code, terminal.errors.file.getvalue(), list(sys.modules)])
print(json.dumps(said))
"""
REFUSED = [
    (["train", "--data", "nosuch.csv"], "nosuch.csv does not exist"),
    (["train", "--data", "rows.txt"], "rows.txt ends in '.txt'"),
    (["train", "--config", "nosuch.yaml"], "nosuch.yaml"),
    (["train", "--when", "due", "--data", "rows.csv"], "For the first version, train without --when"),
    (["train", "--when", "always"], "--when needs --data"),
    (["train", "--scores", "rows.csv"], "--scores decides whether training is due, so it needs --when due"),
    (["train", "--when", "due", "--data", "rows.csv", "--platform", "--scores", "rows.csv"], "Only one of them"),
    (["train", "--when", "always", "--data", "rows.csv", "--platform"], "--platform decides whether training is due"),
    (["realised", "rows.csv", "--data", "nosuch.csv"], "nosuch.csv does not exist"),
    (["realised", "rows.csv", "--data", "rows.csv", "--as-of", "x"], "--as-of is 'x'"),
    (["train", "--name", "a b"], "the model's name is 'a b'"),
    (["recalibrate", "--data", "nosuch.csv"], "nosuch.csv does not exist"),
    (["recalibrate", "--data", "rows.csv", "--as-of", "x"], "--as-of is 'x'"),
    (["recalibrate", "--data", "rows.csv", "--model", "value"], "it must be models:/NAME/VERSION"),
    (["recalibrate", "--data", "rows.csv", "--name", "a b"], "the model's name is 'a b'"),
    (["score", "nosuch.csv"], "nosuch.csv does not exist"),
    (["score", "rows.csv", "--output", "a.xlsx"], "it must end in .parquet, .csv"),
    (["score", "rows.csv", "--output", "none/a.csv"], "there is no folder"),
    (["score", "rows.csv", "--as-of", "today"], "--as-of is 'today'"),
    (["explain", "nosuch.csv", "--user", "a"], "nosuch.csv does not exist"),
    (["explain", "rows.csv", "--user", "a", "--as-of", "x"], "--as-of is 'x'"),
    (["explain", "rows.csv", "--user", "a", "--png", "a.gif"], "the name must end in .svg or .png"),
    (["models", "--on", "yesterday"], "--on is 'yesterday'"),
    (["models", "--name", "a b"], "the model's name is 'a b'"),
    (["promote", "2", "--force"], "--force needs --reason TEXT"),
    (["promote", "2", "--name", "a b"], "the model's name is 'a b'"),
    (["rollback", "--name", "a/b"], "the model's name is 'a/b'"),
    (["drift", "--name", "a/b"], "the model's name is 'a/b'"),
    (["evidence", "--quarter", "2026Q1"], "evidence takes --quarter and --output"),
]


def test_it_is_refused_before_anything_slow(tmp_path: Path) -> None:
    """All in one process, in turn: whatever is slow would be seen from then on."""
    for name in ("rows.csv", "rows.txt"):
        (tmp_path / name).touch()
    environment = {**os.environ, "FIVEFOLD_VAR": str(tmp_path / "var")}
    command = [sys.executable, "-P", "-c", PROGRAM, json.dumps([arguments for arguments, _ in REFUSED])]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    for (arguments, words), (code, text, modules) in zip(REFUSED, said, strict=True):
        assert code == 2, arguments
        assert words in text, arguments
        assert set(modules) & set(SLOW) == set(), arguments
    assert not (tmp_path / "var").exists()
