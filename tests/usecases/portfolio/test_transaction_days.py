"""Sums by day on both databases: settled alone, of owned accounts while they were owned, with the balance of all."""

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.portfolio.transaction_days import list_days, range_of
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow, OwnerGiven
from tests.usecases import platforms

OF = ("customer", "a")


@pytest.fixture
def ours(engine: Engine) -> Context:
    context = Context(engine, Actor(platforms.organisation(engine), "member:1"), lambda: platforms.NOW)
    put_entities(context, "customer", [EntityRow("a")])
    owners = [OwnerGiven(*OF, from_us=platforms.NOW - 10 * DAY_US)]
    put_entities(context, "customer", [EntityRow("b", {}, owners=owners)])
    rows = [
        ("a", "2026-11-11T08:00:00", 100.0, "EUR", "SUCCEEDED", 100.0),
        ("a", "2026-11-11T09:00:00", -30.0, "EUR", None, 70.0),
        ("a", "2026-11-11T10:00:00", 500.0, "EUR", "PENDING", None),
        ("b", "2026-11-01T10:00:00", 900.0, "EUR", "SUCCEEDED", 900.0),
        ("b", "2026-11-13T10:00:00", 5.0, "EUR", "COMPLETED", 905.0),
        ("b", "2026-11-13T11:00:00", -7.5, "SEK", "SUCCEEDED", None),
    ]
    names = ("transaction_date", "transaction_amount", "transaction_currency", "transaction_state", "user_balance")
    sent = [dict(zip(names, rest, strict=True)) for _, *rest in rows]
    kept = [{name: value for name, value in row.items() if value is not None} for row in sent]
    add_transactions(context, [platforms.transaction(n, rows[n][0], **row) for n, row in enumerate(kept)])
    return context


@pytest.mark.postgresql
def test_days_have_what_was_settled_and_the_balance_of_all_together(ours: Context) -> None:
    shown = [
        ((day.day_us - platforms.NOW) // DAY_US, day.currency, day.deposits, day.withdrawals, day.count, day.balance)
        for day in list_days(ours, *OF)
    ]
    assert shown == [
        (-9, "EUR", 100.0, 30.0, 2, 70.0),
        (-7, "EUR", 5.0, 0.0, 1, 975.0),
        (-7, "SEK", 0.0, 7.5, 1, None),
    ]
    until = platforms.NOW - 8 * DAY_US
    assert [day.count for day in list_days(ours, *OF, until - 3 * DAY_US, until)] == [2]
    assert list_days(ours, *OF, until, until + DAY_US) == []


@pytest.mark.postgresql
def test_days_have_what_counts_now(ours: Context) -> None:
    def days() -> list[tuple[object, ...]]:
        return [
            (
                (day.day_us - platforms.NOW) // DAY_US,
                day.currency,
                day.deposits,
                day.withdrawals,
                day.count,
                day.balance,
            )
            for day in list_days(ours, *OF)
        ]

    def correct(number: int, **changed: object) -> None:
        sent = {"transaction_id": f"c{number}", "correction_reason": "Typed.", **changed}
        assert add_transactions(ours, [sent]).corrections == 1

    correct(1, corrects="t0", transaction_amount=90.0, user_balance=90.0)
    correct(2, reverses="t1")
    assert days()[0] == (-9, "EUR", 90.0, 0.0, 1, 90.0)
    correct(3, corrects="t2", transaction_state="SUCCEEDED")
    correct(4, corrects="t5", transaction_currency="EUR")
    assert days() == [(-9, "EUR", 590.0, 0.0, 2, 90.0), (-7, "EUR", 5.0, 7.5, 2, 995.0)]
    correct(5, corrects="t3", transaction_date="2026-11-13T09:00:00")  # before, it belonged to nobody else
    correct(6, corrects="t4", transaction_date="2026-11-01T10:00:00")
    assert days() == [(-9, "EUR", 590.0, 0.0, 2, 90.0), (-7, "EUR", 900.0, 7.5, 2, 990.0)]
    correct(7, reverses="t0")
    correct(8, corrects="t1", transaction_amount=-20.0)
    assert days()[0] == (-9, "EUR", 500.0, 20.0, 2, 70.0)


@pytest.mark.parametrize("days", [0, -3, 367])
def test_a_range_that_is_empty_or_too_long_is_refused(days: int) -> None:
    found = "the range has 367 days" if days > 0 else "the range ends before its first day, 20"
    with pytest.raises(ConfigError, match=f"{found}.*; it must have 1 to 366 days"):
        range_of(platforms.NOW, platforms.NOW - days * DAY_US, platforms.NOW)


def test_nobody_has_no_days(ours: Context) -> None:
    with pytest.raises(NotFoundError, match="there is no customer 'none'"):
        list_days(ours, "customer", "none")
