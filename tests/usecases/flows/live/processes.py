"""Workers as processes that are started fast, and killed at points of their work that the test chooses."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Protocol

import psutil
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

_NURSERY = """
import os, signal, sys
import fivefold.cli.platform.worker, fivefold.models.registry, fivefold.serving.metrics.worker
import fivefold.usecases.changes.backtests, fivefold.usecases.erasure.retention, fivefold.usecases.evidence.jobs
import fivefold.usecases.flows.runs.execute, fivefold.usecases.rulesets.points_jobs
import fivefold.usecases.monitoring.validate, fivefold.usecases.webhooks.dispatcher
from fivefold.cli.main import main

signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that who was killed is gone at once
for line in sys.stdin:
    if number := os.fork():
        print(number, flush=True)
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    written = os.open(line.strip(), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    sys.argv = ["fivefold", "worker", "--batch", "25"]
    main()
    os._exit(0)
"""
"""Imports the product once, and is forked for each worker: most of a worker's start is to import."""

LOOK_AGAIN_SECONDS = 0.1
"""So often is asked whether everything is done, so that the point does not come any more."""


@dataclass
class Worker:
    """The one `fivefold worker` that runs, and the process that it is forked from."""

    nursery: subprocess.Popen[str]
    log: Path
    number: int = 0

    def start(self) -> None:
        """Start one; there is none."""
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.write(f"{self.log}\n")
        self.nursery.stdin.flush()
        self.number = int(self.nursery.stdout.readline())

    def kill(self) -> None:
        """Kill it, and wait until it is gone; that it has ended by itself is a fault."""
        os.kill(self.number, signal.SIGKILL)
        self._wait()

    def keep(self) -> None:
        """Start another where it ended because there was no database when it began."""
        if not psutil.pid_exists(self.number):
            self.start()

    def end(self) -> None:
        """Ask it to end, as a supervisor does."""
        os.kill(self.number, signal.SIGTERM)
        self._wait()

    def said(self) -> str:
        """Give what all of them wrote."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def _wait(self) -> None:
        until = monotonic() + 60
        while psutil.pid_exists(self.number):
            assert monotonic() < until, "the worker does not end"
            sleep(0.001)


@contextmanager
def nursing(var: Path, settings: Mapping[str, str], log: Path) -> Iterator[Worker]:
    """Import the product in a process of its own; with it every worker ends."""
    command = [sys.executable, "-c", _NURSERY]
    environment = {**os.environ, "FIVEFOLD_VAR": str(var), **settings}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as nursery:
        worker = Worker(nursery, log)
        try:
            worker.start()
            yield worker
        finally:
            if worker.number and psutil.pid_exists(worker.number):
                os.kill(worker.number, signal.SIGKILL)
            nursery.kill()


class Point(Protocol):
    """A point of the story: strike there; False where all was done, and it did not come."""

    def __call__(self, engine: Engine, strike: Callable[[], None], is_over: Callable[[], bool]) -> bool: ...


def comes(has_come: Callable[[], bool], is_over: Callable[[], bool]) -> bool:
    """Wait for something; False where everything is over before."""
    look_again = monotonic() + LOOK_AGAIN_SECONDS
    while not has_come():
        sleep(0.002)
        if monotonic() > look_again:
            if is_over():
                return has_come()
            look_again = monotonic() + LOOK_AGAIN_SECONDS
    return True


@dataclass(frozen=True)
class Waits:
    """A worker is about to write into a table, or to lock its rows, and waits for the test, which has locked it.

    What it did before in the same transaction is not committed.
    """

    table: str

    def __call__(self, engine: Engine, strike: Callable[[], None], is_over: Callable[[], bool]) -> bool:
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = CAST(:table AS regclass)")
        with engine.connect() as locking, _watching(engine) as watch:
            locking.execute(text(f"LOCK TABLE {self.table} IN EXCLUSIVE MODE"))
            came = comes(lambda: watch(waiting, table=self.table) > 0, is_over)
            if came:
                strike()
            locking.invalidate()  # the server may be gone by now
        return came


@dataclass(frozen=True)
class Seen:
    """Something can be read in the database: a worker has committed it a moment ago."""

    what: str

    def __call__(self, engine: Engine, strike: Callable[[], None], is_over: Callable[[], bool]) -> bool:
        query = text(f"SELECT count(*) FROM {self.what}")
        with _watching(engine) as watch:
            came = comes(lambda: watch(query) > 0, is_over)
            if came:
                strike()
        return came


@contextmanager
def _watching(engine: Engine) -> Iterator[Callable[..., int]]:
    """Count again and again, each time in a transaction of its own."""
    with engine.connect() as connection:

        def watch(query: Any, **parameters: Any) -> int:
            found = int(connection.execute(query, parameters).scalar_one())
            connection.rollback()
            return found

        yield watch
        connection.invalidate()


@dataclass
class Asked:
    """Somebody outside is asked, or told: they strike before they answer."""

    armed: bool = False
    strike: Callable[[], None] = field(default=lambda: None)

    def __call__(self, engine: Engine, strike: Callable[[], None], is_over: Callable[[], bool]) -> bool:
        def is_over_by_now() -> bool:
            try:
                return is_over()
            except OperationalError:  # the one who is asked is just stopping the database, in another thread
                return False

        self.strike, self.armed = strike, True
        came = comes(lambda: not self.armed, is_over_by_now)
        self.armed = False
        return came

    def come(self) -> None:
        """Be asked: the first time after it was armed the worker, or the database, is struck."""
        if self.armed:
            self.strike()
            self.armed = False
