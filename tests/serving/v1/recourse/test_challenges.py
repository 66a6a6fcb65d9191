"""What a person concerned may know and contest, over HTTP: what would move a level, statements, challenges."""

from typing import Any

import pytest

from fivefold.serving.v1.path_encoding import path_to
from tests.serving.v1.examples import CUSTOMER, WHY, WORDS
from tests.serving.v1.places import Place

CUSTOMERS = path_to("/v1/entities/{t}/{e}", t="customer", e=CUSTOMER)


@pytest.fixture
def assessment(place: Place) -> str:
    level = place.good("GET", f"{CUSTOMERS}/risk", params={"freshness": "now"}, role="publisher")
    return str(level["assessment"])


def opened(place: Place, assessment: str, **more: Any) -> dict[str, Any]:
    path = f"/v1/assessments/{assessment}/challenges"
    made: dict[str, Any] = place.good("POST", path, {"words": WORDS, **more}, role="investigator")
    return made


def test_a_challenge_is_opened_settled_and_answered(place: Place, assessment: str) -> None:
    made = opened(place, assessment)
    assert (made["state"], made["assessment"], made["overdue"], made["record_unchanged"]) == (
        "open",
        assessment,
        False,
        True,
    )
    assert opened(place, assessment)["id"] == made["id"]
    path = f"/v1/challenges/{made['id']}"
    assert place.good("GET", path, role="approver") == made
    assert [each["id"] for each in place.good("GET", "/v1/challenges?state=open", role="publisher")] == [made["id"]]
    of = {"external_id": CUSTOMER, "due_before": made["due_at"]}
    assert place.good("GET", "/v1/challenges", params=of, role="publisher") == []
    settled = {"outcome": "confirmed", "reason": WHY, "answer": "We read your letter."}
    for role in ("app", "investigator", "publisher"):
        assert place.ask("POST", f"{path}/settle", settled, role=role).status_code == 403
    assert place.ask("POST", f"{path}/reply", role="investigator").status_code == 409
    assert place.good("POST", f"{path}/settle", settled, role="approver")["state"] == "confirmed"
    assert place.ask("POST", f"{path}/settle", settled, role="approver").status_code == 409
    given = place.good("POST", f"{path}/reply", role="investigator")
    assert (given["reply"]["answer"], set(given["reply"]) & {"reason", "settled_by", "facts", "override"}) == (
        "We read your letter.",
        set(),
    )
    latest = place.good("GET", "/v1/audit", role="admin")[0]
    assert (latest["action"], latest["details"]["sha256"]) == ("challenge.answered", given["sha256"])


def test_a_challenge_is_settled_only_if_it_is_the_one_that_was_looked_at(place: Place, assessment: str) -> None:
    made = opened(place, assessment)
    path = f"/v1/challenges/{made['id']}/settle"
    body = {"outcome": "confirmed", "reason": WHY}
    answer = place.ask("POST", path, {**body, "expected_opened_at": "2001-01-01T00:00:00Z"}, role="approver")
    assert answer.status_code == 409
    assert f"challenge {made['id']} is another one now" in answer.json()[0]["detail"]
    assert place.good("POST", path, {**body, "expected_opened_at": made["opened_at"]}, role="approver")


def test_facts_are_corrected_before(place: Place, assessment: str) -> None:
    path = f"/v1/challenges/{opened(place, assessment)['id']}/settle"
    body = {"outcome": "corrected", "reason": WHY, "facts": ["field country"]}
    assert place.ask("POST", path, body, role="approver").status_code == 409
    place.good("PUT", CUSTOMERS, {"attributes": {"country": "KP"}}, role="app")
    done = place.good("POST", path, body, role="approver")
    level = place.good("GET", f"{CUSTOMERS}/risk", params={"freshness": "stored"}, role="publisher")
    assert (done["new_assessment"], done["facts"]) == (level["assessment"], ["field country"])


def test_what_is_refused(place: Place, assessment: str) -> None:
    path = f"/v1/assessments/{assessment}/challenges"
    assert place.ask("POST", path, {"words": WORDS}, role="approver").status_code == 403
    assert place.ask("POST", path, {"words": ""}, role="investigator").status_code == 422
    late = {"words": WORDS, "received": "2099-01-01"}
    assert place.ask("POST", path, late, role="investigator").status_code == 422
    assert place.ask("POST", "/v1/assessments/9.9/challenges", {"words": WORDS}, role="admin").status_code == 404
    made = opened(place, assessment)
    assert place.ask("GET", f"/v1/challenges/{made['id']}", token=place.tokens["other", "admin"]).status_code == 404
    bad = {"outcome": "refused", "reason": WHY}
    assert place.ask("POST", f"/v1/challenges/{made['id']}/settle", bad, role="approver").status_code == 422


