"""What happened about a customer: one timeline with two clocks, and transactions with their sums and the balance."""

import re
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, day_text, now_microseconds, parse_moment
from fivefold.store.tables.entities import Entity, ValueScore
from fivefold.usecases.ingest.bulk_facts import TagRow, put_tags
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.console.visitors import Visitor
from tests.serving.v1.places import Place
from tests.usecases.platforms import transaction

OF = "/v1/entities/customer/told"
PAGE = "/console/entities/customer/told"


@pytest.fixture
def told(place: Place) -> Place:
    """A customer to whom something of every kind happened."""
    for attributes in ({"country": "NO"}, {"country": "KP", "occupation": "<b>teacher</b>"}):
        place.good("PUT", OF, {"attributes": attributes}, role="app")
        place.good("GET", f"{OF}/risk", params={"freshness": "now"}, role="investigator")
    place.good(
        "PUT", "/v1/entities/customer/account", {"owner": {"type": "customer", "external_id": "told"}}, role="app"
    )
    place.good("PUT", f"{OF}/tags/watch", {"reason": "It is <b>one</b>."}, role="investigator")
    place.good("DELETE", f"{OF}/tags/watch", role="investigator", params={"reason": "It was <b>another</b>."})
    screening = {"screening": "pep", "found": True, "at": "2026-01-02T03:04:05Z"}
    place.good("POST", f"{OF}/screenings", screening, role="app")
    place.good("PUT", f"{OF}/cases/case-9", {"opened_at": "2026-02-01", "status": "open"}, role="app")
    for number, act in enumerate(("approve", "refuse")):
        body = {"level": "high", "reason": f"Reason {number}"}
        asked = place.good("POST", f"{OF}/overrides", body, role="investigator")
        place.good("POST", f"/v1/overrides/{asked['id']}/{act}", {"reason": "because"}, role="approver")
    place.good("GET", f"{OF}/risk", params={"freshness": "now"}, role="investigator")
    item = place.good("GET", "/v1/queue", role="investigator", params={"kind": "rise"})[0]
    change = {"revision": 0, "assigned_to": place.members["bank", "investigator"]}
    place.good("PUT", f"/v1/queue/{item['item']}", change, role="investigator")
    return place


def events(place: Place, **query: str) -> list[dict[str, Any]]:
    """All events, read in pages of two."""
    found: list[dict[str, Any]] = []
    address = f"{OF}/timeline?limit=2&" + "&".join(f"{name}={value}" for name, value in query.items())
    while address:
        answer = place.ask("GET", address, role="investigator")
        assert answer.status_code == 200, answer.text
        found += answer.json()
        address = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    return found


def test_every_kind_is_there_once_and_in_order_by_either_clock(told: Place) -> None:
    known = events(told)
    kinds = [event["kind"] for event in known]
    assert (
        sorted(kinds)
        == [
            *("attributes", "attributes", "case_opened", "level", "level"),
            *("override_decided", "override_decided", "override_requested", "override_requested"),
            *("owned_from", "queue", "screening", "tag_ended", "tag_set"),
        ]
        or "owned_from" not in kinds
    )
    by_known = [event["known_at"] or event["happened_at"] for event in known]
    assert by_known == sorted(by_known, reverse=True)
    happened = events(told, clock="happened")
    assert [event["happened_at"] for event in happened] == sorted((e["happened_at"] for e in known), reverse=True)
    assert kinds.index("screening") < kinds.index("attributes")
    assert [event["kind"] for event in happened][-1] == "screening"


def test_a_group_has_its_kinds_alone_and_attributes_their_history(told: Place) -> None:
    (later, first) = events(told, kind="attributes")
    assert later["changes"] == [
        {"name": "country", "before": "NO", "after": "KP"},
        {"name": "occupation", "before": None, "after": "<b>teacher</b>"},
    ]
    assert [change["name"] for change in first["changes"]] == ["country"]
    assert {event["kind"] for event in events(told, kind="overrides")} == {"override_requested", "override_decided"}
    answer = told.ask("GET", f"{OF}/timeline?kind=none", role="investigator")
    assert answer.status_code == 422
    assert "there is no kind of event 'none'" in answer.text


