"""Ordinary customers from the project's simulator, as prepared transactions, to plant patterns among."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

import polars as pl

from fivefold.risk.facts.patterns import find
from fivefold.risk.language.expressions import input_key
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.risk.facts.patterns.making import NOW, TYPES, UNITS, Fact, pattern_of, people, prepared

CUSTOMERS = 60


@cache
def noise() -> pl.DataFrame:
    """Draw sixty customers over the year before 2024-07-01, each with a dozen counterparties of its own.

    Amounts are taken as if they were in the base currency.
    """
    tables = simulate(Simulation(CUSTOMERS, seed=4, start=date(2023, 7, 1), end=date(2024, 7, 1)))
    rows = pl.concat([pl.DataFrame(table) for table in tables])
    size = (pl.col("transaction_amount").abs() * 100).round().cast(pl.Int64)
    state = pl.col("transaction_state")
    settled = pl.when(state.is_in(["SUCCEEDED", "COMPLETED"])).then(pl.lit("settled"))
    return rows.select(
        pl.col("user_id").alias("entity"),
        pl.col("transaction_date").cast(pl.Int64).alias("time"),
        size.alias("amount"),
        (pl.col("transaction_amount").sign() * size).cast(pl.Int64).alias("signed_amount"),
        pl.when(pl.col("transaction_amount") < 0)
        .then(pl.lit("withdrawal"))
        .otherwise(pl.lit("deposit"))
        .alias("direction"),
        pl.col("transaction_currency").alias("currency"),
        settled.when(state == "PENDING").then(pl.lit("pending")).otherwise(pl.lit("failed")).alias("state"),
        pl.format("{}-{}", "user_id", pl.col("transaction_id").hash(seed=1) % 12).alias("counterparty_id"),
        pl.lit("payments").alias("purpose"),
    ).cast(TYPES)  # type: ignore[arg-type]  # a dictionary of types is what it takes


def found_among(facts: Sequence[Fact], written: Mapping[str, Any], **fields: pl.Series) -> set[str]:
    """Give everybody in whom a pattern is found, as of NOW, when *facts* of a customer called planted are added."""
    names = [*noise()["entity"].unique(maintain_order=True), "planted"]
    everybody = people([(name, NOW) for name in names], **fields)
    added = prepared([{**made, "entity": "planted"} for made in facts])
    pattern = pattern_of(written)
    found = find(everybody, pl.concat([noise().lazy(), added]), pattern, UNITS)
    return set(found.filter(pl.col(input_key(pattern)) > 0)["entity_id"])
