"""Payments of an entity, day by day: sums, and the balance at the end. Nothing here begins or ends a transaction."""

from typing import Any, NamedTuple

from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.ingest.facts import counted_transactions
from fivefold.store.tables.entities import Correction, Ownership, Transaction


class TransactionDayRow(NamedTuple):
    """A day (whole days since 1970, UTC) in one currency: both sums are positive."""

    day: int
    currency: str
    deposits: float
    withdrawals: float
    settled: int


class BalanceRow(NamedTuple):
    """An entity's balance in one currency after the last transaction of a day that has a balance, and which that is."""

    day: int
    currency: str
    entity_id: int
    balance: float
    at_us: int
    transaction_id: str


def _uncorrected(entity_id: int, since_us: int, until_us: int) -> Select[Transaction, str, str]:
    """Select the transactions that count for an entity, except those with corrections."""
    owned_ids = select(Ownership.entity_id).where(Ownership.owner_id == entity_id)
    about = or_(Correction.entity_id == entity_id, Correction.entity_id.in_(owned_ids))
    corrected_ids = select(Correction.transaction_id).where(about)  # one query for all: the entity may have 100,000
    return counted_transactions(entity_id, since_us, until_us).where(Transaction.transaction_id.not_in(corrected_ids))


def sums_by_day(
    session: Session, entity_id: int, since_us: int, until_us: int, settled: tuple[str, ...]
) -> list[TransactionDayRow]:
    """Sum the settled transactions that count for an entity, except corrected ones, by day and currency."""
    rows = _uncorrected(entity_id, since_us, until_us).subquery()
    amount, start = rows.c.amount, rows.c.at_us - rows.c.at_us % DAY_US
    counts = or_(rows.c.state.is_(None), rows.c.state.in_(settled))
    sides = (
        func.sum(case((and_(counts, amount > 0), amount), else_=0.0)),
        func.sum(case((and_(counts, amount < 0), -amount), else_=0.0)),
        func.sum(case((counts, 1), else_=0)),
    )
    statement = select(start, rows.c.currency, *sides)
    rows_found = session.execute(statement.group_by(start, rows.c.currency))
    return [TransactionDayRow(int(at) // DAY_US, currency, *sums) for at, currency, *sums in rows_found]


def balances_by_day(session: Session, entity_id: int, since_us: int, until_us: int) -> list[BalanceRow]:
    """Return the last known balance of each day, of the entity and of the entities that it owned then.

    Transactions with corrections are left out.
    """
    rows = _uncorrected(entity_id, since_us, until_us).where(Transaction.balance.is_not(None)).subquery()
    start: Any = rows.c.at_us - rows.c.at_us % DAY_US
    place = func.row_number().over(
        partition_by=(start, rows.c.currency, rows.c.entity_id),
        order_by=(rows.c.at_us.desc(), rows.c.transaction_id.desc()),
    )
    columns = (rows.c.currency, rows.c.entity_id, rows.c.balance, rows.c.at_us, rows.c.transaction_id)
    numbered = select(start.label("start"), *columns, place.label("place")).subquery()
    statement = select(numbered.c.start, *(numbered.c[column.name] for column in columns))
    rows_found = session.execute(statement.where(numbered.c.place == 1))
    return [BalanceRow(int(at) // DAY_US, *rest) for at, *rest in rows_found]
