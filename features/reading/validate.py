"""Validation: a table of raw rows is checked, sorted and converted to `Histories`.

Stored rows were checked by the same readers before: `features.stored` lays them out.
"""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fivefold.domain.clock import day_text
from fivefold.domain.errors import PROBLEMS_LISTED, FileFormatError, first_row_of
from fivefold.domain.money import RateTable
from fivefold.domain.text import columns_text
from fivefold.features import schema as c
from fivefold.features.column_names import ABSENCES, OTHER, how_to_rename, meant_columns, rename_text, unread_columns
from fivefold.features.histories import Histories, Integers
from fivefold.features.reading.columns import (
    EARLIEST_US,
    LATEST_US,
    MOST_NAMED_IN_FILES,
    Codes,
    Column,
    ErrorCollector,
    Mask,
    WordList,
    is_text,
    lacking_words,
    read_identifiers,
    read_numbers,
    read_times,
    read_words,
)
from fivefold.features.reading.fast_columns import (
    SEED,
    CodedWords,
    StringColumn,
    as_arrow,
    coded_words,
    column_loops,
    string_column,
)
from fivefold.features.reading.layout.histories import FOREVER, build_histories, first_moments
from fivefold.features.reading.layout.in_order import Rules, customer_batches, histories_in_order
from fivefold.features.reading.request_body import BodyColumns
from fivefold.features.reading.row_order import CheckedRows, sorted_row_numbers

FEW_VALUES = (c.USER_ID, c.STATE, c.CURRENCY, c.CATEGORY)
"""Columns that may come as dictionaries: a repeated value is stored and checked once."""


Columns = Mapping[str, Column]
"""The known columns of a source, all of the same length, including the required ones."""

_STATES, _CATEGORIES = CodedWords(c.STATES), CodedWords(c.CATEGORIES)
_NO_SLACK_US = FOREVER // 2
"""Stands for no limit: no account is created this long after the first row of a customer."""


