"""Overrides on a customer's page: from request to end, by whom, and what is offered when."""

import re

import pytest
from sqlalchemy import text

from tests.console.visitors import Visitor, levels_stay
from tests.serving.v1.places import Place
from tests.store.audits import forged

ACME = "/console/entities/company/acme"


def test_an_override_is_asked_for_by_one_person_and_decided_by_another(place: Place, investigator: Visitor) -> None:
    investigator.go(ACME).submit("/override", level="high", reason="A court asked for it.", until="2099-01-01")
    assert "Another person has to approve or refuse it" in investigator.text
    approver = Visitor(place).sign_in("approver").go("/console/queue")
    assert "A court asked for it." in approver.text
    assert "requested by the investigator now" in approver.text
    approver.go(ACME).submit("/approve-override", reason="The order was read.")
    assert "The override is approved" in approver.text
    assert "The order was read." in approver.text
    assert "2099-01-01 00:00 UTC" in approver.text


def test_that_an_override_has_no_end_stands_where_it_is_decided_and_where_it_holds(
    place: Place, investigator: Visitor
) -> None:
    investigator.go(ACME).submit("/override", level="high", reason="A court asked for it.")
    approver = Visitor(place).sign_in("approver").go(ACME)
    assert "UTC , without an end: requested" in approver.text
    assert "without an end" in Visitor(place).sign_in("approver").go("/console/queue/overrides").text
    approver.submit("/approve-override")
    place.good("GET", ACME.replace("/console", "/v1") + "/risk", params={"freshness": "now"}, role="investigator")
    assert "An override holds: High , without an end." in approver.go(ACME).text


def test_a_reason_of_two_lines_is_the_same_from_a_browser_and_over_v1(place: Place, investigator: Visitor) -> None:
    path = ACME.replace("/console", "/v1")
    for ends in ("\n", "\r\n"):
        body = {"level": "high", "reason": f"The first line{ends}the second"}
        place.good("POST", f"{path}/overrides", body, role="investigator")
        investigator.go(ACME).submit("/override", **body)
        place.good("PUT", f"{path}/tags/two-lines", {}, role="investigator")
        place.good("DELETE", f"{path}/tags/two-lines", params={"reason": body["reason"]}, role="investigator")
    asked = place.good("GET", f"{path}/overrides", role="investigator")
    assert [line["reason"] for line in asked if "first line" in line["reason"]] == ["The first line\nthe second"]
    tags = place.good("GET", f"{path}/tags", role="investigator")
    assert {line["end_reason"] for line in tags if line["tag"] == "two-lines"} == {"The first line\nthe second"}


def test_an_end_that_is_past_is_said_at_its_field(investigator: Visitor) -> None:
    investigator.go(ACME).submit("/override", level="high", reason="A court asked for it", until="2001-01-01")
    assert investigator.page.status_code == 409
    said = '<p class="fault" id="until-fault">until is 2001-01-01, which is past; '
    page = investigator.page.text
    assert f'value="2001-01-01" aria-invalid="true" aria-describedby="until-fault" autofocus>{said}' in page
    assert page.count("autofocus") == 1


@pytest.mark.parametrize(
    ("action", "name", "typed", "problem"),
    [
        ("/override", "until", "9000-01-01", "Ends on is &#39;9000-01-01&#39;; it must be an ISO 8601 date or time "),
        ("/override", "until", "soon", "Ends on is &#39;soon&#39;; it must be an ISO 8601 date or time"),
        ("/challenge", "received", "1899-12-31", "Received on is &#39;1899-12-31&#39;; it must be an ISO 8601 date or"),
    ],
)
def test_a_date_that_v1_would_refuse_is_refused_at_its_field(
    investigator: Visitor, action: str, name: str, typed: str, problem: str
) -> None:
    fields = {"level": "high", "reason": "A court asked for it"} if name == "until" else {"words": "It is wrong"}
    investigator.go(ACME).submit(action, **fields, **{name: typed})
    assert investigator.page.status_code == 422
    assert f'autofocus><p class="fault" id="{name}-fault">{problem}' in investigator.page.text


def test_a_refusal_that_is_about_no_field_has_the_focus(place: Place) -> None:
    approver = Visitor(place).sign_in("approver").go("/console/queue").submit("/assign-many")
    assert approver.page.status_code == 422
    assert 'role="alert" tabindex="-1" autofocus>Nothing was changed: ' in approver.page.text
    assert approver.page.text.count("autofocus") == 1


