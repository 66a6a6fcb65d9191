"""Shared by all patterns: the settled transactions of each row's window, exact bounds, and the form of the result."""

from fractions import Fraction
from math import ceil

import numpy as np
import numpy.typing as npt
import polars as pl

from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.language.quantities import Duration

Integers = npt.NDArray[np.int64]

ROW, NUMBER, LATEST, LACKING = "row", "number", "latest", "lacking"
"""Columns of a pattern's result: the row of the entities, the number, the moment of the latest fact in it; and the
number of transactions without a known counterparty, if the pattern is unknown for that reason alone."""

TIME, BEGIN, AMOUNT, DIRECTION, COUNTERPARTY, WORD = "time", "begin", "amount", "direction", "counterparty", "word"
"""Columns of linked transactions: the time, the start of the window, the amount, and fields that a pattern reads."""

DEPOSIT, WITHDRAWAL = "deposit", "withdrawal"

_LARGEST = (1 << 63) - 1
_PLACE = pl.int_range(pl.len(), dtype=pl.UInt32).alias(ROW)


def linked(
    entities: pl.DataFrame,
    transactions: pl.LazyFrame,
    where: pl.Expr,
    over: Duration,
    *,
    earlier: bool = False,
    **fields: str,
) -> pl.LazyFrame:
    """Return the settled transactions of each row of *entities* in (as-of − over, as-of].

    A row is a place in *entities*: the same entity may be there twice, with another as-of.

    Args:
        entities: `entity_id` and `as_of`.
        transactions: the transactions as `risk.facts` prepares them.
        where: the condition on them; unknown counts as false.
        over: the length of the window.
        earlier: whether to include transactions before the window.
        **fields: further columns of the result, each with its column of the transactions.

    Returns:
        Columns ROW, TIME, BEGIN and *fields*, in no order.
    """
    windows = entities.select(_PLACE, ENTITY, over.before(pl.col(AS_OF)).alias(BEGIN), AS_OF)
    first, last = (pl.lit(moment, pl.Int64) for moment in windows.select(pl.min(BEGIN), pl.max(AS_OF)).row(0))
    soon = pl.col(TIME) <= last if earlier else (pl.col(TIME) > first) & (pl.col(TIME) <= last)
    counted = transactions.filter((pl.col("state") == "settled") & soon & where)
    named = [pl.col(column).alias(name) for name, column in fields.items()]
    if len(windows) == 1:  # a join reads the name of every transaction, which takes most of the time
        row = pl.lit(0, pl.UInt32).alias(ROW)
        return counted.filter(pl.col("entity") == windows[ENTITY][0]).select(row, TIME, first.alias(BEGIN), *named)
    joined = (
        counted.select(pl.col("entity").alias(ENTITY), TIME, *named)
        .join(windows.lazy(), on=ENTITY)
        .filter(pl.col(TIME) <= pl.col(AS_OF))
    )
    inside = joined if earlier else joined.filter(pl.col(TIME) > pl.col(BEGIN))
    return inside.select(ROW, TIME, BEGIN, *fields)


def by_row(
    entities: pl.DataFrame, hits: pl.LazyFrame, where_known: pl.Expr | None = None, *, lacks: bool = False
) -> pl.DataFrame:
    """Return the number and latest moment for every row of *entities*: 0 and null where nothing was found.

    Args:
        entities: the entities, in the order of the result.
        hits: ROW, NUMBER and LATEST of the rows where the pattern is.
        where_known: a condition on *entities*; where it is not true both are null.
        lacks: whether the hits have LACKING, above 0 where both are null; the result has it then.
    """
    own = [LACKING] if lacks else []
    number = pl.col(NUMBER).cast(pl.Float64).fill_null(0.0)
    if lacks:
        number = pl.when(pl.col(LACKING) > 0).then(None).otherwise(number)
    is_known = pl.lit(value=True) if where_known is None else where_known
    return (
        entities.lazy()
        .select(ENTITY, _PLACE, is_known.alias("known"))
        .join(hits.select(ROW, NUMBER, LATEST, *own), on=ROW, how="left", maintain_order="left")
        .select(
            ENTITY,
            pl.when("known").then(number).alias(NUMBER),
            pl.when("known").then(pl.col(LATEST).cast(pl.Int64)).alias(LATEST),
            *(pl.when(pl.col(name) > 0).then(pl.col(name).cast(pl.Int64)) for name in own),
        )
        .collect()
    )


def least_minor(bound: Fraction, units: int) -> int:
    """Return the least whole number of minor units that is at least *bound*, which is in main units.

    >>> least_minor(Fraction("9999.995"), 100)
    1000000
    """
    return min(ceil(bound * units), _LARGEST)


def wide(column: str, times: int) -> pl.Expr:
    """Multiply a whole-number column by a whole number in 128 bits, which no product of the patterns overflows."""
    return pl.col(column).cast(pl.Int128) * pl.lit(times, pl.Int128)


def total(column: str) -> pl.Expr:
    """Add up minor units in 128 bits: a hundred of the largest amounts are more than 64 bits hold."""
    return pl.col(column).cast(pl.Int128).sum()


def offsets_of(rows: pl.DataFrame) -> tuple[pl.Series, Integers]:
    """Return the entities' rows that occur in *rows*, which are in order of ROW, and where each begins."""
    runs = rows[ROW].rle().struct
    return runs.field("value"), np.concatenate(([0], runs.field("len").to_numpy())).cumsum(dtype=np.int64)
