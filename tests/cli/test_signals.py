"""A command that is asked to end by a signal ends, wherever it is when the signal comes."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

RUN = """
import ctypes, os, signal, threading, time, weakref
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from fivefold.cli.signals import ends_on_signals

class Module:
    pass

def end():
    os.kill(os.getpid(), signal.SIGTERM)

def collected():
    module = Module()
    watched = weakref.ref(module, lambda _: end())
    del module

def compiling():
    ctypes.CFUNCTYPE(None)(end)()
    raise RuntimeError("C was called back in vain")

lock = threading.Lock()
IMPORTING = '''
lock.acquire()
os.kill(os.getpid(), signal.SIGTERM)
lock.release()
'''

def importing():
    exec(compile(IMPORTING, "<frozen importlib._bootstrap>", "exec"))

def cleaning(seconds=60):
    try:
        end()
    finally:
        print("cleans", flush=True)
        time.sleep(seconds)

def twice():
    try:
        cleaning(0)
    finally:
        os.kill(os.getpid(), signal.SIGHUP)

try:
    with ends_on_signals():
        {how}()
        time.sleep(60)
finally:
    print("lock held" if lock.locked() else "gone", flush=True)
"""

COMMAND = """
import os, signal, sys, time
from pathlib import Path
signal.signal(int(sys.argv[1]), signal.SIG_DFL)  # what starts tests may ignore it, as nohup does
from fivefold.cli import main
from fivefold.cli.signals import ended_at_once_by_signals
from fivefold.domain.files import replacing

number = int(sys.argv[1])

def writing(**_):
    with replacing(Path(sys.argv[2])) as unfinished:
        unfinished.touch()
        os.kill(os.getpid(), number)
        time.sleep(60)

def reading(**_):
    with ended_at_once_by_signals():
        try:
            os.kill(os.getpid(), number)
        finally:
            time.sleep(60)

main.app = {how}
main.main()
"""


@contextmanager
def run(how: str, program: str = RUN, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run what ends itself; what is written to standard error is kept."""
    command = [sys.executable, "-c", program.replace("{how}", how), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["end", "collected", "compiling", "importing"])
def test_a_run_ends_wherever_the_signal_comes(how: str) -> None:
    """An error in what is called by Python as it collects, or by C, is swallowed; one in an import leaves it locked."""
    with run(how) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (128 + signal.SIGTERM, "gone\n", "")


def test_a_terminal_that_is_closed_signals_twice_and_the_run_still_cleans() -> None:
    with run("twice") as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (128 + signal.SIGTERM, "cleans\ngone\n", "")


def test_a_second_signal_ends_a_run_at_once() -> None:
    with run("cleaning") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "cleans\n"
        time.sleep(0.6)  # one that comes sooner is a repeat
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == -signal.SIGHUP


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_any_command_that_is_ended_takes_its_unfinished_file_away(tmp_path: Path, number: signal.Signals) -> None:
    with run("writing", COMMAND, int(number), tmp_path / "levels.jsonl") as process:
        assert process.wait(30) == 128 + number
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_reads_standard_input_in_a_thread_ends_at_once(number: signal.Signals) -> None:
    with run("reading", COMMAND, int(number)) as process:
        assert process.wait(30) == -number