def test_an_override_that_ended_says_who_approved_it_and_who_ended_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = "/v1/entities/customer/c%2F1%20%C3%A4"
    body = {"level": "high", "reason": "A court asked for it"}
    number = place.good("POST", f"{customer}/overrides", body, role="investigator")["id"]
    place.good("POST", f"/v1/overrides/{number}/approve", {"reason": "The order was read"}, role="approver")
    place.good("GET", f"{customer}/risk", params={"freshness": "now"}, role="investigator")
    approver = Visitor(place).sign_in("approver").go(customer.replace("/v1", "/console"))
    assert "An override holds: High" in approver.text
    assert "no factor gave other points; an override began; unchanged factors: " in approver.text
    approver.submit("/revoke-override", reason="The order was lifted")
    proposed = place.good("GET", "/v1/proposals", role="admin")[0]["id"]
    place.good("POST", f"/v1/proposals/{proposed}/approve", {"reason": "So it is"}, role="admin")
    with monkeypatch.context() as busy:
        levels_stay(busy)
        text = approver.go(customer.replace("/v1", "/console")).text
    assert "The level came from an override that has ended: High" in text
    assert (
        "no factor gave other points; an override ended; unchanged factors: "
        in approver.go(customer.replace("/v1", "/console")).text
    )
    assert re.search(
        r"revoked A court asked for it Approved by the approver, [-0-9: UTC]+: The order was read"
        r" Ended by the admin, [-0-9: UTC]+: The order was lifted",
        text,
    )
    events = place.good("GET", f"{customer}/timeline", params={"kind": "overrides"}, role="investigator")
    assert [(event["kind"], event["about"], event["by"]) for event in events[:2]] == [
        ("override_ended", "", events[0]["by"]),
        ("override_decided", "approved", events[1]["by"]),
    ]
    assert events[0]["by"] != events[1]["by"]


def test_of_an_override_whose_end_has_passed_only_the_refusal_is_offered(place: Place) -> None:
    customer = "/v1/entities/customer/c%2F1%20%C3%A4"
    body = {"level": "high", "reason": "A court asked for it", "until": "2099-01-01"}
    place.good("POST", f"{customer}/overrides", body, role="investigator")
    approver = Visitor(place).sign_in("approver").go(customer.replace("/v1", "/console"))
    actions = {form.action.rpartition("/")[2] for form in approver.forms()}
    assert {"approve-override", "refuse-override"} <= actions
    assert "It ended before a decision was made" not in approver.text
    with forged(place.engine) as connection:  # as if it were that day
        connection.execute(text("UPDATE overrides SET until_us = requested_us + 1"))
    approver.go(customer.replace("/v1", "/console"))
    assert {form.action.rpartition("/")[2] for form in approver.forms()} & actions == actions - {"approve-override"}
    assert "It ended before a decision was made: it can only be refused." in approver.text
    approver.submit("/refuse-override", reason="Nobody decided in time")
    assert "It ended before a decision was made" not in approver.text


def test_what_is_wrong_with_one_of_several_overrides_stands_at_its_own_field(place: Place) -> None:
    asked = [
        place.good("POST", f"{ACME}/overrides".replace("/console", "/v1"), {"level": "high", "reason": reason},
                   role="investigator")["id"]
        for reason in ("The first", "The second", "The third")
    ]  # fmt: skip
    approver = Visitor(place).sign_in("approver").go(ACME)
    forms = [form for form in approver.forms() if form.action.endswith("/refuse-override")]
    assert {str(number) for number in asked} <= {form.fields["override"] for form in forms}
    approver.post(forms[1].action, {**forms[1].fields, "reason": "   "})
    of = forms[1].fields["override"]
    page = approver.page.text
    assert page.count("aria-invalid") == page.count("autofocus") == 1
    wrong = f'aria-invalid="true" aria-describedby="refuse-{of}-fault override-{of}" autofocus>'
    assert f'{wrong}<p class="fault" id="refuse-{of}-fault">Reason is empty</p>' in page
    for number in asked:
        assert f'<article class="override" aria-labelledby="override-{number}">' in page
        assert page.count(f'aria-describedby="override-{number}">Approve</button>') == 1
        assert page.count(f'aria-describedby="override-{number}">Refuse</button>') == 1


def test_of_who_was_erased_no_override_is_decided(place: Place) -> None:
    """One that held at the erasure, and one that waited."""
    path = ACME.replace("/console", "/v1")
    for reason in ("The first", "The second"):
        place.good("POST", f"{path}/overrides", {"level": "high", "reason": reason}, role="investigator")
    approver = Visitor(place).sign_in("approver").go(ACME).submit("/approve-override", reason="It was read")
    approver.go(ACME)
    offered = {form.action.rpartition("/")[2] for form in approver.forms()}
    assert {"approve-override", "refuse-override", "revoke-override"} <= offered
    assert "that you opened these reasons" in approver.text
    with forged(place.engine) as connection:
        connection.execute(text("UPDATE entities SET erased_us = 1 WHERE external_id = 'acme'"))
    approver.go(ACME)
    assert approver.page.status_code == 200
    assert not [form.action for form in approver.forms() if form.action.endswith("-override")]
    assert "that you opened these reasons" not in approver.text


