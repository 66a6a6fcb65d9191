"""An organisation's own exchange rates: dated tables, of which the newest holds. No transactions begin or end here."""

from collections import Counter

from sqlalchemy import BigInteger, ForeignKey, Integer, String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from fivefold.domain.paging import Page, Part
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.accounts import Base
from fivefold.store.tables.entities import Correction, Transaction


class RateTableRow(Base):
    """A dated table of rates (JSON: currency, day, rate) into one base currency; it never changes.

    Attributes:
        number: from 1 in each organisation; the newest one holds.
        source: its origin, for people.
    """

    __tablename__ = "rate_tables"

    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    base_currency: Mapped[str] = mapped_column(String(3))
    source: Mapped[str] = mapped_column(Text)
    content: Mapped[str] = mapped_column(Text)
    created_us: Mapped[int] = mapped_column(BigInteger)


def newest_rates(session: Session, organisation_id: int) -> RateTableRow | None:
    """Find the table that holds; None for the shipped rates."""
    statement = select(RateTableRow).where(RateTableRow.organisation_id == organisation_id)
    return session.scalar(statement.order_by(RateTableRow.number.desc()).limit(1))


def rate_tables(session: Session, organisation_id: int, part: Part) -> Page[RateTableRow]:
    """List the tables of an organisation, the newest first."""
    statement = select(RateTableRow).where(RateTableRow.organisation_id == organisation_id)
    return scalars_of(session, statement, (RateTableRow.number,), part, descending=True)


def transactions_by_currency(session: Session, organisation_id: int) -> dict[str, int]:
    """Count an organisation's transactions, and corrections that give a currency, by it; reads all of them."""
    counts: Counter[str] = Counter()
    for table in (Transaction, Correction):
        statement = select(table.currency, func.count()).where(table.organisation_id == organisation_id)
        rows = session.execute(statement.where(table.currency.is_not(None)).group_by(table.currency))
        counts.update({str(row[0]): row[1] for row in rows})
    return dict(counts)
