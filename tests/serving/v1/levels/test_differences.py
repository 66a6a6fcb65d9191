"""The difference between two assessments, over HTTP: as an investigator may see it."""

from fivefold.serving.v1.path_encoding import path_to
from tests.serving.v1.bank_rulesets import SECRETS
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import Place
from tests.usecases.platforms import transaction

RISK = path_to("/v1/entities/{t}/{e}/risk", t="customer", e=CUSTOMER)


def test_what_changed_is_shown_without_what_a_ruleset_asks(place: Place) -> None:
    rows = [transaction(7, CUSTOMER, transaction_amount=100.0, operation="cash", transaction_date="2026-11-19")]
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
