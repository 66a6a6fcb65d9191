"""Transactions for the benchmark of aggregates: a log in the order of time, entities mixed as they come."""

import hashlib
import inspect
import sys
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.money import Rate, RateTable
from fivefold.risk.facts.portfolio import ENTITY

FIRST_DAY, LAST_DAY = date(2020, 1, 1), date(2022, 12, 31)
AS_OF_US = to_microseconds(date(2022, 12, 1))
"""A month before the end, so that an engine must leave some rows out."""

ROWS_AN_ENTITY = 40
_RATES = {"GBP": 1.15, "JPY": 0.0063, "PLN": 0.23, "USD": 0.9}
RATES = RateTable("EUR", LAST_DAY, {code: Rate(rate, LAST_DAY) for code, rate in _RATES.items()}, "made up")

_SHARES = {
    "transaction_currency": {"EUR": 0.7, "USD": 0.12, "GBP": 0.08, "PLN": 0.06, "JPY": 0.04},
    "transaction_state": {"SUCCEEDED": 0.6, "COMPLETED": 0.3, "PENDING": 0.04, "FAILED": 0.04, "REJECTED": 0.02},
    "operation": {"card": 0.5, "transfer": 0.3, "cash": 0.1, "direct debit": 0.1},
    "country": {"DE": 0.8, "FR": 0.05, "NL": 0.04, "PL": 0.03, "US": 0.03, "TR": 0.02, "AE": 0.02, "IR": 0.01},
}


def write_data(rows: int, folder: Path) -> Path:
    """Make the transactions once for each version of this file, and the entities beside them."""
    version = hashlib.sha256(inspect.getsource(sys.modules[__name__]).encode()).hexdigest()[:8]
    path = folder / f"rules_transactions_{rows}_{version}.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(f"rules_transactions_{rows}_*.parquet"):
            stale.unlink()
        entities = pl.DataFrame({ENTITY: [f"customer-{number:06d}" for number in range(rows // ROWS_AN_ENTITY)]})
        entities.write_parquet(entities_path(path))
        unfinished = path.with_suffix(".part")
        _transactions(rows, entities[ENTITY]).write_parquet(unfinished)
        unfinished.replace(path)
    return path


def entities_path(path: Path) -> Path:
    """Tell where the entities of a file of transactions are: all of them, some without a transaction."""
    return path.with_name(f"{path.stem}_entities.parquet")


def _transactions(rows: int, entities: pl.Series) -> pl.DataFrame:
    draws = np.random.default_rng(7)
    # A few are very busy and many hardly at all, each with some regular counterparties.
    owner = (draws.pareto(1.5, rows) * len(entities) / 20).astype(np.int64) % len(entities)
    counterparty = (owner * 7919 + np.minimum(draws.geometric(0.15, rows), 60) * 31_337) % 1_000_000
    span_us = to_microseconds(LAST_DAY) - to_microseconds(FIRST_DAY) + DAY_US
    times = np.sort(to_microseconds(FIRST_DAY) + draws.integers(0, span_us, rows))
    sizes = np.round(np.exp(draws.normal(4, 1.5, rows)), 2)
    words = {
        name: pl.Series([*shares]).gather(draws.choice(len(shares), rows, p=[*shares.values()]))
        for name, shares in _SHARES.items()
    }
    return pl.DataFrame(
        {
            "user_id": entities.gather(owner),
            "transaction_amount": np.where(draws.random(rows) < 0.45, sizes, -sizes),
            "transaction_date": pl.Series(times).cast(pl.Datetime("us")),
            "counterparty_id": pl.Series([f"p{number:07d}" for number in range(1_000_000)]).gather(counterparty),
            **words,
        }
    )