@dataclass(frozen=True)
class TransactionReader:
    """Checks raw rows and turns them into histories.

    Attributes:
        rates: converts money; a currency that it lacks is an error.
        text: whether numbers may be written as text, as in files and frames, but not in requests.
        source: the name of the source, for errors.
        latest: moments after it (microseconds) are refused; None for no such limit.
        completes: whether columns of `features.schema.ABSENT` may be missing, as in files.
        absent: columns that the training data of the model lacked: they may be missing, and among them only those of
            `features.column_names.READ_ANYWAY` are read. A balance that is not among them is required. None if no model
            reads the rows.
        nullable: whether a row may lack a value of `features.schema.NULLABLE`: indicators that read it are undefined
            from then on.
        created_slack_us: an account created more than this after its customer's first row is refused; None for no
            such limit.
    """

    rates: RateTable
    text: bool = False
    source: str = ""
    latest: int | None = None
    created_slack_us: int | None = None
    completes: bool = False
    absent: tuple[str, ...] | None = None
    nullable: bool = False

    def histories(self, table: pa.Table, first_row: int | Integers = 0) -> Histories:
        """Check the rows of *table* and build their histories; *first_row* is the first number, or those of all rows.

        Raises:
            InvalidDataError: rows with bad values, every one of them named.
            FileFormatError: a required column is missing, or a column is there twice.
        """
        errors = self.collector(first_row)
        return self.read(table, errors)

    def collector(self, first_row: int | Integers = 0) -> ErrorCollector:
        """Create the collector for the errors of a source, with rows numbered as in `histories`."""
        most_named = MOST_NAMED_IN_FILES if self.source else PROBLEMS_LISTED
        return ErrorCollector(first_row, most_named, first_row_of(self.source))

    def read(self, source: pa.Table | Columns, errors: ErrorCollector) -> Histories:
        """Do the same as `histories`, with *errors* that an earlier step may have added to."""
        if isinstance(source, pa.Table):
            self.require_columns(source.column_names)
            in_order = None if errors.count else self._in_order(source)
            if in_order is not None:
                return in_order
            table = _one_chunk(source)
            source = {name: table[name].chunk(0) for name in table.column_names if name in c.COLUMNS}
        source = self._columns_read(source)
        user_ids, customer = _number_customers(source[c.USER_ID], errors)
        rows = self._rows(source, customer, errors)
        self._check_times(rows, len(user_ids), errors)
        return self._histories(user_ids, rows, tuple(name for name in ABSENCES if name not in source), errors)

    def read_body(self, body: BodyColumns, errors: ErrorCollector) -> Histories:
        """Do the same with the rows of a body: in one pass if all are plain and every column is read."""
        plain = None if unread_columns(self.absent or ()) else self._plain_rows(body)
        return self.read(body.columns, errors) if plain is None else self._histories(*plain, errors)

    def _histories(
        self, user_ids: pa.Array, rows: CheckedRows, absent: tuple[str, ...], errors: ErrorCollector
    ) -> Histories:
        """Put checked rows in order; InvalidDataError if any is wrong, or a transaction_id has two contents."""
        order = sorted_row_numbers(rows, errors)
        errors.raise_if_any(self.source)
        return build_histories(user_ids, rows, order, self.rates, absent)

    def _plain_rows(self, body: BodyColumns) -> tuple[pa.Array, CheckedRows, tuple[str, ...]] | None:
        """Check rows in one pass: customers, rows, and absent columns; None if a value is not plain."""
        words, absent = _word_tables(self.rates.codes, self.rates.base)
        latest = FOREVER if self.latest is None else self.latest
        slack = _NO_SLACK_US if self.created_slack_us is None else self.created_slack_us
        limits, counts = np.array([EARLIEST_US, LATEST_US, latest, slack]), np.zeros(2, dtype=np.int64)
        firsts, money = np.empty(body.rows, dtype=np.int64), np.empty((2, body.rows))
        integers, codes = np.empty((3, body.rows), dtype=np.int64), np.empty((3, body.rows), dtype=np.int16)
        columns, rules = (body.data, body.begins, body.ends, body.numbers), (words, absent, limits, c.LARGEST_MAGNITUDE)
        customers = column_loops().read_plain_rows(*columns, *rules, SEED, counts, firsts, integers, money, codes)
        if customers < 0:
            return None
        lacking_count, identifier_count = counts.tolist()
        customer, time, created = integers
        states = body.columns.get(c.STATE) if lacking_count else None
        stateless = None if states is None else lacking_words(states)
        identifiers = _read_identifiers(body.text(c.TRANSACTION_ID), ErrorCollector()) if identifier_count else None
        amount, balance = money
        state, currency, category = codes
        plain = (customer, time, amount, balance, state, currency, category, created)
        rows = CheckedRows(*plain, identifiers, None, stateless)
        missing = (c.STATE,) if lacking_count and states is None else ()
        return body.text(c.USER_ID).take(firsts[:customers]), rows, missing

    def _in_order(self, table: pa.Table) -> Histories | None:
        """Read rows whose customers are a dictionary, as in Parquet, if all are plain and in order; None otherwise."""
        customers = table[c.USER_ID]
        is_coded = pa.types.is_dictionary(customers.type) and is_text(customers.type.value_type)
        if self.nullable or not table.num_rows or not is_coded or customers.null_count:
            return None
        columns = table.select([name for name in table.column_names if name in c.COLUMNS])
        batches = [
            self._columns_read(dict(zip(columns.column_names, batch.columns, strict=True)))
            for batch in customer_batches(columns)
        ]
        rules = Rules(
            self.rates,
            self._words,
            self.text,
            FOREVER if self.latest is None else self.latest,
            _NO_SLACK_US if self.created_slack_us is None else self.created_slack_us,
        )
        return histories_in_order(batches, rules, tuple(name for name in ABSENCES if name not in batches[0]))

    def _columns_read(self, source: Columns) -> Columns:
        """Leave out the columns that the model does not read; an amount without a currency is in the base."""
        if not self.absent:
            return source
        unread = unread_columns(self.absent)
        columns = {name: column for name, column in source.items() if name not in unread}
        currency = columns.get(c.CURRENCY)
        if c.CURRENCY in self.absent and isinstance(currency, pa.Array) and currency.null_count:
            plain = currency.dictionary_decode() if pa.types.is_dictionary(currency.type) else currency
            columns[c.CURRENCY] = plain.fill_null(self.rates.base)
        return columns

    def require_columns(self, names: Sequence[str]) -> None:
        """Raise FileFormatError if a table with columns of these names cannot be read."""
        completed = c.ABSENT if self.completes else self.absent or ()
        if self.absent is not None and c.BALANCE not in self.absent:
            completed = tuple(name for name in completed if name != c.BALANCE)
        missing = [name for name in c.REQUIRED if name not in names and name not in completed]
        if missing:
            needed = [name for name in c.REQUIRED if name not in completed]
            raise FileFormatError(
                f"{self.source or 'the table'} has no column {', '.join(missing)}; "
                f"{columns_text(names)}; needed are {', '.join(needed)}; "
                f"{', '.join(dict.fromkeys([*completed, *c.OPTIONAL]))} may be there"
                + (f". {how_to_rename(names, needed, in_file=bool(self.source))}" if completed else "")
                + (
                    f". This model reads {c.BALANCE}; one that `fivefold train` makes of data without it does not"
                    if missing == [c.BALANCE] and self.absent is not None
                    else ""
                )
            )
        twice = [name for name in c.COLUMNS if names.count(name) > 1]
        if twice:
            raise FileFormatError(f"{self.source or 'the table'} has more than one column {', '.join(twice)}")
        self.refuse_misspelt(names)

    def refuse_misspelt(self, names: Collection[str]) -> None:
        """Raise FileFormatError if a column probably is an absent one that is not required, under another name.

        Without its state a failed transaction counts as money, and without its currency an amount as base currency.
        """
        unread = unread_columns(self.absent or ())
        read = [name for name in c.COLUMNS if name not in unread]
        for absent, near in meant_columns(names, read, c.COLUMNS).items():
            rename = rename_text({absent: near}, in_file=bool(self.source))
            other = f"--map {shlex.quote(f'{near}={near}{OTHER}')}" if self.source else f"{near}{OTHER}"
            raise FileFormatError(
                f"{self.source or 'the table'} has no column {absent}, and has {near}. {rename}; if {near} is "
                f"something else, give it another name, such as {other}"
            )

    def _rows(self, chunk: Columns, customer: Integers, errors: ErrorCollector) -> CheckedRows:
        identifiers = chunk.get(c.TRANSACTION_ID)
        missing = self._missing(chunk, len(customer), errors) if self.nullable else None
        times = read_times(chunk[c.DATE], c.DATE, errors)
        return CheckedRows(
            customer,
            times,
            read_numbers(chunk[c.AMOUNT], c.AMOUNT, errors, text=self.text),
            read_numbers(chunk[c.BALANCE], c.BALANCE, errors, text=self.text)
            if c.BALANCE in chunk
            else np.zeros(len(customer)),
            self._codes(chunk, c.STATE, len(customer), errors),
            self._codes(chunk, c.CURRENCY, len(customer), errors),
            self._codes(chunk, c.CATEGORY, len(customer), errors),
            read_times(chunk[c.CREATED], c.CREATED, errors) if c.CREATED in chunk else first_moments(customer, times),
            None if identifiers is None else _read_identifiers(identifiers, errors),
            missing,
            lacking_words(chunk[c.STATE]) if c.STATE in chunk else None,
        )

    @property
    def _words(self) -> Mapping[str, WordList]:
        return _words(self.rates.codes, self.rates.base)

    def _codes(self, chunk: Columns, field: str, rows: int, errors: ErrorCollector) -> Codes:
        """Read the words of n rows; without the column all have the default."""
        words = self._words[field]
        if field not in chunk:
            return np.full(rows, words.default, dtype=np.int16)
        return read_words(chunk[field], field, errors, words.codes, any_case=words.any_case, absent=words.absent)

    def _missing(self, chunk: Columns, count: int, errors: ErrorCollector) -> Mask:
        """Mark, for n rows, the values of `features.schema.NULLABLE` that each lacks; that is not an error here."""
        missing = np.zeros((count, len(c.NULLABLE)), dtype=np.bool_)
        for place, name in enumerate(c.NULLABLE):
            if name in chunk:
                missing[:, place] = chunk[name].is_null().to_numpy(zero_copy_only=False)
                errors.excuse(missing[:, place], name)
        return missing

    def _check_times(self, rows: CheckedRows, customers: int, errors: ErrorCollector) -> None:
        if not errors.count and self._times_hold(rows, customers):
            return
        if self.latest is not None:
            for field, times in ((c.DATE, rows.time), (c.CREATED, rows.created)):
                allowed = f"a time up to {day_text(self.latest)}"
                errors.add(times > self.latest, field, lambda _: "is in the future", allowed)
        if self.created_slack_us is not None and len(rows.time):
            first = np.full(int(rows.customer.max()) + 1, np.iinfo(np.int64).max - self.created_slack_us)
            whose = ~errors.rows_with_error(
                c.USER_ID, len(rows.time)
            )  # rows without a customer are numbered as the first customer's
            is_usable = whose & ~errors.rows_with_error(c.DATE, len(rows.time))
            np.minimum.at(first, rows.customer[is_usable], rows.time[is_usable])
            late = whose & (rows.created > first[rows.customer] + self.created_slack_us)
            errors.add(late, c.CREATED, lambda _: "is after the user's first transaction", "a time before it")

    def _times_hold(self, rows: CheckedRows, customers: int) -> bool:
        latest = FOREVER if self.latest is None else self.latest
        slack = _NO_SLACK_US if self.created_slack_us is None else self.created_slack_us
        first = np.full(customers, FOREVER - slack)
        return bool(column_loops().times_hold(rows.customer, rows.time, rows.created, latest, slack, first))


