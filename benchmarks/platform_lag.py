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

from benchmarks import platform_data as data
from domain.clock import now_microseconds
from usecases.actors import Actor
from usecases.ingest_transactions import add_transactions

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.02
LONGEST_SECONDS = 60
SENDERS = 4
SEEN_AGAIN_US = 60_000_000


def measure_lag(engine: Engine, actor: Actor, customers: int, per_second: int, seconds: int) -> dict[str, Any]:
    """Send transactions one by one at a steady rate, each a call of its own; see when each one's level is stored.

    Lag is from before the call to when a poller, every 20 ms, first sees an assessment whose as-of is after it.
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
        [sys.executable, "-m", "cli.main", "worker"], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL
    )


def _until_it_works(engine: Engine, actor: Actor) -> None:
    add_transactions(engine, actor, data.transactions(2 * 10**9, 1, 1))
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
    sent: dict[str, list[tuple[int, int]]] = {}
    lags: list[float] = []
    late: list[float] = []
    lock, done = threading.Lock(), threading.Event()

    def send(first: int, begin: float) -> None:
        for number in range(first, len(rows), SENDERS):
            pause = begin + number / per_second - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            else:
                late.append(-pause)
            row = rows[number] | {"transaction_date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())}
            before = now_microseconds()
            add_transactions(engine, actor, [row])
            with lock:
                sent.setdefault(row["user_id"], []).append((before, now_microseconds()))

    def poll() -> None:
        seen = now_microseconds()
        while not (done.is_set() and not sent) and time.monotonic() < ends:
            with engine.connect() as connection:
                made = connection.execute(
                    text(
                        "SELECT e.external_id, s.assessed_us FROM standings s JOIN entities e ON e.id = s.entity_id"
                        " WHERE s.assessed_us > :seen"
                    ),
                    {"seen": seen - SEEN_AGAIN_US},
                ).all()
            now = now_microseconds()
            with lock:
                for name, as_of in made:
                    waiting = sent.get(name, [])
                    met = [pair for pair in waiting if pair[1] <= as_of]
                    lags.extend((now - before) / 1e6 for before, _ in met)
                    left = [pair for pair in waiting if pair[1] > as_of]
                    if left:
                        sent[name] = left
                    else:
                        sent.pop(name, None)
            seen = now
            time.sleep(POLL_SECONDS)

    begin = time.monotonic() + 0.5
    ends = begin + len(rows) / per_second + LONGEST_SECONDS
    senders = [threading.Thread(target=send, args=(number, begin)) for number in range(SENDERS)]
    poller = threading.Thread(target=poll)
    poller.start()
    for thread in senders:
        thread.start()
    for thread in senders:
        thread.join()
    took = time.monotonic() - begin
    done.set()
    poller.join()
    left = sum(map(len, sent.values()))
    return {
        "p50": float(np.quantile(lags, 0.5)),
        "p99": float(np.quantile(lags, 0.99)),
        "largest": max(lags),
        "sent": len(rows),
        "seen": len(lags),
        "left": left,
        "per_second": len(rows) / took,
    }
