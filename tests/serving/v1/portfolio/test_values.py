"""The portfolio over HTTP: how many are at each level, and a customer's value with nothing of the level beside it."""

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from fivefold.domain.breakdown import Breakdown, Contribution
from fivefold.serving.v1.routes import portfolio
from fivefold.store.tables.levels import DueMark
from fivefold.usecases.levels.value_scores import ValueView
from tests.serving.v1.examples import COMPANY, CUSTOMER
from tests.serving.v1.places import THEIRS, Place


def test_a_value_is_shown_with_its_reasons(furnished: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Contribution("deposit_sum_90d", "volume", 120.0, "EUR", 1.25, "Deposits: 120.00 EUR", seen="120.00 EUR")
    said = {"score": 4.25, "segment": "top", "expected_value": 31.5, "currency": "EUR", "as_of_us": 86_400_000_000}
    said |= {"expected_value_low": 20.0, "expected_value_high": 50.5, "interval_level_percent": 80}
    known = {"model": "fivefold-value", "model_version": 3, "superseded_by": 4, "horizon_days": 90, "unexplained": ""}
    value = ValueView(**said, **known, unexplained_alone="", breakdown=Breakdown(3.0, (part,)), indicators=None)  # type: ignore[arg-type]  # of several types
    monkeypatch.setattr(portfolio.values, "read_value_alone", lambda *_, **__: value)
    shown = furnished.good("GET", "/v1/entities/company/acme/value", role="commercial")
    del said["as_of_us"]
    assert shown == {
        "type": "company",
        "external_id": "acme",
        **said,
        **known,
        "as_of": "1970-01-02T00:00:00Z",
        "breakdown": {
            "base": 3.0,
            "contributions": [
                {
                    "name": "deposit_sum_90d",
                    "family": "volume",
                    "value": 120.0,
                    "unit": "EUR",
                    "points": 1.25,
                    "sentence": "Deposits: 120.00 EUR",
                }
            ],
        },
    }


def test_who_never_had_a_value_is_answered_with_nothing(furnished: Place) -> None:
    answer = furnished.ask("GET", "/v1/entities/company/acme/value", role="commercial")
    assert (answer.status_code, answer.content) == (204, b"")


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
