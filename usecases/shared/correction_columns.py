"""The columns of corrections and reversals, checked by the same readers as transactions."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any, Final

import polars as pl

from fivefold.features import schema as c
from fivefold.risk.language.fields import FieldType
from fivefold.usecases.shared.transaction_columns import (
    AHEAD_US,
    CORRECTION_COLUMNS,
    KNOWN,
    OWNERS,
    SENT_AS,
    TransactionColumns,
    plain_frame,
)

CORRECTS, REVERSES, REASON, KNOWN_AT = CORRECTION_COLUMNS
"""The columns of corrections; the first or the second names the transaction that a row is about."""
NAMES: Final = frozenset(CORRECTION_COLUMNS)
"""The columns that only corrections have; a type cannot declare fields of these names."""
CORRECTION, REVERSAL = "correction", "reversal"

MOST_REASON_CHARACTERS = 500
_VALUES = tuple(SENT_AS.values())

Rows = Sequence[Mapping[str, Any]] | pl.DataFrame


def split_corrections(rows: Rows) -> tuple[Rows, Sequence[int] | None, Rows, Sequence[int]]:
    """Divide rows into transactions and corrections, each with the places of the rows.

    The places of transactions are None if all rows are transactions, which is nearly always so.
    """
    if isinstance(rows, pl.DataFrame):
        rows = _without_nan(rows)
        refers = [pl.col(name).cast(pl.String).fill_null("") != "" for name in (CORRECTS, REVERSES) if name in rows]
        mask = rows.select(pl.any_horizontal(refers)).to_series() if refers else None
        if mask is None or not mask.any():
            return rows, None, (), ()
        return rows.filter(~mask), (~mask).arg_true().to_list(), rows.filter(mask), mask.arg_true().to_list()
    places = [number for number, row in enumerate(rows) if _is_given(row.get(CORRECTS)) or _is_given(row.get(REVERSES))]
    if not places:
        return rows, None, (), ()
    others = sorted(set(range(len(rows))).difference(places))
    return [rows[number] for number in others], others, [rows[number] for number in places], places


def _without_nan(rows: pl.DataFrame) -> pl.DataFrame:
    """Replace NaN, by which pandas writes a missing value, with null in the columns that name a transaction."""
    names = [name for name in (CORRECTS, REVERSES) if name in rows and rows[name].dtype.is_float()]
    return rows.with_columns(pl.col(names).fill_nan(None)) if names else rows


def _is_given(value: Any) -> bool:
    """Check whether a row has a value; NaN counts as missing, 0 does not."""
    return value is not None and value != "" and not (isinstance(value, float) and isnan(value))


def read_corrections(
    rows: Rows, own: Mapping[str, FieldType], now: int, *, text: bool, most_named: int | None
) -> pl.DataFrame:
    """Check corrections and reversals, and convert them into the stored columns.

    Args:
        rows: `transaction_id`, their own number; `corrects` or `reverses`, the transaction's number; a
            `correction_reason`; optionally `correction_known_at` and `user_id` (or `entity_id`); and for a correction
            the right values, in the columns of transactions.
        own: the fields that the entity type declares for its transactions.
        now: the current time.
        text: whether numbers may be written as text.
        most_named: how many problems of one kind are named; None for all of them.

    Returns:
        `external_id`, `transaction_id`, `kind`, `known_us` and `user` (null if not given), `reason`, and
        `store.audit.history.VALUES`.

    Raises:
        InvalidDataError: invalid rows, each named.
    """
    frame_given = _complete(rows if isinstance(rows, pl.DataFrame) else plain_frame(rows, own, {*KNOWN, *NAMES}))
    reverses = frame_given[REVERSES].is_not_null()
    both = reverses & frame_given[CORRECTS].is_not_null()
    frame = frame_given.with_columns(pl.coalesce(CORRECTS, REVERSES).alias(CORRECTS))
    columns = TransactionColumns(frame, text=text, most_named=most_named)
    owner = next((name for name in OWNERS if name in frame.columns), None)
    series = {
        "external_id": columns.new_names(c.TRANSACTION_ID),
        "transaction_id": columns.names(CORRECTS),
        "kind": reverses.replace_strict({True: REVERSAL, False: CORRECTION}, return_dtype=pl.String),
        "known_us": columns.times(KNOWN_AT, now, optional=True),
        "user": pl.repeat(None, len(frame), dtype=pl.String, eager=True)
        if owner is None
        else frame[owner].cast(pl.String),
        "reason": columns.names(REASON, MOST_REASON_CHARACTERS),
        **columns.values(own, now + AHEAD_US, optional=True),
    }
    _note(columns, both, REVERSES, "stands beside corrects", "one of them")
    same = (series["external_id"] == series["transaction_id"]).fill_null(False)
    _note(columns, same, c.TRANSACTION_ID, "is that of the transaction itself", "a number of its own")
    value_names = [name for name in (*_VALUES, *own) if name in frame.columns]
    for name in value_names:
        right = "nothing: a reversal removes the whole transaction; a correction gives its right values"
        _note(columns, reverses & frame[name].is_not_null(), name, "is given with a reversal", right)
    nothing = ~reverses & (frame.select(pl.all_horizontal(pl.lit(True), pl.col(value_names).is_null())).to_series())
    right = f"at least one right value, in {', '.join((*_VALUES, *own))}"
    _note(columns, nothing, CORRECTS, "has no right value beside it", right)
    columns.findings.raise_if_any()
    return pl.DataFrame(series)


def _complete(frame: pl.DataFrame) -> pl.DataFrame:
    """Replace empty texts with null, and add missing columns as null."""
    missing = [name for name in (c.TRANSACTION_ID, CORRECTS, REVERSES, REASON) if name not in frame.columns]
    with_columns = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    with_text = with_columns.with_columns(pl.col(CORRECTS, REVERSES).cast(pl.String))
    return with_text.with_columns(pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)).name.keep())


def _note(columns: TransactionColumns, bad: pl.Series, field: str, problem: str, right: str) -> None:
    columns.findings.add(bad.to_numpy(), field, lambda _: problem, right)
