"""Levels over HTTP: each role is told what it may know, and no more."""

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.serving.v1.path_encoding import path_to
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import Route
from fivefold.store.tables.levels import Standing
from fivefold.store.tables.rulesets import Family
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from tests.serving.v1.examples import CUSTOMER, EXAMPLES, yesterday
from tests.serving.v1.places import Place, copied
from tests.serving.v1.rulesets.bank_rulesets import SECRETS
from tests.usecases.platforms import transaction

FRACTION = re.compile(r"(?<=:\d\d)\.\d{6}(?=Z)")
"""That of a second, which may have the digits of a threshold by chance."""
RISK = path_to("/v1/entities/{t}/{e}/risk", t="customer", e=CUSTOMER)
CASH = {"name": "sum of amount in 180 days, of what the rule counts", "formula": None}
FOR_APPS = {
    *("type", "external_id", "level", "status", "since", "may_move_down_on"),
    *("stale_rates_days", "refreshing", "failing"),
}


@pytest.fixture
def paid_on() -> str:
    """Give a day that is within half a year of the test."""
    return yesterday()


@pytest.fixture
def spent(place: Place, paid_on: str) -> Place:
    """The customer has moved so much cash that a second rule gives points."""
    rows = [transaction(7, CUSTOMER, transaction_amount=100.0, operation="cash", transaction_date=paid_on)]
    place.good("POST", "/v1/transactions", rows, role="app")
    place.good("GET", f"{RISK}?freshness=now", role="app")
    return place


def test_a_program_is_told_the_level_and_nothing_else(spent: Place) -> None:
    told = spent.good("GET", RISK, role="app")
    assert set(told) == FOR_APPS
    assert (told["type"], told["external_id"], told["level"], told["status"]) == (
        "customer",
        CUSTOMER,
        "medium",
        "assessed",
    )
    assert told["since"].endswith("Z")


def test_reasons_that_went_are_said_to_have_gone(place: Place, tmp_path: Path) -> None:
    place.good("PUT", "/v1/entities/customer/gone-1", {}, role="app")
    path = "/v1/entities/customer/gone-1"
    place.good("GET", f"{path}/risk?freshness=now", role="app")
    (line,) = place.good("GET", f"{path}/history", role="investigator")
    address = f"/v1/assessments/{line['assessment']}"
    assert place.good("GET", address, role="investigator")["gone"] is None
    later = now_microseconds() + 6 * 366 * DAY_US
    erase_entity(Context(place.engine, place.actor("admin")).at(later), "customer", "gone-1", tmp_path / "erased")
    gone = {"assessment": line["assessment"], "gone": "was erased"}
    assert place.good("GET", address, role="investigator") == {**gone, "reasons": None}
    assert place.good("GET", f"{address}/sources", role="investigator") == {**gone, "sources": None}


@pytest.mark.parametrize("role", ["investigator", "approver"])
def test_an_investigator_is_told_what_held(spent: Place, role: str) -> None:
    told = spent.good("GET", RISK, role=role)
    assert set(told) > FOR_APPS
    assert "breakdown" not in told
    assert (told["decided_by"], told["failing"], told["source"]) == ({"name": "retail", "version": 1}, False, "rules")
    assert told["reasons"] == {
        "line": "Score 360: Country of residence 340 + Cash in half a year 20; Medium",
        "score": "360",
        "rules": [
            {
                "title": "Country of residence",
                "rationale": "Where they live.",
                "case": "A neighbour",
                "values": [{"name": "country", "value": "NO", "formula": None}],
                "points": "340",
                "floor": None,
                "unknown": False,
            },
            {
                "title": "Cash in half a year",
                "rationale": "Cash breaks the trail.",
                "case": None,
                "values": [{**CASH, "value": "100.00 EUR"}],
                "points": "20",
                "floor": None,
                "unknown": False,
            },
        ],
    }


