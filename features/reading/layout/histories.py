"""The layout of histories: checked rows are copied to the columns that the kernel reads, and their money converted."""

from functools import lru_cache

import numpy as np
import pyarrow as pa

from fivefold.domain.money import RateTable
from fivefold.features import schema as c
from fivefold.features.histories import Floats, Histories, Integers, Stateless, flags_of
from fivefold.features.reading.fast_columns import column_loops
from fivefold.features.reading.row_order import CheckedRows

FOREVER = np.iinfo(np.int64).max
KINDS = np.array(
    [
        [c.WITHDRAWAL, c.NOTHING, c.DEPOSIT],
        [c.PENDING_ROW] * 3,
        [c.FAILED_ROW] * 3,
    ],
    dtype=np.int8,
)
"""The kind by state (settled, pending, failed) and sign (negative, zero, positive): only settled amounts count."""


def build_histories(
    user_ids: pa.Array, rows: CheckedRows, order: Integers, rates: RateTable, absent: tuple[str, ...]
) -> Histories:
    """Copy checked rows in *order* into histories, and convert their money; *absent* columns were not read."""
    many = len(order)
    offsets = np.zeros(len(user_ids) + 1, dtype=np.int64)
    time, created = np.empty(many, dtype=np.int64), np.empty(many, dtype=np.int64)
    money, small = np.empty((2, many)), np.empty((2, many), dtype=np.int8)
    currency = np.empty(many, dtype=np.int16)
    checked = (rows.customer, rows.time, rows.created, rows.amount, rows.balance, rows.state, rows.currency)
    units = rate_units(rates.units)
    column_loops().lay_out(order, *checked, rows.category, units, KINDS, offsets, time, created, money, small, currency)
    columns = (time, money[0], money[1], small[0], currency, small[1], created)
    unknown = unknown_from(len(user_ids), absent, rows)
    identified = flags_of(rows.identified, order)
    repeats = len(rows.time) - many
    stateless = Stateless.marked(None if rows.stateless is None else rows.stateless[order], time)
    return Histories(user_ids, offsets, *columns, rates.base, absent, unknown, identified, repeats, stateless)


def first_moments(customer: Integers, times: Integers) -> Integers:
    """Return the first moment of each row's customer."""
    first = np.full(int(customer.max(initial=0)) + 1, FOREVER)
    np.minimum.at(first, customer, times)
    return first[customer]


def unknown_from(customers: int, absent: tuple[str, ...], rows: CheckedRows | None = None) -> Integers | None:
    """Find the first moments at which a customer's balance, category or creation is missing; None if none may be.

    Without *rows*, no row lacks a value in a column that the source has.
    """
    missing = None if rows is None else rows.missing
    if missing is None and c.BALANCE not in absent:
        return None
    unknown = np.full((customers, len(c.NULLABLE)), FOREVER)
    if rows is not None and missing is not None:
        for place in range(len(c.NULLABLE)):
            is_missing = missing[:, place]
            np.minimum.at(unknown[:, place], rows.customer[is_missing], rows.time[is_missing])
    if c.BALANCE in absent:
        unknown[:, c.NULLABLE.index(c.BALANCE)] = np.iinfo(np.int64).min
    return unknown


@lru_cache(maxsize=64)
def rate_units(units: tuple[float, ...]) -> Floats:
    """Return the value of one unit of each currency, as an array."""
    return np.array(units)
