"""A customer of whom much is known, as pages and `/v1` name it."""

from tests.serving.v1.places import Place

CUSTOMER = "/console/entities/customer/c%2F1%20%C3%A4"
ENTITY = CUSTOMER.replace("/console", "/v1")


def assess_now(place: Place) -> dict[str, object]:
    """Compute the level of the customer, and say what `/v1` then shows of it."""
    shown: dict[str, object] = place.good("GET", f"{ENTITY}/risk", params={"freshness": "now"}, role="investigator")
    return shown
