"""Aggregates over transactions, side by side: the engine of rules, and DuckDB's SQL for the same outputs.

`python -m benchmarks.rules.aggregates` measures both and prints the figures. Each run is a process of its own that
reads the same Parquet files, and the runs take turns. Before that both compute everything once, and must agree to the
bit.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import polars as pl
import pyarrow as pa
from polars.testing import assert_frame_equal
from pydantic import TypeAdapter

from benchmarks.features.plan import Plan
from benchmarks.measure import Measured, measure, read_file
from benchmarks.rules.aggregates_data import AS_OF_US, RATES, entities_path, write_data
from benchmarks.rules.aggregates_sql import query
from fivefold.domain.settings import read_settings
from fivefold.risk.facts.aggregates import aggregate
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.facts.transactions import prepare
from fivefold.risk.language.expressions import Condition, Input, Window, input_key
from fivefold.risk.language.fields import FieldType

assert Condition is not None  # what a condition is, the forms of aggregates know once its module is imported

DECLARED: dict[str, FieldType] = {"operation": "text", "country": "text", "counterparty_id": "text"}
_CASH = {"field": "operation", "equals": "cash"}
_OUT, _IN = ({"field": "direction", "equals": word} for word in ("withdrawal", "deposit"))
_ABROAD = {"field": "country", "not_equals": "DE"}
AGGREGATES = (
    {"count": "transactions", "over": "30 days"},
    {"count": "transactions", "over": "365 days"},
    {"sum": "amount", "over": "182 days", "where": {"all": [_OUT, _CASH]}},
    {"sum": "amount", "over": "365 days", "where": _IN},
    {"sum": "signed_amount", "over": "90 days"},
    {"mean": "amount", "over": "365 days"},
    {"max": "amount", "over": "30 days"},
    {"min": "amount", "over": "365 days", "where": _IN},
    {"count": "transactions", "over": "365 days", "where": _ABROAD},
    {"sum": "amount", "over": "365 days", "where": _ABROAD},
    {"distinct": "counterparty_id", "over": "90 days"},
    {"distinct": "country", "over": "365 days"},
    {"days_since": "transactions", "where": _CASH},
    {"count": "transactions", "over": "90 days", "where": {"field": "state", "equals": "failed"}},
    {"sum": "amount", "over": "365 days", "in_currency": "USD"},
)
"""What both compute; the SQL's columns stand in the same order."""

JOBS = {
    "engine": "benchmarks.rules.aggregates.compute",
    "engine, each entity at its own moment": "benchmarks.rules.aggregates.compute_own_moments",
    "DuckDB": "benchmarks.rules.aggregates.compute_sql",
}


@dataclass(frozen=True)
class Figures:
    """What was measured, by the names of `JOBS`.

    Attributes:
        rows: transactions in the file.
        entities: asked about.
        runs: of every job, in turns.
    """

    rows: int
    entities: int
    runs: dict[str, list[Measured]]

    def seconds(self, job: str) -> float:
        """Give the median wall time of a job."""
        return median(run.seconds for run in self.runs[job])

    def processor_seconds(self, job: str) -> float:
        """Give the median processor time of a job."""
        return median(run.processor_seconds for run in self.runs[job])

    def peak_bytes(self, job: str) -> float:
        """Give the median peak memory of a job's process."""
        return median(run.peak_bytes for run in self.runs[job])


def compute(plan: Plan) -> pl.DataFrame:
    """Compute with the engine, all entities as of one moment."""
    return _engine(plan, pl.lit(plan.as_of))


def compute_own_moments(plan: Plan) -> pl.DataFrame:
    """Compute with the engine, every entity as of another microsecond."""
    return _engine(plan, plan.as_of - pl.int_range(pl.len()))


def _engine(plan: Plan, as_of: pl.Expr) -> pl.DataFrame:
    entities = pl.read_parquet(entities_path(Path(plan.path))).with_columns(as_of.cast(pl.Int64).alias(AS_OF))
    facts = prepare(pl.scan_parquet(plan.path), plan.rates, DECLARED)
    return aggregate(entities, {"transactions": facts}, forms(), {}).rename({ENTITY: "user_id"})


def compute_sql(plan: Plan) -> pl.DataFrame:
    """Compute with DuckDB."""
    import duckdb  # noqa: PLC0415 (the engine's own process has none of it)

    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        table = connection.sql(query(plan)).to_arrow_table()
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def as_arrow(result: pl.DataFrame) -> pa.Table:
    """Give the result as Arrow."""
    return result.to_arrow()


def forms() -> list[Window]:
    """Give the aggregates as the language reads them."""
    form: TypeAdapter[Window] = TypeAdapter(Input)
    return [form.validate_python(written) for written in AGGREGATES]


def figures(rows: int = 10_000_000, rounds: int = 5) -> Figures:
    """Compare, then measure; AssertionError where the outputs differ."""
    path = write_data(rows, read_settings().var / "benchmarks")
    plan = Plan(str(path), AS_OF_US, RATES, ())
    read_file(path)
    entities = compare(plan)
    runs: dict[str, list[Measured]] = {name: [] for name in JOBS}
    with tempfile.TemporaryDirectory() as scratch:
        plan.save(Path(scratch) / "plan.json")
        for number in range(rounds):
            names = [*JOBS]
            for name in names[number % len(names) :] + names[: number % len(names)]:
                runs[name].append(measure(JOBS[name], Path(scratch) / "plan.json"))
    return Figures(rows, entities, runs)


def compare(plan: Plan) -> int:
    """Compute with both and compare every value, to the bit; the number of entities."""
    outputs: list[Callable[[Plan], pl.DataFrame]] = [compute, compute_sql]
    engine, sql = (output(plan) for output in outputs)
    names = [input_key(form) for form in forms()]
    assert engine.columns == ["user_id", *names]
    assert_frame_equal(sql.rename(dict(zip(sql.columns[1:], names, strict=True))), engine, check_exact=True)
    return len(engine)


def main() -> None:
    """Run the benchmark and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="transactions")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turns")
    options = parser.parse_args()
    timed = figures(options.rows, options.rounds)
    print(
        f"{len(AGGREGATES)} aggregates over {timed.rows:,} transactions for {timed.entities:,} entities; same outputs"
    )
    for name in JOBS:
        wall, processor = timed.seconds(name), timed.processor_seconds(name)
        times = timed.seconds("DuckDB") / wall
        peak = timed.peak_bytes(name) / 1e6
        print(f"{name}: {wall:.2f} s, {processor:.2f} s of processors, {peak:.0f} MB; {times:.2f} x DuckDB's speed")


if __name__ == "__main__":
    main()
