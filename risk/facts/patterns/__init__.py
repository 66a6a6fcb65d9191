"""Finds the ready-made patterns for every entity as of its own moment; docs/patterns.md explains them."""

from collections.abc import Callable
from typing import Any

import polars as pl

from fivefold.risk.facts.patterns.counts import (
    find_dormancy,
    find_fan,
    find_pass_through,
    find_structuring,
    find_velocity,
)
from fivefold.risk.facts.patterns.deviation import find_purpose_deviation, find_volume_deviation
from fivefold.risk.facts.patterns.rows import LACKING, LATEST, NUMBER
from fivefold.risk.facts.portfolio import lacking_of, signal_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.patterns import (
    DormantThenActive,
    Fan,
    PassThrough,
    Pattern,
    PurposeDeviation,
    Structuring,
    Velocity,
    VolumeDeviation,
)


def find(entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: Pattern, units: int) -> pl.DataFrame:
    """Find one pattern.

    Only settled transactions count, and none after a row's as-of.

    Args:
        entities: `entity_id` (String), `as_of` (Int64, microseconds), and the entity's fields that the pattern
            compares with, named by `input_key(FieldInput(field=...))`.
        transactions: `entity`, `time` (Int64, microseconds), `amount` (Int64, minor units of the base currency),
            `direction`, `state`, and the declared fields that the pattern names, as String.
        pattern: the pattern, and its parameters.
        units: minor units in one unit of the base currency.

    Returns:
        One row per row of *entities*, in its order: `entity_id`; `input_key(pattern)`, Float64, 0 if it was not found,
        null if unknown; its signal, the moment of the latest transaction that belongs to the pattern; and for patterns
        of counterparties `lacking_of` the key, Int64: the number of transactions without a known counterparty, if the
        pattern is unknown for that reason.
    """
    key = input_key(pattern)
    columns = _FINDERS[type(pattern)](entities, transactions, pattern, units)
    return columns.rename({NUMBER: key, LATEST: signal_of(key), LACKING: lacking_of(key)}, strict=False)


_FINDERS: dict[type[LanguageModel], Callable[[pl.DataFrame, pl.LazyFrame, Any, int], pl.DataFrame]] = {
    Structuring: find_structuring,
    Velocity: find_velocity,
    PassThrough: find_pass_through,
    VolumeDeviation: find_volume_deviation,
    PurposeDeviation: find_purpose_deviation,
    DormantThenActive: find_dormancy,
    Fan: find_fan,
}
