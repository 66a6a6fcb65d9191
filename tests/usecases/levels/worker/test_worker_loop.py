"""Duties: side by side, over and over, none held up by another's failure; and done until nothing is left."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any

import pytest
from polars.exceptions import PanicException
from sqlalchemy import Engine, create_engine, text
from structlog.testing import capture_logs

from fivefold.domain.errors import FingerprintMismatchError, StoreError
from fivefold.domain.settings import Settings
from fivefold.models import registry
from fivefold.store.sql.database import reachable
from fivefold.usecases.levels import worker_loop as under_test
from fivefold.usecases.levels.worker_loop import ChampionWatcher, PeriodicTask, drain, run_forever

LONGEST_SECONDS = 20.0


def counting(times: int, then: Callable[[], None] = lambda: None) -> tuple[list[int], Callable[[], bool]]:
    """Something to do that many times, and what it does after."""
    done: list[int] = []

    def run() -> bool:
        if len(done) < times:
            done.append(len(done))
            return True
        then()
        return False

    return done, run


def test_each_is_done_until_nothing_is_left() -> None:
    few, run_few = counting(2)
    many, run_many = counting(5)
    drain([PeriodicTask("few", run_few, 0.01), PeriodicTask("many", run_many, 0.01)])
    assert (len(few), len(many)) == (2, 5)


def test_and_goes_on_while_something_is_to_come() -> None:
    asked: list[int] = []

    def until() -> bool:
        asked.append(1)
        return len(asked) == 3

    done, run = counting(1)
    drain([PeriodicTask("one", run, 0.01)], until)
    assert (len(done), len(asked)) == (1, 3)


def test_errors_are_raised_where_it_is_done_once() -> None:
    def run() -> bool:
        raise StoreError("gone")

    with pytest.raises(StoreError):
        drain([PeriodicTask("bad", run, 0.01)])


@pytest.mark.parametrize(
    "error", [StoreError("the database cannot be reached"), ValueError("a secret"), PanicException("a secret")]
)
def test_one_that_fails_is_tried_again_and_holds_up_no_other(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    stop, failed = Event(), list[int]()
    good, run_good = counting(50)

    def run_bad() -> bool:
        failed.append(1)
        if len(failed) >= 3 and len(good) == 50:
            stop.set()
        raise error

    begun = monotonic()
    run_forever([PeriodicTask("good", run_good, 0.001), PeriodicTask("bad", run_bad, 0.001)], stop)
    assert len(good) == 50
    assert len(failed) >= 3
    assert monotonic() - begun < LONGEST_SECONDS
    assert "a secret" not in capsys.readouterr().err


def test_of_a_damaged_database_the_log_names_the_file(tmp_path: Path) -> None:
    file, stop = tmp_path / "fivefold.db", Event()
    file.write_bytes(b"x" * 4096)
    engine = create_engine(f"sqlite:///{file}")

    def run_bad() -> bool:
        stop.set()
        with reachable(engine), engine.connect() as connection:
            connection.execute(text("SELECT name FROM sqlite_master"))
        return False

    with capture_logs() as logs:
        run_forever([PeriodicTask("bad", run_bad, 0.001)], stop)
    (line,) = logs
    assert line["event"] == "task failed"
    assert line["error"].startswith(f"the database's file is damaged: {file}: file is not a database; put a backup of")


def test_one_that_fails_for_days_is_still_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "LONGEST_PAUSE_SECONDS", 0)
    stop, failed = Event(), list[int]()

    def run_bad() -> bool:
        failed.append(1)
        if len(failed) == 1_100:
            stop.set()
        raise ValueError

    run_forever([PeriodicTask("bad", run_bad, 0.001)], stop)
    assert len(failed) == 1_100


@pytest.mark.parametrize(
    ("error", "longest"), [(StoreError("the database cannot be reached"), 10.0), (ValueError("another"), 60.0)]
)
def test_who_waits_for_the_database_looks_again_sooner_than_after_another_failure(
    error: Exception, longest: float
) -> None:
    """Readiness names the failure until the task ran again, though the database may be back for long."""

    class Pauses(Event):
        def wait(self, timeout: float | None = None) -> bool:
            paused.append(timeout)
            if len(paused) == 2:
                self.set()
            return True

    def run_bad() -> bool:
        raise error

    paused: list[float | None] = []
    run_forever([PeriodicTask("bad", run_bad, 600.0)], Pauses())
    assert paused == [longest] * 2


def test_what_goes_on_alongside_is_told_to_stop() -> None:
    stop, ended = Event(), list[bool]()

    def alongside(asked: Event) -> None:
        ended.append(asked.wait(LONGEST_SECONDS))

    _, run = counting(1, stop.set)
    run_forever([PeriodicTask("one", run, 0.001)], stop, alongside)
    assert ended == [True]


class Shelf:
    """A registry: the number of its champion, and whether it can be loaded."""

    name = "fivefold-value"
    client = SimpleNamespace(get_experiment_by_name=lambda _: None)
    number: int | None = None
    broken = False

    def __init__(self, *_: Any) -> None:
        """Be like any other."""

    def champion(self) -> Any:
        return None if Shelf.number is None else SimpleNamespace(number=Shelf.number, run_id="run")

    def load(self, number: int) -> Any:
        if Shelf.broken:
            raise FingerprintMismatchError("other indicators")
        return SimpleNamespace(content_hash=f"hash {number}")


@pytest.fixture
def champion(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ChampionWatcher:
    monkeypatch.setattr(registry, "Registry", Shelf)
    monkeypatch.setattr(Shelf, "number", None)
    monkeypatch.setattr(Shelf, "broken", False)
    settings = Settings(tmp_path)
    settings.registry.touch()
    return ChampionWatcher(engine, settings)


def test_without_one_there_is_none(champion: ChampionWatcher) -> None:
    assert not champion.look()
    assert champion.valuer is None


def test_where_no_model_was_ever_trained_there_is_none(champion: ChampionWatcher) -> None:
    """And nobody waits for MLflow to be imported."""
    Shelf.number = 1
    champion._settings.registry.unlink()
    assert not champion.look()
    assert champion.valuer is None


def test_another_one_is_seen_and_a_broken_one_leaves_the_last_good_one(champion: ChampionWatcher) -> None:
    Shelf.number = 1
    assert champion.look()
    assert not champion.look()
    Shelf.number, Shelf.broken = 2, True
    assert not champion.look()
    assert champion.valuer is not None
    assert (champion.valuer.model.content_hash, champion.valuer.version) == ("hash 1", 1)
    Shelf.broken = False
    assert champion.look()
    assert champion.valuer.version == 2


def test_whoever_becomes_due_meets_the_one_they_became_due_for(
    champion: ChampionWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marked before, they might be assessed by the one before it, and never again."""
    met: list[int | None] = []
    monkeypatch.setattr(
        under_test,
        "begin_champion",
        lambda *_, **__: met.append(None if champion.valuer is None else champion.valuer.version),
    )
    for number in (1, 2):
        Shelf.number = number
        champion.look()
    assert met == [1, 2]


_WORKER = """
import signal
from threading import Event
from fivefold.usecases.levels.worker_loop import PeriodicTask, run_forever
stop = Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
said = iter([lambda: print("runs", flush=True)])
run_forever([PeriodicTask("one", lambda: bool(next(said, lambda: None)()), 0.05)] * 20, stop)
"""


def test_one_that_is_asked_to_end_while_it_is_stopped_ends_once_it_goes_on() -> None:
    """The system gives such a signal to any thread, and Python lets the main one alone handle it."""
    with subprocess.Popen([sys.executable, "-c", _WORKER], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT):
            worker.send_signal(number)
            sleep(0.1)
        try:
            assert worker.wait(30) == 0
        finally:
            worker.kill()