_PLAIN = (pa.string(), pa.float64())
"""Types of columns that need no preparation: those of requests, which are small and must be fast."""


def _one_chunk(table: pa.Table) -> pa.Table:
    """Keep the known columns, each in one chunk, as the readers of values need them."""
    if table.num_rows and all(column.num_chunks == 1 and column.type in _PLAIN for column in table.itercolumns()):
        return table
    columns = table.select([name for name in table.column_names if name in c.COLUMNS]).unify_dictionaries()
    one = columns.combine_chunks()
    if one.num_rows == 0:
        return pa.table({name: pa.chunked_array([pa.array([], one[name].type)]) for name in one.column_names})
    return pa.table({name: _plain_text(one[name].chunk(0), name) for name in one.column_names})


def _plain_text(column: pa.Array, name: str) -> pa.Array:
    """Convert text to a type that all readers know; a dictionary stays only if it helps and has no repeats."""
    if pa.types.is_dictionary(column.type) and not (name in FEW_VALUES and _is_proper(column.dictionary)):
        column = column.dictionary_decode()
    return as_arrow(column)


def _is_proper(dictionary: pa.Array) -> bool:
    kind = dictionary.type
    is_plain_text = is_text(kind) and not pa.types.is_string_view(kind) and not dictionary.null_count
    return is_plain_text and len(pc.unique(dictionary)) == len(dictionary)


