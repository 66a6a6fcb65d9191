"""The portfolio's page: a matrix of value and risk that leads to the people in a field."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from fivefold.store.tables.levels import Standing
from tests.console.visitors import Visitor
from tests.serving.v1.places import THEIRS, Place
from tests.store.portfolio.counting import assert_counted

PAGE = "/console/portfolio?type=company"


def valued(place: Place) -> None:
    """Make four more companies, assess them, and give two of them values."""
    for number in range(4):
        place.good("PUT", f"/v1/entities/company/v{number}", {"attributes": {"size": number}}, role="app")
        place.good("GET", f"/v1/entities/company/v{number}/risk", params={"freshness": "now"}, role="investigator")
    with Session(place.engine) as session, session.begin():
        found = session.query(Standing).order_by(Standing.entity_id.desc()).limit(3).all()
        values = (("top", 3, 1250.5), ("top", 3, 749.5), ("low", 1, 3.0))
        for standing, (segment, level, value) in zip(found, values, strict=True):
            standing.level, standing.segment = level, segment
            standing.expected_value, standing.value_currency = value, "EUR"


def test_a_field_has_its_customers_and_their_money_and_leads_to_them(place: Place) -> None:
    valued(place)
    visitor = Visitor(place).sign_in("investigator").go(PAGE)
    assert "2,000 EUR" in visitor.text
    assert "Value unknown" in visitor.text
    (link,) = [each for each in visitor.links() if "segment=top" in each]
    visitor.go("/console/portfolio" + link.replace("&amp;", "&"))
    assert "High, Top value · all levels" in visitor.text
    people = [each.rpartition("/")[2] for each in visitor.links() if each.startswith("/console/entities/company/")]
    assert sorted(people) == ["v2", "v3"]
    matrix = place.good("GET", "/v1/matrix", params={"type": "company"}, role="approver")
    (field,) = [each for each in matrix["cells"] if each["segment"] == "top"]
    assert (field["level"], field["entities"]) == ("high", 2)
    assert field["worth"] == [{"amount": 2000.0, "currency": "EUR"}]
    with place.engine.connect() as connection:
        assert_counted(connection)


def test_money_of_two_currencies_is_not_added_up(place: Place) -> None:
    valued(place)
    with Session(place.engine) as session, session.begin():
        session.execute(update(Standing).where(Standing.expected_value == 749.5).values(value_currency="USD"))
    visitor = Visitor(place).sign_in("investigator").go(PAGE)
    assert "1,250 EUR 750 USD" in visitor.text
    matrix = place.good("GET", "/v1/matrix", params={"type": "company"}, role="approver")
    assert [each["entities"] for each in matrix["cells"] if each["segment"] == "top"] == [2]


def test_another_organisation_counts_its_own_alone(place: Place) -> None:
    valued(place)
    assert place.good("GET", "/v1/matrix", params={"type": "company"}, role="admin")["entities"] >= 4
    visitor = Visitor(place).sign_in("admin", THEIRS).go("/console/portfolio")
    assert visitor.page.status_code in {200, 404}
    assert "2,000 EUR" not in visitor.text
    assert place.ask("GET", "/v1/matrix", role="admin", params={"type": "nothing"}).status_code == 404
