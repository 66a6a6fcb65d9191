"""Fan-in and fan-out: money from many counterparties, or to many.

Source: the typologies fan-in and fan-out of the AMLSim simulator; FinCEN advisory FIN-2014-A005 (deposits by many into
one account); FFIEC BSA/AML Examination Manual, appendix F (an unusually large number and variety of beneficiaries).
"""

import polars as pl

from fivefold.risk.facts.patterns.rows import (
    COUNTERPARTY,
    DEPOSIT,
    DIRECTION,
    LATEST,
    NUMBER,
    ROW,
    TIME,
    WITHDRAWAL,
    by_row,
    linked,
)
from fivefold.risk.language.patterns import Fan


def find_fan(entities: pl.DataFrame, transactions: pl.LazyFrame, pattern: Fan, _units: int) -> pl.DataFrame:
    """Count the different counterparties of deposits (fan-in) or withdrawals (fan-out)."""
    way = DEPOSIT if pattern.pattern == "fan-in" else WITHDRAWAL
    relevant = (pl.col(DIRECTION) == way) & pl.col(pattern.counterparty).is_not_null()
    counts = (
        linked(entities, transactions, relevant, pattern.over, counterparty=pattern.counterparty)
        .group_by(ROW, COUNTERPARTY)
        .agg(pl.col(TIME).max())
        .group_by(ROW)
        .agg(pl.len().alias(NUMBER), pl.col(TIME).max().alias(LATEST))
    )
    return by_row(entities, counts.filter(pl.col(NUMBER) >= pattern.at_least))
