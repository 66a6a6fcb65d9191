"""The folder that a run shares with workers: it goes however the run ends, and no other run's goes with it."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fivefold.cli.value_model.engines import _ends_on_signals, _folder_of_run

RUN = """
import sys, time
from pathlib import Path
from fivefold.cli.value_model.engines import _ends_on_signals, _folder_of_run
with _ends_on_signals(), _folder_of_run(Path(sys.argv[1])) as own:
    (own / "histories.arrow").write_text("of customers")
    print(own, flush=True)
    time.sleep(60)
"""


@contextmanager
def another_run(shared: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    with subprocess.Popen([sys.executable, "-c", RUN, str(shared)], stdout=subprocess.PIPE, text=True) as process:
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
    other = tmp_path / ".spark-another-machine-1234"
    other.mkdir()
    other.with_suffix(".lock").touch()
    with _folder_of_run(tmp_path):
        pass
    assert other.is_dir()


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
    with pytest.raises(ValueError, match="the run"), _ends_on_signals(), _folder_of_run(tmp_path):
        raise ValueError("the run")
    assert signal.getsignal(signal.SIGTERM) is before
    assert list(tmp_path.iterdir()) == []
