"""Statements on the page of a customer: for those who may see thresholds, as PDF and JSON, and in the log."""

import json

from tests.console.visitors import Visitor
from tests.serving.v1.places import Place

CUSTOMER = "/console/entities/customer/c%2F1%20%C3%A4"


def test_a_publisher_takes_a_statement_along(place: Place, investigator: Visitor) -> None:
    place.good("GET", f"{CUSTOMER.replace('console', 'v1')}/risk", params={"freshness": "now"}, role="investigator")
    assert "statement" not in investigator.go(CUSTOMER).page.text
    publisher = Visitor(place).sign_in("publisher").go(CUSTOMER)
    assert publisher.submit("/statement-pdf").page.content.startswith(b"%PDF")
    shown = json.loads(publisher.go(CUSTOMER).submit("/statement-json").page.content)
    assert (shown["external_id"], shown["total"]) == ("c/1 ä", None), "whom it applies to asks for a tag"
    assert [factor["title"] for factor in shown["factors"]] == ["Country of residence", "Cash in half a year", "Income"]
    entries = place.good("GET", "/v1/audit", role="admin", params={"limit": "1000"})
    given = [entry["details"] for entry in entries if entry["action"] == "statement.given"]
    assert sorted(details["form"] for details in given) == ["json", "pdf"]
    assert len({details["sha256"] for details in given}) == 1
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "KP"}}, role="app")
    assert "statement" not in publisher.go("/console/entities/customer/new").page.text
