"""A customer's transactions: sums by day, the picture of the balance with its table, and what cannot be read."""

import pytest

from fivefold.domain.clock import DAY_US, day_text, now_microseconds
from tests.console.visitors import Visitor
from tests.serving.v1.places import Place
from tests.usecases.platforms import transaction

PAGE = "/console/entities/customer/payer/transactions"


def test_the_page_has_the_balance_the_days_and_each_transaction(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/payer", {}, role="app")
    rows = [
        transaction(101, "payer", transaction_date="2026-11-02", transaction_amount=50.25, user_balance=50.25),
        transaction(102, "payer", transaction_date="2026-11-05", transaction_amount=-20.0, user_balance=30.25),
        transaction(103, "payer", transaction_date="2026-11-06", transaction_amount=-40.0, user_balance=-9.75),
    ]
    place.good("POST", "/v1/transactions", rows, role="app")
    visitor = Visitor(place).sign_in("investigator").go(f"{PAGE}?since=2026-11-01&until=2026-11-10")
    assert "3 settled on 3 of the days (UTC) from 2026-11-01 to 2026-11-10" in visitor.text
    assert "From 50.25 to −9.75; the lowest is −9.75, the highest 50.25." in visitor.text
    assert visitor.page.text.count('role="img"') == 1
    assert "5 November 2026 0.00 20.00 EUR 1 30.25" in visitor.text
    assert "6 November 2026 0.00 40.00 EUR 1 −9.75" in visitor.text
    assert "-9.75" not in visitor.text
    assert "+50.25 EUR" in visitor.text
    assert "There are none in these days." in visitor.go(f"{PAGE}?since=2020-01-01&until=2020-01-01").text
    assert PAGE in visitor.go(PAGE.removesuffix("/transactions")).links()


def test_money_has_the_decimals_of_its_currency_and_those_that_were_sent(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/payer", {}, role="app")
    sent = [("KWD", 1.234, 1.234), ("KWD", -0.001, 1.233), ("JPY", 1000.0, 5000.0), ("EUR", 0.005, 0.005)]
    rows = [
        transaction(
            110 + number,
            "payer",
            transaction_date=f"2026-11-02T12:00:0{number}Z",
            transaction_amount=amount,
            transaction_currency=currency,
            user_balance=balance,
        )
        for number, (currency, amount, balance) in enumerate(sent)
    ]
    place.good("POST", "/v1/transactions", rows, role="app")
    visitor = Visitor(place).sign_in("investigator").go(f"{PAGE}?since=2026-11-01&until=2026-11-10")
    assert "2 November 2026 1.234 0.001 KWD 2 1.233" in visitor.text
    assert "2 November 2026 1,000 0 JPY 1 5,000" in visitor.text
    for page in (visitor.text, visitor.go(PAGE.removesuffix("/transactions")).text):
        for written in ("+1.234 KWD", "−0.001 KWD", "+1,000 JPY", "+0.005 EUR"):
            assert written in page


def test_what_was_sent_of_a_transaction_is_shown_as_far_back_as_what_gave_something_looked(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/payer", {}, role="app")
    paid = day_text(now_microseconds() - 120 * DAY_US)[:10]
    row = transaction(120, "payer", transaction_date=paid, transaction_amount=100.0, operation="<b>cash")
    place.good("POST", "/v1/transactions", [row | {"operation": "cash"}, row | {"transaction_id": "t121"}], role="app")
    visitor = Visitor(place).sign_in("investigator").go(PAGE)
    assert paid not in visitor.text, "nothing counted them yet: the last 90 days"
    place.good("GET", "/v1/entities/customer/payer/risk?freshness=now", role="app")
    for address in (PAGE, PAGE.removesuffix("/transactions")):
        page = visitor.go(address).page.text
        assert "Operation: cash<" in page
        assert "Operation: &lt;b&gt;cash<" in page
    assert day_text(now_microseconds() - 180 * DAY_US)[:10] in visitor.go(PAGE).text, "the first day that counts"


@pytest.mark.parametrize(
    ("query", "status"), [("since=soon", 422), ("since=2020-01-01&until=2026-01-01", 422), ("after=x", 422)]
)
def test_what_cannot_be_read_is_said(furnished: Place, query: str, status: int) -> None:
    visitor = Visitor(furnished).sign_in("investigator")
    assert visitor.go(f"/console/entities/company/acme/transactions?{query}").page.status_code == status
