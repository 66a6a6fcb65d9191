"""Histories of the customers whose rows can all be read; for the others, the first problem."""

import polars as pl

from fivefold.domain.errors import InvalidDataError
from fivefold.domain.money import RateTable
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.reading.columns import ErrorCollector
from fivefold.features.reading.tables import table_from_rows
from fivefold.features.reading.validate import TransactionReader


def readable_histories(
    rows: pl.DataFrame, rates: RateTable, source: str, *, text: bool = False, absent: tuple[str, ...] | None = None
) -> tuple[Histories, dict[str, str]]:
    """Read the rows of a file as `features.reading.sources.read_histories` does, without customers who have a bad one.

    A history with gaps would give wrong values, so such a customer is left out with all rows. Rows without a customer
    are left out too. A row without a balance, a creation or a channel is no error: indicators that read it are
    undefined for its customer from then on.

    Args:
        rows: the columns of transactions.
        rates: converts money.
        source: what is being read, for errors.
        text: numbers may be written as text, as in CSV.
        absent: columns that the model does not read, see `TransactionReader`.

    Returns:
        The histories, and by customer the first problem of those who were left out.

    Raises:
        FileFormatError: a column that all rows need is missing.
    """
    reader = TransactionReader(rates, text, source, completes=True, absent=absent, nullable=True)
    if c.USER_ID in rows.columns:
        rows = rows.with_columns(pl.col(c.USER_ID).cast(pl.String)).filter(pl.col(c.USER_ID) != "")
    wrong: dict[str, str] = {}
    while len(rows):
        # An empty column gets the defaults of a missing one.
        empty = [name for name in c.ABSENT if name in rows.columns and rows[name].null_count() == len(rows)]
        table = rows.drop(empty).to_arrow(compat_level=pl.CompatLevel.oldest())
        try:
            return reader.read(table, ErrorCollector(most_named=None)), wrong
        except InvalidDataError as error:
            whose = rows[c.USER_ID]
            for problem in error.every:
                wrong.setdefault(whose[problem.row], f"{problem.field} {problem.problem}; allowed: {problem.allowed}")
            rows = rows.filter(~whose.is_in(list(wrong)))
    return TransactionReader(rates).histories(table_from_rows([], ErrorCollector())), wrong
