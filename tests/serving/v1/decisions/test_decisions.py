"""Decisions over HTTP: programs are told what to do, people what held, publishers everything."""

import json
from typing import Any

import pytest

from fivefold.serving.v1.path_encoding import path_to
from tests.serving.v1.examples import CUSTOMER, WHY
from tests.serving.v1.places import OURS, THEIRS, Place
from tests.store.audits import forged
from tests.usecases.decisions.deciding import cash
from tests.usecases.decisions.deciding import document as policy

FOR_APPS = {
    *("decision", "repeated", "action", "policy", "at", "decided_by", "unknown", "level"),
    *("status", "stale_rates_days", "refreshing"),
}
HIDDEN = {
    "title": "Sekret",
    "when": {"all": [{"level": "in_force", "equals": "low"}, {"transaction": "amount", "above": 90210.25}]},
    "action": "block",
}
HELD = {
    "title": "Cash",
    "when": {"all": [{"transaction": "operation", "equals": "cash"}, {"transaction": "amount", "above": 777.25}]},
    "action": "review",
}
VALUED = {"title": "Value", "when": {"value": "score", "above": 3.14159265}, "action": "note"}
DECISIONS = path_to("/v1/entities/{t}/{e}/decisions", t="customer", e=CUSTOMER)


@pytest.fixture
def deciding(place: Place) -> Place:
    """A policy of three rules: one holds, one does not, and of one it is unknown."""
    (maker,) = place.join("writer", "publisher")
    body = {"document": policy([HIDDEN, HELD, VALUED], "cash"), "reason": WHY, "accept_warnings": WHY}
    place.good("POST", "/v1/policies", body, token=maker)
    place.good("POST", "/v1/policies/cash/versions/1/approve", {"reason": WHY}, role="publisher")
    return place


def body(**changed: Any) -> dict[str, Any]:
    return {"policy": "cash", "external_id": CUSTOMER, "transaction": cash(), **changed}


def test_a_program_is_told_what_to_do(deciding: Place) -> None:
    told = deciding.good("POST", "/v1/decisions", body(), role="app")
    assert set(told) == FOR_APPS
    assert (told["action"], told["repeated"], told["level"]) == ("review", False, "medium")
    assert (told["status"], told["refreshing"]) == ("assessed", False)
    assert told["decided_by"] == {"rule": "r1", "title": "Cash"}
    assert told["unknown"] == [{"rule": "r2", "title": "Value"}]
    assert told["policy"] == {"name": "cash", "version": 1}
    assert told["at"].endswith("Z")
    assert deciding.good("GET", f"/v1/decisions/{told['decision']}", role="app") == told


@pytest.mark.parametrize("role", ["investigator", "approver"])
def test_people_are_told_what_held_and_nothing_else(deciding: Place, role: str) -> None:
    made = deciding.good("POST", "/v1/decisions", body(), role="investigator")
    told = deciding.good("GET", f"/v1/decisions/{made['decision']}", role=role)
    assert told == made
    assert set(told) == FOR_APPS | {"actor", "reasons"}
    assert [(rule["title"], rule["outcome"]) for rule in told["reasons"]["rules"]] == [
        ("Cash", "held"),
        ("Value", "unknown"),
    ]
    assert told["reasons"]["rules"][0]["values"] == [
        {"name": "operation of the transaction", "value": "cash", "formula": None},
        {"name": "amount of the transaction", "value": "1,200.00 EUR", "formula": None},
    ]
    assert told["reasons"]["level"]["ruleset"]["name"] == "retail"
    listed = deciding.ask("GET", DECISIONS, role=role)
    # Numbers that no time can contain: "777" alone was among the microseconds now and then.
    for secret in ("Sekret", "90210.25", "90,210.25", "777.25", "3.14159265", "at least", "above"):
        assert secret not in json.dumps(told) + listed.text, secret


@pytest.mark.parametrize("role", ["publisher", "admin"])
def test_a_publisher_is_told_everything(deciding: Place, role: str) -> None:
    made = deciding.good("POST", "/v1/decisions", body(), role="admin")
    told = deciding.good("GET", f"/v1/decisions/{made['decision']}", role=role)
    assert [rule["outcome"] for rule in told["answer"]["rules"]] == ["not held", "held", "unknown"]
    assert "is above 90,210.25" in told["answer"]["rules"][0]["asked"]
    assert len(told["answer"]["policy"]["content_hash"]) == 64


