"""Rows that are in order, as in a file: they are checked and laid out in one pass, without copies of their columns.

None means that a row is out of order, is there twice, or is not plain. `features.reading.validate` then reads all of
them again by the general readers, which sort, and name the problem. Tests compare the two.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fivefold.domain.money import RateTable
from fivefold.features import schema as c
from fivefold.features.histories import Flags, Floats, Histories, Integers, Stateless, joined_flags
from fivefold.features.numba_cache import compile_loops
from fivefold.features.reading.columns import (
    EARLIEST_US,
    LATEST_US,
    Codes,
    Column,
    ErrorCollector,
    Places,
    WordList,
    lacking_words,
    read_identifiers,
    read_numbers,
    read_times,
    read_words,
    view_places,
    view_words,
)
from fivefold.features.reading.fast_columns import StringColumn, string_column
from fivefold.features.reading.layout import order_loops
from fivefold.features.reading.layout.histories import KINDS, rate_units, unknown_from
from fivefold.features.reading.layout.order_loops import CUSTOMERS, TIES, Out
from fivefold.features.schema import LARGEST_MAGNITUDE

_SEED = secrets.randbits(64)
"""The seed of the hash table of `texts_differ`; the result does not depend on it."""
_NO_TEXTS = StringColumn(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
_WORDS = (c.STATE, c.CURRENCY, c.CATEGORY)


@dataclass(frozen=True)
class Rules:
    """The rules that rows must follow.

    Attributes:
        rates: converts money.
        words: the words of states, currencies and categories.
        text: whether numbers may be written as text.
        latest: no moment is after it (microseconds).
        created_slack_us: no account is created more than this after its customer's first row.
    """

    rates: RateTable
    words: Mapping[str, WordList]
    text: bool
    latest: int
    created_slack_us: int


class _Batch(NamedTuple):
    """Columns of rows as the loops take them."""

    names: pa.Array
    customer: Places
    moments: tuple[Integers, Integers]
    money: tuple[Floats, Floats]
    words: tuple[Places, ...]
    codes: tuple[Codes, ...]
    texts: StringColumn
    identified: bool | Flags


def _loops() -> ModuleType:
    return compile_loops(order_loops)


def count_changes(places: Places) -> int:
    """Count the rows that have another number than the row before."""
    return int(_loops().count_changes(places))


def histories_in_order(
    batches: Sequence[Mapping[str, Column]], rules: Rules, absent: tuple[str, ...]
) -> Histories | None:
    """Check and lay out rows that are in order, with whole customers in each batch; *absent* columns were not read."""
    rows = sum(len(batch[c.USER_ID]) for batch in batches)
    out = _columns(rows)
    names, offsets, row = [], [], 0
    identified: list[tuple[bool | Flags, int]] = []
    stateless: list[Stateless] = []
    for columns in batches:
        batch = _read(columns, rules)
        if batch is None:
            return None
        end = row + len(batch.customer)
        customers = _lay_out(batch, rules, _part(out, row, end))
        if customers is None:
            return None
        firsts, begins = customers
        names.append(batch.names.take(pa.array(firsts)).cast(pa.string()))
        offsets.append(begins + row)
        identified.append((batch.identified, end - row))
        lacking = lacking_words(columns[c.STATE]) if c.STATE in columns else None
        stateless.append(Stateless.marked(lacking, batch.moments[0]))
        row = end
    user_ids = pa.concat_arrays(names)
    texts = string_column(user_ids)
    if texts is None or not _are_there(texts).all():
        return None
    if not _differ(np.array([0, len(texts)]), texts):
        return None
    return Histories(
        user_ids,
        np.concatenate([*offsets, [rows]]).astype(np.int64),
        *out,
        rules.rates.base,
        absent,
        unknown_from(len(user_ids), absent),
        joined_flags(identified),
        stateless=Stateless.joined(stateless),
    )


def customer_batches(table: pa.Table) -> list[pa.RecordBatch]:
    """Cut a table, whose customers are a dictionary, into batches of whole customers.

    Batches are not copied, except the rows of a customer who is in more than one.
    """
    batches: list[list[pa.RecordBatch]] = []
    for batch in table.to_batches():
        rest = batch
        if batches and _customer_at(batches[-1][-1], -1) == _customer_at(rest, 0):
            before, more = batches[-1], _changes(rest)[1]
            cut = _changes(before[0])[-2] if len(before) == 1 else 0
            if cut:
                batches[-1:] = [[before[0].slice(0, cut)], [before[0].slice(cut)]]
            batches[-1].append(rest.slice(0, more))
            rest = rest.slice(more)
        if rest.num_rows:
            batches.append([rest])
    return [_one_batch(pieces) for pieces in batches]


def _customer_at(batch: pa.RecordBatch, row: int) -> object:
    return batch[c.USER_ID][row].as_py()


def _changes(batch: pa.RecordBatch) -> list[int]:
    """Return the first row of each run of one customer's rows, and the number of rows."""
    places = batch[c.USER_ID].indices.to_numpy(zero_copy_only=False)
    return [0, *(np.flatnonzero(np.diff(places)) + 1).tolist(), len(places)]


