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

NEEDED, _DEADLINE, PASSED = "needed", "deadline", "passed"


def find_pass_through(
    entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: PassThrough, units: int
) -> pl.DataFrame:
    """Count the deposits of which enough was withdrawn again in time."""
    relevant = passing(pattern, units)
    rows = linked(entities, transactions, relevant, pattern.over, amount=AMOUNT, direction=DIRECTION).collect()
    deposited = rows.filter(pl.col(DIRECTION) == DEPOSIT).select(ROW).unique()
    laid = laid_out(rows.join(deposited, on=ROW, how="semi"), pattern)
    followed = laid.filter((pl.col(NEEDED) > 0) & (pl.col(PASSED) >= pl.col(NEEDED)))
    counts = followed.lazy().group_by(ROW).agg(pl.len().alias(NUMBER), pl.col(LATEST).max())
    return by_row(entities, counts.filter(pl.col(NUMBER) >= pattern.at_least))


def passing(pattern: PassThrough, units: int) -> pl.Expr:
    """True for the transactions that the pattern looks at: deposits that are large enough, and withdrawals."""
    deposit, withdrawal = (pl.col(DIRECTION) == way for way in (DEPOSIT, WITHDRAWAL))
    large = pl.col(AMOUNT) >= max(least_minor(Fraction(pattern.minimum), units), 1)
    return (deposit & large) | (withdrawal & (pl.col(AMOUNT) > 0))


def laid_out(rows: pl.DataFrame, pattern: PassThrough) -> pl.DataFrame:
    """Lay withdrawals to deposits: ROW, TIME, NEEDED (0 for a withdrawal), PASSED, and LATEST, when the last went.

    Args:
        rows: ROW, TIME, AMOUNT and DIRECTION of what `passing` chose.
        pattern: its parameters.
    """
    share = Fraction(pattern.share) / 100
    enough = (wide(AMOUNT, share.numerator) + (share.denominator - 1)) // share.denominator
    needed = pl.when(pl.col(DIRECTION) == DEPOSIT).then(enough.cast(pl.Int64)).otherwise(0)
    ordered = rows.select(
        ROW, TIME, AMOUNT, needed.alias(NEEDED), pattern.within.after(pl.col(TIME)).alias(_DEADLINE)
    ).sort(ROW, TIME, pl.col(NEEDED) == 0, AMOUNT)
    _, offsets = offsets_of(ordered)
    columns = (ordered[name].to_numpy() for name in (TIME, AMOUNT, NEEDED, _DEADLINE))
    passed, latest = np.zeros(len(ordered), np.int64), np.zeros(len(ordered), np.int64)
    compile_loops(loops).pass_on(offsets, *columns, passed, latest)
    return ordered.select(ROW, TIME, NEEDED, pl.Series(PASSED, passed), pl.Series(LATEST, latest))
