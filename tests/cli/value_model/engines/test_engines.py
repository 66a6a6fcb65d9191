"""The folder that a run shares with workers: it goes however the run ends, and no other run's goes with it."""

import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fivefold.cli.signals import ends_on_signals
from fivefold.cli.value_model.engines import _folder_of_run

RUN = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGHUP, getattr(signal, sys.argv[2]))
signal.signal(signal.SIGINT, signal.default_int_handler)
from fivefold.cli.signals import ends_on_signals
from fivefold.cli.value_model.engines import _folder_of_run
with ends_on_signals(), _folder_of_run(Path(sys.argv[1])) as own:
    (own / "histories.arrow").write_text("of customers")
    print(own, flush=True)
    time.sleep(60)
"""


@contextmanager
def another_run(shared: Path, hang_up: str = "SIG_DFL") -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Start one, to which signals are what is said, and not what they were where the tests were started."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(shared), hang_up], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_folder_goes_where_the_run_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    with another_run(tmp_path) as (process, own):
        assert (own / "histories.arrow").is_file()
        process.send_signal(number)
        assert process.wait(30) != 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next_and_what_another_has_stays(tmp_path: Path) -> None:
    with another_run(tmp_path) as (alive, held):
        with another_run(tmp_path) as (killed, left):
            killed.kill()
            killed.wait(30)
            assert left.is_dir()
        with _folder_of_run(tmp_path) as own:
            assert sorted(path for path in tmp_path.iterdir() if path.is_dir()) == sorted([held, own])
        assert (held / "histories.arrow").is_file()
        alive.terminate()
        alive.wait(30)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_another_machine_is_let_be(tmp_path: Path) -> None:
    others = [tmp_path / f".spark-{name}-{'0' * 8}" for name in ("another-machine", f"{platform.node()}-1")]
    for other in others:
        other.mkdir()
        other.with_name(f"{other.name}.lock").touch()
    with _folder_of_run(tmp_path):
        pass
    assert all(other.is_dir() for other in others)


def test_what_another_account_left_is_let_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with another_run(tmp_path) as (killed, left):
        killed.kill()
        killed.wait(30)
    with monkeypatch.context() as patch:
        patch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
        with _folder_of_run(tmp_path) as own:
            assert own.is_dir()
    assert left.is_dir()
    with _folder_of_run(tmp_path):
        assert not left.exists(), "its own account takes it away"


def test_a_lock_that_cannot_be_opened_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with another_run(tmp_path) as (killed, left):
        killed.kill()
        killed.wait(30)
    opened = os.open

    def refused(path: object, *rest: Any, **how: Any) -> int:
        if str(path) == f"{left}.lock":
            raise PermissionError(path)
        return opened(path, *rest, **how)  # type: ignore[arg-type]  # a path

    monkeypatch.setattr("os.open", refused)
    with _folder_of_run(tmp_path) as own:
        assert own.is_dir()


def test_the_folder_goes_where_folders_cannot_be_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(Path, "rename", refused)
    with _folder_of_run(tmp_path) as own:
        (own / "histories.arrow").write_text("of customers")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As under nohup, when the terminal closes."""
    with another_run(tmp_path, "SIG_IGN") as (process, own):
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        assert own.is_dir()
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM


def test_the_folder_goes_while_a_worker_still_writes(tmp_path: Path) -> None:
    stop = threading.Event()

    def write(folder: Path) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                (folder / f"{number}.arrow").write_text("of customers")
            except FileNotFoundError:
                return

    for _ in range(10):
        with _folder_of_run(tmp_path) as own:
            writer = threading.Thread(target=write, args=(own,))
            writer.start()
        writer.join(10)
        assert not writer.is_alive()
        assert list(tmp_path.iterdir()) == []
    stop.set()


def test_an_error_is_the_error_of_the_run(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="the run"), ends_on_signals(), _folder_of_run(tmp_path):
        raise ValueError("the run")
    assert signal.getsignal(signal.SIGTERM) is before
    assert list(tmp_path.iterdir()) == []
