"""Overrides over HTTP: nobody approves what they asked for."""

import pytest

from tests.serving.v1.examples import COMPANY, WHY
from tests.serving.v1.places import OURS, Place

PATH = f"/v1/entities/company/{COMPANY}/overrides"
BODY = {"level": "medium", "reason": WHY, "until": "2099-01-01T00:00:00Z"}


@pytest.mark.parametrize("roles", [("investigator", "approver"), ("admin", "approver"), ("investigator", "admin")])
def test_nobody_approves_what_they_asked_for_whichever_role_they_use(place: Place, roles: tuple[str, str]) -> None:
    asking, approving = place.join("both", *roles)
    made = place.good("POST", PATH, BODY, token=asking)
    assert (made["state"], made["level"], made["until"]) == ("requested", "medium", BODY["until"])
    for action, body in (("approve", {}), ("refuse", {"reason": WHY})):
        answer = place.ask("POST", f"/v1/overrides/{made['id']}/{action}", body, token=approving)
        assert answer.status_code == 409
        assert "another person decides" in answer.json()[0]["detail"]
    approved = place.good("POST", f"/v1/overrides/{made['id']}/approve", {"reason": "Yes."}, role="approver")
    assert (approved["state"], approved["decision_reason"]) == ("live", "Yes.")
    assert approved["decided_by"] == f"member:{place.members[OURS, 'approver']}"


def test_an_override_is_approved_where_what_was_looked_at_holds(place: Place) -> None:
    customer = "/v1/entities/customer/c%2F1%20%C3%A4"

    def assessed(country: str) -> str:
        place.good("PUT", customer, {"attributes": {"country": country}}, role="app")
        return str(place.good("GET", f"{customer}/risk?freshness=now", role="investigator")["assessment"])

    other = place.good("GET", f"/v1/entities/company/{COMPANY}/risk?freshness=now", role="investigator")["assessment"]
    medium, high = assessed("SE"), assessed("KP")
    made = place.good("POST", f"{customer}/overrides", {**BODY, "level": "high"}, role="investigator")
    approve = f"/v1/overrides/{made['id']}/approve"
    for seen, status, why in (
        (
            medium,
            409,
            f"the level without the override is high now; it was medium in the assessment {medium} that was looked at",
        ),
        ("0", 409, f"the assessment is {high} now; it was none when it was looked at"),
        (other, 409, f"the assessment {other} that was looked at is of another entity: look again"),
        (f"{high}9", 409, f"the assessment {high}9 that was looked at is kept no more: look again"),
    ):
        answer = place.ask("POST", approve, {"expected_assessment": seen}, role="approver")
        assert (answer.status_code, answer.json()[0]["detail"]) == (status, why)
    for seen in ("high", "", "1.", f" {high}", f"{high}\n", "00"):
        answer = place.ask("POST", approve, {"expected_assessment": seen}, role="approver")
        assert (answer.status_code, answer.json()[0]["errors"][0]["where"]) == (422, "body.expected_assessment"), seen
    assert place.good("POST", approve, {"expected_assessment": high}, role="approver")["state"] == "live"


@pytest.mark.parametrize("act", ["approve", "refuse", "revoke"])
def test_an_act_on_the_override_that_was_looked_at_is_on_no_other_one(place: Place, act: str) -> None:
    made = place.good("POST", PATH, BODY, role="investigator")
    if act == "revoke":
        place.good("POST", f"/v1/overrides/{made['id']}/approve", {}, role="approver")
    body = {"reason": "As read.", "expected_requested_at": "2001-01-01T00:00:00Z"}
    answer = place.ask("POST", f"/v1/overrides/{made['id']}/{act}", body, role="approver")
    assert answer.status_code == 409
    assert f"override {made['id']} is another one now" in answer.json()[0]["detail"]
    seen = {**body, "expected_requested_at": made["requested_at"]}
    assert place.ask("POST", f"/v1/overrides/{made['id']}/{act}", seen, role="approver").status_code == 200


def test_an_override_is_listed_with_what_became_of_it(place: Place) -> None:
    made = place.good("POST", PATH, BODY, role="investigator")
    assert place.good("GET", PATH, role="investigator")[0] == made
    refused = place.good("POST", f"/v1/overrides/{made['id']}/refuse", {"reason": "No."}, role="approver")
    assert place.good("GET", "/v1/overrides", role="publisher")[0] == refused
    assert (refused["state"], refused["decision_reason"]) == ("refused", "No.")
    assert place.good("GET", "/v1/overrides/cap", role="approver") == {"below": 0, "with_level": 1, "percent": 10}


def test_an_override_holds_until_it_is_revoked(place: Place) -> None:
    risk = f"/v1/entities/company/{COMPANY}/risk?freshness=now"
    held = place.good("GET", risk, role="investigator")
    assert (held["level"], held["rules_level"]) == ("high", None)
    assert held["override"]["reason"] == WHY
    assert place.ask("POST", "/v1/overrides/3/revoke", {}, role="approver").status_code == 422
    asked = place.good("POST", "/v1/overrides/3/revoke", {"reason": "Over."}, role="approver")
    assert (asked["state"], asked["proposal"]["content"]) == ("live", {"override": 3}), "no rule says anything beneath"
    assert place.good("GET", risk, role="investigator")["level"] == "high", "one person does not undo it"
    path = f"/v1/proposals/{asked['proposal']['id']}"
    assert place.ask("POST", f"{path}/approve", {"reason": WHY}, role="approver").status_code == 409
    assert place.ask("POST", f"{path}/approve", {"reason": WHY}, role="publisher").status_code == 409
    assert place.good("GET", "/v1/proposals", role="approver")[0] == asked["proposal"]
    assert place.ask("GET", "/v1/proposals/1", role="approver").status_code == 404
    approved = place.good("POST", f"{path}/approve", {"reason": WHY}, token=place.join("second", "approver")[0])
    assert approved["state"] == "approved"
    assert place.good("GET", risk, role="investigator")["level"] is None


@pytest.mark.parametrize("body", [{"level": "medium"}, {**BODY, "level": 2}, {**BODY, "level": "x"}])
def test_what_is_no_override_is_422(furnished: Place, body: object) -> None:
    assert furnished.ask("POST", PATH, body, role="investigator").status_code == 422


def test_an_end_that_is_past_is_409(furnished: Place) -> None:
    answer = furnished.ask("POST", PATH, {**BODY, "until": "2020-01-01"}, role="investigator")
    assert answer.status_code == 409
