"""A customer is exported from the page."""

from tests.console.customers import CUSTOMER, ENTITY, assess_now
from tests.console.visitors import ORIGIN, Visitor
from tests.serving.v1.places import Place


def test_a_customer_is_exported_with_the_sentences_of_the_page_and_the_export_is_recorded(
    place: Place, investigator: Visitor
) -> None:
    assess_now(place)
    place.good("PUT", f"{ENTITY}/tags/%D0%B6%3Cb%3E", {}, role="investigator")
    investigator.go(CUSTOMER)  # computes the level with the tag
    level = place.good("GET", f"{ENTITY}/risk", params={"freshness": "stored"}, role="investigator")
    reasons = level["reasons"]
    assert isinstance(reasons, dict)
    written = investigator.go(CUSTOMER).submit("/export-json").page
    assert (
        written.headers["content-disposition"]
        == "attachment; filename=\"c_1__.json\"; filename*=UTF-8''c_1_%C3%A4.json"
    )
    taken = written.json()
    assert (taken["type"], taken["external_id"], taken["exported_by"]) == ("customer", "c/1 ä", "the investigator")
    assert taken["sentence"] == reasons["line"]
    assert [rule["title"] for rule in taken["factors"]] == [rule["title"] for rule in reasons["rules"]]
    assert taken["address"].startswith(f"{ORIGIN}/console/assessments/1.")
    assert taken["level"] == level["level"]
    decided_by = level["decided_by"]
    assert {"name": taken["ruleset"], "version": taken["ruleset_version"]} == decided_by
    assert taken["assessed_at"] == level["assessed_at"]
    assert taken["override"] is None
    assert "breakdown" not in taken
    document = investigator.go(CUSTOMER).submit("/export-pdf").page
    assert document.headers["content-type"] == "application/pdf"
    assert document.content.startswith(b"%PDF-")
    assert len(document.content) > 2000
    entries = place.good("GET", "/v1/audit", role="admin", params={"limit": "1000"})
    kept = [entry["details"]["form"] for entry in entries if entry["action"] == "customer.exported"]
    assert sorted(kept) == ["json", "pdf"]


def test_an_export_has_the_override_with_its_reason_its_end_and_the_two_people(
    place: Place, investigator: Visitor
) -> None:
    assess_now(place)
    investigator.go(CUSTOMER).submit("/override", level="high", reason="A court did.", until="2999-01-01")
    Visitor(place).sign_in("approver").go(CUSTOMER).submit("/approve-override", reason="Seen.")
    assess_now(place)
    override = investigator.go(CUSTOMER).submit("/export-json").page.json()["override"]
    people = (override["requested_by"], override["decided_by"])
    assert people == ("the investigator", "the approver")
    said = (override["level"], override["state"], override["reason"], override["decision_reason"])
    assert said == ("high", "live", "A court did.", "Seen.")
    assert override["until"].startswith("2999-01-01T00:00:00")
