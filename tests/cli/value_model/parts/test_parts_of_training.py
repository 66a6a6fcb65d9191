"""`fivefold train` continues where it was killed: the version is that of an uninterrupted run, and registered once."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from fivefold.cli.value_model.scheduled import ScheduledOutcome
from fivefold.domain.errors import FivefoldError, ModelError, StoreError
from fivefold.domain.settings import Settings
from fivefold.models.promotions import Promotion, apply_promotion
from fivefold.models.registry import Registry
from fivefold.training.judging.due import DueVerdict
from tests.cli.running import Home, refuse, run, succeed
from tests.cli.small_parts import ended, small_parts


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with small_parts():
        yield


def command(home: Home, folder: Path) -> list[object]:
    """Give the command of a training, whose rows and settings are in a folder."""
    for file in (home.rows, home.config):
        shutil.copy2(file, folder)
    return ["train", "--data", folder / home.rows.name, "--config", folder / home.config.name]


def left(var: Path) -> list[str]:
    return sorted(path.name for path in (var / "trainings").iterdir())


def test_a_killed_training_continues_to_the_same_version(home: Home, tmp_path: Path) -> None:
    var, other, arguments = tmp_path / "var", tmp_path / "other", command(home, tmp_path)
    whole = succeed(other, *arguments)
    assert left(other) == []
    assert ended("SIGKILL", 7, var, *arguments).code == -signal.SIGKILL
    listed = succeed(var, "parts", var / "trainings")
    assert "interrupted" in listed
    assert "train" in listed
    _refuse_another(var, arguments, tmp_path)
    done = run(var, *arguments)
    assert done.code == 0, done
    assert re.fullmatch(r"Continuing with \d+ parts of an interrupted run\.\n", done.err)
    assert done.out == whole
    assert left(var) == []


def _refuse_another(var: Path, arguments: list[object], folder: Path) -> None:
    """Another training of the name is refused with what differs, and nothing is lost by it."""
    rows = folder / "transactions.parquet"
    moment = rows.stat().st_mtime_ns
    assert "--preset was not given and is recent" in refuse(var, *arguments, "--preset", "recent")
    os.utime(rows, ns=(0, moment + 1_000))
    assert "its content was " in refuse(var, *arguments)
    os.utime(rows, ns=(0, moment))
    settings = Path(str(arguments[-1]))
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("leaves: 7", "leaves: 9"), encoding="utf-8")
    said = refuse(var, *arguments)
    assert "trees.leaves was 7 and is 9. Run the first command again with `rates_on: 20" in said
    settings.write_text(text, encoding="utf-8")


def test_a_version_that_was_registered_is_said_and_not_registered_again(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was stopped between registering and the end."""
    var, arguments = tmp_path / "var", command(home, tmp_path)

    with monkeypatch.context() as patch:
        patch.setattr("fivefold.usecases.changes.promotions.promote_where_one_may", stop)
        first = run(var, *arguments)
    assert first.code == 130
    assert re.search(
        r"training of fivefold-value are finished\. The same command with `rates_on: 20[-\d]{8}` in its configuration "
        r"\(needed once that day is over\) continues with them\. With --restart it starts over\.\n",
        first.err,
    )
    out = succeed_with(var, "Continuing with ", *arguments)
    assert out.startswith("The interrupted run had already registered fivefold-value version 1; model hash ")
    assert "Version 1 is the champion now." in out
    assert left(var) == []
    assert "version 2" in succeed(var, *arguments)


