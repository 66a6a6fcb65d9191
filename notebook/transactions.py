"""Transactions as a notebook has them: a file, or a data frame of pandas, Polars or Arrow."""

from collections.abc import Mapping
from datetime import MAXYEAR, date
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from fivefold.domain.clock import day_text, now_microseconds, parse_moment, to_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.domain.money import RateTable, ecb_rates, is_currency_code
from fivefold.domain.text import count_text, html_table
from fivefold.features.catalogue.own import OwnIndicators, read_own_indicators
from fivefold.features.catalogue.probe import check_own_indicators
from fivefold.features.histories import Histories
from fivefold.features.indicator_matrix import catalogue, indicator_matrix, select_columns
from fivefold.features.reading.sources import read_histories
from fivefold.features.reading.tables import Source
from fivefold.features.reading.text_files import ColumnMap, MappedFile
from fivefold.models.reach import stateless_text
from fivefold.notebook.words import in_words_of_python, whole_number
from fivefold.training.simulation.simulator import Simulation
from fivefold.training.simulation.simulator import simulate as simulated_tables

Frame: TypeAlias = pd.DataFrame | pl.DataFrame | pa.Table | list[dict[str, Any]]
Moment: TypeAlias = str | date | np.datetime64 | None
"""An ISO date or time as text, or one of Python, pandas or NumPy; UTC if it has no zone. None is now."""


class Transactions:
    """Transactions whose every row has been checked, from `read_transactions`.

    Attributes:
        source: the file or the data frame, its columns by our names.
        customers: the number of customers.
        rows: the number of rows.
        first, last: the days of the first and the last row; None without a row.
        absent: columns that the source lacks and a model can do without.
        stateless: the number of rows without a state, if the source has the column.
    """

    def __init__(self, source: Source, currency: str) -> None:
        """Read and check every row; errors are those of `read_transactions`."""
        self.source = source
        histories = checked_histories(source, _rates_today(currency))
        self.customers, self.rows, self.absent = histories.customers, histories.rows, histories.absent
        self.stateless = histories.stateless
        self.first = day_text(int(histories.time.min())) if self.rows else None
        self.last = day_text(int(histories.time.max())) if self.rows else None

    def __repr__(self) -> str:
        """Describe the counts, the days, and what is missing."""
        days = f", {self.first} to {self.last}" if self.rows else ""
        lacks = f", without {', '.join(self.absent)}" if self.absent else ""
        states = f"; {text}" if (text := stateless_text(self.stateless, self.rows)) else ""
        return (
            f"{count_text(self.rows, 'transaction')} of {count_text(self.customers, 'customer')}{days}{lacks}{states}"
        )

    def _repr_html_(self) -> str:
        """Show the same in a notebook as a table."""
        rows = [
            ["transactions", f"{self.rows:,}"],
            ["customers", f"{self.customers:,}"],
            ["first", self.first or "none"],
            ["last", self.last or "none"],
            ["columns it lacks", ", ".join(self.absent) or "none"],
        ]
        if text := stateless_text(self.stateless, self.rows):
            rows.append(["states", text])
        return html_table("Transactions", ["", ""], rows)


MOST_ROWS_SHOWN = 12


def frame_html(frame: pd.DataFrame) -> str:
    """Return a data frame as HTML for a notebook; of many rows the first and the last."""
    return str(frame.to_html(max_rows=MOST_ROWS_SHOWN, border=0))


AnyTransactions: TypeAlias = Transactions | Path | str | Frame
"""The types that functions accept as transactions."""


def read_transactions(
    source: Path | str | Frame, *, columns: Mapping[str, str] | None = None, currency: str = "EUR"
) -> Transactions:
    """Check every row of transactions; the result shows how many there are.

    Args:
        source: the address of Parquet (a file, a folder, a table, see docs/sources.md), CSV, JSON or JSON lines; or a
            data frame of pandas, Polars or Arrow, or a list of rows as dicts. Rows of a list are read as those of a
            request: none may lack a currency, category, creation or balance. A data frame may lack such a column.
        columns: our names of columns that have other names, such as `{"customer_id": "user_id"}`.
        currency: the base currency, also of amounts without a currency.

    Raises:
        InvalidDataError: rows with bad values, a line for each kind, which names the first of its rows.
        FileFormatError: a file cannot be read, or a column is missing.
        ConfigError: *columns* gives a name that is not read, or *currency* or *source* cannot be used.
    """
    return Transactions(_source(source, columns), currency)


def simulate(customers: int = 1_000, *, seed: int = 1) -> pd.DataFrame:
    """Simulate customers for experiments, as `fivefold simulate` does; the same seed gives the same customers.

    Returns:
        Their transactions of 2023 and 2024, in the columns of the API.

    Raises:
        ConfigError: a number is out of range, or not whole.
    """
    drawn = Simulation(customers=whole_number(customers, "customers", 1), seed=whole_number(seed, "seed", 0))
    tables = list(simulated_tables(drawn))
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame


def source_of(transactions: AnyTransactions, columns: Mapping[str, str] | None) -> Source:
    """Return transactions as a source for the readers of files; *columns* are those of `read_transactions`."""
    return transactions.source if isinstance(transactions, Transactions) else _source(transactions, columns)


def checked_histories(source: Source, rates: RateTable, **options: Any) -> Histories:
    """Read transactions as the commands do, by `read_histories` with its options; errors name parameters."""
    with in_words_of_python():
        return read_histories(source, rates, **options)


