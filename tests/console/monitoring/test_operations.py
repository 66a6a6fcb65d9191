"""What waits, who works on it, dead letters that are sent again, customers that are tried again."""

from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import StoreError
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.events import Delivery
from fivefold.store.tables.operations import AuditProof
from fivefold.usecases.audit.verify import prove
from fivefold.usecases.monitoring import operations
from fivefold.usecases.monitoring.operations import noted
from fivefold.usecases.monitoring.statistics import PlatformFigures
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks.endpoints import list_endpoints
from tests.console.test_queries import count
from tests.console.visitors import Visitor
from tests.serving.v1.more_rows import MORE
from tests.serving.v1.places import OURS, THEIRS, Place
from tests.store.audits import forged

OPERATIONS = "/console/operations"
HOOK = f"{OPERATIONS}/webhooks/1"


def states(place: Place) -> list[str]:
    with Session(place.engine) as session:
        return list(session.scalars(select(Delivery.state).order_by(Delivery.event_number)))


def test_an_organisation_that_did_nothing_is_told_so_in_words(place: Place) -> None:
    text = Visitor(place).sign_in("admin", THEIRS).go(OPERATIONS).text
    for words in (
        "No customer is waiting to be assessed.",
        "No backtest is waiting or running.",
        "No worker is running, and none was seen in the last day. Nothing is assessed or sent.",
        "There are no endpoints.",
        "It has never been compared.",
        "No file was imported yet.",
    ):
        assert words in text


def test_workers_proof_and_imports_are_shown(place: Place, admin: Visitor) -> None:
    proof = {"entries": 1_234, "findings": 0, "at_us": 1, "whole_us": 1}
    with Session(place.engine) as session, session.begin():
        session.add(AuditProof(organisation_id=place.organisations[OURS], **proof))
    MORE["list_imports"](place, 7)
    with noted(place.engine):
        text = admin.go(OPERATIONS).text
    assert "Running: 1." in text
    assert "Proven whole on" in text
    assert "Compared without exported heads" in text
    assert "1,234 entries" in text
    assert "tags-7.csv" in text
    with forged(place.engine) as connection:
        connection.execute(update(EntityType).values(created_us=EntityType.created_us + 1))
    assert prove(place.engine, print).findings, "a row is not what the log says"
    assert "The log was last proven whole on 1970-01-01" in admin.go(OPERATIONS).text


def test_a_figure_that_cannot_be_read_says_as_of_when_and_is_no_zero(
    place: Place, admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: Any) -> None:
        raise StoreError("the database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(operations, "queue_depth", locked)
        never = admin.go(OPERATIONS).text
        assert "This could not be read, so its value is not known." in never
        assert "No customer is waiting to be assessed" not in never
        admin.place.engine.dispose()
    known = admin.go(OPERATIONS).text
    assert "could not be" not in known.partition("Workers")[0]
    monkeypatch.setattr(operations, "queue_depth", locked)
    stale = admin.go(OPERATIONS).text
    assert "This could not be refreshed. It is as of" in stale
    assert "waiting to be assessed; the first since" in stale


def test_what_waits_to_be_sent_is_the_sum_of_the_table_before_a_worker_plans_it(place: Place, admin: Visitor) -> None:
    text = admin.go(OPERATIONS).text
    (listed,) = list_endpoints(Context(place.engine, place.actor("admin")))
    assert listed.waiting, "and no delivery is planned"
    assert states(place) == []
    assert f"{listed.waiting} waiting to be sent." in text
    (figures,) = [each for each in PlatformFigures(place.engine).read() if each.number == place.organisations[OURS]]
    assert figures.waiting == listed.waiting, "the metric is the same"


def test_one_dead_letter_is_sent_again_and_then_all_others(place: Place, admin: Visitor) -> None:
    for number in range(3):
        MORE["list_dead_letters"](place, number)
    assert "3 could not be delivered and were given up." in admin.go(HOOK).text
    first = admin.forms()[1].fields["sequence"]
    admin.submit("/replay", sequence=first)
    assert "It will be sent again" in admin.text
    assert states(place) == ["waiting", "dead", "dead"]
    admin.submit("/replay")
    assert states(place) == ["waiting"] * 3
    assert "There are no dead letters." in admin.text
    token = admin.go("/console/session").forms()[0].fields["form_token"]
    admin.post(f"{HOOK}/replay", {"form_token": token})
    assert "There was nothing to send again." in admin.text
    for wrong in ("x", "9" * 30, "-1"):
        admin.post(f"{HOOK}/replay", {"form_token": token, "sequence": wrong})
        assert admin.page.status_code == 422, wrong


def test_what_went_wrong_is_text_and_never_markup(place: Place, admin: Visitor) -> None:
    MORE["list_dead_letters"](place, 1)
    with Session(place.engine) as session, session.begin():
        session.scalars(select(Delivery)).one().error = "<script>alert(1)</script>"
    assert "<script>alert" not in admin.go(HOOK).page.text
    assert "&lt;script&gt;alert" in admin.page.text


def test_a_customer_that_failed_is_tried_again(place: Place, admin: Visitor) -> None:
    MORE["list_failures"](place, 5)
    admin.go(f"{OPERATIONS}/failures")
    assert "quarantined after 6 attempts: it broke" in admin.text
    admin.submit("/retry")
    assert admin.page.status_code == 200
    assert "The level was computed again." in admin.text
    assert "it broke" not in admin.text
    assert "All customers could be assessed." in admin.text


def test_pages_of_more_rows_ask_as_often(place: Place, admin: Visitor) -> None:
    addresses = (OPERATIONS, HOOK, f"{OPERATIONS}/failures")
    few = [count(admin, address) for address in addresses]
    for number in range(12):
        for name in ("list_dead_letters", "list_imports", "list_endpoints", "list_failures"):
            MORE[name](place, number)
    assert [count(admin, address) for address in addresses] == few
    assert max(few) <= 20


def test_long_lists_have_pages(place: Place, admin: Visitor) -> None:
    for number in range(51):
        MORE["list_dead_letters"](place, number)
    admin.go(HOOK)
    (following,) = [link for link in admin.links() if "after=" in link]
    assert admin.go(following).text.count("it answered 500") == 1
