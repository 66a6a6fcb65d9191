"""What `transaction-monitoring` places among peers, counted by hand for one customer: examples give places alone."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from fivefold.domain.clock import parse_moment
from fivefold.domain.money import base_only
from fivefold.features.schema import AMOUNT, CURRENCY, DATE, USER_ID
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.facts.peers import peers_in
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.language.expressions import input_key
from fivefold.usecases.portfolio_files.bundled import bundled_ruleset
from fivefold.usecases.portfolio_files.reference import peer_numbers, peers_wanted

CENTS = 100
"""Money is in whole minor units."""

AS_OF = parse_moment("2025-01-01", "as of")
PAYMENTS = (
    ("2023-12-31", "long-ago", 5000.0),  # before the year
    ("2024-02-10", "employer", 1000.0),
    ("2024-02-20", "landlord", -700.0),
    ("2024-03-05", "passing", -50.0),
    ("2024-11-10", "employer", 1000.0),
    ("2024-12-03", "mule-1", 400.0),
    ("2024-12-04", "mule-2", 400.0),
    ("2024-12-05", "mule-3", -780.0),
    ("2024-12-20", "landlord", -700.0),
)
EXPECTED = {
    "counterparties": 6,
    "payers": 3,
    "payees": 3,
    "new-counterparties": 3,
    "passing-counterparties": 4,
    "gather-scatter": 3,
    "busiest-days": 8,
    "busiest-month-transactions": 4 - 8 / 12,
    "passed-on": (700 + 800) * CENTS,
    "busiest-month": (2280 - 5030 / 12) * CENTS,
    "largest-amount": (1000 - 700) * CENTS,
}


def test_what_is_placed_among_peers_is_what_the_payments_come_to() -> None:
    numbers, ruleset = numbers_of(PAYMENTS, AS_OF)
    placed_numbers = {rule.id: numbers[input_key(peers_in(rule.input).of)] for rule in ruleset.ruleset.rules}
    assert placed_numbers == {name: pytest.approx(number) for name, number in EXPECTED.items()}


@pytest.mark.parametrize("as_of", ["2025-03-27", "2025-03-31", "2025-04-01", "2024-08-31", "2025-02-28", "2024-12-30"])
def test_each_payment_is_in_one_month_and_in_one_half_whatever_the_day_of_the_month(as_of: str) -> None:
    """A payment that comes in goes out the same day, each day of the year with another party."""
    now = parse_moment(as_of, "as of")
    last = datetime.fromisoformat(as_of)
    days = [last - timedelta(days=day) for day in range(1, 360)]
    payments = [(f"{day:%Y-%m-%d}", f"{day:%j}", amount) for day in days for amount in (1.0, -1.0)]
    numbers, ruleset = numbers_of(payments, now)
    by_id = {rule.id: numbers[input_key(peers_in(rule.input).of)] for rule in ruleset.ruleset.rules}
    assert by_id["passed-on"] == len(days) * CENTS
    assert by_id["passing-counterparties"] == len(days)
    busiest = by_id["busiest-month-transactions"]
    assert busiest + 2 * len(days) / 12 <= 2 * 31


def numbers_of(payments: Sequence[tuple[str, str, float]], as_of: int) -> tuple[dict[str, float], AnalysedRuleset]:
    """Give what is placed among peers of one customer who made some payments, each at noon, by its input."""
    days = [datetime.fromisoformat(f"{day}T12:00:00") for day, _, _ in payments]
    rows = pl.DataFrame({DATE: days, "counterparty_id": [who for _, who, _ in payments]}).with_columns(
        pl.Series(AMOUNT, [amount for _, _, amount in payments]),
        pl.lit("a").alias(USER_ID),
        pl.lit("EUR").alias(CURRENCY),
    )
    rates = base_only("EUR", date(2024, 8, 1))
    portfolio = Portfolio(pl.DataFrame({ENTITY: ["a"]}), rates, transactions=rows)
    ruleset = AnalysedRuleset(bundled_ruleset("transaction-monitoring"))
    return peer_numbers(ruleset, peers_wanted(ruleset), portfolio, as_of).row(0, named=True), ruleset


def test_no_name_of_a_calculation_ends_in_a_number_that_stands_before_its_value() -> None:
    """The formula of a breakdown has each name before its value: `in_1` read "in 1 38,200.00 EUR"."""
    calculations = bundled_ruleset("transaction-monitoring").calculate
    assert [name for name in calculations if name[-1].isdecimal()] == []
