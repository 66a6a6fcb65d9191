"""An organisation's lock, settings and tables of exchange rates. Nothing here begins or ends a transaction."""

from collections import Counter
from dataclasses import dataclass
from typing import Final, cast

from sqlalchemy import Table, bindparam, func, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.domain.paging import Page, Part
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.accounts import Organisation, RateTableRow
from fivefold.store.tables.entities import Correction, OrganisationSettings, Transaction

_RATES: Final = cast("Table", RateTableRow.__table__)
_NEWEST_RATES: Final = (
    select(RateTableRow)
    .where(RateTableRow.organisation_id == bindparam("of"))
    .order_by(RateTableRow.number.desc())
    .limit(1)
)
_NEWEST_CONTENT: Final = (
    select(*(_RATES.c[name] for name in ("base_currency", "content", "number", "source")))
    .where(_RATES.c.organisation_id == bindparam("of"))
    .order_by(_RATES.c.number.desc())
    .limit(1)
)
"""Built once, as each decision runs it; it selects values, since building an object from a row takes longer."""


def settings_row(session: Session, organisation_id: int, *, locked: bool = False) -> OrganisationSettings:
    """Find the settings of an organisation; ConflictError if its levels are not defined yet.

    *locked* locks them until the transaction ends.
    """
    row = session.get(OrganisationSettings, organisation_id, with_for_update=locked or None)
    if row is None:
        name = session.scalar(select(Organisation.name).where(Organisation.id == organisation_id))
        raise ConflictError(
            f"the organisation {name} has not defined its levels yet; define them first, "
            "by `fivefold import setup RULESET` or `PUT /v1/settings/levels`"
        )
    return row


def levels_of(session: Session, organisation_id: int) -> tuple[str, ...]:
    """Return the names of the levels, lowest first; empty if the organisation has not defined them yet."""
    row = session.get(OrganisationSettings, organisation_id)
    return () if row is None else tuple(row.levels)


def base_currency_of(session: Session, organisation_id: int) -> str:
    """Return the base currency, into which everything is converted."""
    return settings_row(session, organisation_id).base_currency


def where_two_people_promote(session: Session) -> dict[int, str]:
    """Return the organisations that require a second person before a value model becomes champion: number to name."""
    of = OrganisationSettings.organisation_id == Organisation.id
    statement = select(Organisation.id, Organisation.name).join(OrganisationSettings, of)
    return dict(
        session.execute(statement.where(OrganisationSettings.two_people_promote).order_by(Organisation.id)).all()
    )


def lock_organisation(session: Session, organisation_id: int) -> None:
    """Lock an organisation until the transaction ends.

    Transactions that only add rows of the organisation do not wait. On SQLite there is one writer anyway.
    """
    session.execute(select(Organisation.id).where(Organisation.id == organisation_id).with_for_update(key_share=True))


def lock_deciding(session: Session, organisation_id: int) -> None:
    """Make other transactions that change what decides, or what it may read, wait until this transaction ends.

    It locks the organisation, then its settings; activations and approvals of policies lock only the settings. A new
    organisation has no settings yet: nothing decides there.
    """
    lock_organisation(session, organisation_id)
    session.get(OrganisationSettings, organisation_id, with_for_update=True)


def newest_rates(session: Session, organisation_id: int) -> RateTableRow | None:
    """Find the table in force; None for the shipped rates."""
    table: RateTableRow | None = session.scalar(_NEWEST_RATES, {"of": organisation_id})
    return table


@dataclass(frozen=True)
class StoredRates:
    """An organisation's own rates, as stored.

    Attributes:
        content: JSON, as `usecases.shared.rates` reads it.
        number: of the table.
        source: the origin of the rates.
    """

    base_currency: str
    content: str
    number: int
    source: str


def stored_rates(session: Session, organisation_id: int) -> StoredRates | None:
    """Return the rates of the table in force; None for the shipped rates."""
    row = session.execute(_NEWEST_CONTENT, {"of": organisation_id}).one_or_none()
    return None if row is None else StoredRates(*row)


def rate_tables(session: Session, organisation_id: int, part: Part) -> Page[RateTableRow]:
    """List the tables of an organisation, the newest first."""
    statement = select(RateTableRow).where(RateTableRow.organisation_id == organisation_id)
    return scalars_of(session, statement, (RateTableRow.number,), part, descending=True)


def transactions_by_currency(session: Session, organisation_id: int) -> dict[str, int]:
    """Count an organisation's transactions and corrections by currency; reads all of them."""
    counts: Counter[str] = Counter()
    for table in (Transaction, Correction):
        statement = select(table.currency, func.count()).where(table.organisation_id == organisation_id)
        rows = session.execute(statement.where(table.currency.is_not(None)).group_by(table.currency))
        counts.update({str(row[0]): row[1] for row in rows})
    return dict(counts)
