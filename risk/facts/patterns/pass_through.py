"""Pass-through: money that comes in and goes out again within days.

Source: FinCEN advisory FIN-2014-A005 (funnel accounts: little time between deposits and withdrawals); FATF, Virtual
Assets: Red Flag Indicators (2020): small sums gathered from many, then sent on.
"""

from fractions import Fraction

import numpy as np
import polars as pl

from fivefold.features.numba_cache import compile_loops
from fivefold.risk.facts.patterns import loops
from fivefold.risk.facts.patterns.rows import (
    AMOUNT,
    DEPOSIT,
    DIRECTION,
    LATEST,
    NUMBER,
    ROW,
    TIME,
    WITHDRAWAL,
    by_row,
    least_minor,
    linked,
    offsets_of,
    wide,
)
from fivefold.risk.language.patterns import PassThrough

_NEEDED, _DEADLINE, _PASSED = "needed", "deadline", "passed"


def find_pass_through(
    entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: PassThrough, units: int
) -> pl.DataFrame:
    """Count the deposits of which enough was withdrawn again in time."""
    deposit, withdrawal = (pl.col(DIRECTION) == way for way in (DEPOSIT, WITHDRAWAL))
    large = pl.col(AMOUNT) >= max(least_minor(Fraction(pattern.minimum), units), 1)
    relevant = (deposit & large) | (withdrawal & (pl.col(AMOUNT) > 0))
    rows = linked(entities, transactions, relevant, pattern.over, amount=AMOUNT, direction=DIRECTION).collect()
    deposited = rows.filter(deposit).select(ROW).unique()
    followed = _followed(rows.join(deposited, on=ROW, how="semi"), pattern)
    counts = followed.lazy().group_by(ROW).agg(pl.len().alias(NUMBER), pl.col(LATEST).max())
    return by_row(entities, counts.filter(pl.col(NUMBER) >= pattern.at_least))


def _followed(rows: pl.DataFrame, pattern: PassThrough) -> pl.DataFrame:
    """Give the deposits of which enough went out in time, each with the moment when the last of it did."""
    share = Fraction(pattern.share) / 100
    enough = (wide(AMOUNT, share.numerator) + (share.denominator - 1)) // share.denominator
    needed = pl.when(pl.col(DIRECTION) == DEPOSIT).then(enough.cast(pl.Int64)).otherwise(0)
    ordered = rows.select(
        ROW, TIME, AMOUNT, needed.alias(_NEEDED), pattern.within.after(pl.col(TIME)).alias(_DEADLINE)
    ).sort(ROW, TIME, pl.col(_NEEDED) == 0, AMOUNT)
    _, offsets = offsets_of(ordered)
    columns = (ordered[name].to_numpy() for name in (TIME, AMOUNT, _NEEDED, _DEADLINE))
    passed, latest = np.zeros(len(ordered), np.int64), np.zeros(len(ordered), np.int64)
    compile_loops(loops).pass_on(offsets, *columns, passed, latest)
    followed = ordered.select(ROW, _NEEDED, pl.Series(_PASSED, passed), pl.Series(LATEST, latest))
    return followed.filter((pl.col(_NEEDED) > 0) & (pl.col(_PASSED) >= pl.col(_NEEDED)))
