"""Dormant then active: an account that slept and is busy all at once.

Source: FFIEC BSA/AML Examination Manual, appendix F (an account with little activity that suddenly has much); FATF,
Virtual Assets: Red Flag Indicators (2020): transfers to an account that was inactive before.
"""

import polars as pl

from fivefold.risk.facts.patterns.rows import BEGIN, LATEST, NUMBER, ROW, TIME, by_row, linked
from fivefold.risk.language.patterns import DormantThenActive

_FIRST, _BEFORE = "first", "before"


def find_dormancy(
    entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: DormantThenActive, _units: int
) -> pl.DataFrame:
    """Count the transactions of the active window that a long sleep came before."""
    rows = linked(entities, transactions, pl.lit(value=True), pattern.active, earlier=True)
    inside = pl.col(TIME) > pl.col(BEGIN)
    counts = rows.group_by(ROW).agg(
        inside.sum().alias(NUMBER),
        pl.when(inside).then(TIME).min().alias(_FIRST),
        pl.when(~inside).then(TIME).max().alias(_BEFORE),
        pl.col(TIME).max().alias(LATEST),
    )
    slept = pl.col(_BEFORE) <= pattern.dormant.before(pl.col(_FIRST))
    return by_row(entities, counts.filter((pl.col(NUMBER) >= pattern.at_least) & slept))
