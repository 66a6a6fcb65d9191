"""A customer of whom much is known, as pages and `/v1` name it."""

from fivefold.domain.clock import now_microseconds, utc_text
from tests.serving.v1.examples import CUSTOMER as NAME
from tests.serving.v1.places import Place
from tests.usecases.platforms import transaction

CUSTOMER = "/console/entities/customer/c%2F1%20%C3%A4"
ENTITY = CUSTOMER.replace("/console", "/v1")
ACME = "/console/entities/company/acme"


def assess_now(place: Place) -> dict[str, object]:
    """Compute the level of the customer, and say what `/v1` then shows of it."""
    shown: dict[str, object] = place.good("GET", f"{ENTITY}/risk", params={"freshness": "now"}, role="investigator")
    return shown


def fail_assessment(place: Place) -> dict[str, object]:
    """Assess the customer before and after a payment in a currency that has no rate."""
    assess_now(place)
    now = utc_text(now_microseconds())
    paid = transaction(9, NAME, transaction_currency="KPW", operation="cash", transaction_date=now)
    place.good("POST", "/v1/transactions", [paid], role="app")
    return assess_now(place)