def test_the_page_has_both_clocks_and_no_markup_of_stored_text(told: Place) -> None:
    visitor = Visitor(told).sign_in("investigator").go(f"{PAGE}/timeline?group=facts&clock=happened")
    assert "2026-01-02 03:04 UTC" in visitor.text
    assert "Country: NO → KP" in visitor.text
    assert "<b>teacher" not in visitor.page.text
    assert "Override" not in visitor.text.partition("Happened Known")[2]
    visitor.go(f"{PAGE}/timeline")
    assert re.search("(Low|Medium) → High", visitor.text)
    assert "the approver" in visitor.text
    assert f"{PAGE}/timeline" in visitor.go(PAGE).links()
    assert "Override decided" in visitor.text


@pytest.mark.parametrize(
    ("page", "heads", "clock"),
    [
        (PAGE, "Known Happened", "known"),
        (f"{PAGE}/timeline", "Known Happened", "known"),
        (f"{PAGE}/timeline?clock=happened", "Happened Known", "happened"),
    ],
)
def test_the_moments_that_order_the_list_stand_first_in_it(told: Place, page: str, heads: str, clock: str) -> None:
    visitor = Visitor(told).sign_in("investigator").go(page)
    assert f"{heads} What" in visitor.text
    rows = re.findall(r"<tr>(<td>.*?)</tr>", visitor.page.text.partition('<table class="timeline">')[2])
    moments = [re.findall(r'<td>(?:<time datetime="([^"]*)">|(–|then))', row)[:2] for row in rows]
    first = [written or other for (written, other), _ in moments]
    assert "then" not in first
    assert "then" in [other for _, (_, other) in moments]
    kept = [written for written in first if written != "–"]
    assert kept == sorted(kept, reverse=True)
    if clock == "happened":
        assert "–" not in first


def test_a_value_that_could_not_be_computed_has_the_reason_beside_it(told: Place) -> None:
    with Session(told.engine) as session, session.begin():
        number = session.scalars(select(Entity.id).where(Entity.external_id == "told")).one()
        model = {"model": "fivefold-value", "model_version": 3, "fingerprint": "f", "currency": "EUR"}
        session.add(ValueScore(entity_id=number, as_of_us=now_microseconds(), failure="bank.py: it <failed>", **model))
    visitor = Visitor(told).sign_in("investigator").go(f"{PAGE}/timeline?group=scores")
    assert "no value any more: bank.py: it &lt;failed&gt;" in visitor.text


def test_why_a_tag_was_set_who_ended_it_and_why_is_on_the_page_and_among_what_people_did(told: Place) -> None:
    (ended,) = events(told, kind="tag_ended")
    member = f"member:{told.members['bank', 'investigator']}"
    assert (ended["by"], ended["reason"], ended["proposed_by"]) == (member, "It was <b>another</b>.", None)
    (was_set,) = events(told, kind="tag_set")
    assert (was_set["reason"], was_set["known_at"]) == ("It is <b>one</b>.", was_set["happened_at"])
    (line,) = told.good("GET", f"{OF}/tags", role="investigator")
    assert line["set_reason"] == "It is <b>one</b>."
    assert (line["ended_by"], line["end_reason"]) == (member, "It was <b>another</b>.")
    visitor = Visitor(told).sign_in("investigator").go(f"{PAGE}/timeline?group=people")
    assert "watch It was &lt;b&gt;another&lt;/b&gt;. the investigator" in visitor.text
    assert "watch It is &lt;b&gt;one&lt;/b&gt;. the investigator" in visitor.text
    assert "set by the investigator: It is &lt;b&gt;one&lt;/b&gt;., its end" in visitor.go(PAGE).text
    assert "its end by the investigator: It was &lt;b&gt;another&lt;/b&gt;." in visitor.go(PAGE).text


