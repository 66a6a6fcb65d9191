"""The portfolio over HTTP."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from fivefold.store.tables.levels import DueMark
from tests.serving.v1.examples import COMPANY, CUSTOMER
from tests.serving.v1.places import THEIRS, Place

PATH = "/v1/distribution"


def test_everyone_is_counted_once(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/new", {}, role="app")
    found = place.good("GET", f"{PATH}?type=customer", role="investigator")
    assert (found["entities"], found["not_assessed"], found["no_level"], found["quarantined"]) == (2, 1, 0, 0)
    retail = next(version for version in found["versions"] if version["ruleset"] == "retail")
    assert (retail["version"], retail["active"], retail["levels"]) == (1, True, {"low": 0, "medium": 1, "high": 0})
    theirs = place.good("GET", f"{PATH}?type=customer", token=place.tokens[THEIRS, "investigator"])
    assert (theirs["entities"], theirs["versions"]) == (0, [])
    missing = place.ask("GET", f"{PATH}?type=company", token=place.tokens[THEIRS, "investigator"])
    assert (missing.status_code, missing.json()) == (404, [{"detail": "there is no entity type 'company'"}])
    assert place.ask("GET", PATH, role="investigator").status_code == 422


def test_who_could_not_be_assessed_is_listed_with_the_reason(place: Place) -> None:
    assert place.good("GET", "/v1/failures", role="publisher") == []
    with Session(place.engine) as session, session.begin():
        session.execute(update(DueMark).values(quarantined=True, attempts=6, error="it broke"))
    found = place.good("GET", "/v1/failures", role="publisher")
    assert {(line["entity_type"], line["external_id"]) for line in found} == {
        ("customer", CUSTOMER),
        ("company", COMPANY),
    }
    assert {line["problem"] for line in found} == {"quarantined after 6 attempts: it broke"}
    assert len(place.good("GET", "/v1/failures?limit=1", role="publisher")) == 1
    assert place.good("GET", "/v1/failures", token=place.tokens[THEIRS, "admin"]) == []
