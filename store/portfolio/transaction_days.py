"""Payments of an entity, day by day: sums, and the balance at the end. Nothing here begins or ends a transaction."""

from typing import Any, NamedTuple

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.ingest.facts import counted_transactions
from fivefold.store.tables.entities import Transaction


class TransactionDayRow(NamedTuple):
    """A day (whole days since 1970, UTC) in one currency: both sums are positive."""

    day: int
    currency: str
    deposits: float
    withdrawals: float
    settled: int


class BalanceRow(NamedTuple):
    """The balance of one entity in one currency after its last transaction of a day that has one."""

    day: int
    currency: str
    entity_id: int
    balance: float


def sums_by_day(
    session: Session, entity_id: int, since_us: int, until_us: int, settled: tuple[str, ...]
) -> list[TransactionDayRow]:
    """Sum the settled transactions that count for an entity, by day and currency, the earliest first."""
    rows = counted_transactions(entity_id, since_us, until_us).subquery()
    amount, start = rows.c.amount, rows.c.at_us - rows.c.at_us % DAY_US
    counts = or_(rows.c.state.is_(None), rows.c.state.in_(settled))
    sides = (
        func.sum(case((and_(counts, amount > 0), amount), else_=0.0)),
        func.sum(case((and_(counts, amount < 0), -amount), else_=0.0)),
        func.sum(case((counts, 1), else_=0)),
    )
    statement = select(start, rows.c.currency, *sides)
    rows_found = session.execute(statement.group_by(start, rows.c.currency).order_by(start, rows.c.currency))
    return [TransactionDayRow(int(at) // DAY_US, currency, *sums) for at, currency, *sums in rows_found]


def balances_by_day(session: Session, entity_id: int, since_us: int, until_us: int) -> list[BalanceRow]:
    """Return the last known balance of each day, of the entity and of its owned entities then, the earliest first."""
    rows = counted_transactions(entity_id, since_us, until_us).where(Transaction.balance.is_not(None)).subquery()
    start: Any = rows.c.at_us - rows.c.at_us % DAY_US
    place = func.row_number().over(
        partition_by=(start, rows.c.currency, rows.c.entity_id),
        order_by=(rows.c.at_us.desc(), rows.c.transaction_id.desc()),
    )
    numbered = select(
        start.label("start"), rows.c.currency, rows.c.entity_id, rows.c.balance, place.label("place")
    ).subquery()
    statement = select(numbered.c.start, numbered.c.currency, numbered.c.entity_id, numbered.c.balance)
    rows_found = session.execute(
        statement.where(numbered.c.place == 1).order_by(numbered.c.start, numbered.c.entity_id)
    )
    return [BalanceRow(int(at) // DAY_US, currency, entity, balance) for at, currency, entity, balance in rows_found]