def test_when_a_tag_of_a_file_was_known_is_not_kept_and_that_a_program_set_one_was_known_then(place: Place) -> None:
    place.good("PUT", OF, {"attributes": {}}, role="app")
    place.good("PUT", f"{OF}/tags/watch", {}, role="app")
    context = Context(place.engine, Actor(place.organisations["bank"], "cli:ana"))
    put_tags(context, "customer", [TagRow("told", "vip", parse_moment("2026-01-02"), None)])
    known = {event["about"]: event["known_at"] == event["happened_at"] for event in events(place, kind="tag_set")}
    assert known == {"watch": True, "vip": False}


def test_a_tag_that_gets_another_end_says_so_with_who_moved_it_and_why(place: Place) -> None:
    place.good("PUT", OF, {"attributes": {}}, role="app")
    place.good("PUT", f"{OF}/tags/watch", {"until": "2099-01-01"}, role="investigator")
    place.good("PUT", f"{OF}/tags/watch", {"until": "2098-01-01", "reason": "Shorter, as agreed"}, role="investigator")
    now, before = place.good("GET", f"{OF}/tags", role="investigator")
    assert (now["goes_on"], now["end_reason"]) == (False, None)
    assert (before["goes_on"], before["end_reason"]) == (True, "Shorter, as agreed")
    text = Visitor(place).sign_in("investigator").go(PAGE).text
    assert "continued with another end, by the investigator: Shorter, as agreed" in text
    assert "its end by" not in text


@pytest.mark.parametrize(("query", "status"), [("group=none", 422), ("clock=none", 422), ("after=x", 422)])
def test_what_cannot_be_read_is_said(furnished: Place, query: str, status: int) -> None:
    visitor = Visitor(furnished).sign_in("investigator")
    assert visitor.go(f"/console/entities/company/acme/timeline?{query}").page.status_code == status


def test_a_link_stands_on_the_pages_of_both_ends_until_it_is_taken_back(place: Place) -> None:
    for name in ("told", "other"):
        place.good("PUT", f"/v1/entities/customer/{name}", {"attributes": {}}, role="app")
    place.good("PUT", "/v1/entity-types/customer", {"links": {"household": "shared", "owns": "directed"}}, role="admin")
    begins = "2026-01-02T03:04:05Z"
    links = [
        {"type": "household", "from": "told", "to": "<i>H1</i>"},
        {"type": "owns", "from": "told", "to": "other", "valid_from": begins},
    ]
    place.good("POST", "/v1/links/customer", links, role="app")
    place.good("POST", "/v1/links/customer", [{**links[1], "valid_until": begins}], role="app")
    visitor = Visitor(place).sign_in("investigator").go(f"{PAGE}/timeline?group=facts")
    for words in (
        "Linked Household: &lt;i&gt;H1",
        "Linked Owns: leads to other",
        "Link taken back Owns: leads to other",
    ):
        assert words in visitor.text
    assert "Link taken back Owns: comes from told" in visitor.go(PAGE.replace("told", "other")).text


TRANSACTIONS = "/console/entities/customer/payer/transactions"


