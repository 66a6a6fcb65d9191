"""Backtests in the console: who would move, how far one is, and how one is cancelled."""

import pytest

from fivefold.domain.errors import PROBLEMS_LISTED
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from fivefold.usecases.shared.jobs import Lease
from tests.console.visitors import Visitor, send_text
from tests.serving.v1.places import Place
from tests.serving.v1.rulesets.bank_rulesets import document

EDIT = "/console/rulesets/retail/edit"
MARKUP = "<script>alert('x')</script>"


def test_a_backtest_where_nothing_decided_before_says_how_many_would_be_where(place: Place) -> None:
    text = Visitor(place).sign_in("publisher").go("/console/backtests/1").text
    table = text.partition("Level, or why there is none")[2].partition("Customers that move furthest")[0].split()
    expected = "Customers Share High 0 0.0 % Medium 1 100.0 % Low 0 0.0 % (failed) 0 0.0 %"
    assert " ".join(table).startswith(expected), table
    assert "(undetermined) 0 0.0 %" in " ".join(table)
    assert text.count("nobody can be said to move") == 1
    beside = Visitor(place).sign_in("publisher").go("/console/backtests/4").text
    assert "Level, or why there is none" not in beside, "the matrix says it"


def test_a_cell_of_a_backtest_leads_to_the_people_who_move(place: Place, author: Visitor) -> None:
    text = document("retail", score={"points": {"thresholds": [400, 772.01]}})
    text = text.replace('"expect": {"level": "medium"}', '"expect": {"level": "low"}')
    send_text(author.go(EDIT), "save", text)
    send_text(author, "commit", text, accept_warnings="looked at").submit("/backtest")
    place.run_backtests()
    author.go(author.page.url.path)
    assert "Of 1 checked, 1 would move by the rules alone: 0 up, 1 down." in author.text
    (cell,) = [link for link in author.links() if "from=medium" in link]
    author.go(cell.replace("&amp;", "&"))
    assert "What would decide: retail version 3 · what decided when it was run: retail version 1 ·" in author.text
    assert {"/console/rulesets/retail/versions/1", "/console/rulesets/retail/versions/3"} <= {*author.links()}
    assert "score, points, thresholds: 314.15, 772.01 → 400, 772.01" in author.text
    assert (
        "Cash in half a year sum of amount where operation is one of cash, sekret operation in 180 days in"
        in author.text
    )
    assert author.links().count("/console/entities/customer/c%2F1%20%C3%A4") == 2, "who moves furthest, and everybody"
    assert "Customers that move furthest At most 20." in author.text
    assert "From Medium to Low" in author.text
    assert "/console/entities/customer/c%2F1%20%C3%A4" in author.links()
    author.go(author.page.url.path + "?from=high")
    assert "No customer is listed." in author.text


def test_a_backtest_says_how_many_could_not_be_assessed_where_it_lists_the_first_alone(
    place: Place, author: Visitor
) -> None:
    others = [EntityRow(f"gap-{number}", {"country": "NO"}) for number in range(PROBLEMS_LISTED)]
    put_entities(Context(place.engine, place.actor("admin")), "customer", others)
    tiers = [{"title": "T", "max": 100, "level": "low"}, {"title": "H", "min": 400, "level": "high"}]
    examples = [{"name": "abroad", "given": {"country": "DE"}, "expect": {"level": "low"}}]
    text = document("retail", score={"tiers": tiers}, examples=examples)
    send_text(author.go(EDIT), "save", text)
    number = place.good("POST", "/v1/rulesets/retail/backtests", {}, role="publisher")["id"]
    place.run_backtests()
    author.go(f"/console/backtests/{number}")
    assert "Of 101 checked, 101 would move by the rules alone: 0 up, 0 down." in author.text
    assert "Neither up nor down: 101, with no level before, or none after." in author.text
    assert "101 could not be assessed in full; the first 100 are listed here." in author.text


def test_a_backtest_of_a_text_that_is_not_committed_says_so(place: Place, author: Visitor) -> None:
    send_text(author.go(EDIT), "save", document("retail", remark="not yet"))
    number = place.good("POST", "/v1/rulesets/retail/backtests", {}, role="publisher")["id"]
    place.run_backtests()
    author.go(f"/console/backtests/{number}")
    assert "What would decide: a text of retail that is not committed · what decided" in author.text
    assert "None." in author.text


def test_a_backtest_that_waits_is_cancelled_with_a_reason(place: Place, author: Visitor) -> None:
    send_text(author.go(EDIT), "save", document("retail", remark="not yet"))
    number = place.good("POST", "/v1/rulesets/retail/backtests", {}, role="publisher")["id"]
    address = f"/console/backtests/{number}"
    assert address in author.go("/console/rulesets/retail").links()
    assert "It is waiting for a worker." in author.go(address).text
    assert "retail , a text that is not committed; requested by the publisher" in author.text
    author.submit("/cancel", reason=" ")
    assert (author.page.status_code, "Reason is empty" in author.text) == (422, True)
    author.submit("/cancel", reason=MARKUP)
    assert "The backtest is cancelled." in author.text
    assert "It was cancelled, so it has no results. writer cancelled it: &lt;script&gt;" in author.text
    assert not [form for form in author.forms() if form.action.endswith("/cancel")]
    again = {"form_token": author.go("/console/session").forms()[0].fields["form_token"], "reason": "again"}
    assert author.post(f"{address}/cancel", again).page.status_code == 409


def test_a_backtest_that_runs_says_how_far_it_is_and_stops_where_it_is_cancelled(
    place: Place, author: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_text(author.go(EDIT), "save", document("retail", remark="not yet"))
    number = place.good("POST", "/v1/rulesets/retail/backtests", {}, role="publisher")["id"]
    said: list[str] = []

    def cancelling(lease: Lease, done: int, total: int, part: str) -> None:
        if lease.number == number:
            said.append(author.go(f"/console/backtests/{number}").text)
            author.submit("/cancel", reason="too slow today")
        progress(lease, done, total, part)

    progress = Lease.progress
    monkeypatch.setattr(Lease, "progress", cancelling)
    place.run_backtests()
    assert len(said) == 1, "it stops at the next part"
    assert "A worker has started it." in said[0]
    assert "If its worker is killed, another one starts it again within five minutes." in said[0]
    assert "It was cancelled, so it has no results." in author.go(f"/console/backtests/{number}").text
