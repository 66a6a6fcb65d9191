"""Velocity: very many transactions within 24 hours, across many counterparties.

Source: FATF, Virtual Assets: Red Flag Indicators (2020): many transactions in short succession, such as within 24
hours; FFIEC BSA/AML Examination Manual, appendix F: an unusually large number and variety of beneficiaries.
"""

import numpy as np
import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.features.numba_cache import compile_loops
from fivefold.risk.facts.patterns import loops
from fivefold.risk.facts.patterns.rows import (
    COUNTERPARTY,
    LATEST,
    NUMBER,
    ROW,
    TIME,
    by_row,
    linked,
    offsets_of,
)
from fivefold.risk.language.patterns import Velocity

_NUMBERED = "numbered"
"""Counterparties as numbers from 0, in any order; -1 where it is unknown, and therefore none."""


def find_velocity(entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: Velocity, _units: int) -> pl.DataFrame:
    """Find the largest count in any 24 hours that have so many counterparties."""
    rows = linked(entities, transactions, pl.lit(value=True), pattern.over, counterparty=pattern.counterparty).collect()
    many = rows.group_by(ROW).len().filter(pl.col("len") > pattern.more_than)
    return by_row(entities, _busiest(rows.join(many, on=ROW, how="semi"), pattern).lazy())


def _busiest(rows: pl.DataFrame, pattern: Velocity) -> pl.DataFrame:
    names = rows.select(pl.col(COUNTERPARTY).unique().drop_nulls()).with_row_index(_NUMBERED)
    number = pl.col(_NUMBERED).cast(pl.Int64).fill_null(-1)
    ordered = rows.join(names, on=COUNTERPARTY, how="left").select(ROW, TIME, number).sort(ROW, TIME)
    places, offsets = offsets_of(ordered)
    times, counterparties = (ordered[name].to_numpy() for name in (TIME, _NUMBERED))
    counters, most, latest = (np.zeros(size, np.int64) for size in (len(names), len(places), len(places)))
    limits = (DAY_US, pattern.more_than, pattern.counterparties)
    compile_loops(loops).busiest(offsets, times, counterparties, *limits, counters, most, latest)
    hits = pl.DataFrame({ROW: places, NUMBER: most, LATEST: latest})
    return hits.filter(pl.col(NUMBER) > 0)
