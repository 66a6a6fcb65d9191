"""Validations and material changes over HTTP."""

from tests.serving.v1.examples import QUARTER, WHY
from tests.serving.v1.places import THEIRS, Place

PATH, CHANGES = "/v1/validations", "/v1/material-changes"


def test_a_validation_is_made_listed_and_read(place: Place) -> None:
    body = {**QUARTER, "reason": "the third quarter", "confirmed": ["reported", "confirmed"]}
    made = place.good("POST", PATH, body, role="approver")
    assert (made["reason"], made["begins"], made["ends"]) == (
        "the third quarter", "2026-07-01T00:00:00Z", "2026-10-01T00:00:00Z",
    )  # fmt: skip
    assert made["report"]["confirmed"] == ["confirmed", "reported"]
    assert made["report"]["groups"][0]["version"] is None
    assert "material change" in made["reached"]
    newest, *_ = place.good("GET", PATH, role="publisher")
    assert newest == {name: value for name, value in made.items() if name != "report"}
    assert place.good("GET", f"{PATH}/{made['id']}", role="admin") == made


def test_a_time_that_is_not_over_is_refused(place: Place) -> None:
    answer = place.ask("POST", PATH, {**QUARTER, "ends": "2099-01-01"}, role="approver")
    assert answer.status_code == 422
    assert "still to come" in answer.text
    for body in ({}, {"begins": "2026-07-01"}, {**QUARTER, "confirmed": []}, {**QUARTER, "other": 1}):
        assert place.ask("POST", PATH, body, role="approver").status_code == 422
    assert len(place.good("GET", PATH, role="approver")) == 1


def test_what_asks_for_a_revalidation_is_told_with_its_limits(place: Place) -> None:
    found = {trigger["name"]: trigger for trigger in place.good("GET", "/v1/revalidation", role="approver")}
    assert set(found) == {
        *("gini", "misses", "drift", "overrides", "review", "material change", "lowest level alerts"),
    }
    assert (found["material change"]["answer"], found["material change"]["figure"]) == ("reached", 1)
    assert (found["gini"]["answer"], found["gini"]["limit"], found["gini"]["figure"]) == ("unknown", 0.6, None)
    assert found["review"]["answer"] == "not reached"
    assert all(trigger["source"] and trigger["rule"] for trigger in found.values())
    place.good("POST", f"{CHANGES}/1/sign-off", {"validation": 1, "conclusion": WHY}, role="admin")
    found = {trigger["name"]: trigger for trigger in place.good("GET", "/v1/revalidation", role="approver")}
    assert found["material change"]["answer"] == "not reached"


def test_two_people_close_a_change(place: Place) -> None:
    made = place.good("POST", CHANGES, {"kind": "channel", "description": "An app"}, role="publisher")
    assert (made["signed_by"], made["signed_at"], made["validation"]) == (None, None, None)
    body = {"validation": 1, "conclusion": WHY}
    answer = place.ask("POST", f"{CHANGES}/{made['id']}/sign-off", body, role="publisher")
    assert answer.status_code == 409
    assert "another person signs it off" in answer.text
    answer = place.ask("POST", f"{CHANGES}/{made['id']}/sign-off", body, role="approver")
    assert answer.status_code == 409
    assert "before the change was registered" in answer.text
    body["validation"] = place.good("POST", PATH, QUARTER, role="publisher")["id"]
    signed = place.good("POST", f"{CHANGES}/{made['id']}/sign-off", body, role="approver")
    assert (signed["validation"], signed["conclusion"]) == (body["validation"], WHY)
    assert signed["signed_by"] == f"member:{place.members['bank', 'approver']}"
    assert place.good("GET", CHANGES, role="admin")[0] == signed
    assert place.ask("POST", CHANGES, {"kind": "weather", "description": "Rain"}, role="publisher").status_code == 422


def test_others_see_nothing_of_it(place: Place) -> None:
    theirs = place.tokens[THEIRS, "admin"]
    assert place.good("GET", PATH, token=theirs) == []
    assert place.good("GET", CHANGES, token=theirs) == []
    made = place.good("POST", CHANGES, {"kind": "channel", "description": "An app"}, role="publisher")
    place.good("POST", PATH, QUARTER, token=theirs)
    run = place.good("GET", PATH, token=theirs)[0]["id"]
    body = {"validation": run, "conclusion": WHY}
    answer = place.ask("POST", f"{CHANGES}/{made['id']}/sign-off", body, role="approver")
    assert (answer.status_code, answer.json()) == (404, [{"detail": f"there is no validation {run}"}])


PEER = {"file": "north.json", "content": '{"name": "North Bank", "missed": {"hits": 10, "of": 50}}'}


def test_a_peer_stands_beside_a_validation_until_it_is_signed_off(place: Place) -> None:
    at = f"{PATH}/1/peers"
    made = place.good("POST", at, PEER, role="approver")
    assert (made["peer"], made["file"], len(made["sha256"])) == ("North Bank", "north.json", 64)
    assert made["attached_by"] == f"member:{place.members['bank', 'approver']}"
    assert "content" not in made
    assert place.good("POST", at, PEER, role="publisher") == made, "the same file is kept once"
    assert place.good("GET", at, role="admin") == [made]
    assert place.ask("POST", at, {**PEER, "content": "[]"}, role="approver").status_code == 422
    assert place.ask("GET", at, role="investigator").status_code == 403
    assert place.ask("GET", at, token=place.tokens[THEIRS, "approver"]).status_code == 404
    place.good("POST", f"{PATH}/1/sign-off", {"conclusion": WHY}, role="approver")
    assert place.ask("POST", at, {**PEER, "content": '{"gini": 0.5}'}, role="approver").status_code == 409
