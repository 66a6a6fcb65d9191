"""How patterns move: their values as transactions leave the window, by the expressions that find them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from fivefold.risk.facts.aggregates import ROW
from fivefold.risk.facts.linked import TIME
from fivefold.risk.facts.moments.composites import Movement
from fivefold.risk.facts.moments.leaving import leaves
from fivefold.risk.facts.moments.steps import AT, FactsAhead, newer, stepwise
from fivefold.risk.facts.patterns import counts, deviation, rows
from fivefold.risk.facts.patterns.rows import AMOUNT, COUNTERPARTY, DEPOSIT, DIRECTION, WORD
from fivefold.risk.facts.portfolio import AS_OF
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.patterns import (
    DormantThenActive,
    Fan,
    PassThrough,
    PurposeDeviation,
    Structuring,
    Velocity,
    VolumeDeviation,
)

_SETTLED = pl.col("state") == "settled"
_KEYS = (ROW, TIME, AT)
_AS_HERE, _AS_THERE = {rows.ROW: ROW}, {ROW: rows.ROW}
"""Names of the row's number: here it is beside the fields of facts, one of which may be called `row`."""
_COUNT = newer(pl.int_range(1, pl.len() + 1).over(ROW)).fill_null(0)


@dataclass(frozen=True)
class Looked:
    """The current results of a pattern.

    Attributes:
        inputs: the entities in order, with the columns of the fields that patterns compare with.
        numbers: the pattern's number for each of them.
        units: minor units in one unit of the base currency.
    """

    inputs: pl.DataFrame
    numbers: pl.Series
    units: int

    @property
    def possible_rows(self) -> pl.LazyFrame:
        """The rows in which the pattern is, or may be as something is unknown; others stay without it."""
        everybody = pl.LazyFrame({ROW: pl.int_range(len(self.numbers), dtype=pl.UInt32, eager=True)})
        return everybody.filter((self.numbers != 0).fill_null(value=True))

    @property
    def matching_rows(self) -> pl.LazyFrame:
        """The rows in which the pattern is: for most patterns, leaving facts cannot bring it to others."""
        everybody = pl.LazyFrame({ROW: pl.int_range(len(self.numbers), dtype=pl.UInt32, eager=True)})
        return everybody.filter((self.numbers > 0).fill_null(value=False))


def fields_of_pattern(pattern: Any) -> set[str]:
    """Name the fields of transactions that the steps of a pattern read."""
    own = {getattr(pattern, word, None) for word in ("counterparty", "transaction_field")}
    return {AMOUNT, DIRECTION, "state", *filter(None, own)}


def pattern_movement(facts: FactsAhead, pattern: Any, looked: Looked) -> Movement:
    """Return how a pattern moves: by its steps, or by the moments at which it must be evaluated anew."""
    if type(pattern) in _LOOKED_AT_ANEW:
        return Movement(moments=[_LOOKED_AT_ANEW[type(pattern)](facts, pattern, looked)])
    return Movement(_STEPS[type(pattern)](facts, pattern, looked))


def _where(is_found: pl.Expr, number: pl.Expr) -> pl.Expr:
    return pl.when(is_found).then(number.cast(pl.Float64)).otherwise(pl.lit(0.0))


def _structuring(facts: FactsAhead, pattern: Structuring, looked: Looked) -> pl.LazyFrame:
    deposits = facts.inside(pattern.over, _SETTLED, counts.suspect_deposits(pattern, looked.units))
    total = newer(pl.col(AMOUNT).cast(pl.Int128).cum_sum().over(ROW)).fill_null(0)
    is_found = counts.is_structuring(_COUNT, total, pattern, looked.units)
    return stepwise(
        deposits.join(looked.matching_rows, on=ROW, how="semi", maintain_order="left"), _where(is_found, _COUNT)
    )


def _fan(facts: FactsAhead, pattern: Fan, looked: Looked) -> pl.LazyFrame:
    counted = facts.inside(pattern.over, _SETTLED, counts.fanned(pattern))
    is_known = pl.col(pattern.counterparty).is_not_null()
    first = is_known & pl.struct(ROW, pattern.counterparty).is_first_distinct()
    different, lacking = (newer(each.cast(pl.Int64).cum_sum().over(ROW)).fill_null(0) for each in (first, ~is_known))
    is_found, may_be = counts.is_fan(different, lacking, pattern)
    matches = counted.join(looked.possible_rows, on=ROW, how="semi", maintain_order="left")
    return stepwise(matches, pl.when(~may_be).then(_where(is_found, different)))


