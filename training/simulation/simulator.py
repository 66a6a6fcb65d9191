"""A portfolio of simulated fintech customers, whose transactions look like the API's own rows.

People and businesses join, get salaries, pay, save, pause, come back and leave; what they will be worth follows
from what they did, but not by repeating it. Chunks of whole customers are drawn independently of one another,
so memory stays small at any size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.domain.parts import Parts, numbered
from fivefold.features.ahead import work_ahead
from fivefold.features.arrow_files import read_table, write_table
from fivefold.training.simulation.traits import (
    CURRENCIES,
    UNITS_PER_EURO,
    WEEK_DAYS,
    Draws,
    Events,
    Flags,
    Floats,
    Integers,
    Traits,
    draw_traits,
    everyday_events,
    scheduled_events,
    weekly_pace,
)

SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("transaction_id", pa.string()),
        ("transaction_state", pa.string()),
        ("transaction_currency", pa.string()),
        ("user_balance", pa.float64()),
        ("transaction_amount", pa.float64()),
        ("user_created", pa.timestamp("us")),
        ("user_category", pa.string()),
        ("transaction_date", pa.timestamp("us")),
    ]
)
"""The API's own columns; times are UTC without a zone."""

CHUNK_ROWS = 500_000
CHUNK_CUSTOMERS_MOST = 20_000
"""A chunk is bounded by rows and by customers, so that memory is too."""

PILOT_CUSTOMERS = 20_000
PILOT_CHUNK = 2**32 - 1
"""A chunk that is never written: it measures how many rows the mean customer gets in the simulated time."""

STATES = ("SUCCEEDED", "COMPLETED", "PENDING", "FAILED", "REJECTED", "EXPIRED", "CANCELLED")
SUCCEEDED, COMPLETED, PENDING, FAILED = range(4)
FAILURES_UP_TO = (0.5, 0.75, 0.9)
"""Half of the failures are FAILED, a quarter REJECTED, and so on in the order of STATES."""

PENDING_SHARE = 0.003
TIED_SHARE = 0.015
ZERO_SHARE = 0.002
SECOND_CURRENCY_SHARE = 0.25
"""Shares of rows; the last among customers who have a second currency."""

DRAWN_DOWN_SHARE = 0.12
"""Each withdrawal also takes this share of the balance above the customer's target: large deposits melt away."""

WORTH_WITHDRAWING_SHARE = 0.2
"""A customer who could withdraw less than this share of the wanted amount makes a deposit instead."""

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Simulation:
    """What to simulate; ConfigError if that is impossible.

    Attributes:
        customers: number of customers; each has at least one row.
        seed: the same seed gives the same customers, and fewer customers are the first of more.
        start: the first day of rows, UTC.
        end: the day after the last; at least 28 days later.
        rows_per_customer_mean: approximate; some customers have a row or two, a few some thirty times the mean.
    """

    customers: int
    seed: int = 1
    start: date = date(2023, 1, 1)
    end: date = date(2025, 1, 1)
    rows_per_customer_mean: float = 40.0

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        if self.customers < 1:
            raise ConfigError(f"customers is {self.customers}; it must be 1 or more")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; it must be 0 or more")
        if self.end_day - self.start_day < 28:
            raise ConfigError(f"end is {self.end}; it must be 28 days or more after start, {self.start}")
        if not 8 <= self.rows_per_customer_mean <= 1000:
            raise ConfigError(f"rows_per_customer_mean is {self.rows_per_customer_mean}; allowed: 8 to 1000")

    @property
    def start_day(self) -> int:
        """The first day, counted from 1970-01-01."""
        return (self.start - date(1970, 1, 1)).days

    @property
    def end_day(self) -> int:
        """The day after the last, counted from 1970-01-01."""
        return (self.end - date(1970, 1, 1)).days

    @property
    def mondays(self) -> Integers:
        """The first day of each week that has a simulated day, counted from 1970-01-01."""
        return np.arange(self.start_day - self.start.weekday(), self.end_day, WEEK_DAYS, dtype=np.int64)

    @property
    def chunk_customers(self) -> int:
        """Customers in each chunk but the last."""
        return min(CHUNK_CUSTOMERS_MOST, int(CHUNK_ROWS / self.rows_per_customer_mean))


def customers_for(rows: int) -> int:
    """Return the number of customers who have about *rows* rows, by the default mean of `Simulation`.

    >>> customers_for(1_000_000), customers_for(1)
    (25000, 1)
    """
    return max(1, round(rows / Simulation.rows_per_customer_mean))