def _one_batch(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Copy rows to one batch, whose dictionaries have only the words of these rows."""
    if len(pieces) == 1:
        return pieces[0]
    columns = []
    for chunks in zip(*(piece.columns for piece in pieces), strict=True):
        if pa.types.is_dictionary(chunks[0].type):
            columns.append(pa.concat_arrays([chunk.dictionary_decode() for chunk in chunks]).dictionary_encode())
        else:
            columns.append(pa.concat_arrays(chunks))
    return pa.RecordBatch.from_arrays(columns, names=pieces[0].schema.names)


def _columns(rows: int) -> Out:
    integers, floats = np.empty((2, rows), dtype=np.int64), np.empty((2, rows))
    small, codes = np.empty((2, rows), dtype=np.int8), np.empty(rows, dtype=np.int16)
    return integers[0], floats[0], floats[1], small[0], codes, small[1], integers[1]


def _part(out: Out, row: int, end: int) -> Out:
    time, amount, balance, kind, currency, category, created = out
    money = amount[row:end], balance[row:end]
    return time[row:end], *money, kind[row:end], currency[row:end], category[row:end], created[row:end]


def _lay_out(batch: _Batch, rules: Rules, out: Out) -> tuple[Integers, Integers] | None:
    """Fill *out* with the rows of a batch; return the customers' numbers and first rows, or None, see the module."""
    loops, rows, met = _loops(), len(batch.customer), np.zeros(len(batch.names), dtype=np.uint8)
    counts, groups = np.zeros(2, dtype=np.int64), tuple(np.empty(rows, dtype=np.int64) for _ in range(3))
    if not loops.group_rows(batch.customer, batch.moments[0], met, counts, groups):
        return None
    firsts, begins, ties = groups
    begins, ties = np.append(begins[: counts[CUSTOMERS]], rows), ties[: counts[TIES]]
    limits = np.array([EARLIEST_US, min(LATEST_US, rules.latest), rules.created_slack_us])
    columns, units = (batch.moments, batch.money, batch.words, batch.codes), rate_units(rules.rates.units)
    if not loops.copy_rows(begins, *columns, units, KINDS, limits, LARGEST_MAGNITUDE, out):
        return None
    if len(batch.texts) and not _differ(begins, batch.texts):
        return None
    if len(ties) and not isinstance(batch.identified, bool):
        return None  # ties get another order, but the flags of their rows would not
    texts = (batch.texts.data, batch.texts.begins, batch.texts.ends)
    if len(ties) and not loops.order_ties(ties, batch.money, batch.words[0], batch.codes[0], texts, out):
        return None
    return firsts[: counts[CUSTOMERS]], begins[:-1]


def _differ(begins: Integers, texts: StringColumn) -> bool:
    """Check whether no customer has an identifier twice."""
    most = int(np.diff(begins).max(initial=1))
    slots, hashes = np.full(1 << (4 * most).bit_length(), -1), np.empty(most, dtype=np.uint64)
    whole = texts.data[: len(texts.data) // 8 * 8]
    words = np.require(whole.view(np.uint64), requirements=["A"])
    data = (texts.data, texts.begins, texts.ends)
    return bool(_loops().texts_differ(begins, data, words, _SEED, slots, hashes))


def _are_there(texts: StringColumn) -> Flags:
    """Mark the texts that are neither missing nor empty."""
    return np.asarray((texts.begins >= 0) & (texts.begins != texts.ends))


def _identified(texts: StringColumn) -> bool | Flags:
    """Mark the rows that have an identifier; one answer if it is the same for all."""
    flags = _are_there(texts)
    if not flags.any():
        return False
    return True if flags.all() else flags


def _read(columns: Mapping[str, Column], rules: Rules) -> _Batch | None:
    """View the columns of rows as the loops take them; None if a value cannot be read."""
    errors = ErrorCollector()
    customers = columns[c.USER_ID]
    customer, rows = view_places(customers), len(customers)
    if customer is None:
        return None
    time = _moments(columns[c.DATE], c.DATE, errors)
    created = _moments(columns[c.CREATED], c.CREATED, errors) if c.CREATED in columns else np.empty(0, np.int64)
    amount = _money(columns[c.AMOUNT], c.AMOUNT, errors, rules)
    balance = _money(columns[c.BALANCE], c.BALANCE, errors, rules) if c.BALANCE in columns else np.zeros(rows)
    coded = [
        _words(columns[name], name, errors, rules.words[name])
        if name in columns
        else (np.zeros(rows, np.int32), np.array([rules.words[name].default], np.int16))
        for name in _WORDS
    ]
    texts = _identifiers(columns[c.TRANSACTION_ID], errors) if c.TRANSACTION_ID in columns else _NO_TEXTS
    if errors.count or texts is None:
        return None
    words, codes = zip(*coded, strict=True)
    money = amount, balance
    return _Batch(customers.dictionary, customer, (time, created), money, words, codes, texts, _identified(texts))


def _moments(column: Column, field: str, errors: ErrorCollector) -> Integers:
    """View moments in microseconds without a copy; others are read."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "us" and not column.null_count:
        return np.asarray(column.view(pa.int64()).to_numpy())
    return read_times(column, field, errors)


def _money(column: Column, field: str, errors: ErrorCollector, rules: Rules) -> Floats:
    """View floats without a copy; other numbers are read."""
    if column.type == pa.float64() and not column.null_count:
        return np.asarray(column.to_numpy())
    return read_numbers(column, field, errors, text=rules.text)


def _words(column: Column, field: str, errors: ErrorCollector, words: WordList) -> tuple[Places, Codes]:
    """View the words of a dictionary without a copy; others are read, and are their own codes."""
    viewed = view_words(column, words)
    if viewed is not None:
        return viewed
    codes = read_words(column, field, errors, words.codes, any_case=words.any_case, absent=words.absent)
    return codes.astype(np.int32), np.arange(1 + max(words.codes.values(), default=0), dtype=np.int16)


def _identifiers(column: Column, errors: ErrorCollector) -> StringColumn | None:
    """View identifiers that are text; others are read. None if they are words of a dictionary."""
    if column.null_count == len(column):
        return _NO_TEXTS
    texts = string_column(column)
    if texts is not None:
        return texts
    return string_column(read_identifiers(column, c.TRANSACTION_ID, errors, required=False))
