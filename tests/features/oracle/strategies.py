"""Transactions as the interface has them, for tests: one plain row, and Hypothesis strategies of whole ledgers."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.domain.money import Rate, RateTable

Row = dict[str, Any]

RATES_DAY = date(2024, 6, 28)
RATES = RateTable(
    "EUR",
    RATES_DAY,
    {"GBP": Rate(1.1813, RATES_DAY), "JPY": Rate(0.0058, RATES_DAY), "USD": Rate(0.9341, RATES_DAY)},
    "tests",
)
CURRENCIES = ("EUR", "USD", "JPY", "GBP")
STATES = (None, "", "SUCCEEDED", "completed", "Pending", "FAILED", "rejected", "CANCELLED", "Expired", "REVERSED")

# A Sunday's midnight, an ordinary moment, the end of a leap day, and one with most of its history before 1970.
AS_OFS = tuple(
    (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    for moment in (
        datetime(2024, 6, 30, tzinfo=UTC),
        datetime(2023, 11, 8, 17, 4, 31, 123_457, tzinfo=UTC),
        datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1970, 3, 1, 5, 59, 59, tzinfo=UTC),
    )
)

_EDGES_DAYS = (0, 1, 30, 90, 120, 275, 365)
_YEARS_US = 3 * 365 * DAY_US


def iso(time_us: int) -> str:
    """Write microseconds as the interface's text, without a zone."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).replace(tzinfo=None).isoformat()


def row(**changes: Any) -> Row:
    """Give one valid row, with *changes*; a field that is changed to `...` is left out."""
    plain = {
        "user_id": "ann",
        "transaction_state": "SUCCEEDED",
        "transaction_currency": "EUR",
        "user_balance": 120.5,
        "transaction_amount": 20.5,
        "user_created": "2023-01-15",
        "user_category": "WEB",
        "transaction_date": "2024-06-01T12:00:00",
    }
    return {name: value for name, value in {**plain, **changes}.items() if value is not ...}


def times(as_of: int) -> st.SearchStrategy[int]:
    """Moments around *as_of*: on the edges of every window, at midnights, anywhere within years, and after it."""
    edges = st.builds(
        lambda days, off: as_of - days * DAY_US + off, st.sampled_from(_EDGES_DAYS), st.sampled_from((-1, 0, 1))
    )
    anywhere = st.integers(as_of - _YEARS_US, as_of + 60 * DAY_US)
    recent = st.integers(as_of - 130 * DAY_US, as_of)
    return st.one_of(edges, recent, anywhere, anywhere.map(lambda time: time - time % DAY_US))


def cents(largest: int) -> st.SearchStrategy[float]:
    """Amounts of money up to *largest* either way, zero and its negative among them."""
    return st.one_of(
        st.sampled_from((0.0, -0.0, 0.01, -0.01, 100.0, -100.0)), st.integers(-largest, largest).map(_half)
    )


def _half(amount_cents: int) -> float:
    return amount_cents / 100


def rows(as_of: int, users: tuple[str, ...] = ("ann", "bob", "cid")) -> st.SearchStrategy[Row]:
    """One valid row of one of *users*, without a transaction_id."""
    return st.fixed_dictionaries(
        {
            "user_id": st.sampled_from(users),
            "transaction_state": st.sampled_from(STATES),
            "transaction_currency": st.sampled_from(CURRENCIES),
            "user_balance": cents(10**9),
            "transaction_amount": cents(10**8),
            "user_created": st.integers(as_of - 2 * _YEARS_US, as_of + DAY_US).map(iso),
            "user_category": st.sampled_from(("API", "WEB")),
            "transaction_date": times(as_of).map(iso),
        }
    )


@st.composite
def ledgers(draw: st.DrawFn, as_of: int, max_rows: int = 25, *, identified: bool | None = None) -> list[Row]:
    """Rows of up to three customers in any order, with ties; *identified*: with transaction_ids, without, or either."""
    ledger = draw(st.lists(rows(as_of), max_size=max_rows))
    moments = [taken["transaction_date"] for taken in ledger]
    for taken in ledger:  # ties are rare unless they are made
        if draw(st.integers(0, 3)) == 0:
            taken["transaction_date"] = draw(st.sampled_from(moments))
    if draw(st.booleans()) if identified is None else identified:
        numbers = draw(st.permutations(range(1, len(ledger) + 1)))
        for taken, number in zip(ledger, numbers, strict=True):
            taken["transaction_id"] = None if draw(st.integers(0, 5)) == 0 else str(number)
    return ledger
