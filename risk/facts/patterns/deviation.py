"""Deviation from what the customer declared: the volume expected, or the purpose.

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

_DECLARED, _OUTSIDE = "declared", "outside"
_MONTHS = {
    "hour": Fraction(1600, 48699 * 24),
    "day": Fraction(1600, 48699),
    "month": Fraction(1),
    "year": Fraction(12),
}
"""How many months each unit is: a mean month of the Gregorian calendar has 30.436875 days."""


def find_volume_deviation(
    entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: VolumeDeviation, units: int
) -> pl.DataFrame:
    """Give turnover over what was declared for as long, where it is the factor or more."""
    declared = (pl.col(input_key(FieldInput(field=pattern.expected_monthly))) * units).round(mode="half_to_even")
    declared = declared.cast(pl.Int64, strict=False)
    turnover = (
        linked(entities, transactions, pl.col(AMOUNT) > 0, pattern.over, amount=AMOUNT)
        .group_by(ROW)
        .agg(total(AMOUNT).alias(AMOUNT), pl.col(TIME).max().alias(LATEST))
    )
    beside = turnover.join(_numbered(entities, declared).filter(pl.col(_DECLARED) > 0), on=ROW)
    months = months_of(pattern.over)
    bound = Fraction(pattern.factor) * months
    number = wide(AMOUNT, months.denominator).cast(pl.Float64) / wide(_DECLARED, months.numerator).cast(pl.Float64)
    deviating = beside.filter(wide(AMOUNT, bound.denominator) >= wide(_DECLARED, bound.numerator))
    return by_row(entities, deviating.with_columns(number.alias(NUMBER)), declared > 0)


def months_of(over: Duration) -> Fraction:
    """Give the length of a window in months, exactly.

    >>> months_of(Duration(1, "year")), round(float(months_of(Duration(30, "day"))), 4)
    (Fraction(12, 1), 0.9856)
    """
    return over.count * _MONTHS[over.unit]


def find_purpose_deviation(
    entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: PurposeDeviation, _units: int
) -> pl.DataFrame:
    """Give the percentage of turnover whose word was not declared, where it is the share or more."""
    words = _words(entities, input_key(FieldInput(field=pattern.declared)))
    has_word = (pl.col(AMOUNT) > 0) & pl.col(pattern.transaction_field).is_not_null()
    sums = (
        linked(entities, transactions, has_word, pattern.over, amount=AMOUNT, word=pattern.transaction_field)
        .group_by(ROW, WORD)
        .agg(total(AMOUNT).alias(AMOUNT), pl.col(TIME).max())
    )
    inside = _numbered(entities, words).explode(_DECLARED).drop_nulls().unique()
    beside = sums.join(inside.with_columns(inside=True), left_on=[ROW, WORD], right_on=[ROW, _DECLARED], how="left")
    outside = pl.col("inside").is_null()
    shares = beside.group_by(ROW).agg(
        pl.col(AMOUNT).sum(),
        pl.col(AMOUNT).filter(outside).sum().alias(_OUTSIDE),
        pl.col(TIME).filter(outside).max().alias(LATEST),
    )
    bound = Fraction(pattern.share)
    deviating = shares.filter(wide(_OUTSIDE, 100 * bound.denominator) >= wide(AMOUNT, bound.numerator))
    number = wide(_OUTSIDE, 100).cast(pl.Float64) / pl.col(AMOUNT).cast(pl.Float64)
    return by_row(entities, deviating.with_columns(number.alias(NUMBER)), words.list.drop_nulls().list.len() > 0)


def _numbered(entities: pl.DataFrame, declared: pl.Expr) -> pl.LazyFrame:
    return entities.lazy().select(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ROW), declared.alias(_DECLARED))


def _words(entities: pl.DataFrame, column: str) -> pl.Expr:
    """Give the declared words as a list, whether the field is a list or one text."""
    declared = pl.col(column)
    if isinstance(entities.schema[column], pl.List):
        return declared
    return pl.when(declared.is_not_null()).then(pl.concat_list(declared))