def test_the_page_has_the_balance_the_days_and_each_transaction(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/payer", {}, role="app")
    rows = [
        transaction(101, "payer", transaction_date="2026-11-02", transaction_amount=50.25, user_balance=50.25),
        transaction(102, "payer", transaction_date="2026-11-05", transaction_amount=-20.0, user_balance=30.25),
        transaction(103, "payer", transaction_date="2026-11-06", transaction_amount=-40.0, user_balance=-9.75),
    ]
    place.good("POST", "/v1/transactions", rows, role="app")
    visitor = Visitor(place).sign_in("investigator").go(f"{TRANSACTIONS}?since=2026-11-01&until=2026-11-10")
    assert "3 settled on 3 of the days (UTC) from 2026-11-01 to 2026-11-10" in visitor.text
    assert "From 50.25 to −9.75; the lowest is −9.75, the highest 50.25." in visitor.text
    assert visitor.page.text.count('role="img"') == 1
    assert "5 November 2026 0.00 20.00 EUR 1 30.25" in visitor.text
    assert "6 November 2026 0.00 40.00 EUR 1 −9.75" in visitor.text
    assert "-9.75" not in visitor.text
    assert "+50.25 EUR" in visitor.text
    assert "There are none on these days." in visitor.go(f"{TRANSACTIONS}?since=2020-01-01&until=2020-01-01").text
    assert TRANSACTIONS in visitor.go(TRANSACTIONS.removesuffix("/transactions")).links()


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
    visitor = Visitor(place).sign_in("investigator").go(f"{TRANSACTIONS}?since=2026-11-01&until=2026-11-10")
    assert "2 November 2026 1.234 0.001 KWD 2 1.233" in visitor.text
    assert "2 November 2026 1,000 0 JPY 1 5,000" in visitor.text
    for page in (visitor.text, visitor.go(TRANSACTIONS.removesuffix("/transactions")).text):
        for written in ("+1.234 KWD", "−0.001 KWD", "+1,000 JPY", "+0.005 EUR"):
            assert written in page


def test_what_was_sent_of_a_transaction_is_shown_as_far_back_as_what_gave_something_looked(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/payer", {}, role="app")
    paid = day_text(now_microseconds() - 120 * DAY_US)[:10]
    row = transaction(120, "payer", transaction_date=paid, transaction_amount=100.0, operation="<b>cash")
    place.good("POST", "/v1/transactions", [row | {"operation": "cash"}, row | {"transaction_id": "t121"}], role="app")
    visitor = Visitor(place).sign_in("investigator").go(TRANSACTIONS)
    assert paid not in visitor.text, "nothing counted them yet: the last 90 days"
    place.good("GET", "/v1/entities/customer/payer/risk?freshness=now", role="app")
    for address in (TRANSACTIONS, TRANSACTIONS.removesuffix("/transactions")):
        page = visitor.go(address).page.text
        assert "Operation: cash<" in page
        assert "Operation: &lt;b&gt;cash<" in page
    assert day_text(now_microseconds() - 180 * DAY_US)[:10] in visitor.go(TRANSACTIONS).text, (
        "the first day that counts"
    )


def test_what_counts_now_of_a_transaction_stands_beside_what_was_sent(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/payer", {}, role="app")
    paid = day_text(now_microseconds() - 3 * DAY_US)[:10]
    sent = {"transaction_date": paid, "transaction_currency": "EUR"}
    rows = [transaction(n, "payer", transaction_amount=amount, **sent) for n, amount in ((130, 100.0), (131, 500.0))]
    corrections = [
        {"transaction_id": "c1", "corrects": "t130", "transaction_amount": 90.0, "correction_reason": "Typed."},
        {"transaction_id": "c2", "reverses": "t131", "correction_reason": "Sent twice."},
    ]
    place.good("POST", "/v1/transactions", [*rows, *corrections], role="app")
    visitor = Visitor(place).sign_in("investigator").go(TRANSACTIONS)
    assert "90.00 0.00 EUR 1" in visitor.text
    assert "500.00 0.00" not in visitor.text
    for address in (TRANSACTIONS, TRANSACTIONS.removesuffix("/transactions")):
        text = visitor.go(address).text
        assert "+100.00 EUR counts as +90.00 EUR –, corrected" in text
        assert "+500.00 EUR –, reversed" in text


@pytest.mark.parametrize(
    ("query", "status"), [("since=soon", 422), ("since=2020-01-01&until=2026-01-01", 422), ("after=x", 422)]
)
def test_days_that_cannot_be_read_are_said(furnished: Place, query: str, status: int) -> None:
    visitor = Visitor(furnished).sign_in("investigator")
    assert visitor.go(f"/console/entities/company/acme/transactions?{query}").page.status_code == status


def test_who_is_not_there_has_no_timeline_whatever_is_asked_for(furnished: Place) -> None:
    visitor = Visitor(furnished).sign_in("investigator")
    for query in ("", "?group=odd", "?clock=odd"):
        assert visitor.go(f"/console/entities/customer/nobody-here/timeline{query}").page.status_code == 404
        assert visitor.go(f"/console/entities/company/acme/timeline{query}").page.status_code == (422 if query else 200)
