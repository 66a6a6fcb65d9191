"""The search: whom it finds, where it goes, and what cannot be searched."""

import re
from html import unescape

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import DueMark
from tests.console.visitors import Visitor
from tests.serving.v1.places import Place

ACME = "/console/entities/company/acme"


def test_search_goes_to_the_customer_of_a_whole_identifier(place: Place, investigator: Visitor) -> None:
    investigator.go("/console/search?text=%20acme%20")
    assert investigator.page.url.path == ACME
    investigator.go("/console/search?text=c%2F1+%C3%A4")
    assert investigator.page.url.path == "/console/entities/customer/c/1 ä"
    place.good("PUT", "/v1/entities/customer/acme", {}, role="app")
    text = investigator.go("/console/search?text=acme").text
    assert "Company (1)" in text
    assert "Customer (1)" in text


def test_search_goes_nowhere_while_one_types(place: Place, investigator: Visitor) -> None:
    place.good("GET", "/v1/entities/company/acme/risk?freshness=now", role="investigator")
    investigator.send("GET", "/console/search?text=acme&tag=", headers={"hx-request": "true"})
    assert investigator.page.status_code == 200
    assert ACME in investigator.links()


def test_search_finds_beginnings_and_tags_and_says_where_nothing_is(place: Place, investigator: Visitor) -> None:
    for name in ("smith-1", "smith-2", "jones"):
        place.good("PUT", f"/v1/entities/customer/{name}", {}, role="app")
    place.good("PUT", "/v1/entities/customer/jones/tags/vip2", {}, role="investigator")
    links = investigator.go("/console/search?text=SMI").links()
    assert [link for link in links if "/entities/" in link] == [
        "/console/entities/customer/smith-1",
        "/console/entities/customer/smith-2",
    ]
    assert "/console/entities/customer/jones" in investigator.go("/console/search?tag=vip2").links()
    investigator.go("/console/search?text=%3Cb%3Enobody")
    assert "Nothing of this type matches" in investigator.text
    assert "<b>" not in investigator.page.text
    investigator.go("/console/search?text=---")
    assert (investigator.page.status_code, "no letter or digit" in investigator.text) == (422, True)


def test_search_keeps_that_only_those_are_wanted_whose_last_attempt_failed(place: Place, investigator: Visitor) -> None:
    for name in ("smith-1", "smith-2", "jones"):
        place.good("PUT", f"/v1/entities/customer/{name}", {}, role="app")
    assert (
        "The last assessment failed for no customer of this type"
        in investigator.go("/console/search?failing=true&type=customer").text
    )
    with Session(place.engine) as session, session.begin():
        failing = select(Entity.id).where(Entity.external_id.in_(["smith-2", "jones"]))
        session.execute(update(DueMark).where(DueMark.entity_id.in_(failing)).values(error="it broke"))
    everybody = ["/console/entities/customer/smith-2", "/console/entities/customer/jones"]
    links = investigator.go("/console/search?failing=true&type=customer").links()
    assert [link for link in links if "/entities/" in link] == everybody
    assert 'name="failing" value="true" checked' in investigator.page.text
    assert all("failing=true" in link for link in links if "type=" in link)
    links = investigator.go("/console/search?failing=true&text=jones").links()
    assert [link for link in links if "/entities/" in link] == everybody[1:]
    assert "checked" not in investigator.go("/console/search?text=smith").page.text
    assert investigator.go("/console/search?failing=perhaps").page.status_code == 422
    assert "failing is 'perhaps'; it must be true, or empty" in unescape(investigator.text)


@pytest.mark.parametrize(
    ("asked", "status"),
    [("text=-", 422), ("text=-&tag=vip", 422), ("text=a+b+c+d+e+f+g+h+i+j+k+l+m", 422), ("text=a&type=none", 404)],
)
@pytest.mark.parametrize("headers", [{"hx-request": "true"}, {}])
def test_what_cannot_be_searched_is_said_where_the_results_stand(
    investigator: Visitor, asked: str, status: int, headers: dict[str, str]
) -> None:
    """While one types, a script puts this part of any answer into the open page."""
    page = investigator.send("GET", f"/console/search?{asked}", headers=headers).page
    assert page.status_code == status
    assert re.search(r'<div id="results">\s*<p class="problem" role="alert">[^<]{20,}</p>\s*</div>', page.text)