@pytest.mark.parametrize("role", ["investigator", "publisher"])
def test_people_are_told_which_other_rulesets_keep_an_entity(spent: Place, role: str) -> None:
    assert spent.good("GET", RISK, role=role)["kept_by"] == []
    with Session(spent.engine) as session, session.begin():
        family = session.scalars(select(Family.id).where(Family.name == "retail")).one()
        session.execute(update(Standing).values(kept_by=json.dumps([family])))
    stored = f"{RISK}?freshness=stored"
    assert spent.good("GET", stored, role=role)["kept_by"] == ["retail"]
    assert "kept_by" not in spent.good("GET", stored, role="app")


@pytest.mark.parametrize("role", ["publisher", "admin"])
def test_a_publisher_is_told_everything(spent: Place, role: str) -> None:
    told = spent.good("GET", RISK, role=role)
    asked = [rule["asked"] for rule in told["breakdown"]["rules"]]
    assert asked[0] == "A neighbour"
    assert asked[1].endswith("is above 50")
    assert told["reasons"]["score"] == told["breakdown"]["score"]


def ask(place: Place, route: Route, role: Role) -> httpx.Response:
    example = EXAMPLES[route.handler.__name__]
    return place.ask(route.method, example.path(route), example.body, role=role, params=dict(example.query))


def test_nobody_else_is_ever_told_of_other_cases_thresholds_or_drafts(spent: Place, tmp_path: Path) -> None:
    """Whatever a role may ask for, in good answers and in bad ones."""
    spent.good("PUT", path_to("/v1/entities/{t}/{e}/tags/t", t="customer", e=CUSTOMER), {}, role="app")
    seen = {"publisher": ""}
    for role in (Role.PUBLISHER, Role.APP, Role.INVESTIGATOR, Role.APPROVER):
        with copied(spent, tmp_path) as read:
            for route in ROUTES:
                changes = route.method != "GET" and role in route.roles
                with copied(spent, tmp_path) if changes else nullcontext(read) as place:
                    answer = ask(place, route, role)
                seen[role] = seen.get(role, "") + FRACTION.sub("", answer.text)
    for secret in SECRETS:
        assert secret in seen["publisher"], "the test would find it"
        for role in (Role.APP, Role.INVESTIGATOR, Role.APPROVER):
            assert secret not in seen[role], (secret, role)


def test_whom_no_ruleset_applies_to_is_told_so_and_not_why(spent: Place) -> None:
    tag = path_to("/v1/entities/{t}/{e}/tags/sekret-tag", t="customer", e=CUSTOMER)
    refused = spent.ask("PUT", tag, {}, role="app")
    assert (refused.status_code, "a level, or what holds one up, would fall; two people" in refused.text) == (409, True)
    asked = spent.ask("PUT", tag, {}, role="investigator")
    assert (asked.status_code, "would fall from medium to none" in asked.text) == (422, True), "it needs a reason"
    asked = spent.ask("PUT", tag, {"reason": "another ruleset is for them"}, role="investigator")
    assert (asked.status_code, asked.json()["kind"]) == (202, "fact.tag")
    spent.good("POST", f"/v1/proposals/{asked.json()['id']}/approve", {"reason": "seen"}, role="approver")
    told = spent.good("GET", f"{RISK}?freshness=now", role="investigator")
    assert (told["level"], told["status"]) == (None, "not applicable")
    assert told["reasons"] == {"line": "No ruleset applies, so there is no level", "score": "", "rules": []}
    history = spent.good("GET", path_to("/v1/entities/{t}/{e}/history", t="customer", e=CUSTOMER), role="investigator")
    assert history[0]["line"] == told["reasons"]["line"]
    assert history[0]["reached"] is True


def test_freshness_decides_whether_it_is_computed(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "KP"}}, role="app")
    path = "/v1/entities/customer/new/risk"
    stored = place.good("GET", f"{path}?freshness=stored", role="app")
    assert (stored["level"], stored["status"]) == (None, "never assessed")
    assert place.good("GET", path, role="app")["level"] == "high", "never scored: at once"
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "NO"}}, role="app")
    behind = place.good("GET", path, role="investigator")
    assert (behind["level"], behind["refreshing"]) == ("high", True)
    now = place.good("GET", f"{path}?freshness=now", role="investigator")
    assert (now["level"], now["rules_level"], now["refreshing"]) == ("high", "high", False), "down after a cooldown"
    assert now["may_move_down_on"]
    assert place.ask("GET", f"{path}?freshness=fresh", role="app").status_code == 422


