"""Measure the platform against what it is made of, in one run, in turns; write the page."""

import argparse
import csv
import io
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from benchmarks.platform import data
from benchmarks.platform.lag import measure_lag
from benchmarks.platform.page import page
from fivefold.domain.clock import now_microseconds
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.explain.stored import outcome_texts
from fivefold.usecases.collector import spare_what_stays
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.portfolio import read_stored_portfolio
from fivefold.usecases.levels.read import read_level_of_profile
from fivefold.usecases.levels.worker import BATCH_SIZE, PARALLEL_BATCHES, run_batch, warm
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context

VIEWS = 300
Seconds = tuple[float, float]
"""Seconds by the clock, and of the processors."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rounds: int
    customers: int
    parts: int
    lag_seconds: int
    per_second: int


def main() -> None:
    """Measure, and write the page where it is asked for."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--customers", type=int, default=20_000)
    arguments.add_argument("--parts", type=int, default=8, help="parts of 5,000 transactions in a round")
    arguments.add_argument("--lag-seconds", type=int, default=60)
    arguments.add_argument("--per-second", type=int, default=200)
    arguments.add_argument("--write", type=Path)
    options = arguments.parse_args()
    sizes = Sizes(options.rounds, options.customers, options.parts, options.lag_seconds, options.per_second)
    before = os.getloadavg()[0]
    with data.postgresql() as engine:
        actor = data.organise(engine)
        data.activate(engine, actor)
        data.add_customers(engine, actor, sizes.customers)
        warm()
        spare_what_stays()  # as a worker does
        results = {"ingest": measure_ingest(engine, actor, sizes)}
        results["backfill"] = measure_backfill(engine, actor, sizes, anew=True)
        results["unchanged"] = measure_backfill(engine, actor, sizes, anew=False)
        results["views"] = measure_views(engine, actor, sizes)
        results["lag"] = measure_lag(engine, actor, sizes.customers, sizes.per_second, sizes.lag_seconds)
    command = f"python -m benchmarks.platform {' '.join(sys.argv[1:])}"
    written = page(command, sizes, results, (before, os.getloadavg()[0]))
    sys.stdout.write(written)
    if options.write:
        options.write.write_text(written, encoding="utf-8")


def clocked(function: Callable[[], Any], engine: Engine | None = None) -> Seconds:
    """Run something; give seconds by the clock, and of the processors: this process's, and those of *engine*'s server.

    Other work on the machine lengthens the former several times over, and the latter by a little.
    """
    before = _server_seconds(engine)
    clock, processor = time.perf_counter(), time.process_time()
    function()
    took = time.perf_counter() - clock, time.process_time() - processor
    return took[0], took[1] + _server_seconds(engine) - before


def _server_seconds(engine: Engine | None) -> float:
    """Give the processor time that the database's connections have used so far."""
    if engine is None:
        return 0.0
    with engine.connect() as connection:
        ids = connection.scalars(text("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")).all()
    return sum(int(Path(f"/proc/{one}/schedstat").read_text(encoding="ascii").split()[0]) for one in ids) / 1e9