def _source(source: Path | str | Frame, columns: Mapping[str, str] | None) -> Source:
    names = ColumnMap(column_pairs(columns))
    if isinstance(source, str | Path):
        return MappedFile(Path(source), names)
    require_frame(source, "the transactions")
    table = MappedFile(Path("the table"), names)
    if isinstance(source, list):
        return _rows_of_json(source, table)
    if not names.ours:
        return source
    if isinstance(source, pa.Table):
        return source.rename_columns(table.our_names(source.column_names))
    pairs = table.rename([str(name) for name in source.columns])
    if isinstance(source, pl.DataFrame):
        return source.rename(pairs)
    # pandas numbers the columns of a table without a header, so names may be integers.
    return source.rename(columns={name: pairs[str(name)] for name in source.columns if str(name) in pairs})


def _rows_of_json(rows: list[Any], table: MappedFile) -> list[Any]:
    """Return rows as in JSON: with our names, and moments as text; their reader refuses what is not a row."""
    theirs = list(dict.fromkeys(str(name) for row in rows if isinstance(row, dict) for name in row))
    pairs = table.rename(theirs)
    return [
        {pairs.get(str(name), name): _plain(value) for name, value in row.items()} if isinstance(row, dict) else row
        for row in rows
    ]


def _plain(value: object) -> object:
    if value is pd.NaT:
        return None
    return value.isoformat() if isinstance(value, date) else value


def column_pairs(columns: Mapping[str, str] | None) -> dict[str, str]:
    """Return our names of columns by theirs, as text; ConfigError if *columns* is not a mapping."""
    if columns is not None and not isinstance(columns, Mapping):
        raise ConfigError(f"columns is {columns!r}; it must be pairs such as {{'customer_id': 'user_id'}}")
    return {str(theirs): str(ours) for theirs, ours in (columns or {}).items()}


def _rates_today(currency: str) -> RateTable:
    if not is_currency_code(currency):
        raise ConfigError(f"currency is {currency!r}; it must be an ISO 4217 code such as EUR")
    return ecb_rates(currency, date.today())  # noqa: DTZ011 (the reader's own day)


def require_frame(content: object, what: str) -> None:
    """Raise ConfigError if *content* is neither a data frame nor a list of rows; *what* names it in the message."""
    if isinstance(content, pd.DataFrame | pl.DataFrame | pa.Table | list):
        return
    how = "; call .collect() on it first" if isinstance(content, pl.LazyFrame) else ""
    raise ConfigError(
        f"{what} must be a file, a data frame of pandas, Polars or Arrow, or a list; this is {kind_of(content)}{how}"
    )


def kind_of(content: object) -> str:
    """Return the name of a value's type, such as pandas.DataFrame."""
    return f"{type(content).__module__.partition('.')[0]}.{type(content).__name__}".removeprefix("builtins.")


def moment_of(as_of: Moment, name: str = "as_of") -> int:
    """Return a moment as microseconds; ConfigError if it is invalid. None is now, in whole seconds."""
    if as_of is None:
        return now_microseconds() // 1_000_000 * 1_000_000
    if isinstance(as_of, str):
        return parse_moment(as_of, name)
    moment = pd.Timestamp(as_of) if isinstance(as_of, np.datetime64) else as_of
    if not isinstance(moment, date) or pd.isna(moment) or moment.year > MAXYEAR:  # NumPy and pandas have later years
        raise ConfigError(f"{name} is {as_of!r}; it must be a date or a time, as text or as an object of one")
    return to_microseconds(moment)


def indicators(
    transactions: AnyTransactions,
    *,
    as_of: Moment = None,
    currency: str | None = None,
    rates: RateTable | None = None,
    columns: Mapping[str, str] | None = None,
    own: Path | str | None = None,
) -> pd.DataFrame:
    """Compute every indicator of every customer as known at a moment.

    The indicators are those of `fivefold indicators`, from the same kernel that training and scoring use.

    Args:
        transactions: rows of any number of customers.
        as_of: the moment; nothing later is seen.
        currency: the currency that every amount is converted into; by default that of *rates*, or EUR.
        rates: the rates to convert by; by default the shipped ECB rates of today.
        columns: as in `read_transactions`.
        own: a Python file of your own indicators, whose columns come last; it is checked first, as in training.

    Returns:
        A row for each customer with a row by then, by `user_id`; a column for each indicator, NaN where it is
        undefined. Indicators of columns that the data lack, such as balances, are left out.

    Raises:
        ConfigError: one of your own indicators is wrong; the message names it and says what would be right. Or *rates*
            are into another currency than *currency*.
    """
    if rates is not None and currency not in {None, rates.base}:
        raise ConfigError(f"currency is {currency!r}, and rates are into {rates.base}; give rates into {currency}")
    yours = None if own is None else read_own_indicators(Path(own))
    if yours is not None:
        check_own_indicators(yours)
    table = rates or _rates_today(currency or "EUR")
    histories = checked_histories(source_of(transactions, columns), table)
    return indicators_of_histories(histories, moment_of(as_of), yours)


def indicators_of_histories(histories: Histories, as_of: int, own: OwnIndicators | None = None) -> pd.DataFrame:
    """Return the indicators of customers who have a row by *as_of* (microseconds), as `indicators` does."""
    matrix, row_counts = indicator_matrix(histories, as_of, own)
    positions = np.flatnonzero(row_counts > 0)
    index = pd.Index(histories.user_ids.take(positions).to_pylist(), name="user_id", dtype="object")
    names = list(catalogue(histories.absent, own).names)
    return pd.DataFrame(select_columns(matrix, histories.absent, own)[positions], index=index, columns=names)
