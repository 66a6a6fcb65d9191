"""Facts over HTTP."""

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import parse_moment
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.tables.entities import Entity, EntityType, Record, Screening, Tag
from fivefold.store.tables.levels import DueMark
from tests.serving.v1.places import OURS, THEIRS, Place
from tests.usecases.platforms import transaction

CUSTOMER = "/v1/entities/customer"


def test_facts_arrive_and_mark_the_entity(place: Place) -> None:
    path = f"{CUSTOMER}/new"
    assert place.good("PUT", path, {"attributes": {"country": "NO"}}, role="app") == {
        "new": 1,
        "changed": 0,
        "same": 0,
    }
    until = "2099-01-01T00:00:00+01:00"
    for method, more, body in (
        ("PUT", "/tags/vip", {"until": until}),
        ("POST", "/screenings", {"screening": "pep", "found": True, "at": "2026-01-01"}),
        ("PUT", "/cases/7", {"opened_at": "2026-01-01", "closed_at": "2026-02-01", "outcome": "confirmed"}),
        ("PUT", "/alerts/8", {"opened_at": "2026-03-01", "status": "open"}),
    ):
        assert place.good(method, path + more, body, role="app") is None
    with Session(place.engine) as session:
        entity = session.scalars(select(Entity).where(Entity.external_id == "new")).one()
        of = {"entity_id": entity.id}
        tag = session.query(Tag).filter_by(**of).one()
        screening = session.query(Screening).filter_by(**of).one()
        records = session.query(Record).filter_by(**of).order_by(Record.kind).all()
        assert (tag.tag, tag.until_us) == ("vip", parse_moment(until))
        assert (screening.screening, screening.found, screening.at_us) == ("pep", True, parse_moment("2026-01-01"))
        assert [(record.kind, record.external_id, record.outcome, record.status) for record in records] == [
            ("alert", "8", None, "open"),
            ("case", "7", "confirmed", None),
        ]
        reasons = Reason.NEW | Reason.TAG | Reason.SCREENING | Reason.RECORD
        assert session.get_one(DueMark, entity.id).reasons == reasons


def test_of_many_entities_those_that_are_right_are_taken(place: Place) -> None:
    rows = [{"external_id": "a", "attributes": {"income": 1.5}}, {"external_id": "b", "attributes": {"income": "x"}}]
    answer = place.ask("POST", f"{CUSTOMER}?atomic=true", rows, role="app")
    assert answer.status_code == 422
    assert [(error["row"], error["field"]) for error in answer.json()[0]["errors"]] == [(1, "income")]
    answer = place.ask("POST", CUSTOMER, rows, role="app")
    said = answer.json()
    assert (answer.status_code, said["new"], said["refused"]) == (207, 1, 1)
    assert [(error["row"], error["field"], error["allowed"]) for error in said["errors"]] == [
        (1, "income", "a finite number")
    ]
    answer = place.ask("POST", CUSTOMER, rows[:1], role="app")
    assert (answer.status_code, answer.json()["same"]) == (200, 1)
    assert place.ask("POST", CUSTOMER, rows[1:], role="app").status_code == 422


@pytest.mark.parametrize("role", ["app", "admin"])
def test_another_organisations_entities_are_nobodys_owners_and_have_no_transactions(place: Place, role: str) -> None:
    token = place.tokens[THEIRS, role]
    owner = {"owner": {"type": "company", "external_id": "acme"}}
    place.good("PUT", "/v1/entities/company/acme", {}, role="app")
    answer = place.ask("PUT", f"{CUSTOMER}/x", owner, token=token)
    assert (answer.status_code, answer.json()) == (404, [{"detail": "there is no entity type 'company'"}])
    place.good("PUT", f"{CUSTOMER}/ours", {}, role="app")
    said = [
        place.ask(
            "PUT", f"{CUSTOMER}/x", {"owner": {"type": "customer", "external_id": name}}, token=token
        ).text.replace(name, "NAME")
        for name in ("ours", "nobody")
    ]
    assert said[0] == said[1]
    said = [
        place.ask("POST", "/v1/transactions", [transaction(1, name)], token=token).text.replace(name, "NAME")
        for name in ("ours", "nobody")
    ]
    assert said[0] == said[1]
    assert "there is no such customer" in said[0]


def test_where_there_is_no_type_at_all_it_is_said_how_the_first_is_declared(place: Place) -> None:
    """An app that sends the first transactions is told what an admin has to do before."""
    with Session(place.engine) as session, session.begin():
        session.execute(delete(EntityType).where(EntityType.organisation_id == place.organisations[THEIRS]))
    answer = place.ask("POST", "/v1/transactions", [transaction(1, "x")], token=place.tokens[THEIRS, "app"])
    said = (
        "there is no entity type 'customer'; the organisation has none yet: an admin declares one by "
        "`PUT /v1/entity-types/NAME`, or that of a ruleset by `fivefold import setup RULESET`"
    )
    assert (answer.status_code, answer.json()) == (404, [{"detail": said}])


def test_the_same_transaction_is_taken_once_in_each_organisation(place: Place) -> None:
    for organisation in (OURS, THEIRS):
        token = place.tokens[organisation, "app"]
        place.good("PUT", f"{CUSTOMER}/a", {}, token=token)
        rows = [transaction(77, "a")]
        for taken in (
            {"new": 1, "changed": 0, "repeated": 0, "corrections": 0, "without_rate": 0},
            {"new": 0, "changed": 0, "repeated": 1, "corrections": 0, "without_rate": 0},
        ):
            said = place.good("POST", "/v1/transactions?type=customer", rows, token=token)
            assert said == {**taken, "refused": 0, "errors": []}


def test_case_numbers_of_another_organisation_are_free(place: Place) -> None:
    body = {"opened_at": "2026-01-01"}
    for organisation in (OURS, THEIRS):
        token = place.tokens[organisation, "app"]
        place.good("PUT", f"{CUSTOMER}/a", {}, token=token)
        place.good("PUT", f"{CUSTOMER}/a/cases/same", body, token=token)


@pytest.mark.parametrize(
    ("method", "more", "body", "where"),
    [
        ("PUT", "", {"attributes": {}, "more": 1}, "body.more"),
        ("PUT", "/tags/x", {"until": 1}, "body.until"),
        ("PUT", "/tags/x", {"until": "2026-13-01"}, "body.until"),
        ("POST", "/screenings", {"screening": "pep", "found": 1}, "body.found"),
        ("PUT", "/cases/1", {}, "body.opened_at"),
        ("PUT", "/cases/1", [], "body"),
    ],
)
def test_bodies_of_another_form_are_told(furnished: Place, method: str, more: str, body: object, where: str) -> None:
    answer = furnished.ask(method, f"{CUSTOMER}/a{more}", body, role="app")
    assert answer.status_code == 422
    assert [error["where"] for error in answer.json()[0]["errors"]] == [where]