def test_an_override_that_the_page_did_not_show_is_not_decided(place: Place) -> None:
    """After a restore another override may have its number."""
    Visitor(place).sign_in("investigator").go(ACME).submit("/override", level="high", reason="once")
    approver = Visitor(place).sign_in("approver")
    for action in ("/approve-override", "/refuse-override"):
        approver.go(ACME).submit(action, reason="seen", seen_requested="2026-01-01T00:00:00.000001Z")
        assert approver.page.status_code == 409
        assert "is another one now" in approver.text
    approver.go(ACME).submit("/approve-override", reason="seen")
    approver.go(ACME).submit("/revoke-override", reason="seen", seen_requested="2026-01-01T00:00:00.000001Z")
    assert "is another one now" in approver.text


def test_the_person_who_asked_is_not_offered_to_decide(place: Place) -> None:
    both = place.join("both", "admin")[0]
    visitor = Visitor(place).go("/console/sign-in").submit("/sign-in", token=both)
    visitor.go(ACME).submit("/override", level="high", reason="mine")
    assert "You requested it, so another person decides." in visitor.text
    line = place.good("GET", "/v1/entities/company/acme/overrides", role="admin")[0]
    form_token = visitor.forms()[0].fields["form_token"]
    seen = {"seen_assessment": "0", "seen_requested": line["requested_at"]}
    visitor.post(f"{ACME}/approve-override", {"form_token": form_token, "override": str(line["id"]), **seen})
    assert visitor.page.status_code == 409
    assert "another person decides" in visitor.text
    assert "The page shows the present state." in visitor.text


def test_two_people_who_decide_the_same_override_do_not_overwrite_each_other(place: Place) -> None:
    Visitor(place).sign_in("investigator").go(ACME).submit("/override", level="high", reason="once")
    first, second = Visitor(place).sign_in("approver").go(ACME), Visitor(place).sign_in("admin").go(ACME)
    pending = next(form for form in second.forms() if form.action.endswith("/refuse-override"))
    chosen = next(form for form in first.forms() if form.action.endswith("/approve-override"))
    assert chosen.fields["override"] == pending.fields["override"]
    first.submit("/approve-override")
    assert first.page.status_code == 200
    second.post(pending.action, {**pending.fields, "reason": "too late"})
    assert second.page.status_code == 409
    assert "was approved already" in second.text


def test_of_two_that_wait_each_says_that_the_one_approved_last_replaces_the_other(
    place: Place, investigator: Visitor
) -> None:
    customer = "/console/entities/customer/c%2F1%20%C3%A4"
    investigator.go(customer).submit("/override", level="high", reason="A court asked for it.")
    assert "Another one is waiting" not in investigator.text
    investigator.submit("/override", level="medium", reason="On second thought.")
    assert (
        "Another one is waiting for this customer: the one that is approved last replaces the other."
        in investigator.text
    )
    approver = Visitor(place).sign_in("approver").go(customer)
    assert approver.text.count("Another override of this customer is waiting too") == 2
    assert (
        approver.go("/console/queue/overrides?type=customer&external_id=c%2F1%20%C3%A4").text.count(
            "another one is waiting for this customer"
        )
        == 2
    )
    approver.go(customer).submit("/approve-override")
    assert "Another override of this customer is waiting" not in approver.text
    assert approver.text.count("Another override is in force: approving this one ends it.") == 1


def test_no_level_below_a_live_floor_is_offered(place: Place, investigator: Visitor) -> None:
    customer = "/v1/entities/customer/c%2F1%20%C3%A4"

    def offered(country: str) -> list[str]:
        place.good("PUT", customer, {"attributes": {"country": country}}, role="app")
        place.good("GET", f"{customer}/risk?freshness=now", role="investigator")
        page = investigator.go(customer.replace("/v1", "/console")).page.text
        return re.findall(
            r'<option value="([a-z]+)"', page.partition('<select id="level"')[2].partition("</select>")[0]
        )

    assert offered("SE") == ["low", "medium", "high"]
    assert "A floor keeps the level" not in investigator.text
    assert offered("KP") == ["high"]
    assert "A floor keeps the level at High or above, so lower levels are not offered." in investigator.text
