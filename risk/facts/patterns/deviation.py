"""Deviations from what the customer declared: the expected volume, or the purpose.

Source: Regulation (EU) 2024/1624, article 26, and EBA/GL/2021/02, guideline 4 (monitoring against what is known of the
customer and of the relationship's purpose); FFIEC BSA/AML Examination Manual, appendix F (activity beyond the
expected volume, or inconsistent with the customer's business).
"""

from fractions import Fraction

import polars as pl

from fivefold.risk.facts.patterns.rows import (
    AMOUNT,
    LATEST,
    NUMBER,
    ROW,
    TIME,
    WORD,
    by_row,
    linked,
    total,
    wide,
)
from fivefold.risk.language.expressions import FieldInput, input_key
from fivefold.risk.language.patterns import PurposeDeviation, VolumeDeviation
from fivefold.risk.language.quantities import Duration

DECLARED, INSIDE, OUTSIDE = "declared", "inside", "outside"
"""Columns of the declared value, of whether a word was declared, and of turnover whose word was not."""

_MONTHS = {
    "hour": Fraction(1600, 48699 * 24),
    "day": Fraction(1600, 48699),
    "month": Fraction(1),
    "year": Fraction(12),
}
"""The length of each unit in months: a mean month of the Gregorian calendar has 30.436875 days."""


def find_volume_deviation(
    entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: VolumeDeviation, units: int
) -> pl.DataFrame:
    """Find turnover as a multiple of the declared one for the same length, if it is at least the factor."""
    declared = declared_turnover(pattern, units)
    turnover = (
        linked(entities, transactions, pl.col(AMOUNT) > 0, pattern.over, amount=AMOUNT)
        .group_by(ROW)
        .agg(total(AMOUNT).alias(AMOUNT), pl.col(TIME).max().alias(LATEST))
    )
    beside = turnover.join(numbered(entities, declared).filter(pl.col(DECLARED) > 0), on=ROW)
    number, deviates = times_declared(pattern)
    return by_row(entities, beside.filter(deviates).with_columns(number.alias(NUMBER)), declared > 0)


def declared_turnover(pattern: VolumeDeviation, units: int) -> pl.Expr:
    """Return the turnover declared for a month in minor units, from the columns of the entities."""
    declared = (pl.col(input_key(FieldInput(field=pattern.expected_monthly))) * units).round(mode="half_to_even")
    return declared.cast(pl.Int64, strict=False)


def times_declared(pattern: VolumeDeviation) -> tuple[pl.Expr, pl.Expr]:
    """Return turnover as a multiple of the declared one, and whether that is the pattern, from AMOUNT and DECLARED."""
    months = months_of(pattern.over)
    bound = Fraction(pattern.factor) * months
    number = wide(AMOUNT, months.denominator).cast(pl.Float64) / wide(DECLARED, months.numerator).cast(pl.Float64)
    return number, wide(AMOUNT, bound.denominator) >= wide(DECLARED, bound.numerator)


def months_of(over: Duration) -> Fraction:
    """Convert the length of a window to months, exactly.

    >>> months_of(Duration(1, "year")), round(float(months_of(Duration(30, "day"))), 4)
    (Fraction(12, 1), 0.9856)
    """
    return over.count * _MONTHS[over.unit]


def find_purpose_deviation(
    entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: PurposeDeviation, _units: int
) -> pl.DataFrame:
    """Find the percentage of turnover whose word was not declared, if it is at least the share."""
    words = declared_words(entities, pattern)
    sums = (
        linked(entities, transactions, has_word(pattern), pattern.over, amount=AMOUNT, word=pattern.transaction_field)
        .group_by(ROW, WORD)
        .agg(total(AMOUNT).alias(AMOUNT), pl.col(TIME).max())
    )
    beside = sums.join(declared_inside(entities, words), left_on=[ROW, WORD], right_on=[ROW, DECLARED], how="left")
    outside = pl.col(INSIDE).is_null()
    shares = beside.group_by(ROW).agg(
        pl.col(AMOUNT).sum(),
        pl.col(AMOUNT).filter(outside).sum().alias(OUTSIDE),
        pl.col(TIME).filter(outside).max().alias(LATEST),
    )
    number, deviates = share_outside(pattern)
    deviating = shares.filter(deviates).with_columns(number.alias(NUMBER))
    return by_row(entities, deviating, words.list.drop_nulls().list.len() > 0)


def share_outside(pattern: PurposeDeviation) -> tuple[pl.Expr, pl.Expr]:
    """Return the percentage outside, and whether that is the pattern, from AMOUNT, of everything, and OUTSIDE."""
    bound = Fraction(pattern.share)
    number = wide(OUTSIDE, 100).cast(pl.Float64) / pl.col(AMOUNT).cast(pl.Float64)
    return number, wide(OUTSIDE, 100 * bound.denominator) >= wide(AMOUNT, bound.numerator)


def has_word(pattern: PurposeDeviation) -> pl.Expr:
    """True for the transactions that have a purpose."""
    return (pl.col(AMOUNT) > 0) & pl.col(pattern.transaction_field).is_not_null()


def declared_inside(entities: pl.DataFrame, words: pl.Expr) -> pl.LazyFrame:
    """Return ROW, DECLARED and INSIDE (true) for each declared word."""
    return numbered(entities, words).explode(DECLARED).drop_nulls().unique().with_columns(pl.lit(True).alias(INSIDE))


def numbered(entities: pl.DataFrame, declared: pl.Expr) -> pl.LazyFrame:
    """Return ROW and DECLARED for every row of the entities."""
    return entities.lazy().select(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ROW), declared.alias(DECLARED))


def declared_words(entities: pl.DataFrame, pattern: PurposeDeviation) -> pl.Expr:
    """Return the declared words as a list, also if the field is one text."""
    column = input_key(FieldInput(field=pattern.declared))
    declared = pl.col(column)
    if isinstance(entities.schema[column], pl.List):
        return declared
    return pl.when(declared.is_not_null()).then(pl.concat_list(declared))
