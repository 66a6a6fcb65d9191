"""Structuring: deposits kept under a reporting threshold.

Source: 31 CFR 1010.314 with 1010.100(xx): breaking a sum that would be reported into several that are not, on one day
or several. FFIEC BSA/AML Examination Manual, appendices F (amounts just below a threshold; round amounts) and G.
"""

from fractions import Fraction

import polars as pl

from fivefold.risk.facts.patterns.rows import (
    AMOUNT,
    DEPOSIT,
    DIRECTION,
    LATEST,
    NUMBER,
    ROW,
    TIME,
    by_row,
    least_minor,
    linked,
    total,
)
from fivefold.risk.language.patterns import Structuring


def find_structuring(
    entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: Structuring, units: int
) -> pl.DataFrame:
    """Count the deposits just below the threshold, or round and below it, that together reach it."""
    threshold = Fraction(pattern.threshold)
    suspect = (pl.col(DIRECTION) == DEPOSIT) & _suspect(pattern, units)
    deposits = linked(entities, transactions, suspect, pattern.over, amount=AMOUNT)
    counts = deposits.group_by(ROW).agg(
        pl.len().alias(NUMBER), total(AMOUNT).alias(AMOUNT), pl.col(TIME).max().alias(LATEST)
    )
    enough = (pl.col(NUMBER) >= pattern.at_least) & (pl.col(AMOUNT) >= least_minor(threshold, units))
    return by_row(entities, counts.filter(enough))


def _suspect(pattern: Structuring, units: int) -> pl.Expr:
    threshold = Fraction(pattern.threshold)
    amount = pl.col(AMOUNT)
    near = amount >= least_minor(threshold * (100 - Fraction(pattern.margin)) / 100, units)
    if pattern.round_to is not None:
        # A whole number is a multiple of a fraction in lowest terms if it is one of its numerator.
        step = (Fraction(pattern.round_to) * units).numerator
        near |= amount % step == 0
    return (amount > 0) & (amount < least_minor(threshold, units)) & near
