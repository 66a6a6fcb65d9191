"""The transaction at hand: checked as those that are stored, and stored as none of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from fivefold.domain.clock import from_microseconds
from fivefold.domain.errors import DataNotValid, Problem
from fivefold.domain.money import RateTable
from fivefold.features import schema as c
from fivefold.features.reading.columns import shown
from fivefold.risk.language.fields import FieldType
from fivefold.usecases.levels.portfolio import as_given
from fivefold.usecases.shared.transaction_columns import KNOWN, OWNERS, frame_of, read_columns

_UNNAMED = "unnamed"
"""Stands in place of a transaction's number, where it has none, while it is checked."""
_STATE = "PENDING"
"""What is to be decided on has not happened yet."""


@dataclass(frozen=True)
class AtHand:
    """A transaction at hand.

    Attributes:
        frame: one row, in the columns that the engine reads.
        said: it as it is kept: text and exact numbers alone.
        transaction_id: its own number; None where it has none.
    """

    frame: pl.DataFrame
    said: Mapping[str, Any]
    transaction_id: str | None


def read_at_hand(
    given: Mapping[str, Any],
    declared: Mapping[str, FieldType],
    entity: tuple[int, str],
    now_us: int,
) -> AtHand:
    """Check a transaction, in the columns of the API, and bring it into those of the engine.

    Without a date it happens now, and without a state it is pending. The balance, the channel and the account's age,
    which other calls send with it, are taken and not used.

    Args:
        given: as somebody sent it.
        declared: the fields that the entity type declares for its transactions.
        entity: number and external id of whose it is.
        now_us: the present moment.

    Raises:
        DataNotValid: names everything that is wrong with it: a field that nobody knows would be one that no rule sees.
    """
    number, external_id = entity
    _refuse_strange(given, declared, external_id)
    there = {name: value for name, value in given.items() if value is not None}
    moment = from_microseconds(now_us).replace(tzinfo=None).isoformat()
    usual = {c.TRANSACTION_ID: _UNNAMED, c.DATE: moment, c.STATE: _STATE, OWNERS[0]: external_id}
    read = read_columns(frame_of([{**usual, **there}], declared), declared, now_us, text=False)
    stored = read.hstack([pl.Series("entity", [number], dtype=pl.Int64)])
    if c.TRANSACTION_ID not in there:
        nothing = pl.Series("transaction_id", [None], dtype=pl.String)
        stored = stored.replace_column(stored.get_column_index("transaction_id"), nothing)
    row = stored.row(0, named=True)
    said = {name: row[name] for name in ("transaction_id", "at_us", "currency", "state", "content")}
    return AtHand(as_given(stored, declared), {**said, "amount": repr(row["amount"])}, row["transaction_id"])


def _refuse_strange(given: Mapping[str, Any], declared: Mapping[str, FieldType], external_id: str) -> None:
    known = (*KNOWN, *declared)
    problems = [Problem(0, name, "is no field of it", ", ".join(known)) for name in given if name not in known]
    problems += [
        Problem(0, name, "is missing", "an amount and its currency")
        for name in (c.AMOUNT, c.CURRENCY)
        if given.get(name) is None
    ]
    problems += [
        Problem(0, name, f"is {shown(given[name])}", f"{external_id}, whom it is decided on, or nothing")
        for name in OWNERS
        if given.get(name) is not None and given[name] != external_id
    ]
    if problems:
        raise DataNotValid(problems)


def rate_said(rates: RateTable, currency: str) -> dict[str, Any]:
    """Tell at which rate an amount is brought into the base currency, and of which day that rate is.

    Both are None for a currency without a rate, whose money is unknown in the base.
    """
    said: dict[str, Any] = {"base": rates.base, "currency": currency, "day": None, "per_unit": None}
    if currency in rates.positions:
        said |= {"day": rates.known_on(currency).isoformat(), "per_unit": repr(rates.per_unit(currency))}
    return said
