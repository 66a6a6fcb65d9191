"""A customer's events as the oracle sees them: from the raw rows alone, by Python's own means."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fivefold.domain.money import RateTable
from tests.features.oracle.strategies import Row

SETTLED = {None, "", "SUCCEEDED", "COMPLETED"}
FAILED = {"FAILED", "REJECTED", "CANCELLED", "EXPIRED", "REVERSED"}


class Event(NamedTuple):
    time: int
    amount: float
    balance: float
    kind: str
    currency: str
    category: str
    created: int


History = list[Event]


def microseconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def kind_of(state: str | None, amount: float) -> str:
    word = state.upper() if state else state
    if word not in SETTLED:
        return "failed" if word in FAILED else "pending"
    return "deposit" if amount > 0 else "withdrawal" if amount < 0 else "zero"


def history_of(rows: list[Row], user_id: str, as_of: int, rates: RateTable) -> History:
    """Give a customer's events up to as-of, in the order that the interface promises, exact repeats left out."""

    def key(row: Row) -> tuple[object, ...]:
        identifier = row.get("transaction_id")
        state = {"pending": 1, "failed": 2}.get(kind_of(row.get("transaction_state"), row["transaction_amount"]), 0)
        return (
            microseconds(row["transaction_date"]),
            (1, 0, "") if identifier is None else (0, len(identifier), identifier),
            -row["transaction_amount"],
            row["user_balance"],
            state,
            row["transaction_currency"],
            row["user_category"],
            microseconds(row["user_created"]),
        )

    events, met = [], set()
    for row in sorted((row for row in rows if row["user_id"] == user_id), key=key):
        identifier = row.get("transaction_id")
        if microseconds(row["transaction_date"]) > as_of or (identifier is not None and identifier in met):
            continue
        met.add(identifier)
        per_unit = rates.per_unit(row["transaction_currency"])
        events.append(
            Event(
                microseconds(row["transaction_date"]),
                row["transaction_amount"] * per_unit,
                row["user_balance"] * per_unit,
                kind_of(row.get("transaction_state"), row["transaction_amount"]),
                row["transaction_currency"],
                row["user_category"],
                microseconds(row["user_created"]),
            )
        )
    return events
