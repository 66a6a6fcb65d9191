"""The ready-made patterns: what each finds, for every entity as of its own moment; docs/patterns.md explains them."""

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
    """Look for one pattern.

    Only settled transactions count, and none after a row's as-of is seen.

    Args:
        entities: `entity_id` (String), `as_of` (Int64, microseconds), and the entity's fields that the pattern
            compares with, named by `key_of(FieldInput(field=...))`.
        transactions: `entity`, `time` (Int64, microseconds), `amount` (Int64, minor units of the base currency),
            `direction`, `state`, and the declared fields that the pattern names, as String.
        pattern: which, and its parameters.
        units: minor units of the base currency to one.

    Returns:
        One row per row of *entities*, in its order: `entity_id`; `key_of(pattern)`, Float64, 0 where it was not found,
        null where it is unknown; its signal, the moment of the latest transaction that belongs to what was found; and
        of a pattern of counterparties `lacking_of` the key, Int64: of how many transactions the counterparty is not
        known, where it is unknown for that.
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