def measure_ingest(engine: Engine, actor: Actor, sizes: Sizes) -> dict[str, Any]:
    """Take transactions, and copy as many into a twin of the table, in turns; seconds for each round."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE copied (LIKE transactions INCLUDING ALL)"))
    ingested: list[Seconds] = []
    copied: list[Seconds] = []
    first = 0
    random = np.random.default_rng(7)
    for _ in range(sizes.rounds + 1):  # the first is not counted
        parts = [
            data.transactions(first + number * data.PART, data.PART, sizes.customers) for number in range(sizes.parts)
        ]
        texts = [_as_csv(part) for part in parts]
        first += sizes.parts * data.PART
        jobs = [partial(_take, engine, actor, parts, ingested), partial(_copy_all, engine, texts, copied)]
        for number in random.permutation(len(jobs)):
            jobs[number]()
    return {"taken": ingested[1:], "copied": copied[1:], "rows": sizes.parts * data.PART}


def _take(engine: Engine, actor: Actor, parts: list[Any], ingested: list[Seconds]) -> None:
    ingested.append(clocked(lambda: [add_transactions(Context(engine, actor), part) for part in parts], engine))


def _copy_all(engine: Engine, texts: list[bytes], copied: list[Seconds]) -> None:
    copied.append(clocked(lambda: [_copy(engine, "copied", part) for part in texts], engine))


def _as_csv(rows: list[dict[str, Any]]) -> bytes:
    """Write the same rows as the table has them, beforehand: that is not measured."""
    frame = pl.DataFrame(rows)
    moments = frame["transaction_date"].str.to_datetime(time_unit="us", time_zone="UTC").cast(pl.Int64)
    table = pl.DataFrame(
        {
            "organisation_id": pl.repeat(1, len(frame), eager=True),
            "transaction_id": frame["transaction_id"],
            "entity_id": frame["user_id"].str.slice(1).cast(pl.Int64) + 1,
            "at_us": moments,
            "recorded_us": moments,
            "amount": frame["transaction_amount"],
            "currency": frame["transaction_currency"],
            "state": pl.repeat(None, len(frame), dtype=pl.String, eager=True),
            "balance": pl.repeat(None, len(frame), dtype=pl.Float64, eager=True),
            "category": pl.repeat(None, len(frame), dtype=pl.String, eager=True),
            "account_created_us": pl.repeat(None, len(frame), dtype=pl.Int64, eager=True),
            "content": pl.Series([f'{{"operation":"{word}"}}' for word in frame["operation"]]),
            "batch": pl.repeat(1, len(frame), dtype=pl.Int64, eager=True),
            "settled_batch": pl.repeat(None, len(frame), dtype=pl.Int64, eager=True),
        }
    )
    return table.write_csv(include_header=False).encode()


def _copy(engine: Engine, table: str, content: bytes) -> None:
    with engine.begin() as connection:
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
            copy.write(content)


STORED = ("assessments", "assessment_inputs", "standings", "transitions", "outbox")


def measure_backfill(engine: Engine, actor: Actor, sizes: Sizes, *, anew: bool) -> dict[str, Any]:
    """Assess everybody by the worker; and by the engine alone, with codes and a COPY of the very same rows.

    *anew*: every assessment is stored, as if it came to something else; otherwise none is, since all come to the same.
    """
    while run_batch(engine) is not None:  # entities due from before
        pass
    worker, parts = [], []
    for _ in range(sizes.rounds):
        before = _highest(engine)
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE due_marks SET due_us = :now, revision = revision + 1, reasons = 4, priority = 1"),
                {"now": now_microseconds()},
            )
            if anew:
                connection.execute(text("UPDATE standings SET digest = NULL"))
            connection.execute(text("ANALYZE"))
        worker.append(clocked(lambda: _drain(engine), engine))
        parts.append(_floor(engine, actor, sizes.customers, before))
    return {"worker": worker, "floor": parts, "entities": sizes.customers}


def _drain(engine: Engine) -> None:
    """Assess everybody as a worker does: some batches side by side."""

    def keep_on() -> None:
        while run_batch(engine) is not None:
            pass

    threads = [Thread(target=keep_on) for _ in range(PARALLEL_BATCHES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _highest(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            "outbox": connection.scalar(text("SELECT coalesce(max(id), 0) FROM outbox")) or 0,
            "number": connection.scalar(text("SELECT coalesce(max(number), 0) FROM assessments")) or 0,
        }


def _floor(engine: Engine, actor: Actor, customers: int, before: dict[str, int]) -> dict[str, Seconds]:
    """Time the three things that a backfill cannot do without, on the same entities and the same rows."""
    analysed = analyse_text(data.RULESET)
    ids = list(range(1, customers + 1))
    now = now_microseconds()
    results: list[Any] = []
    with Session(engine) as session:
        kind = session.execute(text("SELECT id FROM entity_types")).scalar_one()
        portfolios = [
            read_stored_portfolio(
                session, actor.organisation_id, kind, ids[begin : begin + BATCH_SIZE], [analysed], now
            )
            for begin in range(0, customers, BATCH_SIZE)
        ]
    assessed = clocked(lambda: results.extend(assess(analysed, portfolio, now) for portfolio in portfolios))
    coded = clocked(lambda: [outcome_texts(one) for one in results])
    clocks, processors = zip(*(_copy_of(engine, table, before) for table in STORED), strict=True)
    return {"engine": assessed, "codes": coded, "copy": (sum(clocks), sum(processors))}


def _copy_of(engine: Engine, table: str, before: dict[str, int]) -> Seconds:
    """Copy what the worker stored in this round into a twin of its table with the same indexes; seconds."""
    which = {"outbox": f"id > {before['outbox']}", "standings": "true"}.get(table, f"number > {before['number']}")
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS twin_{table} (LIKE {table} INCLUDING ALL)"))
        connection.execute(text(f"TRUNCATE twin_{table}")) if table == "standings" else None
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            rows = cursor.execute(f"SELECT * FROM {table} WHERE {which}").fetchall()
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    content = written.getvalue().encode()
    return clocked(lambda: _copy(engine, f"twin_{table}", content), engine)


def measure_views(engine: Engine, actor: Actor, sizes: Sizes) -> dict[str, Any]:
    """View profiles: of those of whom nothing is new, and of those to whom something just happened."""
    random = np.random.default_rng(5)
    names = [f"c{number}" for number in random.choice(sizes.customers, 2 * VIEWS, replace=False)]
    fresh, stale = names[:VIEWS], names[VIEWS:]
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE due_marks d SET due_us = :now, revision = revision + 1 FROM entities e"
                " WHERE e.id = d.entity_id AND e.external_id = ANY(:names)"
            ),
            {"now": now_microseconds(), "names": stale},
        )
    return {
        name: [
            clocked(lambda one=one: read_level_of_profile(Context(engine, actor), "customer", one))[0] for one in wanted
        ]
        for name, wanted in (("nothing new", fresh), ("something new", stale))
    }