@lru_cache(maxsize=64)
def _words(currencies: tuple[str, ...], base: str) -> Mapping[str, WordList]:
    """Return the words of states, currencies and categories."""
    positions = CodedWords({code: number for number, code in enumerate(currencies)})
    return {
        c.STATE: WordList(_STATES, any_case=True, absent=c.SETTLED, default=c.SETTLED),
        c.CURRENCY: WordList(positions, default=positions[base]),
        c.CATEGORY: WordList(_CATEGORIES, default=_CATEGORIES["WEB"]),
    }


@lru_cache(maxsize=64)
def _word_tables(currencies: tuple[str, ...], base: str) -> tuple[tuple[Any, ...], Integers]:
    """Return the words of `_words` for the compiled loops, and the codes of missing ones, -1 where none may be."""
    lists = [_words(currencies, base)[field] for field in (c.STATE, c.CURRENCY, c.CATEGORY)]
    absent = [-1 if words.absent is None else words.absent for words in lists]
    return tuple(coded_words(words.codes).table for words in lists), np.array(absent)


def _read_identifiers(column: Column, errors: ErrorCollector) -> pa.Array | StringColumn:
    """Read transaction_ids; as a `StringColumn` if no row lacks one and all are different."""
    texts = string_column(column)
    numbered = None if texts is None else texts.numbered()
    if texts is not None and numbered is not None and len(numbered[1]) == len(texts):
        return texts
    return read_identifiers(column, c.TRANSACTION_ID, errors, required=False)


def _number_customers(column: Column, errors: ErrorCollector) -> tuple[pa.Array, Integers]:
    """Number the customers in order of first appearance; return their identifiers, and each row's number."""
    texts = string_column(column)
    numbered = None if texts is None else texts.numbered()
    if texts is not None and numbered is not None:
        return texts.take(numbered[1]), numbered[0]
    return _customers(read_identifiers(column, c.USER_ID, errors))


def _customers(user_ids: pa.Array) -> tuple[pa.Array, Integers]:
    """Number the customers of a dictionary, or of a column that lacks some."""
    encoded = user_ids if isinstance(user_ids, pa.DictionaryArray) else user_ids.dictionary_encode()
    codes = np.asarray(encoded.indices.fill_null(0).to_numpy(zero_copy_only=False))
    if not len(encoded.dictionary):  # no rows, or none with an identifier, which is an error already
        return pa.array([], pa.string()), np.zeros(len(codes), dtype=np.int64)
    if encoded is not user_ids and not encoded.indices.null_count:  # numbered just now, in order of first appearance
        return encoded.dictionary.cast(pa.string()), codes.astype(np.int64)
    begins = np.concatenate([[True], codes[1:] != codes[:-1]])
    of_runs = codes[begins]
    firsts, first_run, of_run = np.unique(of_runs, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first_run, kind="stable")
    rank = np.empty(len(firsts), dtype=np.int64)
    rank[by_appearance] = np.arange(len(firsts))
    names = encoded.dictionary.take(pa.array(firsts[by_appearance])).cast(pa.string())
    lengths = np.diff(np.append(np.flatnonzero(begins), len(codes)))
    return names, np.repeat(rank[of_run], lengths)
