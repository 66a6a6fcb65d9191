"""The transactions that an entity's level reads, day by day: its own, and those of entities that it owned then."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Annotated, Final

from fivefold.domain.clock import DAY_US, require_days, start_of_day
from fivefold.features.schema import SETTLED, STATES
from fivefold.store.ingest.entities import entity_named
from fivefold.store.portfolio.transaction_days import balances_by_day, sums_by_day
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context

MOST_DAYS: Final = 366
USUAL_DAYS: Final = 90
_SETTLED: Final = tuple(sorted(name for name, state in STATES.items() if state == SETTLED))


@dataclass(frozen=True, kw_only=True)
class TransactionDay:
    """A day (UTC) in one currency: its settled transactions, as sent; pending and failed ones are left out.

    `balance` is that of the entity and of its owned entities together, each as last known within the range; null before
    the first one.

    Attributes:
        day_us: its first moment.
        deposits: their sum.
        withdrawals: their sum, as a positive number.
        count: of transactions.
        balance: at the end of the day; None before the first known one.
    """

    day_us: Annotated[Moment, shown_as("day")]
    currency: str
    deposits: float
    withdrawals: float
    count: int
    balance: float | None


def list_days(
    context: Context, type_name: str, external_id: str, since_us: int | None = None, until_us: int | None = None
) -> list[TransactionDay]:
    """List the days of a range that have transactions, the earliest first; by default the last `USUAL_DAYS`.

    Whole days are taken: from that of *since_us*, until before that of *until_us*. NotFoundError if there is no such
    entity; ConfigError if the range is empty or longer than `MOST_DAYS`.
    """
    since, until = range_of(context.now(), since_us, until_us)
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        sums = sums_by_day(session, entity.id, since, until, _SETTLED)
        last: dict[str, dict[int, float]] = defaultdict(dict)
        balances: dict[tuple[int, str], float] = {}
        for row in balances_by_day(session, entity.id, since, until):
            last[row.currency][row.entity_id] = row.balance
            balances[row.day, row.currency] = sum(last[row.currency].values())
    days, last_balances = [], dict[str, float]()
    for day in sums:
        last_balances |= {day.currency: balances[day.day, day.currency]} if (day.day, day.currency) in balances else {}
        days.append(
            TransactionDay(
                day_us=day.day * DAY_US,
                currency=day.currency,
                deposits=day.deposits,
                withdrawals=day.withdrawals,
                count=day.settled,
                balance=last_balances.get(day.currency),
            )
        )
    return days


def range_of(now_us: int, since_us: int | None, until_us: int | None) -> tuple[int, int]:
    """Extend a range to whole days; ConfigError if it is empty or longer than `MOST_DAYS`.

    >>> [moment // DAY_US for moment in range_of(100 * DAY_US + 5, None, None)]
    [11, 101]
    """
    until = start_of_day(now_us + DAY_US if until_us is None else until_us)
    since = until - USUAL_DAYS * DAY_US if since_us is None else start_of_day(since_us)
    require_days("range", since // DAY_US, until // DAY_US, MOST_DAYS)
    return since, until
