"""A customer's transactions of a range of days: the balance, sums by day, each of them, and patterns that were hit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fivefold.charts.bars import StepCurve, step_line
from fivefold.console.filters import Listing, listing_of
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit, address
from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.paging import Page, Part
from fivefold.usecases.levels import read
from fivefold.usecases.levels.entity_profile import TransactionLine, list_transactions
from fivefold.usecases.levels.explain import FiredRule, TransactionHits, read_transaction_hits
from fivefold.usecases.levels.read import Freshness
from fivefold.usecases.portfolio.transaction_days import MOST_DAYS, TransactionDay, list_days, range_of
from fivefold.usecases.shared.inputs import read_moment


@dataclass(frozen=True, kw_only=True)
class BalanceChart:
    """The balance in one currency over the range, with its first and its last value."""

    currency: str
    line: StepCurve
    first: float
    last: float


@dataclass(frozen=True, kw_only=True)
class TransactionsPage:
    """The transactions of a range of days.

    Attributes:
        since: the first day, or what was typed for it, as is `until`, the last day.
        days: that have transactions, the latest first.
        hits: rules of the latest assessment that stand on a pattern and gave something.
    """

    external_id: str
    customer: str
    since: str
    until: str
    charts: tuple[BalanceChart, ...]
    days: tuple[TransactionDay, ...]
    hits: tuple[FiredRule, ...]
    listing: Listing[TransactionLine]
    next: str | None


def show_transactions(visit: Visit) -> Rendered:
    """Show the transactions of the days that the address names, both included.

    Without a first day: those of the last 90 days, and as far back as what gave something looked, up to `MOST_DAYS`.
    """
    of = visit, visit.parts["type"], visit.parts["external_id"]
    level = read.read_level(*of, Freshness.STORED)
    now_us = visit.now()  # once, so that the days and the payments of a page opened at midnight are of one range
    hits = TransactionHits((), now_us) if level.assessment is None else read_transaction_hits(visit, level.assessment)
    chosen = visit.filters(("since", "until"))

    def transactions(part: Part) -> Page[TransactionLine]:
        since, until = _range(now_us, chosen, hits)
        return list_transactions(*of, part, since_us=since, until_us=until)

    listing = listing_of(transactions, visit.part("transactions"))
    days: Sequence[TransactionDay] = ()
    charts: Sequence[BalanceChart] = ()
    if not listing.problem:
        since, until = _range(now_us, chosen, hits)
        days = list_days(*of, since, until)
        charts = _charts(days, since, until)
        chosen = {"since": day_text(since), "until": day_text(until - DAY_US)}
    page = TransactionsPage(
        external_id=of[2],
        customer=address("entities", *of[1:]),
        since=chosen["since"],
        until=chosen["until"],
        charts=tuple(charts),
        days=tuple(reversed(days)),
        hits=hits.patterns,
        listing=listing,
        next=visit.next_of("transactions", listing.rows),
    )
    title = text("Transactions of {name}", name=of[2])
    return Rendered(template="levels/transactions.html", title=title, page=page, status=listing.status)


def _range(now_us: int, chosen: Mapping[str, str], hits: TransactionHits) -> tuple[int, int]:
    """Give the first moment and the one after the last day; ConfigError for a wrong day, or too many days."""
    first, last = chosen["since"], chosen["until"]
    since, until = range_of(
        now_us,
        read_moment(first, text("First day")) if first else None,
        read_moment(last, text("Last day")) + DAY_US if last else None,
    )
    if first:
        return since, until
    furthest = until - MOST_DAYS * DAY_US
    opens = furthest if hits.opens_us is None else hits.opens_us - hits.opens_us % DAY_US
    return range_of(now_us, min(since, max(opens, furthest)), until)


def _charts(days: list[TransactionDay], since_us: int, until_us: int) -> list[BalanceChart]:
    charts = []
    for currency in sorted({day.currency for day in days}):
        points = [
            (day.day_us // DAY_US, day.balance) for day in days if day.currency == currency and day.balance is not None
        ]
        line = step_line(points, since_us // DAY_US, until_us // DAY_US)
        if line is not None:
            charts.append(BalanceChart(currency=currency, line=line, first=points[0][1], last=points[-1][1]))
    return charts
