"""The linked facts of one entity as plain rows, in order of time: the counterpart of `risk.facts.linked`."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from fivefold.domain.money import RateTable, minor_units
from fivefold.features.schema import TRANSACTION_ID
from fivefold.risk.compiler.plain_conditions import PlainTest, Row
from fivefold.risk.facts import records, transactions
from fivefold.risk.facts.linked import LINKED_ENTITY, TIME, UNREADABLE, LinkedFacts, original_of
from fivefold.risk.facts.portfolio import AS_OF
from fivefold.risk.facts.records import CLOSED, OPEN, OPENED, OUTCOME, STATUS
from fivefold.risk.facts.single.values import LeftToColumnsError, own_rows, plain_moments, plain_texts, read_plain
from fivefold.risk.facts.transactions import WORDS_OF_STATES, largest_amount, whole_minor
from fivefold.risk.language.fields import FieldType


@dataclass(frozen=True)
class SingleFacts:
    """Facts of one entity and one source up to as-of, all of which could be read.

    Attributes:
        rows: the facts by their fields, with `time` in microseconds; in order of time.
        as_of: the moment of assessment.
    """

    rows: Sequence[Row]
    as_of: int
    _chosen: dict[tuple[str, ...], tuple[Sequence[Row], list[int]]] = field(default_factory=dict)

    def inside(self, begin: int | None, tests: "NamedTests", end: int | None = None) -> Sequence[Row]:
        """Return the facts of a window for which all of *tests* are true.

        Args:
            begin: the window's opening, itself outside; None for no lower bound.
            tests: conditions on the facts' fields.
            end: the window's end, itself inside; as-of if it is not given.
        """
        rows, times = self._where(tests)
        first = 0 if begin is None else bisect_right(times, begin)
        return rows[first : len(rows) if end is None else bisect_right(times, end)]

    def _where(self, tests: "NamedTests") -> tuple[Sequence[Row], list[int]]:
        """Select rows, cached by the tests, and by all tests but the last."""
        name = tuple(name for name, _ in tests)
        if name not in self._chosen:
            rows = self.rows
            if tests:
                *before, (_, test) = tests
                rows = [row for row in self._where(before)[0] if test(row)]
            self._chosen[name] = rows, [row[TIME] for row in rows]
        return self._chosen[name]


NamedTests = Sequence[tuple[str, PlainTest]]
"""Conditions on the fields of facts, each with a unique name."""

SETTLED: tuple[str, PlainTest] = ("settled", lambda row: row["state"] == "settled")
"""The condition on transactions that count if `where` does not test their state."""

HAS_RESULT: tuple[str, PlainTest] = ("with a result", lambda row: row["found"] is not None)
"""The condition on screenings that count if `where` does not test what they found."""


def in_order(rows: Sequence[Row], as_of: int) -> SingleFacts:
    """Drop the rows after as-of, and sort the others by time."""
    return SingleFacts(sorted((row for row in rows if row[TIME] <= as_of), key=lambda row: row[TIME]), as_of)


def of_columns(facts: LinkedFacts, entity: str, as_of: int) -> SingleFacts:
    """Read facts prepared as columns; raises LeftToColumnsError if one could not be read."""
    mine = facts.rows.filter(pl.col(LINKED_ENTITY) == entity).with_columns(pl.lit(as_of, pl.Int64).alias(AS_OF))
    there = mine.filter((pl.col(TIME) <= pl.col(AS_OF)) | pl.col(TIME).is_null()).with_columns(*facts.as_known)
    if facts.usual is not None and facts.usual_field is None:  # the tests of an aggregate do not include it
        there = there.filter(facts.usual)
    frame = there.collect()
    if frame[UNREADABLE].any() or frame[TIME].null_count():
        raise LeftToColumnsError(UNREADABLE)
    return in_order(frame.drop(AS_OF).rows(named=True), as_of)


def entering_of_columns(facts: LinkedFacts, entity: str, as_of: int) -> int | None:
    """Return the first moment after as-of at which a fact appears or changes; None if there is none.

    Raises:
        LeftToColumnsError: a fact could not be read, so its moments are not known.
    """
    mine = facts.rows.filter(pl.col(LINKED_ENTITY) == entity).select(*facts.moves, UNREADABLE).collect()
    if mine[UNREADABLE].any() or mine[TIME].null_count():
        raise LeftToColumnsError(UNREADABLE)
    later = (moment for name in facts.moves for moment in mine[name] if moment is not None and moment > as_of)
    return min(later, default=None)


@dataclass(frozen=True)
class _Currency:
    """How amounts of a currency are converted.

    Attributes:
        units: the minor units in one of its units.
        rate: the worth of one unit in the base currency; None for the base itself.
        largest: the largest amount whose minor units fit.
    """

    units: float
    rate: float | None
    largest: float


def rows_of_stored(
    frame: pl.DataFrame, rates: RateTable, declared: Mapping[str, FieldType], entity: str
) -> list[dict[str, Any]]:
    """Read stored transactions, or the pending one, as `risk.facts.transactions.prepare_stored` does.

    Returns:
        A row for each transaction, by its fields, in the order of *frame*.

    Raises:
        LeftToColumnsError: something in them must be reported or refused.
    """
    if not declared.keys() <= set(frame.columns) or not transactions.TAKEN.isdisjoint(declared):
        raise LeftToColumnsError("transactions")
    mine = own_rows(frame, entity)
    fields = {name: read_plain(mine[name], form, of_facts=True) for name, form in declared.items()}
    codes, states = plain_texts(mine["currency"]), mine["state"].to_list()
    amounts, times = mine["amount"].to_list(), mine[TIME].to_list() if mine.schema["time"] == pl.Int64 else [None]
    if None in times or None in codes or None in amounts:
        raise LeftToColumnsError("transactions")
    kinds = {code: _currency(rates, code) for code in set(codes)}
    base_units = float(minor_units(rates.base))
    rows = []
    beside = zip(mine[TRANSACTION_ID].to_list(), *fields.values(), strict=True)
    names = (TRANSACTION_ID, *fields)
    for number, code, state, time, own in zip(amounts, codes, states, times, beside, strict=True):
        kind, size = kinds[code], abs(number)
        if not size <= kind.largest or state not in WORDS_OF_STATES:
            raise LeftToColumnsError("amount")
        original = whole_minor(size, 1.0, kind.units)
        based = original if kind.rate is None else whole_minor(size, kind.rate, base_units)
        rows.append(
            {
                **dict(zip(names, own, strict=True)),
                TIME: time,
                "currency": code,
                "state": WORDS_OF_STATES[state],
                **_money(number, based, original),
            }
        )
    return rows


def _money(number: float, size: int, original: int) -> dict[str, Any]:
    is_out = number < 0
    return {
        "amount": size,
        "signed_amount": -size if is_out else size,
        original_of("amount"): original,
        original_of("signed_amount"): -original if is_out else original,
        "direction": "withdrawal" if is_out else "deposit" if number > 0 else None,
    }


def _currency(rates: RateTable, code: str) -> _Currency:
    if code not in rates.positions:  # its money is unknown in the base currency, which columns report
        raise LeftToColumnsError(code)
    units, rate = float(minor_units(code)), rates.per_unit(code)
    largest = largest_amount(max(units, rate * minor_units(rates.base)))
    return _Currency(units, None if code == rates.base else rate, largest)


def of_records(frame: pl.DataFrame, declared: Mapping[str, FieldType], entity: str, as_of: int) -> SingleFacts:
    """Read cases or alerts as known at as-of, as `risk.facts.records.prepare_records` does.

    Raises:
        LeftToColumnsError: something in them must be reported or refused.
    """
    if not {OPENED, *declared} <= set(frame.columns) or not records.TAKEN.isdisjoint(declared):
        raise LeftToColumnsError(OPENED)
    mine = own_rows(frame, entity)
    nothing = [None] * len(mine)
    opened = plain_moments(mine[OPENED])
    closed = plain_moments(mine[CLOSED]) if CLOSED in mine.columns else nothing
    outcomes, states = (plain_texts(mine[name]) if name in mine.columns else nothing for name in (OUTCOME, STATUS))
    fields = {name: read_plain(mine[name], form, of_facts=True) for name, form in declared.items()}
    rows = []
    beside = zip(*fields.values(), strict=True) if fields else [()] * len(mine)
    for begin, end, outcome, state, own in zip(opened, closed, outcomes, states, beside, strict=True):
        if begin is None or (outcome is not None and end is None):
            raise LeftToColumnsError(OUTCOME)
        if begin > as_of:
            continue
        is_closed = end is not None and end <= as_of
        rows.append(
            {
                **dict(zip(fields, own, strict=True)),
                TIME: end if is_closed else begin,
                CLOSED: end if is_closed else None,
                OUTCOME: outcome if is_closed else None,
                STATUS: (state or CLOSED) if is_closed else OPEN,
            }
        )
    return in_order(rows, as_of)
