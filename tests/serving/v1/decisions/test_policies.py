"""Policies over HTTP: proposed by one publisher, approved by another, with every doubt to be seen."""

from typing import Any

import pytest

from tests.serving.v1.examples import WHY
from tests.serving.v1.places import OURS, Place
from tests.usecases.decisions.deciding import CASH, WORTH, document

VERSION = "/v1/policies/transfers/versions/1"


def proposal(*rules: Any, **changed: Any) -> dict[str, Any]:
    return {"document": document(rules, "transfers"), "reason": WHY, "accept_warnings": WHY, **changed}


def test_nobody_approves_what_they_wrote_whichever_role_they_use(place: Place) -> None:
    writing, approving = place.join("both", "publisher", "admin")
    made = place.good("POST", "/v1/policies", proposal(CASH), token=writing)
    assert (made["name"], made["number"], made["state"], made["approved_by"]) == ("transfers", 1, "proposed", None)
    for token in (writing, approving):
        answer = place.ask("POST", f"{VERSION}/approve", {"reason": WHY}, token=token)
        assert answer.status_code == 409
        assert "another person approves it" in answer.json()[0]["detail"]
    approved = place.good("POST", f"{VERSION}/approve", {"reason": WHY}, role="publisher")
    assert (approved["state"], approved["approved_by"]) == ("active", f"member:{place.members[OURS, 'publisher']}")
    assert approved["written_at"].endswith("Z")


def test_an_approval_may_say_what_was_looked_at(place: Place) -> None:
    newest = {"expected_newest": 0}
    place.good("POST", "/v1/policies", proposal(CASH, **newest), role="publisher")
    refused = place.ask("POST", "/v1/policies", proposal(WORTH, **newest), role="publisher")
    assert (refused.status_code, "the newest version of transfers is 1 now" in refused.text) == (409, True)
    content_hash = place.good("GET", VERSION, role="admin")["content_hash"]
    for seen, seen_hash, status in (
        (1, content_hash, 409),
        (0, "0" * 64, 409),
        (0, "short", 422),
        (-1, content_hash, 422),
        (0, content_hash, 200),
    ):
        body = {"reason": WHY, "expected_active": seen, "expected_hash": seen_hash}
        assert place.ask("POST", f"{VERSION}/approve", body, role="admin").status_code == status


def test_a_version_is_shown_as_it_was_written_with_its_doubts(place: Place) -> None:
    again = {**CASH, "id": "again"}
    place.good("POST", "/v1/policies", proposal(CASH, again), role="publisher")
    shown = place.good("GET", VERSION, role="publisher")
    assert shown["document"] == document([CASH, again], "transfers")
    assert "rule again" in [doubt["where"] for doubt in shown["doubts"]]
    listed = place.good("GET", "/v1/policies?policy=transfers", role="admin")
    assert [(line["number"], line["state"]) for line in listed] == [(1, "proposed")]
    assert {line["name"] for line in place.good("GET", "/v1/policies", role="admin")} == {"payments", "transfers"}


def test_what_cannot_be_used_is_told_line_by_line(place: Place) -> None:
    wrong = proposal({**CASH, "action": "blokc"})
    answer = place.ask("POST", "/v1/policies", wrong, role="publisher")
    assert answer.status_code == 422
    fatal = [error for error in answer.json()[0]["errors"] if error["fatal"]]
    checked = place.good("POST", "/v1/policies/check", {"document": wrong["document"]}, role="publisher")
    assert checked == answer.json()[0]["errors"]
    assert (fatal[0]["where"], fatal[0]["line"] > 1) == ("rule cash, action", True)
    doubtful = place.ask("POST", "/v1/policies", proposal(CASH, accept_warnings=""), role="publisher")
    assert "accept_warnings" in doubtful.json()[0]["errors"][-1]["where"]
    assert place.ask("GET", VERSION, role="publisher").status_code == 404


@pytest.mark.parametrize(
    "body", [{}, {"document": 5, "reason": WHY}, proposal(CASH, reason=""), proposal(CASH, more=1)]
)
def test_what_is_no_proposal_is_422(furnished: Place, body: Any) -> None:
    assert furnished.ask("POST", "/v1/policies", body, role="publisher").status_code == 422


def test_one_that_is_retired_decides_no_more(place: Place) -> None:
    place.good("POST", "/v1/policies", proposal(CASH), role="publisher")
    assert place.good("POST", f"{VERSION}/retire", {"reason": WHY}, role="publisher")["state"] == "retired"
    answer = place.ask("POST", f"{VERSION}/approve", {"reason": WHY}, role="admin")
    assert answer.status_code == 409
    place.good("POST", "/v1/policies", proposal(WORTH), role="publisher")
    assert place.ask("POST", "/v1/policies/transfers/versions/2/approve", {}, role="admin").status_code == 422
