"""Histories: the columnar container of checked transactions that everything else reads."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fivefold.domain.clock import DAY_US, day_text
from fivefold.features.schema import BALANCE, NULLABLE

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Stateless:
    """Rows without a state, of a source that has the column.

    Attributes:
        days: their number by day, counted from 1970-01-01.
    """

    days: Mapping[int, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows without a state."""
        return sum(self.days.values())

    @classmethod
    def marked(cls, lacking: Flags | None, time: Integers) -> Self:
        """Count the marked rows by day of their moments; None marks no row."""
        if lacking is None:
            return cls()
        days, counts = np.unique(time[lacking] // DAY_US, return_counts=True)
        return cls(dict(zip(days.tolist(), counts.tolist(), strict=True)))

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Add up the counts of the parts of a source."""
        days = Counter[int]()
        for part in parts:
            days.update(part.days)
        return cls(dict(days))


@dataclass(frozen=True)
class Histories:
    """Transactions of n customers in m rows, valid, each customer's rows adjacent and in time order.

    Attributes:
        user_ids: n identifiers, in order of first appearance.
        offsets: n + 1 row numbers; rows of customer c are offsets[c] to offsets[c + 1].
        time: m moments, microseconds since 1970-01-01 UTC.
        amount: m signed amounts in the base currency.
        balance: m balances after the row, in the base currency.
        kind: m codes of `features.schema` (deposit, withdrawal, nothing, pending, failed).
        currency: m positions in the sorted codes of the rate table.
        category: m codes, 0 API and 1 WEB.
        created: m moments of account creation as the row states them, microseconds.
        base: code of the base currency.
        absent: columns of `features.column_names.ABSENCES` that the source lacks, or whose content is not read.
        unknown_from: n x 3 moments (microseconds) of the first row that lacks a balance, a category or a creation
            (`features.schema.NULLABLE`): an indicator that reads it is undefined from then on. None if no row lacks
            any.
        identified: whether rows have a transaction_id: m flags, or one answer for all. Repeats of such rows were
            removed, and equal rows are different transactions.
        repeats: number of rows removed as repeats of another one of their customer and transaction_id; 0 in a
            selection of customers.
        stateless: rows without a state if the source has the column; empty in a selection of customers.
    """

    user_ids: pa.Array
    offsets: Integers
    time: Integers
    amount: Floats
    balance: Floats
    kind: npt.NDArray[np.int8]
    currency: npt.NDArray[np.int16]
    category: npt.NDArray[np.int8]
    created: Integers
    base: str
    absent: tuple[str, ...] = ()
    unknown_from: Integers | None = None
    identified: bool | Flags = False
    repeats: int = 0
    stateless: Stateless = field(default_factory=Stateless)

    @property
    def customers(self) -> int:
        """Number of customers."""
        return len(self.offsets) - 1

    @property
    def rows(self) -> int:
        """Number of transactions."""
        return len(self.time)

    @property
    def amount_checks(self) -> "AmountChecks":
        """Signs that amounts are not what they seem to be."""
        balance = self.balance
        if self.unknown_from is not None:
            known_until = np.repeat(self.unknown_from[:, NULLABLE.index(BALANCE)], np.diff(self.offsets))
            balance = np.where(self.time < known_until, balance, np.nan)
        last = self.user_ids[-1].as_py() if self.customers else ""
        return AmountChecks.of(self.offsets, self.time, self.amount, balance, last)

    def select(self, first: int, last: int) -> "Histories":
        """Return the customers from *first* up to, not including, *last*."""
        start, end = int(self.offsets[first]), int(self.offsets[last])
        return Histories(
            self.user_ids.slice(first, last - first),
            self.offsets[first : last + 1] - start,
            self.time[start:end],
            self.amount[start:end],
            self.balance[start:end],
            self.kind[start:end],
            self.currency[start:end],
            self.category[start:end],
            self.created[start:end],
            self.base,
            self.absent,
            None if self.unknown_from is None else self.unknown_from[first:last],
            flags_of(self.identified, slice(start, end)),
        )

    def take(self, customers: Integers) -> "Histories":
        """Return the customers at some positions, in this order."""
        lengths = np.diff(self.offsets)[customers]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(self.offsets[customers] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Histories(
            self.user_ids.take(pa.array(customers)),
            offsets,
            self.time[rows],
            self.amount[rows],
            self.balance[rows],
            self.kind[rows],
            self.currency[rows],
            self.category[rows],
            self.created[rows],
            self.base,
            self.absent,
            None if self.unknown_from is None else self.unknown_from[customers],
            flags_of(self.identified, rows),
        )

    def position(self, user_id: str) -> int | None:
        """Find a customer's position; None for an unknown customer."""
        position = self.user_ids.index(pa.scalar(user_id, self.user_ids.type)).as_py()
        return None if position < 0 else int(position)

    def named_alike(self, user_id: str) -> str | None:
        """Find a customer whose identifier differs only in leading zeros and blanks, which spreadsheets drop."""
        trimmed = pc.utf8_ltrim(self.user_ids, characters="0 ")
        position = trimmed.index(pa.scalar(user_id.lstrip("0 "), trimmed.type)).as_py()
        return None if position < 0 else str(self.user_ids[position])


@dataclass(frozen=True)
class MissingValues:
    """A column that some rows lack.

    Attributes:
        column: the name of the column.
        customers: number of customers with such a row.
        customer: the first of them.
        from_us: the moment of the first such row of that customer.
    """

    column: str
    customers: int
    customer: str
    from_us: int

    def __str__(self) -> str:
        of = "1 customer" if self.customers == 1 else f"{self.customers:,} customers"
        row = f"{self.customer!r} at {day_text(self.from_us)}"
        return f"{self.column} is missing in rows of {of}, such as that of {row}"


def missing_values(histories: Histories, as_of: int, columns: Sequence[str] = NULLABLE) -> list[MissingValues]:
    """Return the columns, among *columns*, that some rows up to *as_of* (microseconds) lack."""
    if histories.unknown_from is None:
        return []
    missing = []
    for name in columns:
        moments = histories.unknown_from[:, NULLABLE.index(name)]
        lacking = np.flatnonzero(moments <= as_of)
        if len(lacking) and name not in histories.absent:
            first = int(lacking[0])
            missing.append(MissingValues(name, len(lacking), histories.user_ids[first].as_py(), int(moments[first])))
    return missing


_SAME_MONEY = 1e-12
"""Sums of one amount of money differ by less than this share of all that was added: 64-bit floats round."""


@dataclass(frozen=True)
class AmountChecks:
    """Signs that amounts of some rows are not what they seem to be.

    A balance moves if two consecutive rows, each alone at its moment, have different balances. Such a move should be
    the amount of the second row.

    Attributes:
        rows: number of rows with an amount.
        below: rows with an amount below 0.
        above: rows with an amount above 0.
        moves: number of moves of balances.
        moves_by_amount: moves by the amount.
        moves_by_hundredth: moves by a hundredth of the amount, as if amounts alone are in cents.
        moves_by_hundredfold: moves by a hundred times the amount, as if balances alone are in cents.
        total: the sum of the amounts, money.
        moved: the sum of their sizes, money.
        last_customer: the last customer, if that one has one row; otherwise None.
        last_amount: the amount of that row, money.
    """

    rows: int = 0
    below: int = 0
    above: int = 0
    moves: int = 0
    moves_by_amount: int = 0
    moves_by_hundredth: int = 0
    moves_by_hundredfold: int = 0
    total: float = field(default=0.0, compare=False)
    moved: float = field(default=0.0, compare=False)
    last_customer: str | None = None
    last_amount: float = 0.0

    @classmethod
    def of(cls, offsets: Integers, time: Integers, amount: Floats, balance: Floats, last_customer: str) -> Self:
        """Check m rows of n customers, laid out as `Histories`; an unknown balance is NaN."""
        if not len(time):
            return cls()
        is_alone = np.ones(len(time), dtype=np.bool_)
        follows = np.ones(len(time) - 1, dtype=np.bool_)
        begins = offsets[1:-1]
        follows[begins[(begins > 0) & (begins < len(time))] - 1] = False
        is_tied = follows & (time[1:] == time[:-1])
        is_alone[1:] &= ~is_tied
        is_alone[:-1] &= ~is_tied
        second = np.flatnonzero(follows & is_alone[1:] & is_alone[:-1]) + 1
        move, by = balance[second] - balance[second - 1], amount[second]
        rounding = _SAME_MONEY * (np.abs(balance[second]) + np.abs(balance[second - 1]))
        is_move = (np.abs(move) > rounding) & (by != 0)
        agree = [int((is_move & (np.abs(move - by * share) <= rounding)).sum()) for share in (1.0, 0.01, 100.0)]
        by_amount, by_hundredth, by_hundredfold = agree
        is_one_row = offsets[-1] - offsets[-2] == 1
        return cls(
            len(amount),
            int((amount < 0).sum()),
            int((amount > 0).sum()),
            int(is_move.sum()),
            by_amount,
            by_hundredth,
            by_hundredfold,
            float(amount.sum()),
            float(np.abs(amount).sum()),
            last_customer if is_one_row else None,
            float(amount[-1]) if is_one_row else 0.0,
        )

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Add up the checks of different customers, in order."""
        parts = [part for part in parts if part.rows]
        if not parts:
            return cls()
        sums = {each.name: sum(getattr(part, each.name) for part in parts) for each in fields(cls)[:-2]}
        return cls(**sums, last_customer=parts[-1].last_customer, last_amount=parts[-1].last_amount)

    @property
    def last_is_total(self) -> bool:
        """Whether the one row of the last customer is the sum of all other amounts."""
        difference = abs(self.total - 2 * self.last_amount)
        return self.last_customer is not None and self.last_amount != 0 and difference <= _SAME_MONEY * self.moved


@dataclass(frozen=True)
class Ties:
    """Ambiguities of rows of one customer and moment without a transaction_id.

    Attributes:
        repeated: rows that equal another one in every column. Repeats of rows that have a transaction_id were removed
            when they were read.
        unordered: customers with different balances at some moment, or at the last one that is seen: which balance came
            last is a guess.
    """

    repeated: int = 0
    unordered: int = 0

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Add up the ties of different customers."""
        parts = list(parts)
        return cls(sum(part.repeated for part in parts), sum(part.unordered for part in parts))


def ties(histories: Histories, seen_until: int | None = None) -> Ties:
    """Count the ambiguities of rows of one moment. Equal rows are neighbours.

    With *seen_until* (microseconds), only the balances at each customer's last moment until then count: only there
    does a guess decide which balance is the last.
    """
    if histories.identified is True or histories.rows < 2:
        return Ties()
    is_tied = histories.time[1:] == histories.time[:-1]
    begins = histories.offsets[1:-1]
    is_tied[begins[(begins > 0) & (begins < histories.rows)] - 1] = False
    before = np.flatnonzero(is_tied)
    has_id, other_has_id = (flags_of(histories.identified, rows) for rows in (before, before + 1))
    is_same = np.logical_not(has_id) & np.logical_not(other_has_id)
    columns = (
        histories.amount, histories.balance, histories.kind, histories.currency, histories.category, histories.created,
    )  # fmt: skip
    for column in columns:
        is_same = is_same & (column[before] == column[before + 1])
    if BALANCE in histories.absent:
        return Ties(int(is_same.sum()))
    differs = histories.balance[before] != histories.balance[before + 1]
    differs &= ~np.logical_and(has_id, other_has_id)
    unordered = before[differs]
    if seen_until is not None and len(unordered):
        last = _last_seen(histories, seen_until)[np.searchsorted(histories.offsets, unordered, side="right") - 1]
        unordered = unordered[(unordered < last) & (histories.time[unordered] == histories.time[last])]
    of_customers = np.diff(np.searchsorted(unordered, histories.offsets))
    return Ties(int(is_same.sum()), int(np.count_nonzero(of_customers)))


def _last_seen(histories: Histories, until: int) -> Integers:
    """Return each customer's last row until a moment; the row before the first one if there is none."""
    rows_until = np.concatenate([[0], np.cumsum(histories.time <= until)])
    last: Integers = histories.offsets[:-1] + np.diff(rows_until[histories.offsets]) - 1
    return last


def concatenate(parts: list[Histories]) -> Histories:
    """Join batches of different customers, all in one base currency, into one container.

    No part may be empty, no customer may be in two parts, and all parts must lack the same columns;
    `features.reading.sources.stream_histories` ensures that.
    """
    ends = np.cumsum([part.rows for part in parts])
    starts = np.concatenate([[0], ends[:-1]])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts, strict=True)]
    return Histories(
        pa.concat_arrays([part.user_ids for part in parts]),
        np.concatenate([*offsets, ends[-1:]]).astype(np.int64),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.amount for part in parts]),
        np.concatenate([part.balance for part in parts]),
        np.concatenate([part.kind for part in parts]),
        np.concatenate([part.currency for part in parts]),
        np.concatenate([part.category for part in parts]),
        np.concatenate([part.created for part in parts]),
        parts[0].base,
        parts[0].absent,
        None if parts[0].unknown_from is None else np.concatenate([part.unknown_from for part in parts]),
        joined_flags([(part.identified, part.rows) for part in parts]),
        sum(part.repeats for part in parts),
        Stateless.joined(part.stateless for part in parts),
    )


def flags_of(flags: bool | Flags, rows: Any) -> bool | Flags:
    """Select the flags of some rows, which index m flags; one answer for all stays as it is."""
    return flags if isinstance(flags, bool) else flags[rows]


def joined_flags(parts: Sequence[tuple[bool | Flags, int]]) -> bool | Flags:
    """Join the flags of parts with their numbers of rows; one answer if it is the same for all.

    >>> joined_flags([(True, 2), (True, 1)]), joined_flags([(True, 2), (False, 1)]).tolist()
    (True, [True, True, False])
    """
    for same in (True, False):
        if all(flag is same for flag, _ in parts):
            return same
    return np.concatenate([np.full(rows, flag) if isinstance(flag, bool) else flag for flag, rows in parts])
