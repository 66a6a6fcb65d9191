"""An organisation's own exchange rates: dated tables, kept for good; the newest is in force."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import from_microseconds
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.domain.money import EURO, ecb_rates_of_days
from fivefold.domain.money import Rate as KnownRate
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.rate_files import DatedRate, DatedRates, checked_rate, refuse_contradictions, refuse_inverse
from fivefold.store.accounts.organisation import (
    base_currency_of,
    lock_organisation,
    newest_rates,
    rate_tables,
    transactions_by_currency,
)
from fivefold.store.audit.chain import digest_of
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.markings import mark_everybody
from fivefold.store.tables.accounts import RateTableRow
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.rates import STALE_AFTER, dated_rates, rates_by_table, rates_for

MOST_ROWS = 50_000
"""The most rows of one table; from a longer file the latest are used. Before its first day the shipped rates apply."""


@schema("RateTable")
@dataclass(frozen=True, kw_only=True)
class RateTableLine:
    """A table of an organisation's own rates; the newest one is in force.

    Attributes:
        rows: how many rates it has.
        currencies: of the rates.
        last_day: the day of its latest rate, ISO.
    """

    number: int
    base_currency: str
    source: str
    rows: int
    currencies: tuple[str, ...]
    last_day: str
    created_us: Annotated[Moment, shown_as("created_at")]


@dataclass(frozen=True)
class Rate:
    """What one unit of a currency buys in the base currency, and on which day.

    Attributes:
        per_unit: what one unit buys in the base currency.
        known_on: the day of the rate, ISO.
        stale: it is older than a week.
    """

    currency: str
    per_unit: float
    known_on: str
    stale: bool


@dataclass(frozen=True, kw_only=True)
class Rates:
    """The rates in force, and the currencies of stored transactions without a rate.

    Attributes:
        base: the base currency.
        source: the origin of the rates.
        newest: the day of the latest of them, ISO.
        rates: of the currencies, by name.
        without_rate: currencies of stored transactions without a rate, with their number of transactions.
    """

    base: str
    source: str
    newest: str
    rates: tuple[Rate, ...]
    without_rate: Mapping[str, int]


def rates_from_rows(rows: Iterable[Mapping[str, Any]], source: str) -> DatedRates:
    """Read the rates of a request: `currency`, `date`, `rate` (what one unit buys in the base currency).

    ConfigError names the invalid row.
    """
    valid_rows = tuple(checked_rate(row, f"rate {number}") for number, row in enumerate(rows))
    return DatedRates(None, valid_rows, source)


def checked_rates(context: Context, rates: DatedRates) -> DatedRates:
    """Convert rates into the organisation's base currency, and check that they are plausible.

    Raises:
        ConfigError: there is none, one is of a day after today, two contradict each other, or the table has the wrong
            direction.
        ConflictError: the organisation has not defined its levels and base currency yet.
    """
    today = from_microseconds(context.now()).date()
    _refuse_none(rates)
    late = next((row for row in rates.rows if row.day > today), None)
    if late is not None:
        raise ConfigError(f"the rate of {late.currency} is of {late.day}, which is in the future")
    with context.reading() as session:
        base = base_currency_of(session, context.organisation_id)
    refuse_contradictions(rates, base)
    converted = _into(rates, base)
    _refuse_none(converted)
    refuse_inverse(converted.table(base, today), rates.source)
    return converted


def _refuse_none(rates: DatedRates) -> None:
    if not rates.rows:
        raise ConfigError(f"{rates.source} has no rates; a table has at least one")


def rates_content(rates: DatedRates) -> str:
    """Write rates for storage."""
    return canonical_json([[row.currency, row.day.isoformat(), repr(row.rate)] for row in rates.rows])


def put_rates_in(
    session: Session, context: Context, base: str, source: str, content: str, now_us: int, *, marks: bool = True
) -> RateTableLine:
    """Add a table, which is in force from now on; every entity becomes due, unless *marks* is False.

    ConflictError if the base currency has changed.
    """
    lock_organisation(session, context.organisation_id)
    present = base_currency_of(session, context.organisation_id)
    if base != present:
        raise ConflictError(f"the table is into {base}, and the base currency is {present}")
    before = newest_rates(session, context.organisation_id)
    row = RateTableRow(
        organisation_id=context.organisation_id,
        number=1 if before is None else before.number + 1,
        base_currency=base,
        source=source,
        content=content,
        created_us=now_us,
    )
    session.add(row)
    session.flush()
    of = EntityType.organisation_id == context.organisation_id
    for kind in session.scalars(select(EntityType).where(of).order_by(EntityType.id)) if marks else ():
        mark_everybody(session, kind, Reason.LIST, now_us, now_us)
    context.record(
        session,
        "rates.added",
        ("organisation", context.organisation_id),
        details={
            "number": row.number,
            "base_currency": base,
            "content": digest_of([content]),
            "source": digest_of([source]),
            "created_us": now_us,
        },
    )
    return _line(row)


MOST_DIFFERENCES = 200
"""How many currencies whose rates a proposed table changes are named; the others are counted."""


def differences_in(
    session: Session, organisation_id: int, base: str, source: str, content: str, now_us: int
) -> dict[str, Any]:
    """Return what a table would change, as plain data: each currency whose rate, or the rate's day, differs today.

    `currencies` has those that lose their rate first, with how many stored transactions have them, and new ones last;
    `others` counts those beyond `MOST_DIFFERENCES`, and `earlier` the rates of other days that differ.
    """
    today = from_microseconds(now_us).date()
    before = rates_for(session, organisation_id, base, today).rates
    after = rates_by_table(content, source, base, today).rates
    moved = [code for code in {*before, *after} if before.get(code) != after.get(code)]
    moved.sort(key=lambda code: (code in after, code not in before, code))
    named = moved[:MOST_DIFFERENCES]
    stored = {} if after.keys() >= before.keys() else transactions_by_currency(session, organisation_id)
    return {
        "currencies": [
            {
                "currency": code,
                "from": _plain(before.get(code)),
                "to": _plain(after.get(code)),
                **({} if code in after else {"transactions": stored.get(code, 0)}),
            }
            for code in named
        ],
        "others": len(moved) - len(named),
        "earlier": _other_days(session, organisation_id, base, source, content, {*before.items(), *after.items()}),
    }


def _plain(rate: KnownRate | None) -> dict[str, str] | None:
    return None if rate is None else {"rate": repr(rate.per_unit), "day": rate.known_on.isoformat()}


def _other_days(
    session: Session, organisation_id: int, base: str, source: str, content: str, shown: set[tuple[str, KnownRate]]
) -> int:
    """Count the rates that one table has and the other lacks, apart from those of today.

    If the organisation has no table into *base*, the other is the ECB's history: it completes every table, so rates
    that a table leaves out are not lost.
    """
    present = newest_rates(session, organisation_id)
    rows = {*dated_rates(content, source, base).rows}
    if present is not None and present.base_currency == base:
        rows ^= {*dated_rates(present.content, present.source, base).rows}
    else:
        shipped = ecb_rates_of_days(base, ((row.currency, row.day) for row in rows))
        rows = {row for row in rows if row.rate != shipped.get((row.currency, row.day))}
    return sum((row.currency, KnownRate(row.rate, row.day)) not in shown for row in rows)


def rates_in_force(session: Session, actor: Actor, base: str, source: str, content: str) -> RateTableLine | None:
    """Return the table in force if it is this one; otherwise None."""
    newest = newest_rates(session, actor.organisation_id)
    same = newest is not None and (newest.base_currency, newest.source, newest.content) == (base, source, content)
    return _line(newest) if newest is not None and same else None


def list_rate_tables(context: Context, part: Part = WHOLE) -> Page[RateTableLine]:
    """List the tables, the newest first."""
    with context.reading() as session:
        return rate_tables(session, context.organisation_id, part).map(_line)


def show_rates(context: Context) -> Rates:
    """Show the rates in force with their days, and the stored currencies without a rate."""
    now = context.now()
    with context.reading() as session:
        of = context.organisation_id
        table = rates_for(session, of, base_currency_of(session, of), from_microseconds(now).date())
        transactions = transactions_by_currency(session, of)
    stale = set(table.stale(STALE_AFTER))
    lines = tuple(
        Rate(code, rate.per_unit, rate.known_on.isoformat(), code in stale)
        for code, rate in sorted(table.rates.items())
    )
    unknown = {code: many for code, many in sorted(transactions.items()) if code not in table.positions}
    return Rates(
        base=table.base, source=table.source, newest=table.newest.isoformat(), rates=lines, without_rate=unknown
    )


def _into(rates: DatedRates, base: str) -> DatedRates:
    """Convert rates into the base currency, those of each day that has one of the base; the latest are kept."""
    rows = rates.rows
    if rates.base is not None:
        euros = rates.euro_rates()
        if base not in {EURO, *euros.bounds}:
            raise ConfigError(f"{rates.source} has no rate of {base}, the base currency")
        history = euros.history(base, (row.day for row in rows))
        rows = tuple(DatedRate(code, day, rate) for (code, day), rate in history.items())
    latest = sorted(rows, key=lambda row: (row.day, row.currency))[-MOST_ROWS:]
    return DatedRates(base, tuple(latest), rates.source)


def _line(row: RateTableRow) -> RateTableLine:
    """Write a table as it is listed."""
    rows = dated_rates(row.content, row.source, row.base_currency).rows
    return RateTableLine(
        number=row.number,
        base_currency=row.base_currency,
        source=row.source,
        rows=len(rows),
        currencies=tuple(sorted({each.currency for each in rows})),
        last_day=max(each.day for each in rows).isoformat(),
        created_us=row.created_us,
    )
