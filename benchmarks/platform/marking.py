"""How long a post of one transaction waits at most while a list changes that is read for 100,000 customers.

    python -m benchmarks.platform.marking
    python -m benchmarks.platform.marking --against OTHER_CHECKOUT --customers 100000 --rounds 3

Each checkout does it in a process of its own, with its own code, over SQLite and over PostgreSQL. A thread posts one
transaction after the other for customers at random; meanwhile another puts a version of the list and marks everybody,
as a worker does. `quiet` is the longest post of some seconds before, in which nothing changes: what the machine alone
does to a post. `changed` is how long the change itself took, `marked` until everybody was marked.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from threading import Event, Thread
from time import perf_counter, sleep
from typing import Any

import numpy as np
from sqlalchemy import Engine

HERE = Path(__file__).resolve().parents[2]
QUIET_SECONDS = 3.0
MEASURES = ("quiet_ms", "longest_ms", "p50_ms", "posts", "changed_ms", "marked_ms")


def main() -> None:
    """Measure, and print the medians."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--against", type=Path, nargs="*", default=[])
    arguments.add_argument("--customers", type=int, default=100_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.measure:
        measure(options.customers, options.rounds)
        return
    print("| checkout | database | " + " | ".join(MEASURES) + " |\n|" + "---|" * (len(MEASURES) + 2))
    for checkout in [*(path.resolve() for path in options.against), HERE]:
        command = [sys.executable, "-m", "benchmarks.platform.marking", "--measure"]
        done = subprocess.run(
            [*command, "--customers", str(options.customers), "--rounds", str(options.rounds)],
            env=os.environ | {"PYTHONPATH": str(checkout / "src")},
            cwd=HERE,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        for line in done.stdout.splitlines():
            database, rounds = json.loads(line)
            medians = [f"{median(each[name] for each in rounds):,.1f}" for name in MEASURES]
            print(f"| {checkout.name} | {database} | " + " | ".join(medians) + " |")


def measure(customers: int, rounds: int) -> None:
    """Measure on both databases; write a line of JSON for each."""
    from benchmarks.platform import data  # noqa: PLC0415 (imports the checkout that is measured)
    from fivefold.store.sql.database import open_database, upgrade  # noqa: PLC0415 (as above)

    with tempfile.TemporaryDirectory(prefix="fivefold-measured-") as folder:
        engine = open_database(f"sqlite:///{folder}/measured.db")
        upgrade(engine)
        print(json.dumps(["SQLite", _rounds(engine, customers, rounds)]), flush=True)
        engine.dispose()
    with data.postgresql() as engine:
        print(json.dumps(["PostgreSQL", _rounds(engine, customers, rounds)]), flush=True)


def _rounds(engine: Engine, customers: int, rounds: int) -> list[dict[str, float]]:
    from benchmarks.platform import data  # noqa: PLC0415 (as above)

    reading = json.loads(data.RULESET)
    reading["rules"][0]["cases"][0]["when"] = {"in_list": "watched"}
    actor = data.organise(engine)
    _put_list(engine, actor)
    data.activate(engine, actor, json.dumps(reading))
    data.add_customers(engine, actor, customers)
    return [_round(engine, actor, customers, number) for number in range(rounds)]


def _round(engine: Engine, actor: Any, customers: int, number: int) -> dict[str, float]:
    from benchmarks.platform import data  # noqa: PLC0415 (as above)
    from fivefold.usecases.ingest.transactions import add_transactions  # noqa: PLC0415 (as above)
    from fivefold.usecases.shared.context import Context  # noqa: PLC0415 (as above)

    taken_ms: list[float] = []
    done = Event()

    def post() -> None:
        random = np.random.default_rng(number)
        for turn in range(10**9):
            if done.is_set():
                return
            (row,) = data.transactions(10**6 * (number + 1) + turn, 1, 1)
            row["user_id"] = f"c{random.integers(customers)}"
            begun = perf_counter()
            add_transactions(Context(engine, actor), [row])
            taken_ms.append(1e3 * (perf_counter() - begun))

    poster = Thread(target=post)
    poster.start()
    while not taken_ms:  # the first post imports what it needs
        sleep(0.1)
    taken_ms.clear()
    sleep(QUIET_SECONDS)
    quiet_ms = max(taken_ms)
    taken_ms.clear()
    begun = perf_counter()
    _put_list(engine, actor)
    changed_ms = 1e3 * (perf_counter() - begun)
    _mark_the_others(engine)
    marked_ms = 1e3 * (perf_counter() - begun)
    done.set()
    poster.join()
    return {
        "quiet_ms": quiet_ms,
        "longest_ms": max(taken_ms),
        "p50_ms": median(taken_ms),
        "posts": len(taken_ms),
        "changed_ms": changed_ms,
        "marked_ms": marked_ms,
    }


def _put_list(engine: Engine, actor: Any) -> None:
    from fivefold.domain.clock import now_microseconds  # noqa: PLC0415 (as above)
    from fivefold.usecases.accounts.lists import list_version, put_list_in  # noqa: PLC0415 (as above)
    from fivefold.usecases.shared.context import Context  # noqa: PLC0415 (as above)

    now = now_microseconds()
    context = Context(engine, actor)
    with context.writing() as session:
        put_list_in(session, context, list_version("watched", now, ["IR", "KP"], "Watched", "measured"), now)


def _mark_the_others(engine: Engine) -> None:
    from fivefold.domain.clock import now_microseconds  # noqa: PLC0415 (as above)

    try:
        from fivefold.usecases.rulesets.activate import advance_markings  # noqa: PLC0415 (as above)
    except ImportError:  # a checkout that marks everybody in the change
        return
    while advance_markings(engine, now_microseconds()):
        pass


if __name__ == "__main__":
    main()
