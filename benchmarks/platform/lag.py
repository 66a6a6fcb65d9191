"""How long it takes from a transaction to the level that knows of it, under a steady stream."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, text

from benchmarks.platform import data
from fivefold.domain.clock import now_microseconds
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.02
LONGEST_SECONDS = 60
SENDERS = 2
PART = 10
"""Transactions in a call: what happened in a twentieth of a second."""


def measure_lag(engine: Engine, actor: Actor, customers: int, per_second: int, seconds: int) -> dict[str, Any]:
    """Send transactions at a steady rate, in calls of ten; see when each one's level is stored.

    Lag is from before the call to when a poller, every 20 ms, first sees that nothing is left to do for its customer.
    """
    with tempfile.TemporaryDirectory() as folder:
        worker = _worker(engine, Path(folder))
        try:
            _until_it_works(engine, actor)
            rows = data.transactions(10**9, per_second * seconds, customers)
            return _stream(engine, actor, rows, per_second)
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)


def _worker(engine: Engine, folder: Path) -> "subprocess.Popen[bytes]":
    url = engine.url.render_as_string(hide_password=False)
    environment = {**os.environ, "FIVEFOLD_DATABASE_URL": url, "FIVEFOLD_VAR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "fivefold.cli.main", "worker"], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL
    )


def _until_it_works(engine: Engine, actor: Actor) -> None:
    add_transactions(Context(engine, actor), data.transactions(2 * 10**9, 1, 1))
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        with engine.connect() as connection:
            if not connection.scalar(
                text("SELECT count(*) FROM due_marks WHERE due_us <= :now"), {"now": now_microseconds()}
            ):
                return
        time.sleep(0.1)
    raise RuntimeError("the worker did not start")


def _stream(engine: Engine, actor: Actor, rows: list[dict[str, Any]], per_second: int) -> dict[str, Any]:
    stream = _Stream(engine, actor, rows, per_second)
    poller = threading.Thread(target=stream.poll)
    senders = [threading.Thread(target=stream.send, args=(number,)) for number in range(SENDERS)]
    for thread in (poller, *senders):
        thread.start()
    for thread in senders:
        thread.join()
    took = time.monotonic() - stream.begin
    stream.done.set()
    poller.join()
    return {
        "p50": float(np.quantile(stream.lags, 0.5)),
        "p99": float(np.quantile(stream.lags, 0.99)),
        "largest": max(stream.lags),
        "sent": len(rows),
        "left": sum(map(len, stream.pending.values())),
        "per_second": len(rows) / took,
    }


class _Stream:
    """Transactions on their way: who was sent what when, and is not seen yet."""

    def __init__(self, engine: Engine, actor: Actor, rows: list[dict[str, Any]], per_second: int) -> None:
        self._engine, self._actor, self._rows, self._per_second = engine, actor, rows, per_second
        self._lock = threading.Lock()
        self.pending: dict[str, list[int]] = {}
        self.lags: list[float] = []
        self.done = threading.Event()
        self.begin = time.monotonic() + 0.5
        self._ends = self.begin + 4 * len(rows) / per_second + LONGEST_SECONDS

    def send(self, first: int) -> None:
        """Send every so many-th part when its time has come."""
        for begin in range(first * PART, len(self._rows), SENDERS * PART):
            time.sleep(max(0.0, self.begin + begin / self._per_second - time.monotonic()))
            now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
            part = [row | {"transaction_date": now} for row in self._rows[begin : begin + PART]]
            before = now_microseconds()
            add_transactions(Context(self._engine, self._actor), part)
            with self._lock:
                for row in part:
                    self.pending.setdefault(row["user_id"], []).append(before)

    def poll(self) -> None:
        """See whose marks are cleared: a level that knows of everything that was stored for them."""
        fresh = text(
            "SELECT e.external_id FROM due_marks d JOIN entities e ON e.id = d.entity_id"
            " WHERE e.external_id = ANY(:names) AND d.lease IS NULL AND d.due_us > :now"
        )
        while not (self.done.is_set() and not self.pending) and time.monotonic() < self._ends:
            with self._lock:
                counts = {name: len(moments) for name, moments in self.pending.items()}
            with self._engine.connect() as connection:
                names = connection.scalars(fresh, {"names": list(counts), "now": now_microseconds()}).all()
            self._see({name: counts[name] for name in names}, now_microseconds())
            time.sleep(POLL_SECONDS)

    def _see(self, counts: dict[str, int], now: int) -> None:
        with self._lock:
            for name, count in counts.items():
                self.lags += [(now - before) / 1e6 for before in self.pending[name][:count]]
                left = self.pending.pop(name)[count:]
                if left:
                    self.pending[name] = left