@pytest.mark.parametrize("error", [StoreError("the database cannot be reached"), ModelError("it cannot be loaded")])
def test_an_error_at_the_promotion_leaves_what_the_same_command_promotes(
    error: FivefoldError, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is registered by then, and its window was judged on once."""
    var, arguments = tmp_path / "var", command(home, tmp_path)

    def fails(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("fivefold.usecases.changes.promotions.promote_where_one_may", fails)
        first = run(var, *arguments)
        assert first.code == 2, first
        assert "The same command with " in first.err
        assert run(var, *arguments).code == 2
        assert len(left(var)) == 1
    out = succeed_with(var, "Continuing with ", *arguments)
    assert "had already registered fivefold-value version 1" in out
    assert "Version 1 is the champion now." in out
    assert left(var) == []


def test_a_promotion_whose_process_died_is_logged_where_its_training_is_ended(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    var, arguments = tmp_path / "var", [*command(home, tmp_path), "--when", "always"]
    run(var, "tokens", "create")

    def move_and_stop(registry: Registry, promotion: Promotion) -> None:
        apply_promotion(registry, promotion)
        stop()

    with monkeypatch.context() as patch:
        patch.setattr("fivefold.usecases.changes.promotions.apply_promotion", move_and_stop)
        assert run(var, *arguments).code == 130
    shutil.rmtree(var / "trainings")
    assert "no entry says so" in run(var, "audit", "verify", columns=300).out
    assert run(var, *arguments).code == ScheduledOutcome.SAME_DATA
    assert "model.promoted" in succeed(var, "audit", "show", columns=300)
    assert "the audit log is whole" in succeed(var, "audit", "verify", columns=300)


def test_a_database_that_does_not_answer_is_said_before_anything_is_learnt(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIVEFOLD_DATABASE_URL", "postgresql://u:p@127.0.0.1:1/x")
    assert "the database cannot be reached" in refuse(tmp_path / "var", *command(home, tmp_path))
    assert not (tmp_path / "var" / "mlflow.db").exists()


def test_a_rollback_after_an_interruption_holds(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process was stopped after its version was champion, and a person has decided since."""
    var, arguments = tmp_path / "var", command(home, tmp_path)
    weak = tmp_path / "weak.yaml"
    weak.write_text(Path(str(arguments[-1])).read_text(encoding="utf-8").replace("rounds: 25", "rounds: 1"))
    succeed(var, *arguments[:-1], weak)
    succeed(var, "promote", 1, "--force", "--reason", "the first one")
    with monkeypatch.context() as patch:
        patch.setattr("fivefold.cli.value_model.train._show_whole", stop)
        assert run(var, *arguments).code == 130
    assert "Version 1 is the champion now" in succeed(var, "rollback", "--reason", "it is wrong")
    out = succeed_with(var, "Continuing with ", *arguments)
    assert (
        "Not promoted: version 2 was champion before, and version 1 serves now. To make it champion: fivefold promote 2"
    ) in out
    assert left(var) == []
    succeed(var, "promote", 2)


def register_and_stop(var: Path, *arguments: object) -> None:
    """Stop between registering a version and naming it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fivefold.models.registry.Registry.set_alias", stop)
        assert run(var, *arguments).code == 130
    assert "challenger" not in succeed(var, "models")
    assert len(left(var)) == 1


@pytest.mark.parametrize("more", [("--restart",), ("--when", "always")])
def test_a_version_whose_parts_go_is_the_challenger(
    more: tuple[str, ...], home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    var, arguments = tmp_path / "var", command(home, tmp_path)
    register_and_stop(var, *arguments)
    os.utime(tmp_path / "transactions.parquet", ns=(0, 1_000))
    monkeypatch.setattr("fivefold.cli.value_model.train.run", stop)
    assert run(var, *arguments, *more).code == 130
    assert "challenger" in succeed(var, "models")
    assert left(var) == []


def test_a_version_whose_parts_are_removed_by_hand_has_its_alias_and_its_run_an_end(
    home: Home, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(mlflow.end_run)  # this process goes on, and to MLflow the run is still under way in it
    var, arguments = tmp_path / "var", command(home, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlflow.tracking.fluent.end_run", lambda *_: None)
        register_and_stop(var, *arguments)
    registry = Registry(Settings(var=var), "fivefold-value")
    run_id = registry.version(1).run_id
    assert registry.client.get_run(run_id).info.status == "RUNNING"
    assert "Removed: " in succeed(var, "parts", var / "trainings", "--remove")
    assert registry.client.get_run(run_id).info.status == "FINISHED"
    assert registry.version(1).aliases == ("challenger",)
    assert left(var) == []


def test_parts_of_which_a_registry_cannot_be_asked_stay_and_others_go(tmp_path: Path) -> None:
    """A training without one finished part cannot have registered a version, and the registry is not asked."""
    trainings = tmp_path / "var" / "trainings"
    for name, files in {"a": ["one.part"], "b": [], "c": ["half.unfinished"]}.items():
        folder = trainings / f".{name}.0123abcd.parts"
        folder.mkdir(parents=True)
        command = "score" if name == "b" else "train"
        (folder / "manifest.json").write_text(f'{{"command": "{command}"}}', encoding="utf-8")
        for file in files:
            (folder / file).touch()
    (tmp_path / "var" / "mlflow.db").write_text("no database", encoding="utf-8")
    done = run(tmp_path / "var", "parts", trainings, "--remove")
    assert done.code == 2, done
    asked = trainings / ".a.0123abcd.parts"
    assert f"Not removed: {asked}: the registry cannot be asked whether it registered a version: " in done.out
    assert done.out.count("Removed: ") == 2
    assert left(tmp_path / "var") == [asked.name]


def test_what_a_version_was_made_of_goes_where_nothing_is_due(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    var, arguments = tmp_path / "var", command(home, tmp_path)
    register_and_stop(var, *arguments)
    monkeypatch.setattr("fivefold.cli.value_model.scheduled._verdict", lambda *_: DueVerdict("holds", ()))
    assert run(var, *arguments, "--when", "always").code == 0
    assert "challenger" in succeed(var, "models")
    assert left(var) == []


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def succeed_with(var: Path, said: str, *arguments: object) -> str:
    done = run(var, *arguments)
    assert done.code == 0, done
    assert done.err.startswith(said)
    return done.out


def test_a_clock_begins_anew_where_the_rows_have_changed(home: Home, tmp_path: Path) -> None:
    var, arguments = tmp_path / "var", [*command(home, tmp_path), "--when", "always"]
    assert ended("SIGKILL", 3, var, *arguments).code == -signal.SIGKILL
    os.utime(tmp_path / "transactions.parquet", ns=(0, 1_000))
    done = run(var, *arguments)
    assert done.code in {10, 11}, done
    assert re.match(
        r"Starting over: \d parts of the training of fivefold-value had other conditions; removed\.", done.err
    )
    again = run(var, *arguments)  # the same rows: nothing is due, and nothing is left
    assert again.code == 14
    assert left(var) == []