def test_history_is_paged_and_each_assessment_has_its_reasons(spent: Place) -> None:
    path = path_to("/v1/entities/{t}/{e}/history", t="customer", e=CUSTOMER)
    latest, first = spent.good("GET", path, role="investigator")
    assert [line["reached"] for line in (latest, first)] == [False, True]
    entity = latest["assessment"].partition(".")[0]
    page = spent.ask("GET", f"{path}?limit=1", role="approver")
    assert page.json() == [latest]
    assert spent.good("GET", page.links["next"]["url"], role="investigator") == [first]
    then = spent.good("GET", f"/v1/assessments/{first['assessment']}", role="investigator")
    assert [rule["title"] for rule in then["reasons"]["rules"]] == ["Country of residence"]
    for missing in (f"{entity}.99", "x", "1", "1.1.1", "9999999999.1"):
        assert spent.ask("GET", f"/v1/assessments/{missing}", role="investigator").status_code == 404


def test_the_profile_is_computed_for_the_view(place: Place) -> None:
    path = path_to("/v1/entities/{t}/{e}", t="customer", e=CUSTOMER)
    before: Any = place.good("GET", path, role="investigator")
    assert (before["attributes"], before["risk"]["level"]) == ({"country": "NO"}, "medium")
    place.good("PUT", path, {"attributes": {"country": "KP", "income": 12.5}}, role="app")
    after = place.good("GET", path, role="investigator")
    assert after["attributes"] == {"country": "KP", "income": 12.5}
    assert (after["risk"]["level"], after["risk"]["refreshing"]) == ("high", False)
    assert after["risk"]["reasons"]["rules"][0]["floor"] == "high"
    assert after["known_at"] > before["known_at"]
    assert "breakdown" not in json.dumps(after)
    assert place.good("GET", path, role="publisher")["risk"]["breakdown"]["level"] == "high"


def test_what_cannot_be_computed_is_told_in_full_to_publishers_alone(place: Place) -> None:
    from sqlalchemy.orm import Session

    from fivefold.store.tables.levels import DueMark

    with Session(place.engine) as session, session.begin():
        for mark in session.query(DueMark):
            mark.error = "ruleset retail names the list sekret, which is not there"
    for role, told in (("investigator", False), ("publisher", True)):
        answer = place.ask("GET", f"{RISK}?freshness=stored", role=role)
        assert answer.json()["failing"] is True
        assert ("sekret" in answer.json().get("problem", "")) is told


def test_the_sources_are_of_the_reasons_and_tell_nothing_of_what_a_ruleset_asks(spent: Place, paid_on: str) -> None:
    told = spent.good("GET", RISK, role="investigator")
    answer = spent.ask("GET", f"/v1/assessments/{told['assessment']}/sources", role="investigator")
    assert answer.status_code == 200
    sources, reasons = answer.json()["sources"], told["reasons"]["rules"]
    assert [rule["title"] for rule in sources["rules"]] == [rule["title"] for rule in reasons]
    assert [rule["category"] for rule in sources["rules"]] == ["geography", "transaction execution"]
    country, cash = (rule["values"] for rule in sources["rules"])
    assert [each["name"] for each in cash] == [each["name"] for each in reasons[1]["values"]]
    (attribute,), (transactions,) = country[0]["sources"], cash[0]["sources"]
    assert (attribute["kind"], attribute["about"], attribute["state"]) == ("attribute", "country", "stored")
    assert attribute["at"] <= sources["as_of"]
    assert transactions == {
        "kind": "transactions",
        "about": "",
        "state": "stored",
        "at": f"{paid_on}T00:00:00Z",
        "through": None,
        "by": None,
        "model": None,
        "model_version": None,
    }
    assert not [secret for secret in SECRETS if secret in answer.text]