def test_asked_again_it_is_the_same(deciding: Place) -> None:
    for changed in ({"decision_key": "once"}, {"transaction": cash(transaction_id="t-9")}):
        first, again = (deciding.good("POST", "/v1/decisions", body(**changed), role="app") for _ in range(2))
        assert again == {**first, "repeated": True}
        other = body(
            **{**changed, "transaction": {**cash(-5.0), **changed.get("transaction", {}), "operation": "card"}}
        )
        answer = deciding.ask("POST", "/v1/decisions", other, role="app")
        assert answer.status_code == 409
        assert "decided on something else under" in answer.json()[0]["detail"]


def test_decisions_are_listed_page_by_page(deciding: Place) -> None:
    numbers = [deciding.good("POST", "/v1/decisions", body(), role="app")["decision"] for _ in range(3)]
    page = deciding.ask("GET", f"{DECISIONS}?limit=2", role="investigator")
    found = page.json()
    assert [line["decision"] for line in found] == numbers[:0:-1]
    assert found[0]["line"] == "Review, by Cash; not known: Value"
    following = deciding.good("GET", page.links["next"]["url"], role="approver")
    assert following[0]["decision"] == numbers[0]


@pytest.mark.parametrize(
    ("changed", "status", "told"),
    [
        ({"policy": "nothing"}, 404, "there is no active policy 'nothing'"),
        ({"policy": "csh"}, 404, "there is no active policy 'csh'; perhaps cash was meant"),
        ({"external_id": "nobody"}, 404, "there is no customer 'nobody'"),
        ({"type": "company"}, 404, "there is no company"),
        ({"transaction": {}}, 422, "transaction_amount"),
        ({"transaction": {**cash(), "amount": 5}}, 422, "is not a field of it"),
        ({"transaction": [cash()]}, 422, "body.transaction"),
        ({"freshness": "fresh"}, 422, "body.freshness"),
        ({"decision_key": 5}, 422, "body.decision_key"),
        ({"decision_key": ""}, 422, "decision_key must be text of 1 to 200 characters"),
        ({"more": 5}, 422, "body.more"),
    ],
)
def test_what_cannot_be_decided_is_told(deciding: Place, changed: Any, status: int, told: str) -> None:
    answer = deciding.ask("POST", "/v1/decisions", body(**changed), role="app")
    assert answer.status_code == status, answer.text
    assert told in answer.text


@pytest.mark.parametrize("freshness", ["stored", "refresh", "now"])
def test_the_level_is_as_fresh_as_it_is_asked_for(deciding: Place, freshness: str) -> None:
    deciding.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "KP"}}, role="app")
    told = deciding.good("POST", "/v1/decisions", body(external_id="new", freshness=freshness), role="app")
    assert told["level"] == (None if freshness == "stored" else "high")


def test_another_organisation_decides_by_policies_and_about_entities_of_its_own(deciding: Place) -> None:
    answer = deciding.ask("POST", "/v1/decisions", body(), token=deciding.tokens[THEIRS, "app"])
    assert (answer.status_code, answer.json()[0]["detail"]) == (404, f"there is no customer {CUSTOMER!r}")
    deciding.good(
        "PUT", path_to("/v1/entities/{t}/{e}", t="customer", e=CUSTOMER), {}, token=deciding.tokens[THEIRS, "app"]
    )
    answer = deciding.ask("POST", "/v1/decisions", body(), token=deciding.tokens[THEIRS, "app"])
    assert (answer.status_code, answer.json()[0]["detail"]) == (404, "there is no active policy 'cash'")
    assert deciding.ask("GET", "/v1/decisions/1", token=deciding.tokens[THEIRS, "admin"]).status_code == 404
    assert deciding.ask("GET", "/v1/decisions/1", token=deciding.tokens[OURS, "admin"]).status_code == 200


def test_an_erased_decision_keeps_its_action_alone(deciding: Place) -> None:
    from sqlalchemy import update

    from fivefold.store.tables.events import Decision

    made = deciding.good("POST", "/v1/decisions", body(), role="app")
    with forged(deciding.engine) as connection:
        connection.execute(update(Decision).values(inputs=None, answer=None, decision_key=None))
    for role in ("app", "investigator", "admin"):
        told = deciding.good("GET", f"/v1/decisions/{made['decision']}", role=role)
        assert (told["action"], told["decided_by"], told["unknown"], told["level"]) == ("review", None, None, None)
        assert told.get("reasons") is None
        assert told.get("answer") is None
    assert deciding.good("GET", DECISIONS, role="approver")[0]["line"] == ""
