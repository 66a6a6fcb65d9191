"""Aggregates over transactions, side by side: the engine of rules, and DuckDB's SQL for the same outputs.

`python -m benchmarks.rules.aggregates` measures both and prints the figures. Each run is a process of its own that
reads the same Parquet files, and the runs take turns. Before that both compute everything once, and must agree to the
bit.
"""

import argparse
import hashlib
import inspect
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
import pyarrow as pa
from polars.testing import assert_frame_equal
from pydantic import TypeAdapter

from benchmarks.features.plan import Plan
from benchmarks.measure import Measured, measure, read_file
from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.money import Rate, RateTable, minor_units
from fivefold.domain.settings import read_settings
from fivefold.features.schema import FAILED, PENDING, SETTLED, STATES
from fivefold.risk.facts.aggregates import aggregate
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.facts.transactions import prepare
from fivefold.risk.language.expressions import Condition, Input, Window, input_key
from fivefold.risk.language.fields import FieldType

_WORDS = {SETTLED: "settled", PENDING: "pending", FAILED: "failed"}


def query(plan: Plan) -> str:
    """Write the query for DuckDB: one scan, one grouping.

    `CASE` inside each aggregate takes a quarter less processor time than `FILTER (WHERE ...)` beside it.
    """
    rates = ", ".join(f"('{code}', {rate!r}::DOUBLE, {minor_units(code)})" for code, rate in plan.per_unit.items())
    states = " ".join(f"WHEN '{word}' THEN '{_WORDS[code]}'" for word, code in STATES.items())
    base = plan.rates.base
    return f"""
        WITH rates (code, rate, units) AS (VALUES {rates}),
        read AS (
            SELECT user_id, epoch_us(transaction_date) AS time, transaction_amount AS number, operation, country,
                counterparty_id, code, rate, units,
                CASE upper(coalesce(transaction_state, 'COMPLETED')) {states} END AS state,
                round_even(abs(transaction_amount) * units, 0)::BIGINT AS original
            FROM read_parquet('{plan.path}') JOIN rates ON code = transaction_currency
            WHERE epoch_us(transaction_date) <= {plan.as_of}),
        priced AS (
            SELECT *, CASE WHEN code = '{base}' THEN original
                ELSE round_even(abs(number) * rate * {minor_units(base)}, 0)::BIGINT END AS amount
            FROM read),
        counted AS (SELECT user_id, {", ".join(_columns(plan.as_of))} FROM priced GROUP BY user_id)
        SELECT entity_id AS user_id, {", ".join(_filled())}
        FROM read_parquet('{entities_path(Path(plan.path))}', file_row_number = true)
            LEFT JOIN counted ON user_id = entity_id
        ORDER BY file_row_number
    """


def _columns(as_of: int) -> list[str]:
    def when(days: int, what: str, also: str = "true", state: str = "settled") -> str:
        return f"CASE WHEN state = '{state}' AND time > {as_of - days * DAY_US} AND {also} THEN {what} END"

    latest = "max(CASE WHEN state = 'settled' AND operation = 'cash' THEN time END)"
    expressions = [
        f"count({when(30, '1')})",
        f"count({when(365, '1')})",
        f"sum({when(182, 'amount', 'number < 0 AND operation = $$cash$$')})",
        f"sum({when(365, 'amount', 'number > 0')})",
        f"sum({when(90, 'CASE WHEN number < 0 THEN -amount ELSE amount END')})",
        f"avg({when(365, 'amount')})",
        f"max({when(30, 'amount')})",
        f"min({when(365, 'amount', 'number > 0')})",
        f"count({when(365, '1', 'country <> $$DE$$')})",
        f"sum({when(365, 'amount', 'country <> $$DE$$')})",
        f"count(DISTINCT {when(90, 'counterparty_id')})",
        f"count(DISTINCT {when(365, 'country')})",
        f"({as_of} - {latest})::DOUBLE / {DAY_US}::DOUBLE",
        f"count({when(90, '1', state='failed')})",
        f"sum({when(365, 'original', 'code = $$USD$$')})",
    ]
    return [f"{expression} AS a{number}" for number, expression in enumerate(expressions)]


_COUNTS, _SUMS = (0, 1, 8, 10, 11, 13), (2, 3, 4, 9, 14)


def _filled() -> list[str]:
    """Give counts and sums of nothing as 0, in the types that rules compare."""
    defaults = {number: f"coalesce(a{number}, 0)::DOUBLE" for number in _COUNTS}
    defaults |= {number: f"coalesce(a{number}, 0)::BIGINT" for number in _SUMS}
    return [f"{defaults.get(number, f'a{number}')} AS a{number}" for number in range(15)]


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