def simulate(simulation: Simulation, parts: Parts | None = None) -> Iterator[pa.Table]:
    """Draw the transactions, a chunk of whole customers at a time; threads draw the next chunks.

    Chunks that are finished in *parts* are read from there, and others are kept there.

    Yields:
        Tables of SCHEMA; a customer's rows are adjacent, in the order of time and, within a tie, of transaction_id.
        A balance is that of the customer's one account after the row, in the row's currency; rows that are not settled
        leave the account as it was. ``UNITS_PER_EURO`` is the rate between a customer's two currencies.

    >>> [table.num_columns for table in simulate(Simulation(customers=3))]
    [9]
    """
    draw = partial(_kept_chunk, simulation, _weekly_rows(simulation), parts)
    return work_ahead(draw, range(-(-simulation.customers // simulation.chunk_customers)))


def write_simulation(simulation: Simulation, path: Path, parts: Parts | None = None) -> int:
    """Write the transactions to one Parquet file, grouped by customer; return the number of rows.

    The file appears whole or not at all: it is written under another name and renamed at the end. Chunks finished in
    *parts* are not drawn again; by default there is nothing to continue. Missing folders are made; OSError if that or
    the writing fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = 0
    with (
        replacing(path) if parts is None else parts.publishing() as unfinished,
        pq.ParquetWriter(unfinished, SCHEMA, compression="zstd") as writer,
        tqdm(total=simulation.customers, desc="simulate", unit=" customers", disable=None) as progress,
    ):
        for table in simulate(simulation, parts):
            writer.write_table(table)  # a row group a chunk; pyarrow splits above 1 M rows
            rows += table.num_rows
            progress.update(min(simulation.chunk_customers, simulation.customers - progress.n))
    return rows


def _kept_chunk(simulation: Simulation, weekly_rows: float, parts: Parts | None, chunk: int) -> pa.Table:
    """Return one chunk, as kept, or else drawn now and kept."""
    name = numbered("customers", chunk)
    if parts is not None and (finished := parts.find(name)) is not None:
        return read_table(finished)
    first = chunk * simulation.chunk_customers
    customers = min(simulation.chunk_customers, simulation.customers - first)
    table = _draw_chunk(Draws(simulation.seed, chunk), simulation, weekly_rows, first, customers)
    if parts is not None:
        with parts.writing(name) as path:
            write_table(path, table)
    return table


def _weekly_rows(simulation: Simulation) -> float:
    """Compute the unscheduled rows a week that the mean customer needs to reach `rows_per_customer_mean`."""
    draws = Draws(simulation.seed, PILOT_CHUNK)
    traits = draw_traits(draws, PILOT_CUSTOMERS, simulation.start_day, simulation.end_day)
    dated = scheduled_events(draws, traits, simulation.mondays)
    scheduled = float(_possible(dated, traits, simulation).sum()) / PILOT_CUSTOMERS
    mondays = simulation.mondays
    days = np.minimum(mondays + WEEK_DAYS, simulation.end_day) - np.maximum(mondays, simulation.start_day)
    weeks = float((weekly_pace(draws, traits, mondays) @ (days / WEEK_DAYS)).mean())
    # Rounded, so that the last bits of a sum, which differ between machines, change no row.
    return round(max(simulation.rows_per_customer_mean - scheduled, 1.0) / weeks, 6)


def _draw_chunk(draws: Draws, simulation: Simulation, weekly_rows: float, first: int, customers: int) -> pa.Table:
    """Draw one chunk: what customers want to do, whether it succeeds, and the rows that result."""
    traits = draw_traits(draws, customers, simulation.start_day, simulation.end_day)
    everyday = everyday_events(draws, traits, simulation.mondays, weekly_rows)
    scheduled = scheduled_events(draws, traits, simulation.mondays)
    events = _in_order(draws, traits, simulation, everyday, scheduled)
    state = _draw_states(draws, traits.failure_share[events.customer])
    cents, balance_cents = _move_money(traits, events, state == SUCCEEDED)
    paid_out = (cents < 0) | ((cents == 0) & events.withdrawal)
    state[(state == SUCCEEDED) & paid_out] = COMPLETED
    second = draws.chosen(len(cents), SECOND_CURRENCY_SHARE) & ~_first_rows(events.customer)
    currency = np.where(second, traits.second_currency[events.customer], traits.currency[events.customer])
    units = UNITS_PER_EURO[currency] / UNITS_PER_EURO[traits.currency[events.customer]]
    user_id = _number_texts("user_", np.arange(first + 1, first + customers + 1), 6)
    columns = [
        user_id.take(pa.array(events.customer)),
        _transaction_ids(user_id, events.customer),
        pa.array(STATES).take(pa.array(state)),
        pa.array(CURRENCIES).take(pa.array(currency)),
        pa.array(np.rint(balance_cents * units) / 100),
        pa.array(np.rint(cents * units) / 100),
        _timestamps(traits.joined_day).take(pa.array(events.customer)),
        pa.array(("WEB", "API")).take(pa.array(traits.business[events.customer].astype(np.int8))),
        _timestamps(events.day),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _possible(events: Events, traits: Traits, simulation: Simulation) -> Flags:
    """Mark the events within the simulated time and within the customer's own."""
    leaving = np.minimum(traits.leaving_day, simulation.end_day)
    return (events.day >= traits.active_day[events.customer]) & (events.day < leaving[events.customer])


def _in_order(draws: Draws, traits: Traits, simulation: Simulation, everyday: Events, scheduled: Events) -> Events:
    """Merge the possible events by customer and time, tie some times and make some amounts zero."""
    rows = [np.flatnonzero(_possible(events, traits, simulation)) for events in (everyday, scheduled)]
    customer, day, withdrawal, size = (
        np.concatenate([getattr(everyday, name)[rows[0]], getattr(scheduled, name)[rows[1]]])
        for name in ("customer", "day", "withdrawal", "size")
    )
    order = np.lexsort((day, customer))
    customer, day = customer[order], day[order]
    tied = draws.chosen(len(order), TIED_SHARE) & ~_first_rows(customer)
    origin = np.maximum.accumulate(np.where(tied, 0, np.arange(len(order))))
    is_zero = draws.chosen(len(order), ZERO_SHARE)
    return Events(customer, day[origin], withdrawal[order], np.where(is_zero, 0.0, size[order]))


def _first_rows(customer: Integers) -> Flags:
    """Mark each customer's first row: it ties with none, and is in the main currency."""
    first: Flags = np.diff(customer, prepend=-1) != 0
    return first


def _draw_states(draws: Draws, failure_share: Floats) -> Integers:
    """Draw each row's position in STATES, SUCCEEDED standing for all that are settled."""
    count = len(failure_share)
    failure = FAILED + np.searchsorted(FAILURES_UP_TO, draws.uniform(count), side="right")
    state = np.where(draws.chosen(count, PENDING_SHARE), PENDING, SUCCEEDED)
    return np.where(draws.uniform(count) < failure_share, failure, state)


def _move_money(traits: Traits, events: Events, settled: Flags) -> tuple[Floats, Floats]:
    """Play the events of every customer side by side, the first of each, then the second, and so on.

    Returns:
        Signed amounts and the balances after them, in whole cents of the main currency, each of shape (events,);
        float64 holds whole cents exactly up to 9e13.
    """
    counts = np.bincount(events.customer, minlength=len(traits.pace))
    busiest_first = np.argsort(-counts, kind="stable")
    first_row = (np.cumsum(counts) - counts)[busiest_first]
    still_active = np.searchsorted(np.sort(counts), np.arange(counts.max()), side="right")
    cents = np.rint([traits.opening_balance, traits.target_balance, traits.overdraft, traits.deposit_size])
    balance, target, overdraft, usual = 100 * cents[:, busiest_first]
    requested_cents = 100 * events.size
    amounts, balances = np.empty(len(settled)), np.empty(len(settled))
    for step, finished in enumerate(still_active):
        active = slice(0, len(counts) - finished)
        row = first_row[active] + step
        current, requested, withdrawal = balance[active], requested_cents[row], events.withdrawal[row]
        room = current + overdraft[active]
        able = withdrawal & ((room >= WORTH_WITHDRAWING_SHARE * requested) | np.isinf(requested))
        above = np.maximum(current - target[active], 0.0) * (requested > 0)
        paid_out = np.rint(np.minimum(requested + DRAWN_DOWN_SHARE * above, room))
        paid_in = np.rint(np.minimum(requested, np.where(withdrawal, usual[active], np.inf)))
        moved = np.where(able, 0.0 - paid_out, paid_in)
        current += moved * settled[row]
        amounts[row], balances[row] = moved, current
    return amounts, balances


def _number_texts(prefix: str, numbers: Integers, digits: int) -> pa.Array:
    """Write numbers with leading zeros after a prefix.

    >>> _number_texts("user_", np.array([7]), 6).to_pylist()
    ['user_000007']
    """
    text = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), digits, "0")
    return pc.binary_join_element_wise(prefix, text, "")


def _transaction_ids(user_id: pa.Array, customer: Integers) -> pa.Array:
    """Name each row after its customer and its place among the customer's rows, so that ids sort as rows do."""
    counts = np.bincount(customer, minlength=len(user_id))
    place = np.arange(len(customer)) - np.repeat(np.cumsum(counts) - counts, counts)
    places = _number_texts("_", np.arange(1, counts.max() + 1), 5)
    return pc.binary_join_element_wise(user_id.take(pa.array(customer)), places.take(pa.array(place)), "")


def _timestamps(day: Floats) -> pa.Array:
    """Turn days into timestamps in whole milliseconds."""
    time_us = np.floor(day * DAY_MS).astype(np.int64) * 1000
    return pa.array(time_us).cast(pa.timestamp("us"))
