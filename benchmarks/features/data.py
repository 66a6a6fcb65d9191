"""The benchmark's data: simulated transactions as Parquet, in the order that histories have."""

import hashlib
import inspect
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.features.plan import Plan, wanted_of
from fivefold.domain.clock import to_microseconds
from fivefold.domain.money import RateTable, ecb_rates
from fivefold.features.indicators import CATALOGUE
from fivefold.features.schema import STATES
from fivefold.training.simulation import simulator
from fivefold.training.simulation import traits as simulated_traits

AS_OF = date(2024, 12, 31)
"""The simulation's last day, so that nearly all rows count and yet every engine must leave some out."""

BASE = "EUR"


def plan_of(path: Path) -> Plan:
    """Ask for the whole catalogue, with the European Central Bank's rates of the currencies that occur."""
    ecb = ecb_rates(BASE, AS_OF)
    rates = {code: rate for code, rate in ecb.rates.items() if code in simulated_traits.CURRENCIES}
    used = RateTable(BASE, AS_OF, rates, ecb.source)
    return Plan(str(path), to_microseconds(AS_OF), used, wanted_of(CATALOGUE.indicators))


def write_data(rows: int, folder: Path, *, with_ids: bool) -> Path:
    """Simulate about so many rows, once for each version of the simulator, and tell where they are.

    The file is the simulator's own with the transaction_id, or one without it, in which tied rows stand in the
    order that histories then have.
    """
    sources = "".join(inspect.getsource(module) for module in (simulator, simulated_traits))
    version = hashlib.sha256(sources.encode()).hexdigest()[:8]
    kind = "with_ids" if with_ids else "without_ids"
    path = folder / f"transactions_{rows}_{kind}_{version}.parquet"
    if path.exists():
        return path
    for stale in folder.glob(f"transactions_{rows}_{kind}_*.parquet"):
        stale.unlink()
    simulation = simulator.Simulation(customers=simulator.customers_for(rows))
    if with_ids:
        simulator.write_simulation(simulation, path)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = simulator.SCHEMA.remove(simulator.SCHEMA.get_field_index("transaction_id"))
    unfinished = path.with_suffix(".part")
    with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
        for table in simulator.simulate(simulation):
            writer.write_table(_in_order(table).select(schema.names).cast(schema))
    unfinished.replace(path)
    return path


def _in_order(table: pa.Table) -> pa.Table:
    """Order tied rows as histories do without a transaction_id."""
    keys = [
        pl.col("user_id").rle_id(),
        "transaction_date",
        -pl.col("transaction_amount"),
        "user_balance",
        pl.col("transaction_state").replace_strict(STATES),
        "transaction_currency",
        "user_category",
        "user_created",
    ]
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame.sort(keys, maintain_order=True).to_arrow()
