"""The platform's exchange rates: an organisation's own, completed by the ECB's."""

import json
from datetime import date, timedelta
from functools import lru_cache

from sqlalchemy.orm import Session

from fivefold.domain.money import RateTable, ecb_rates
from fivefold.domain.rate_files import DatedRate, DatedRates
from fivefold.store.accounts.organisation import stored_rates

STALE_AFTER = timedelta(days=7)
"""Older rates are shown as stale: no market is closed for longer."""


def rates_for(session: Session, organisation_id: int, base: str, day: date) -> RateTable:
    """Return an organisation's rates into its base currency as known on a day.

    Its own newest table comes first, each currency at its latest rate by that day; the ECB's rates complete it.
    """
    row = stored_rates(session, organisation_id)
    shipped = ecb_rates(base, day)
    if row is None or row.base_currency != base:
        return shipped
    return _own(row.content, f"own table {row.number}, {row.source}", base, day).over(shipped)


def stale_days(rates: RateTable, day: date) -> int | None:
    """Return the age of the newest rate on a day, if it is older than `STALE_AFTER`; otherwise None."""
    age = day - rates.newest
    return age.days if age > STALE_AFTER else None


@lru_cache(maxsize=8)
def dated_rates(content: str, source: str, base: str) -> DatedRates:
    """Read stored rates, cached by their text."""
    rows = tuple(DatedRate(code, date.fromisoformat(on), float(rate)) for code, on, rate in json.loads(content))
    return DatedRates(base, rows, source)


def rates_by_table(content: str, source: str, base: str, day: date) -> RateTable:
    """Return the rates into a base currency on a day, as they would be with a proposed table."""
    return _own(content, source, base, day).over(ecb_rates(base, day))


@lru_cache(maxsize=16)
def _own(content: str, source: str, base: str, day: date) -> RateTable:
    return dated_rates(content, source, base).table(base, day)
