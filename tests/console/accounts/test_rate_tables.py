"""The page of a proposed table of exchange rates: whom it reaches, which rates differ, and which are lost."""

from datetime import timedelta
from typing import Any

import pytest

from fivefold.console.changes.proposal import change_lines
from fivefold.domain.clock import from_microseconds
from fivefold.usecases.accounts import rate_tables
from fivefold.usecases.changes import proposals
from fivefold.usecases.shared.context import Context
from tests.console.visitors import Visitor
from tests.serving.v1.places import Place


def propose(place: Place, *rates: dict[str, Any], source: str = "treasury") -> int:
    answer = place.good(
        "POST", "/v1/rates/tables", {"rates": list(rates), "source": source, "reason": "October"}, role="publisher"
    )
    return int(answer["proposal"]["id"])


def rate(place: Place, currency: str, value: float, days_ago: int = 0) -> dict[str, Any]:
    day = from_microseconds(Context(place.engine, place.actor("admin")).now()).date() - timedelta(days=days_ago)
    return {"currency": currency, "date": day.isoformat(), "rate": value}


def test_an_approver_sees_which_rates_differ_and_are_lost_and_that_everybody_is_reached(place: Place) -> None:
    first = propose(place, rate(place, "AED", 0.25, 2), rate(place, "USD", 0.8, 2))
    admin = Visitor(place).sign_in("admin").go(f"/console/proposals/{first}").submit("/approve", reason="seen")
    number = propose(place, rate(place, "USD", 0.9), rate(place, "XAU", 3000.0), rate(place, "USD", 0.7, 9))
    reach = place.good("GET", f"/v1/proposals/{number}", role="admin")["reach"]
    assert sum(reach["entities"].values()) > 0
    assert [each["currency"] for each in reach["rates"]["currencies"]] == ["AED", "USD", "XAU"]
    text = admin.go(f"/console/proposals/{number}").text
    days = [rate(place, "USD", 1, ago)["date"] for ago in (2, 0)]
    assert f"AED from 0.25 of {days[0]} to none; 0 stored transactions use it" in text
    assert f"USD from 0.8 of {days[0]} to 0.9 of {days[1]}" in text
    assert f"XAU from none to 3000 of {days[1]}" in text
    assert "Rates of other days 1 differs" in text
    for kind, count in reach["entities"].items():
        assert f"Assessed again {count:,} of the type {kind}" in text
    assert "nobody" not in text


def test_one_transaction_and_one_rate_are_written_in_the_singular() -> None:
    lost = {"currency": "AED", "from": {"rate": "0.1234567891", "day": "2024-07-01"}, "to": None, "transactions": 1}
    reach = {"rates": {"from": 1, "to": 1, "currencies": [lost], "others": 1, "earlier": 1}}
    assert [line.value for line in change_lines({}, reach, {})] == [
        "from 0.1234567891 of 2024-07-01 to none; 1 stored transaction uses it",
        "1 more rate differs",
        "1 differs",
    ]


def test_lost_rates_are_named_however_many_are_new(place: Place) -> None:
    lost, new = (
        rate(place, "ZZZ", 2),
        [rate(place, f"X{a}{b}", 2) for a in "ABCDEFGHIJKLMNOP" for b in "ABCDEFGHIJKLMNOP"],
    )
    first = propose(place, lost)
    admin = Visitor(place).sign_in("admin").go(f"/console/proposals/{first}").submit("/approve", reason="seen")
    text = admin.go(f"/console/proposals/{propose(place, *new)}").text
    assert "ZZZ from 2 of" in text
    more = len(new) + 1 - rate_tables.MOST_DIFFERENCES
    assert f"Other currencies {more} more rates differ" in text


def test_a_table_that_an_earlier_release_proposed_is_shown_and_approved(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(proposals, "reach_of", lambda *_: {"entities": {}})
        number = propose(place, rate(place, "AED", 0.25))
    admin = Visitor(place).sign_in("admin").go(f"/console/proposals/{number}")
    assert "Assessed again all customers" in admin.text
    assert "1 rate of AED" in admin.text
    assert propose(place, rate(place, "AED", 0.25)) == number, "it is not outdated"
    admin.submit("/approve", reason="seen")
    assert rate_tables.list_rate_tables(Context(place.engine, place.actor("admin")))[0].source == "treasury"
