"""Linked facts of one source, such as transactions or cases, in the one form that aggregates read."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import polars as pl

from fivefold.domain.money import minor_units
from fivefold.risk.compiler.value_types import InputColumn
from fivefold.risk.language.fields import MONEY_FIELDS, FieldType, ValueType, value_type_of

LINKED_ENTITY = "entity"
TIME = "time"
FIELD = "field"
PROBLEM = "problem"
FACT = "fact"
UNREADABLE = "@spoilt"

PROBLEM_SCHEMA: Mapping[str, Any] = {LINKED_ENTITY: pl.String, TIME: pl.Int64, FIELD: pl.String, PROBLEM: pl.String}
"""The columns of a problem, a value that could not be read: the entity, the time, the field and the value in words.

The time is null if it could not be read itself, or the fact may count at any time. The field is null if the whole fact
cannot be used.
"""

CONVERTED = "@converted"
"""The field, in problems, of a fact's money in the base currency, if its own currency has no rate."""

FROM_THE_START = -62_135_596_800_000_000
"""The time of a fact without a beginning, the year 1: it is in no window, and its age is unknown."""

MOST_MINOR = 2**63 - 1024
"""Largest amount in minor units: the largest 64-bit float that a 64-bit integer holds."""


def nothing_wrong() -> pl.DataFrame:
    """Make an empty frame of problems."""
    return pl.DataFrame(schema=dict(PROBLEM_SCHEMA))


@dataclass(frozen=True)
class LinkedFacts:
    """Facts that are linked to entities, ready to be counted.

    Attributes:
        rows: `entity` (String), `time` (Int64, microseconds UTC) and the fields; and `@spoilt`, true where something
            cannot be read. A row that cannot be used at all has no time, and so lies in no window.
        fields: the declared type of every field.
        find_problems: finds what cannot be read, in the form of `PROBLEM_SCHEMA`, perhaps with a struct `fact` of the
            fact's fields as far as they could be read.
        base: the base currency; None if no field is money.
        usual: the default condition on facts that count, if `where` does not test `usual_field`; it may read `as_of`.
        usual_field: the field that `usual` tests; None if `usual` always applies.
        as_known: expressions over `as_of` for the fields that were not known from the start.
        is_readable: whether all facts are known to be readable; False also if that was not checked.
        moves: the columns of the moments at which a fact comes into being, or changes.
    """

    rows: pl.LazyFrame
    fields: Mapping[str, FieldType]
    find_problems: Callable[[], pl.DataFrame] = nothing_wrong
    _: KW_ONLY
    base: str | None = None
    usual: pl.Expr | None = None
    usual_field: str | None = None
    as_known: tuple[pl.Expr, ...] = ()
    moves: tuple[str, ...] = (TIME,)
    is_readable: bool = False

    @cached_property
    def found_problems(self) -> pl.DataFrame:
        """Everything that cannot be read; found on first use."""
        return self.find_problems()

    @property
    def problems(self) -> pl.DataFrame:
        """Everything that cannot be read, in the form of `PROBLEM_SCHEMA`."""
        return self.found_problems.select(*PROBLEM_SCHEMA)

    def column(self, name: str, currency: str | None = None) -> InputColumn:
        """Return the column of a field; with a *currency*, money is the original amount in it."""
        if self.base is None or name not in MONEY_FIELDS:
            return InputColumn(name, value_type_of(self.fields[name]))
        column = name if currency is None else original_of(name)
        return InputColumn(column, ValueType.MONEY, minor_units(currency or self.base))


def original_of(name: str) -> str:
    """Name the column of a field of money in the transaction's own currency.

    >>> original_of("amount")
    'original_amount'
    """
    return f"original_{name}"
