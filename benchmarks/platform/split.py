"""Where the processor time of an assessment goes: each step of a batch on its own, from SQLite, warm.

    python -m benchmarks.platform.split

Two checkouts are compared by running it in each, in turns.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from benchmarks.platform import data
from fivefold.domain.clock import from_microseconds, now_microseconds
from fivefold.domain.money import ecb_rates
from fivefold.features.indicator_matrix import indicator_matrix
from fivefold.features.stored import stored_histories
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.inputs import Needs, sources_of
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.store.levels import bulk_reads
from fivefold.store.sql.database import open_database, upgrade
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.portfolio import read_stored_portfolio, read_transactions
from fivefold.usecases.levels.worker import BATCH_SIZE
from fivefold.usecases.shared.context import Context


def microseconds(customers: int, rounds: int, step: Callable[[], Any]) -> float:
    """Give the median processor time of a step for one customer of a batch."""
    times = []
    for _ in range(rounds):
        begun = process_time()
        step()
        times.append(1e6 * (process_time() - begun) / customers)
    return median(times)


def steps(customers: int, rows: int, rounds: int) -> dict[str, float]:
    """Time the steps of one batch of customers with *rows* transactions each, microseconds for each customer."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'platform.db'}")
        upgrade(engine)
        actor = data.organise(engine)
        data.add_customers(engine, actor, customers)
        for first in range(0, rows * customers, data.PART):
            rows_of_part = data.transactions(first, min(data.PART, rows * customers - first), customers)
            whole = {"user_balance": 500.0, "user_created": "2020-01-01", "user_category": "WEB"}
            add_transactions(Context(engine, actor), [{**row, **whole} for row in rows_of_part])
        analysed, now = analyse_text(data.RULESET), now_microseconds()
        needs = Needs(analysed.inputs, analysed.signals, analysed.names)
        rates = ecb_rates("EUR", from_microseconds(now).date())
        ids = list(range(1, customers + 1))
        with Session(engine) as session:
            whose = bulk_reads.fact_owners(session, ids)
            stored = read_transactions(session, whose, now, for_value=True)
            histories = stored_histories(stored, rates)
            of = (session, actor.organisation_id, 1, ids, [analysed], now)
            portfolio = read_stored_portfolio(*of, stored=stored)
            functions = {
                "read from the table": lambda: read_transactions(session, whose, now, for_value=True),
                "histories": lambda: stored_histories(stored, rates),
                "kernel": lambda: indicator_matrix(histories, now),
                "frames for the rules": lambda: read_stored_portfolio(*of, stored=stored),
                "transactions for the rules": lambda: _collected(needs, portfolio),
                "rules": lambda: assess(analysed, portfolio, now),
            }
            times = {name: microseconds(customers, rounds, step) for name, step in functions.items()}
        engine.dispose()
    return times


def _collected(needs: Needs, portfolio: Portfolio) -> pl.DataFrame:
    return sources_of(needs, portfolio)["transactions"].rows.collect()


def main() -> None:
    """Time and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--customers", type=int, default=BATCH_SIZE)
    arguments.add_argument("--rows", type=int, default=40)
    arguments.add_argument("--rounds", type=int, default=15)
    options = arguments.parse_args()
    for name, time_us in steps(options.customers, options.rows, options.rounds).items():
        print(f"{name:28} {time_us:7.1f} us")


if __name__ == "__main__":
    main()