def _volume(facts: FactsAhead, pattern: VolumeDeviation, looked: Looked) -> pl.LazyFrame:
    declared = deviation.numbered(looked.inputs, deviation.declared_turnover(pattern, looked.units))
    turnover = (
        facts.inside(pattern.over, _SETTLED, pl.col(AMOUNT) > 0)
        .select(*_KEYS, AMOUNT)
        .join(looked.matching_rows, on=ROW, how="semi", maintain_order="left")
    )
    running = turnover.with_columns(newer(pl.col(AMOUNT).cast(pl.Int128).cum_sum().over(ROW)).fill_null(0))
    number, deviates = deviation.times_declared(pattern)
    beside = running.join(declared.rename(_AS_HERE), on=ROW, how="left", maintain_order="left")
    return stepwise(beside, _where(deviates, number))


def _purpose(facts: FactsAhead, pattern: PurposeDeviation, looked: Looked) -> pl.LazyFrame:
    words = deviation.declared_words(looked.inputs, pattern)
    inside = deviation.declared_inside(looked.inputs, words).rename(_AS_HERE)
    some = pl.LazyFrame({ROW: pl.int_range(len(looked.numbers), dtype=pl.UInt32, eager=True)}).filter(
        looked.numbers.is_not_null()
    )
    beside = (
        facts.inside(pattern.over, _SETTLED, deviation.has_word(pattern))
        .select(*_KEYS, AMOUNT, pl.col(pattern.transaction_field).alias(WORD))
        .join(some, on=ROW, how="semi", maintain_order="left")
        .join(inside, left_on=[ROW, WORD], right_on=[ROW, deviation.DECLARED], how="left", maintain_order="left")
    )
    amount = pl.col(AMOUNT).cast(pl.Int128)
    outside = pl.when(pl.col(deviation.INSIDE).is_null()).then(amount).otherwise(0)
    running = beside.with_columns(
        newer(amount.cum_sum().over(ROW)).fill_null(0).alias(AMOUNT),
        newer(outside.cum_sum().over(ROW)).fill_null(0).alias(deviation.OUTSIDE),
    )
    number, deviates = deviation.share_outside(pattern)
    return stepwise(running, _where((pl.col(AMOUNT) > 0) & deviates, number))


def _dormancy(facts: FactsAhead, pattern: DormantThenActive, looked: Looked) -> pl.LazyFrame:
    """Return the steps: as the window's first fact leaves, it becomes the last before, and the next one the first."""
    del looked  # what came before the window does not matter once a fact of the window has left
    is_found = counts.has_slept(_COUNT, newer(pl.col(TIME)), pl.col(TIME), pattern)
    return stepwise(facts.inside(pattern.active, _SETTLED), _where(is_found, _COUNT))


def _velocity(facts: FactsAhead, pattern: Velocity, looked: Looked) -> pl.LazyFrame:
    """Return when the last of the busiest 24 hours loses a transaction; the count, or unknown, stays until then."""
    settled = (
        facts.inside(pattern.over, _SETTLED)
        .join(looked.possible_rows, on=ROW, how="semi")
        .select(ROW, TIME, AS_OF, pl.col(pattern.counterparty).alias(COUNTERPARTY))
        .collect()
    )
    moments = settled.select(ROW, AS_OF).unique()
    begun = counts.busiest(settled.select(ROW, TIME, COUNTERPARTY).rename(_AS_THERE), pattern)
    begun = begun.rename(_AS_HERE).join(moments, on=ROW)
    return begun.lazy().select(ROW, leaves(pl.col(counts.BEGUN), pattern.over).alias(AT))


def _pass_through(facts: FactsAhead, pattern: PassThrough, looked: Looked) -> pl.LazyFrame:
    """Return when a deposit leaves from which money went out; until then the allocation to the others stays.

    After that withdrawals must be allocated anew: evaluating then is early if the number stays the same. With
    fewer deposits than the pattern requires nothing can come.
    """
    passing = facts.inside(pattern.over, _SETTLED, counts.passing(pattern, looked.units)).select(
        ROW, TIME, AS_OF, AMOUNT, DIRECTION
    )
    deposits = pl.col(DIRECTION) == DEPOSIT
    enough = passing.filter(deposits.sum().over(ROW) >= pattern.at_least).collect()
    passed = (pl.col(counts.NEEDED) > 0) & (pl.col(counts.PASSED) > 0)
    laid = counts.laid_out(enough.rename(_AS_THERE), pattern).filter(passed).rename(_AS_HERE)
    first = laid.group_by(ROW).agg(pl.col(TIME).min()).join(enough.select(ROW, AS_OF).unique(), on=ROW)
    return first.lazy().select(ROW, leaves(pl.col(TIME), pattern.over).alias(AT))


_OfPattern = Callable[[FactsAhead, Any, Looked], pl.LazyFrame]

_LOOKED_AT_ANEW: Mapping[type[LanguageModel], _OfPattern] = {Velocity: _velocity, PassThrough: _pass_through}
"""Each returns `@row` and `@at`, the moment until which the value surely stays, also if it is unknown."""

_STEPS: Mapping[type[LanguageModel], _OfPattern] = {
    Structuring: _structuring,
    VolumeDeviation: _volume,
    PurposeDeviation: _purpose,
    DormantThenActive: _dormancy,
    Fan: _fan,
}
