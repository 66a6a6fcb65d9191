"""Patterns that count: structuring, velocity, fan-in and fan-out, dormant then active, pass-through."""

from fractions import Fraction

import numpy as np
import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.features.numba_cache import compile_loops
from fivefold.risk.facts.patterns import loops
from fivefold.risk.facts.patterns.rows import (
    AMOUNT,
    BEGIN,
    COUNTERPARTY,
    DEPOSIT,
    DIRECTION,
    LACKING,
    LATEST,
    NUMBER,
    ROW,
    TIME,
    WITHDRAWAL,
    by_row,
    least_minor,
    linked,
    offsets_of,
    total,
    wide,
)
from fivefold.risk.language.patterns import DormantThenActive, Fan, PassThrough, Structuring, Velocity


def find_structuring(
    entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: Structuring, units: int
) -> pl.DataFrame:
    """Count the deposits just below the threshold, or round and below it, that together reach it.

    Source: 31 CFR 1010.314 with 1010.100(xx): breaking a sum that would be reported into several that are not, on one
    day or several. FFIEC BSA/AML Examination Manual, appendices F (amounts just below a threshold; round amounts)
    and G.
    """
    deposits = linked(entities, transactions, suspect_deposits(pattern, units), pattern.over, amount=AMOUNT)
    counts = deposits.group_by(ROW).agg(
        pl.len().alias(NUMBER), total(AMOUNT).alias(AMOUNT), pl.col(TIME).max().alias(LATEST)
    )
    return by_row(entities, counts.filter(is_structuring(pl.col(NUMBER), pl.col(AMOUNT), pattern, units)))


def is_structuring(count: pl.Expr, total_minor: pl.Expr, pattern: Structuring, units: int) -> pl.Expr:
    """True where a count of suspect deposits with a total is the pattern."""
    return (count >= pattern.at_least) & (total_minor >= least_minor(Fraction(pattern.threshold), units))


def suspect_deposits(pattern: Structuring, units: int) -> pl.Expr:
    """True for the transactions that the pattern counts."""
    threshold = Fraction(pattern.threshold)
    amount = pl.col(AMOUNT)
    near = amount >= least_minor(threshold * (100 - Fraction(pattern.margin)) / 100, units)
    if pattern.round_to is not None:
        # A whole number is a multiple of a fraction in lowest terms if it is a multiple of the numerator.
        step = (Fraction(pattern.round_to) * units).numerator
        near |= amount % step == 0
    below = (amount > 0) & (amount < least_minor(threshold, units))
    return (pl.col(DIRECTION) == DEPOSIT) & below & near


_NUMBERED = "numbered"
"""The column of counterparties as numbers from 0, in any order; -1 where unknown."""


def find_velocity(entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: Velocity, _units: int) -> pl.DataFrame:
    """Find the largest count in any 24 hours that have enough counterparties.

    Source: FATF, Virtual Assets: Red Flag Indicators (2020): many transactions in short succession, such as within 24
    hours; FFIEC BSA/AML Examination Manual, appendix F: an unusually large number and variety of beneficiaries.
    """
    rows = linked(entities, transactions, pl.lit(value=True), pattern.over, counterparty=pattern.counterparty).collect()
    many = rows.group_by(ROW).len().filter(pl.col("len") > pattern.more_than)
    return by_row(entities, busiest(rows.join(many, on=ROW, how="semi"), pattern).lazy(), lacks=True)


BEGUN = "begun"
"""The moment of the first fact in the last 24 hours with the largest count."""


def busiest(rows: pl.DataFrame, pattern: Velocity) -> pl.DataFrame:
    """Return ROW, NUMBER, LATEST, BEGUN and LACKING of the rows where the pattern is, or may be.

    If it only may be, NUMBER and LATEST are null, and LACKING is above 0. *rows* have ROW, TIME and COUNTERPARTY.
    """
    names = rows.select(pl.col(COUNTERPARTY).unique().drop_nulls()).with_row_index(_NUMBERED)
    number = pl.col(_NUMBERED).cast(pl.Int64).fill_null(-1)
    ordered = rows.join(names, on=COUNTERPARTY, how="left").select(ROW, TIME, number).sort(ROW, TIME)
    places, offsets = offsets_of(ordered)
    times, counterparties = (ordered[name].to_numpy() for name in (TIME, _NUMBERED))
    counters, most, latest, begun, lacking = (np.zeros(size, np.int64) for size in (len(names), *[len(places)] * 4))
    limits = (DAY_US, pattern.more_than, pattern.counterparties)
    compile_loops(loops).busiest(offsets, times, counterparties, *limits, counters, most, latest, begun, lacking)
    hits = pl.DataFrame({ROW: places, NUMBER: most, LATEST: latest, BEGUN: begun, LACKING: lacking})
    is_found = pl.col(NUMBER) > 0
    return hits.filter(is_found | (pl.col(LACKING) > 0)).with_columns(
        pl.when(is_found).then(NUMBER), pl.when(is_found).then(LATEST)
    )


