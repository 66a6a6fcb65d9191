"""A command that is asked to end by a signal ends, wherever it is when the signal comes."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def run(how: str) -> Iterator[subprocess.Popen[str]]:
    """Run what ends itself; what is written to standard error is kept."""
    command = [sys.executable, "-c", RUN.replace("{how}", how)]
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