def test_the_days_are_a_setting(place: Place, assessment: str) -> None:
    assert place.good("GET", "/v1/settings", role="admin")["challenge_days"] == 30
    for days in (0, 366):
        assert place.ask("PATCH", "/v1/settings", {"challenge_days": days}, role="admin").status_code == 422


RISK = path_to("/v1/entities/{t}/{e}/risk", t="customer", e=CUSTOMER)


def test_a_statement_is_given_and_recorded(place: Place) -> None:
    level = place.good("GET", RISK, params={"freshness": "now"}, role="publisher")
    path = f"/v1/assessments/{level['assessment']}/statement"
    given = place.good("POST", path, role="publisher")
    assert given["statement"]["assessment"] == level["assessment"]
    assert {factor["effect"] for factor in given["statement"]["factors"]} >= {"raises the risk"}
    latest = place.good("GET", "/v1/audit", role="admin")[0]
    assert (latest["action"], latest["details"]["sha256"]) == ("statement.given", given["sha256"])
    for role in ("investigator", "approver", "app"):
        assert place.ask("POST", path, role=role).status_code == 403
    assert place.ask("POST", "/v1/assessments/9.9/statement", role="publisher").status_code == 404


PATH = path_to("/v1/entities/{t}/{e}/what-if", t="customer", e=CUSTOMER)


def test_each_role_sees_as_much_as_of_the_reasons(place: Place) -> None:
    place.good("GET", RISK, params={"freshness": "now"}, role="app")
    whole = place.good("GET", PATH, role="publisher")["what_if"]
    assert (whole["level"], whole["wished"], whole["direction"]) == ("medium", "low", "down")
    answers = [[(change["name"], change["then"]) for change in answer["changes"]] for answer in whole["answers"]]
    assert answers
    assert all(answer["score"] and answer["cases"] for answer in whole["answers"])
    shown = place.good("GET", PATH, role="investigator")["what_if"]
    assert (shown["level"], shown["wished"]) == ("medium", "low")
    assert shown["answers"]
    for answer in shown["answers"]:
        assert (answer["score"], answer["cases"]) == (None, None)
        assert [change["then"] for change in answer["changes"]] == [None] * len(answer["changes"])
    assert {one["why"] for one in shown["without"]} <= {"not changeable", "only with another", "not shown"}
    above = place.good("GET", f"{PATH}?direction=up&level=high", role="publisher")["what_if"]
    assert {answer["level"] for answer in above["answers"]} == {"high"}
    told = place.good("GET", f"{PATH}?direction=up&level=high", role="investigator")["what_if"]
    reasons = place.good("GET", RISK, role="investigator")["reasons"]
    fired = {rule["title"] for rule in reasons["rules"]}
    of = {factor for answer in told["answers"] for change in answer["changes"] for factor in change["factors"]}
    assert of | {one["factor"] for one in told["without"]} <= fired
    assert (above["pairs_left_out"], told["pairs_left_out"]) == (0, None)


def test_of_factors_that_gave_nothing_an_investigator_is_told_their_number_alone(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "AD", "income": 1}}, role="app")
    place.good("GET", "/v1/entities/customer/new/risk", params={"freshness": "now"}, role="app")
    path = "/v1/entities/customer/new/what-if?direction=up"
    whole = place.good("GET", path, role="publisher")["what_if"]
    told = place.good("GET", path, role="investigator")["what_if"]
    assert whole["answers"]
    assert (told["answers"], told["without"], told["answers_not_shown"]) == ([], [], len(whole["answers"]))


def test_what_cannot_be_asked(place: Place) -> None:
    assert place.ask("GET", f"{PATH}?direction=sideways", role="publisher").status_code == 422
    assert place.ask("GET", PATH, role="app").status_code == 403
    assert place.ask("GET", "/v1/entities/customer/nobody/what-if", role="publisher").status_code == 404
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "KP"}}, role="app")
    assert place.good("GET", "/v1/entities/customer/new/what-if", role="publisher") == {
        "what_if": None,
        "erased_at": None,
    }
    place.good("GET", RISK, params={"freshness": "now"}, role="app")
    assert place.ask("GET", f"{PATH}?level=lowest", role="publisher").status_code == 422
