"""What is known of an entity, read over HTTP, and the difference between two of its assessments."""

from fivefold.serving.v1.path_encoding import path_to
from tests.serving.v1.examples import CUSTOMER, OPENED, yesterday
from tests.serving.v1.places import Place
from tests.serving.v1.rulesets.bank_rulesets import SECRETS
from tests.usecases.platforms import transaction

PATH = path_to("/v1/entities/{t}/{e}", t="customer", e=CUSTOMER)


def test_facts_are_read_as_they_were_sent(place: Place) -> None:
    until = "2099-01-01T00:00:00Z"
    place.good("PUT", f"{PATH}/tags/vip", {"until": until}, role="investigator")
    place.good("POST", f"{PATH}/screenings", {"screening": "pep", "found": True, "at": OPENED}, role="app")
    place.good("PUT", f"{PATH}/cases/7", {"opened_at": OPENED, "status": "open"}, role="app")
    place.good("PUT", f"{PATH}/alerts/8", {"opened_at": OPENED, "closed_at": OPENED, "outcome": "false"}, role="app")
    tag, kept = place.good("GET", f"{PATH}/tags", role="investigator")
    assert (tag["tag"], tag["until"], kept["tag"], kept["until"]) == ("vip", until, "kept", None)
    assert tag["set_by"].startswith("member:")
    (screening,) = place.good("GET", f"{PATH}/screenings", role="investigator")
    assert (screening["screening"], screening["found"], screening["at"]) == ("pep", True, OPENED)
    (case,) = place.good("GET", f"{PATH}/cases", role="investigator")
    assert (case["number"], case["status"], case["closed_at"]) == ("7", "open", None)
    (alert,) = place.good("GET", f"{PATH}/alerts", role="investigator")
    assert (alert["number"], alert["outcome"], alert["closed_at"]) == ("8", "false", OPENED)


def test_transactions_are_paged_the_latest_first(place: Place) -> None:
    rows = [transaction(n, CUSTOMER, transaction_date=f"2026-11-0{n}T00:00:00") for n in (2, 3, 4)]
    place.good("POST", "/v1/transactions", rows, role="app")
    path = f"{PATH}/transactions"
    numbers = [line["transaction_id"] for line in place.good("GET", path, role="investigator")]
    assert numbers == ["t4", "t3", "t2", "t1"]
    following = place.ask("GET", f"{path}?limit=3", role="investigator").links["next"]["url"]
    (first,) = place.good("GET", following, role="investigator")
    assert (first["transaction_id"], first["amount"], first["currency"]) == ("t1", 10.5, "EUR")
    assert place.ask("GET", f"{path}?limit=0", role="investigator").status_code == 422


def test_an_entity_names_its_owner_and_what_it_owns(place: Place) -> None:
    owner = {"owner": {"type": "customer", "external_id": CUSTOMER}}
    place.good("PUT", "/v1/entities/company/owned", owner, role="app")
    always = {"since": None, "until": None, "failing": False}
    assert place.good("GET", "/v1/entities/company/owned", role="publisher")["owners"] == [
        {"type": "customer", "external_id": CUSTOMER, "level": "medium", "status": "assessed", **always}
    ]
    (owned,) = place.good("GET", PATH, role="publisher")["owns"]
    assert {**owned, **always} == owned
    assert (owned["type"], owned["external_id"], owned["level"]) == ("company", "owned", None)


def test_entities_are_listed_with_their_levels(place: Place) -> None:
    rows = [{"external_id": name, "attributes": {"country": "KP"}} for name in "ab"]
    place.good("POST", "/v1/entities/customer", rows, role="app")
    place.good("GET", "/v1/entities/customer/a/risk?freshness=now", role="app")
    path = "/v1/entities/customer"
    listed = place.good("GET", path, role="investigator")
    assert [(line["external_id"], line["level"]) for line in listed] == [
        (CUSTOMER, "medium"),
        ("a", "high"),
        ("b", None),
    ]
    assert place.good("GET", f"{path}?level=high", role="investigator") == [listed[1]]
    following = place.ask("GET", f"{path}?limit=1", role="investigator").links["next"]["url"]
    assert place.good("GET", following, role="investigator") == [listed[1]]
    assert place.ask("GET", f"{path}?level=severe", role="investigator").status_code == 422


RISK = path_to("/v1/entities/{t}/{e}/risk", t="customer", e=CUSTOMER)


def test_what_changed_is_shown_without_what_a_ruleset_asks(place: Place) -> None:
    rows = [transaction(7, CUSTOMER, transaction_amount=100.0, operation="cash", transaction_date=yesterday())]
    place.good("POST", "/v1/transactions", rows, role="app")
    place.good("GET", f"{RISK}?freshness=now", role="app")
    answer = place.ask("GET", "/v1/assessments/1.2/difference", role="investigator")
    shown = answer.json()
    (factor,) = shown["factors"]
    assert (factor["title"], factor["change"], factor["points"], factor["earlier"]) == (
        "Cash in half a year",
        "added",
        "20",
        None,
    )
    assert (shown["points"], shown["unchanged"], shown["later"]["score"]) == ("20", 1, "360")
    assert shown["later"]["decided_by"] == {"name": "retail", "version": 1}
    assert shown["later"]["at"].endswith("Z")
    assert not [secret for secret in SECRETS if secret in answer.text]
    assert place.ask("GET", "/v1/assessments/1.2/difference?earlier=1.2", role="investigator").status_code == 422
