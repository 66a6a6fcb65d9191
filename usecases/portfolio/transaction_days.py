"""The transactions that an entity's level reads, day by day: its own, and those of entities that it owned then."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Annotated, Final

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, require_days, start_of_day
from fivefold.features.schema import SETTLED, STATES
from fivefold.store.ingest.entities import entity_named
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.portfolio.transaction_days import BalanceRow, TransactionDayRow, balances_by_day, sums_by_day
from fivefold.usecases.levels.portfolio import counted_for, with_corrections
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context

MOST_DAYS: Final = 366
USUAL_DAYS: Final = 90
_SETTLED: Final = tuple(sorted(name for name, state in STATES.items() if state == SETTLED))


@dataclass(frozen=True, kw_only=True)
class TransactionDay:
    """A day (UTC) in one currency: its settled transactions, as they count now: corrected, and without reversed ones.

    Pending and failed ones are left out. `balance` is that of the entity and of its owned entities together, each as
    last known within the range; null before the first one.

    Attributes:
        day_us: the first moment of the day.
        deposits: the sum of deposits.
        withdrawals: the sum of withdrawals, as a positive number.
        count: the number of transactions.
        balance: the balance at the end of the day; None before the first known one.
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

    The range has whole days: from the day of *since_us* to the day before that of *until_us*. NotFoundError if there is
    no such entity; ConfigError if the range is empty or longer than `MOST_DAYS`.
    """
    since, until = range_of(context.now(), since_us, until_us)
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        corrected_rows = _corrected(session, entity.id, since, until, context.now())
        sums = _with_sums(sums_by_day(session, entity.id, since, until, _SETTLED), corrected_rows)
        last_known = _with_balances(balances_by_day(session, entity.id, since, until), corrected_rows)
    last: dict[str, dict[int, float]] = defaultdict(dict)
    balances: dict[tuple[int, str], float] = {}
    for day, currency, entity_id, balance in last_known.iter_rows():
        last[currency][entity_id] = balance
        balances[day, currency] = sum(last[currency].values())
    days, last_balances = [], dict[str, float]()
    for row in sums.iter_rows():
        day = TransactionDayRow(*row)
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


def _corrected(session: Session, entity_id: int, since_us: int, until_us: int, now_us: int) -> pl.DataFrame:
    """Read the transactions of a range that have corrections, as they count now; `own` is the entity each is about."""
    whose = loading.fact_owners(session, [entity_id])
    ids = whose["fact_of"].unique().to_list()
    stored = loading.corrected_transactions(session, ids, for_value=True)
    corrections = loading.corrections(session, ids, for_value=True).filter(pl.col("known_us") <= now_us)
    rows = with_corrections(stored, corrections).with_columns(own="entity", day=pl.col("at_us") // DAY_US)
    return counted_for(rows, whose, "at_us").filter(pl.col("at_us").is_between(since_us, until_us, closed="left"))


def _with_sums(rows: list[TransactionDayRow], corrected_rows: pl.DataFrame) -> pl.DataFrame:
    """Add corrected transactions to the sums of the others, the earliest day first."""
    amount, counts = pl.col("amount"), pl.col("state").is_null() | pl.col("state").is_in(_SETTLED)
    more = corrected_rows.select(
        *("day", "currency"),
        deposits=pl.when(counts & (amount > 0)).then(amount).otherwise(0.0),
        withdrawals=pl.when(counts & (amount < 0)).then(-amount).otherwise(0.0),
        settled=counts.cast(pl.Int64),
    )
    together = pl.concat([pl.DataFrame(rows, more.schema, orient="row"), more])
    return together.group_by("day", "currency").sum().sort("day", "currency")


def _with_balances(rows: list[BalanceRow], corrected_rows: pl.DataFrame) -> pl.DataFrame:
    """Return the last known balance of each day, currency and entity, the earliest day first."""
    more = corrected_rows.filter(pl.col("balance").is_not_null()).select(
        "day", "currency", pl.col("own").alias("entity_id"), "balance", "at_us", "transaction_id"
    )
    together = pl.concat([pl.DataFrame(rows, more.schema, orient="row"), more]).sort("at_us", "transaction_id")
    return together.group_by("day", "currency", "entity_id", maintain_order=True).agg(pl.col("balance").last())


def range_of(now_us: int, since_us: int | None, until_us: int | None) -> tuple[int, int]:
    """Return a range as whole days; ConfigError if it is empty or longer than `MOST_DAYS`.

    >>> [moment // DAY_US for moment in range_of(100 * DAY_US + 5, None, None)]
    [11, 101]
    """
    until = start_of_day(now_us + DAY_US if until_us is None else until_us)
    since = until - USUAL_DAYS * DAY_US if since_us is None else start_of_day(since_us)
    require_days("range", since // DAY_US, until // DAY_US, MOST_DAYS)
    return since, until