def find_fan(entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: Fan, _units: int) -> pl.DataFrame:
    """Count the different counterparties of deposits (fan-in) or withdrawals (fan-out).

    Source: the typologies fan-in and fan-out of the AMLSim simulator; FinCEN advisory FIN-2014-A005 (deposits by many
    into one account); FFIEC BSA/AML Examination Manual, appendix F (an unusually large number and variety of
    beneficiaries).
    """
    is_known = pl.col(COUNTERPARTY).is_not_null()
    counts = (
        linked(entities, transactions, fanned(pattern), pattern.over, counterparty=pattern.counterparty)
        .group_by(ROW, COUNTERPARTY)
        .agg(pl.len().alias(LACKING), pl.col(TIME).max())
        .group_by(ROW)
        .agg(
            is_known.sum().alias(NUMBER),
            pl.col(TIME).filter(is_known).max().alias(LATEST),
            pl.col(LACKING).filter(~is_known).sum(),
        )
    )
    is_found, may_be = is_fan(pl.col(NUMBER), pl.col(LACKING), pattern)
    hits = counts.filter(is_found | may_be).with_columns(
        pl.when(is_found).then(NUMBER), pl.when(is_found).then(LATEST), pl.when(~is_found).then(LACKING)
    )
    return by_row(entities, hits, lacks=True)


def fanned(pattern: Fan) -> pl.Expr:
    """True for the transactions that the pattern reads."""
    return pl.col(DIRECTION) == (DEPOSIT if pattern.pattern == "fan-in" else WITHDRAWAL)


def is_fan(different: pl.Expr, lacking: pl.Expr, pattern: Fan) -> tuple[pl.Expr, pl.Expr]:
    """Return where enough counterparties are known, and where there may be enough if the unknown ones differ."""
    is_found = different >= pattern.at_least
    return is_found, ~is_found & (different + lacking >= pattern.at_least)


_FIRST, _BEFORE = "first", "before"


def find_dormancy(
    entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: DormantThenActive, _units: int
) -> pl.DataFrame:
    """Count the transactions of an active window after a long dormancy.

    Source: FFIEC BSA/AML Examination Manual, appendix F (an account with little activity that suddenly has much); FATF,
    Virtual Assets: Red Flag Indicators (2020): transfers to an account that was inactive before.
    """
    rows = linked(entities, transactions, pl.lit(value=True), pattern.active, earlier=True)
    inside = pl.col(TIME) > pl.col(BEGIN)
    counts = rows.group_by(ROW).agg(
        inside.sum().alias(NUMBER),
        pl.when(inside).then(TIME).min().alias(_FIRST),
        pl.when(~inside).then(TIME).max().alias(_BEFORE),
        pl.col(TIME).max().alias(LATEST),
    )
    return by_row(entities, counts.filter(has_slept(pl.col(NUMBER), pl.col(_FIRST), pl.col(_BEFORE), pattern)))


def has_slept(count: pl.Expr, first: pl.Expr, before: pl.Expr, pattern: DormantThenActive) -> pl.Expr:
    """True where the active window has enough transactions, and its first came long enough after the last before it."""
    return (count >= pattern.at_least) & (before <= pattern.dormant.before(first))


NEEDED, _DEADLINE, PASSED = "needed", "deadline", "passed"


def find_pass_through(
    entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: PassThrough, units: int
) -> pl.DataFrame:
    """Count the deposits of which enough was withdrawn again in time.

    Source: FinCEN advisory FIN-2014-A005 (funnel accounts: little time between deposits and withdrawals); FATF, Virtual
    Assets: Red Flag Indicators (2020): small sums gathered from many, then sent on.
    """
    relevant = passing(pattern, units)
    rows = linked(entities, transactions, relevant, pattern.over, amount=AMOUNT, direction=DIRECTION).collect()
    deposited = rows.filter(pl.col(DIRECTION) == DEPOSIT).select(ROW).unique()
    laid = laid_out(rows.join(deposited, on=ROW, how="semi"), pattern)
    followed = laid.filter((pl.col(NEEDED) > 0) & (pl.col(PASSED) >= pl.col(NEEDED)))
    counts = followed.lazy().group_by(ROW).agg(pl.len().alias(NUMBER), pl.col(LATEST).max())
    return by_row(entities, counts.filter(pl.col(NUMBER) >= pattern.at_least))


def passing(pattern: PassThrough, units: int) -> pl.Expr:
    """True for the transactions that the pattern reads: deposits that are large enough, and withdrawals."""
    deposit, withdrawal = (pl.col(DIRECTION) == way for way in (DEPOSIT, WITHDRAWAL))
    large = pl.col(AMOUNT) >= max(least_minor(Fraction(pattern.minimum), units), 1)
    return (deposit & large) | (withdrawal & (pl.col(AMOUNT) > 0))


def laid_out(rows: pl.DataFrame, pattern: PassThrough) -> pl.DataFrame:
    """Allocate withdrawals to deposits: ROW, TIME, NEEDED (0 for a withdrawal), PASSED and LATEST, the last time.

    Args:
        rows: ROW, TIME, AMOUNT and DIRECTION of the transactions that `passing` chose.
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
