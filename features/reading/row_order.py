"""The order of rows: by customer and time; ties by transaction_id, then by the other columns.

Ties without an identifier are sorted by amount (largest first), balance, state, currency, category and creation, so
that the order of the file never decides between two different rows.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fivefold.features.histories import Flags, Floats, Integers
from fivefold.features.reading.columns import ErrorCollector, Mask, short_text
from fivefold.features.reading.compiled_loops import TIED, UNORDERED
from fivefold.features.reading.fast_columns import StringColumn, column_loops
from fivefold.features.schema import TRANSACTION_ID


class CheckedRows(NamedTuple):
    """Checked rows, not yet in order: parallel arrays, money still in the transaction's currency.

    Attributes:
        customer: position of each row's customer in order of first appearance.
        transaction_id: identifiers (text, missing allowed); None if the source has no such column. A `StringColumn` if
            all rows have one and all are different.
        missing: marks the columns of `features.schema.NULLABLE` that each row lacks; None if none may.
        stateless: marks the rows without a state, if the source has the column; None if all have one.
    """

    customer: Integers
    time: Integers
    amount: Floats
    balance: Floats
    state: npt.NDArray[np.int16]
    currency: npt.NDArray[np.int16]
    category: npt.NDArray[np.int16]
    created: Integers
    transaction_id: Any
    missing: Mask | None = None
    stateless: Mask | None = None

    @property
    def identified(self) -> bool | Flags:
        """Whether rows have a transaction_id, as in `Histories`, but in the order of these rows."""
        texts = self.transaction_id
        if texts is None or isinstance(texts, StringColumn):
            return texts is not None
        is_one = texts.null_count in {0, len(texts)}
        return texts.null_count == 0 if is_one else np.asarray(pc.is_valid(texts))

    def tie_keys(self) -> tuple[npt.NDArray[Any], ...]:
        """Return the keys that sort rows of one customer and moment without identifiers."""
        return -self.amount, self.balance, self.state, self.currency, self.category, self.created


def sorted_row_numbers(rows: CheckedRows, errors: ErrorCollector) -> Integers:
    """Return the row numbers in order, exact repeats of a transaction_id left out.

    A transaction_id that a customer has twice with different content is added to *errors*.
    """
    order = np.arange(len(rows.time))
    state = column_loops().disorder(rows.customer, rows.time, order)
    if state == UNORDERED:
        order = np.lexsort((rows.time, rows.customer))
        state = column_loops().disorder(rows.customer, rows.time, order)
    if state == TIED:
        order = _break_ties(rows, order, _ties(rows, order))
    if rows.transaction_id is not None and not isinstance(rows.transaction_id, StringColumn):
        order = order[~_duplicates(rows, order, errors)]
    return order


def _ties(rows: CheckedRows, order: Integers) -> Mask:
    """Mark each place but the first whose row ties with the row before."""
    customer, time = rows.customer[order], rows.time[order]
    return np.asarray((customer[1:] == customer[:-1]) & (time[1:] == time[:-1]))


def _break_ties(rows: CheckedRows, order: Integers, tied: Mask) -> Integers:
    """Sort inside the runs of tied rows, key after key; each key sorts only the rows that are still tied."""
    keys: list[Callable[[Integers], npt.NDArray[Any]]] = [key.__getitem__ for key in rows.tie_keys()]
    identifiers = rows.transaction_id
    if identifiers is not None:
        keys.insert(0, lambda at: _ranks(_identifiers_at(identifiers, at)))
    order = order.copy()
    # Only the tied rows are sorted: places in the order, and whether each begins a new run.
    places = np.flatnonzero(np.concatenate([[False], tied]) | np.concatenate([tied, [False]]))
    begins = ~np.concatenate([[False], tied])[places]
    for key in keys:
        if not len(places):
            break
        at = order[places]
        values, group = key(at), np.cumsum(begins)
        inside = np.lexsort((values, group))
        order[places] = at[inside]
        differs = np.diff(values[inside]) != 0
        begins = begins | np.concatenate([[True], differs])
        still = ~(begins & np.concatenate([begins[1:], [True]]))
        places, begins = places[still], begins[still]
    return order


def _identifiers_at(identifiers: pa.Array | StringColumn, at: Integers) -> pa.Array:
    return identifiers.take(at if isinstance(identifiers, StringColumn) else pa.array(at))


def _ranks(identifiers: pa.Array) -> Integers:
    """Rank text by length, then alphabet, so that 9 comes before 10; missing texts come last."""
    uniques = pc.unique(identifiers.drop_null())
    lengths = pc.utf8_length(uniques)
    table = pa.table({"length": lengths, "text": uniques})
    by_rank = uniques.take(pc.sort_indices(table, [("length", "ascending"), ("text", "ascending")]))
    ranks = pc.index_in(identifiers, value_set=by_rank).fill_null(len(by_rank))
    return np.asarray(ranks.to_numpy(zero_copy_only=False), dtype=np.int64)


def _duplicates(rows: CheckedRows, order: Integers, errors: ErrorCollector) -> Mask:
    """Mark, by place in *order*, rows that repeat an earlier one of the same customer and transaction_id.

    Rows with another problem are left out: their bad values were replaced.
    """
    assert rows.transaction_id is not None
    repeated = np.zeros(len(order), dtype=np.bool_)
    suspects = _candidates(rows, order)
    suspects = suspects[~errors.rows_with_any_error(len(order))[order[suspects]]]
    if not len(suspects):
        return repeated
    fields = (rows.time, *rows.tie_keys())
    first_rows: dict[tuple[int, str], int] = {}
    differs: dict[int, int] = {}
    for place in suspects.tolist():
        row = int(order[place])
        first = first_rows.setdefault((int(rows.customer[row]), rows.transaction_id[row].as_py()), row)
        if first != row:
            repeated[place] = True
            if any(field[first] != field[row] for field in fields):
                differs[row] = first
    bad = np.zeros(len(rows.time), dtype=np.bool_)
    bad[list(differs)] = True
    errors.add(
        bad,
        TRANSACTION_ID,
        lambda row: (
            f"{short_text(rows.transaction_id[row].as_py())} stands in row "
            f"{errors.shown(differs[row])} with other values"
        ),
        "one row for each transaction, or exact repeats",
    )
    return repeated


def _candidates(rows: CheckedRows, order: Integers) -> Integers:
    """Find the places whose customer and transaction_id occur more than once."""
    assert rows.transaction_id is not None
    hashes = pl.Series(rows.transaction_id).hash()
    if not rows.transaction_id.null_count and hashes.n_unique() == len(hashes):  # nearly always, and a cheap test
        return np.empty(0, dtype=np.int64)
    is_present = np.asarray(rows.transaction_id.is_valid().to_numpy(zero_copy_only=False))
    encoded = rows.transaction_id if isinstance(rows.transaction_id, pa.DictionaryArray) else None
    codes = (encoded or rows.transaction_id.dictionary_encode()).indices.fill_null(0).to_numpy(zero_copy_only=False)
    pairs = rows.customer * (int(codes.max(initial=0)) + 1) + codes
    pairs = np.where(is_present, pairs, -1 - np.arange(len(pairs)))
    _, inverse, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    return np.flatnonzero((counts[inverse] > 1)[order])
