"""What would change a level, as a page: a link on the customer's page, and thresholds for publishers alone."""

from tests.console.visitors import Visitor
from tests.serving.v1.places import Place

CUSTOMER = "/console/entities/customer/c%2F1%20%C3%A4"


def test_the_customers_page_leads_to_what_would_change_the_level(place: Place, investigator: Visitor) -> None:
    place.good("GET", f"{CUSTOMER.replace('console', 'v1')}/risk", params={"freshness": "now"}, role="investigator")
    assert f'href="{CUSTOMER}/what-if"' in investigator.go(CUSTOMER).page.text
    shown = investigator.go(f"{CUSTOMER}/what-if").text
    whole = Visitor(place).sign_in("publisher").go(f"{CUSTOMER}/what-if").text
    for told in (shown, whole):
        assert "Country of residence" in told
    assert "another value" in shown
    assert "points" in whole
    assert "points" not in shown
    assert not any(word in shown for word in ("whatever it were", "not all of its values", "computed from it"))
    assert "90210" in Visitor(place).sign_in("publisher").go(f"{CUSTOMER}/what-if?direction=up").text


def test_of_factors_that_gave_nothing_an_investigator_reads_their_number_alone(
    place: Place, investigator: Visitor
) -> None:
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "AD", "income": 1}}, role="app")
    place.good("GET", "/v1/entities/customer/new/risk", params={"freshness": "now"}, role="app")
    path = "/console/entities/customer/new/what-if?direction=up"
    shown, whole = investigator.go(path).text, Visitor(place).sign_in("publisher").go(path).text
    assert ["which are not shown: 3" in page for page in (shown, whole)] == [True, False]
    assert ["Country of residence" in page for page in (shown, whole)] == [False, True]


def test_who_was_never_assessed(place: Place, investigator: Visitor) -> None:
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "KP"}}, role="app")
    assert "/what-if" not in investigator.go("/console/entities/customer/new").page.text
    assert "There is no assessment" in investigator.go("/console/entities/customer/new/what-if").text
    assert investigator.go(f"{CUSTOMER}/what-if?direction=sideways").page.status_code == 422
