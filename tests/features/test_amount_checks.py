"""Amounts against balances: other units and totals are seen in histories and in frames, and nothing else is."""

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from fivefold.domain.money import base_only
from fivefold.features.histories import AmountChecks
from fivefold.features.reading.sources import read_histories
from fivefold.models.reach import doubts_of_amounts
from fivefold.risk.facts.transactions import amount_checks_of
from fivefold.training.config import CheckSettings
from fivefold.training.windows import Quality

RATES = base_only("EUR", date(2024, 6, 1))
CENTS = "by a hundredth of the amount: amounts are in cents"
WHOLE = "by a hundred times the amount: balances are in cents"
Change = Callable[[pl.Expr], pl.Expr]


def ledger(customers: int = 5, rows: int = 20) -> pl.DataFrame:
    """Rows of customers, one an hour, with amounts in whole cents and the balance after each; the latest come first."""
    cents = np.random.default_rng(7).integers(-90_000, 90_000, (customers, rows))
    names = [f"c{number}" for number in range(customers) for _ in range(rows)]
    hours = [f"2024-03-{1 + row // 24:02}T{row % 24:02}:00:00Z" for row in range(rows)] * customers
    frame = pl.DataFrame({"user_id": names, "transaction_date": hours, "transaction_amount": cents.ravel() / 100})
    balances = np.cumsum(cents, axis=1).ravel() / 100 + 2_000
    return frame.with_columns(pl.Series("user_balance", balances))[::-1]


def doubts(frame: pl.DataFrame) -> list[str]:
    """Say what is doubted of a frame, which is the same of its histories, and of two halves of its customers."""
    histories = read_histories(frame, RATES)
    cut = histories.customers // 2
    halves = [histories.select(0, cut), histories.select(cut, histories.customers), histories.select(0, 0)]
    checks = histories.amount_checks
    assert AmountChecks.joined(half.amount_checks for half in halves) == checks == amount_checks_of(frame, "user_id")
    return doubts_of_amounts(checks)


def changed(**columns: Any) -> pl.DataFrame:
    return ledger().with_columns(**columns)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (changed(transaction_amount=pl.col("transaction_amount") * 100), CENTS),
        (changed(user_balance=pl.col("user_balance") * 100), WHOLE),
        (changed(transaction_amount=pl.col("transaction_amount") * 100).gather_every(1, 7), CENTS),
        (changed(), ""),
        (changed(transaction_amount=pl.col("transaction_amount") * 1000), ""),
        (changed(transaction_amount=pl.col("transaction_amount") * 100).drop("user_balance"), ""),
        (changed(transaction_amount=pl.col("transaction_amount") * 100, transaction_date=pl.lit("2024-03-01")), ""),
        (changed(transaction_amount=pl.col("transaction_amount") * 100).head(15), ""),
        (
            changed(
                transaction_amount=pl.col("transaction_amount")
                * pl.when(pl.col("user_id") == "c0").then(1).otherwise(100)
            ),
            "",
        ),
    ],
)
def test_another_unit_of_amounts_or_balances_is_doubted(frame: pl.DataFrame, text: str) -> None:
    found = doubts(frame)
    assert len(found) == bool(text)
    assert text in "".join(found)


def test_a_training_warns_of_another_unit() -> None:
    quality = Quality()
    quality.add(read_histories(changed(transaction_amount=pl.col("transaction_amount") * 100), RATES), ("EUR",))
    quality.include(Quality())
    _, warnings = quality.refusals_and_warnings(CheckSettings(), RATES)
    assert [text for text in warnings if CENTS in text]


def test_every_move_of_a_balance_is_counted() -> None:
    checks = read_histories(ledger(), RATES).amount_checks
    assert (checks.rows, checks.moves, checks.moves_by_amount) == (100, 95, 95)


def with_last(amount: float) -> pl.DataFrame:
    rows = ledger().drop("user_balance")
    last = pl.DataFrame({"user_id": "TOTAL", "transaction_date": "2024-04-01", "transaction_amount": amount})
    return pl.concat([rows, last])


def test_a_last_line_with_the_total_is_doubted_and_another_last_customer_is_not() -> None:
    total = float(ledger()["transaction_amount"].sum())
    (text,) = doubts(with_last(round(total, 2)))
    assert text.startswith("the last customer, 'TOTAL', has one row, whose amount is the sum of the 100 others")
    assert doubts(with_last(round(total + 0.01, 2))) == []
    assert doubts(with_last(round(total, 2))[-3:]) == []
