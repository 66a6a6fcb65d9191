"""Stored transactions as histories: they were checked when they were stored, and are laid out without another check."""

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from fivefold.domain.money import RateTable
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.reading.columns import ErrorCollector
from fivefold.features.reading.fast_columns import string_column
from fivefold.features.reading.layout.histories import build_histories, first_moments
from fivefold.features.reading.row_order import CheckedRows, sorted_row_numbers

_COLUMNS = {"balance": c.BALANCE, "category": c.CATEGORY, "account_created_us": c.CREATED}
"""The columns that a row may lack, with the API's names."""
_STATES, _CATEGORIES = pl.Enum([*c.STATES]), pl.Enum([*c.CATEGORIES])
_STATE_CODES = np.array([*c.STATES.values()], dtype=np.int16)


def stored_histories(rows: pl.DataFrame, rates: RateTable, absent: tuple[str, ...] | None = None) -> Histories:
    """Lay out stored transactions; entities with a transaction in a currency without a rate are left out.

    A row may lack balance, account or channel: an indicator that reads it is undefined from then on.

    Args:
        rows: `entity`, `transaction_id`, `at_us`, `amount`, `currency`, `state`, `balance`, `category` and
            `account_created_us` as they are stored; no entity has an identifier twice.
        rates: converts money.
        absent: columns of `features.schema.ABSENT` that the model does not read (`ValueModel.absent`).
    """
    currency = rows["currency"].cast(pl.Enum(rates.codes), strict=False).to_physical()
    if currency.null_count():
        convertible = ~rows["entity"].is_in(rows["entity"].filter(currency.is_null()).unique().implode())
        rows, currency = rows.filter(convertible), currency.filter(convertible)
    unread = tuple(name for name in _COLUMNS.values() if name in (absent or ()))
    entities = rows["entity"].unique(maintain_order=True)
    customer = rows["entity"].replace_strict(entities, np.arange(len(entities)), return_dtype=pl.Int64).to_numpy()
    time = rows["at_us"].to_numpy()
    checked = CheckedRows(
        customer,
        time,
        rows["amount"].to_numpy(),
        np.zeros(len(rows)) if c.BALANCE in unread else rows["balance"].fill_null(0.0).to_numpy(),
        _STATE_CODES[rows["state"].cast(_STATES).to_physical().fill_null(0).to_numpy()],
        _codes(currency),
        np.full(len(rows), c.CATEGORIES["WEB"], dtype=np.int16)
        if c.CATEGORY in unread
        else _codes(rows["category"].cast(_CATEGORIES).to_physical().fill_null(0)),
        first_moments(customer, time) if c.CREATED in unread else rows["account_created_us"].fill_null(0).to_numpy(),
        string_column(rows["transaction_id"].to_arrow(compat_level=pl.CompatLevel.oldest())),
        np.column_stack([rows[column].is_null() & (name not in unread) for column, name in _COLUMNS.items()]),
        rows["state"].is_null().to_numpy(),
    )
    names = entities.cast(pl.String).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
    return build_histories(names, checked, sorted_row_numbers(checked, ErrorCollector()), rates, unread)


def _codes(codes: pl.Series) -> npt.NDArray[np.int16]:
    return codes.cast(pl.Int16).to_numpy()
