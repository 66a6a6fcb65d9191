"""`fivefold demo`: everything in one go, and quick the second time."""

import gc
import re
from pathlib import Path

import polars as pl
import pytest

from fivefold.cli.demo import app as demo
from fivefold.cli.demo import levels as demo_levels
from fivefold.cli.demo import sample
from fivefold.cli.terminal import echo
from fivefold.cli.value_model import train
from tests.cli.running import AS_OF, Home, run
from tests.test_docs import wrong


@pytest.mark.full
def test_the_first_time_shows_everything(home: Home) -> None:
    out = home.demo.out
    assert home.demo.err == ""
    for words in (
        r"^Simulated 300 customers with [\d,]+ transactions: \S+/demo/transactions\.parquet$",
        r"^On \d+ customers of a window that the model never saw$",
        r"^Registered as fivefold-value version 1; model hash ",
        r"^Version 1 is the champion now\.$",
        rf"^Customers as of {AS_OF}$",
        r"^Every customer's score: \S+/demo/scores\.csv$",
        rf"^Customer user_000027 as of {AS_OF}: score \d\.\d\d, ",
        r"^starting point ",
        r"^served on 3000$",
        r"^levels shown$",
        r"^Next steps:$",
    ):
        assert re.search(words, out, re.MULTILINE), words
    assert len(pl.read_csv(home.var / "demo" / "scores.csv")) == 300


def test_what_comes_next_can_be_typed(home: Home) -> None:
    commands = re.findall(r"^  fivefold (.*?)(?:  .*)?$", home.demo.out, re.MULTILINE)
    assert len(commands) >= 4
    assert {command: list(wrong(command)) for command in commands} == {command: [] for command in commands}
    (own,) = (command for command in commands if command.startswith("train "))
    assert " --name " in own, "the champion of the demo read other columns: no version of its name could replace it"
    why = next(command for command in commands if command.startswith("explain"))
    done = run(home.var, *why.split()[:-2])
    assert (done.code, done.err) == (0, "")


def test_what_comes_next_is_typed_as_the_demo_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "own programs"
    folder.mkdir()
    program = folder / "fivefold"
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "echo", (lines := []).append)
    for started, path, word in (
        ("own programs/fivefold", "/usr/bin", "'own programs/fivefold'"),
        (str(program), str(folder), "fivefold"),
        (str(tmp_path / "main.py"), "/usr/bin", "fivefold"),
    ):
        monkeypatch.setattr("sys.argv", [started, "demo"])
        monkeypatch.setenv("PATH", path)
        lines.clear()
        demo._propose(tmp_path / "rows.parquet")
        commands = [line for line in lines if line.startswith("  ")]
        assert len(commands) == len(demo.NEXT)
        assert all(line.startswith(f"  {word} ") for line in commands), lines
        assert f"\n  {word} explain " in lines[-1]
        assert set(re.findall(r"user_\d+", "".join(lines))) == {demo.EXPLAINED}, "the one whose score was explained"


def test_the_second_time_trains_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "is_free", lambda _: True)
    monkeypatch.setattr(sample, "serve_once", lambda port: echo(f"served on {port}"))
    monkeypatch.setattr(demo_levels, "show_levels", lambda: echo("levels shown"))

    def must_not(*_: object) -> None:
        raise AssertionError("trained or simulated again")

    monkeypatch.setattr("fivefold.training.retrain.retrain", must_not)
    monkeypatch.setattr("fivefold.training.simulation.simulator.write_simulation", must_not)
    gc.collect()  # a connection that an earlier command left would write its log into the database at any time
    before = {path: path.stat().st_mtime_ns for path in files(home.var)}
    done = run(home.var, "demo")
    assert (done.code, done.err) == (0, "")
    assert done.out.index("levels shown") < done.out.index("served on"), "a service that is slow costs no levels"
    assert "There is already a champion; `fivefold train` would train another one on " in done.out
    shown = home.demo.out.partition(f"Customers as of {AS_OF}")[2]
    assert done.out.partition(f"Customers as of {AS_OF}")[2] == shown
    after = {path: path.stat().st_mtime_ns for path in files(home.var)}
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed <= {"scores.csv", "mlflow.db", "registered_model_meta"}  # the last is MLflow's own, at every load


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_it_is_made_for_five_thousand_customers_and_the_defaults() -> None:
    assert train.DEMO_CUSTOMERS == 5_000
    assert demo.TrainingConfig().test_as_of is None
