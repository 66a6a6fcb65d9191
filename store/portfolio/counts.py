"""The numbers of entities at each level, from counters in the database: as quick for ten million as for ten.

Triggers of `standings` (`store.migrations.initial.counts`) count every change in its own transaction. On PostgreSQL
each connection adds to rows of its own, `part`, so that no writer waits for another; reads return their sum.
"""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.store.tables.levels import PortfolioCount


@dataclass(frozen=True)
class CountedCell:
    """The entities of a type at one level and in one segment, whose value is in one currency.

    Attributes:
        level: from 1, the lowest; 0 for none.
        segment: empty if the value model found no value.
        currency: of the expected values; empty without any.
        cents: the sum of the expected values, each rounded to hundredths.
    """

    level: int
    segment: str
    currency: str
    entities: int
    cents: int


def counted_cells(session: Session, organisation_id: int, type_id: int) -> list[CountedCell]:
    """Return the cells of a type that hold entities, in the order of levels, segments and currencies.

    Erased entities are left out, as in `store.levels.levels.level_groups`.
    """
    by = (PortfolioCount.level, PortfolioCount.segment, PortfolioCount.currency)
    entities, cents = func.sum(PortfolioCount.entities), func.sum(PortfolioCount.cents)
    statement = (
        select(*by, entities, cents)
        .where(
            PortfolioCount.organisation_id == organisation_id,
            PortfolioCount.type_id == type_id,
            PortfolioCount.erased.is_(False),
        )
        .group_by(*by)
        .having(entities != 0)
        .order_by(*by)
    )
    rows = session.execute(statement).all()
    return [
        CountedCell(level, segment, currency, int(number), int(total))
        for level, segment, currency, number, total in rows
    ]
