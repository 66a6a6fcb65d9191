"""A request that is sent again is carried out once, whatever became of the first."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.responses import Response

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import UnknownOutcomeError
from fivefold.serving.v1 import dispatch
from fivefold.serving.v1.routes import ingest
from fivefold.store.sql import database
from fivefold.store.tables.accounts import IdempotencyKey
from fivefold.store.tables.entities import Screening
from fivefold.store.tables.levels import Assessment, OverrideRow
from fivefold.usecases.changes.proposals import ChangeOutcome
from fivefold.usecases.decisions import decide
from fivefold.usecases.shared.idempotency import KEPT_US, LEFT_US, prune_keys
from tests.serving.v1.furnishing import furnished_once
from tests.serving.v1.places import OURS, Place, client

pytestmark = pytest.mark.postgresql

PATH = "/v1/entities/customer/idem"
SCREENED = {"screening": "pep", "found": True}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with furnished_once(tmp_path_factory.mktemp(request.param), request.param) as place:
        yield place


@pytest.fixture
def place(shared: Place) -> Place:
    """A place with one customer, and no keys."""
    shared.good("PUT", PATH, {"attributes": {"country": "NO"}}, role="app")
    with Session(shared.engine) as session, session.begin():
        session.query(IdempotencyKey).delete()
    BEFORE[0] = count(shared)
    return shared


BEFORE = [0]
"""Screenings that there were before a test: they are history, and stay."""


def count(place: Place) -> int:
    with Session(place.engine) as session:
        return session.scalar(select(func.count()).select_from(Screening)) or 0


def send(place: Place, key: str, body: Any = SCREENED, path: str = f"{PATH}/screenings", **more: Any) -> httpx.Response:
    return place.ask("POST", path, body, role=more.pop("role", "app"), headers={"Idempotency-Key": key}, **more)


def assessments(place: Place) -> int:
    with Session(place.engine) as session:
        return session.scalar(select(func.count()).select_from(Assessment)) or 0


def screenings(place: Place) -> int:
    return count(place) - BEFORE[0]


def test_the_same_again_is_done_once_and_answered_alike(place: Place) -> None:
    first, second = send(place, "k1"), send(place, "k1")
    assert (first.status_code, second.status_code, screenings(place)) == (204, 204, 1), second.text
    assert ("Idempotency-Replayed" in first.headers, second.headers["Idempotency-Replayed"]) == (False, "true")
    assert send(place, "k2").status_code == 204
    assert screenings(place) == 2
    body = {"level": "high", "reason": "We know them."}
    answers = [send(place, "o1", body, f"{PATH}/overrides", role="investigator") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert answers[1].headers["content-type"] == "application/json"
    with Session(place.engine) as session:
        ours = select(func.count()).select_from(OverrideRow).where(OverrideRow.reason == body["reason"])
        assert session.scalar(ours) == 1


def test_the_same_key_with_another_request_is_refused_and_another_tokens_key_is_another(place: Place) -> None:
    send(place, "k1")
    answer = send(place, "k1", {**SCREENED, "found": False})
    assert answer.status_code == 422
    assert "was sent with another request before" in answer.text
    assert screenings(place) == 1
    assert send(place, "k1", role="admin").status_code == 204
    assert screenings(place) == 2


def test_what_was_refused_did_nothing_and_its_key_is_free(place: Place) -> None:
    assert send(place, "k1", path="/v1/entities/customer/nobody/screenings").status_code == 404
    assert send(place, "k1", {"screening": "pep"}).status_code == 422
    assert send(place, "k1").status_code == 204
    assert screenings(place) == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "with space"])
def test_a_key_that_is_none_is_told(place: Place, key: str) -> None:
    answer = send(place, key)
    assert answer.status_code == 422
    assert "header.Idempotency-Key" in answer.text


@pytest.mark.parametrize("name", ["Idempotency-Key", "token"])
def test_a_header_that_is_there_twice_is_refused(place: Place, name: str) -> None:
    headers = [("token", place.tokens[OURS, "app"]), ("Idempotency-Key", "k1")]

    async def asked() -> httpx.Response:
        async with client(place.edge) as asking:
            twice = [*headers, (name, place.tokens[OURS, "admin"])]
            return await asking.post(f"{PATH}/screenings", json=SCREENED, headers=twice)

    answer = asyncio.run(asked())
    assert (answer.status_code, screenings(place)) == (422, 0), answer.text
    assert f"the header {name.lower()} is given more than once" in answer.text


def while_at_it(place: Place, monkeypatch: pytest.MonkeyPatch, after_us: int) -> list[httpx.Response]:
    """Send the same once more while the first is under way, so much later."""
    real, seen = ingest.facts.request_screening, list[httpx.Response]()

    def slow(*given: Any, **named: Any) -> ChangeOutcome:
        if not seen:
            with Session(place.engine) as session, session.begin():
                row = session.scalars(select(IdempotencyKey)).one()
                row.begun_us -= after_us
            seen.append(httpx.Response(100))
            seen.append(send(place, "k1"))
        return real(*given, **named)

    monkeypatch.setattr(ingest.facts, "request_screening", slow)
    return [send(place, "k1"), *seen[1:]]


def test_while_the_first_is_under_way_the_second_is_told_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = while_at_it(place, monkeypatch, 0)
    assert (first.status_code, second.status_code, screenings(place)) == (204, 409, 1)
    assert "is under way" in second.text
    assert int(second.headers["Retry-After"]) > 0


@pytest.mark.parametrize("after_us", [0, LEFT_US + 1, -KEPT_US])
def test_what_is_stored_is_under_way_until_its_answer_may_not_come_any_more(
    place: Place, monkeypatch: pytest.MonkeyPatch, after_us: int
) -> None:
    real, seen = dispatch.write_result, list[httpx.Response]()

    def slow(*given: Any) -> Response:
        with Session(place.engine) as session, session.begin():
            session.scalars(select(IdempotencyKey)).one().begun_us -= after_us
        seen.append(send(place, "k1"))
        return real(*given)

    monkeypatch.setattr(dispatch, "write_result", slow)
    first, (second,) = send(place, "k1"), seen
    assert (first.status_code, second.status_code, screenings(place)) == (204, 409, 1)
    assert ("is under way" in second.text, "Retry-After" in second.headers) == (after_us == 0, after_us == 0)
    assert ("was carried out, but its answer was not stored" in second.text) == (after_us != 0)
    assert send(place, "k1").headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("after_us", [LEFT_US + 1, -KEPT_US])
def test_an_attempt_that_was_taken_over_stores_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, after_us: int
) -> None:
    """As is one that a fast clock dated a day ahead."""
    first, second = while_at_it(place, monkeypatch, after_us)
    assert (first.status_code, second.status_code, screenings(place)) == (409, 204, 1)
    assert "took over; nothing was done" in first.text
    assert send(place, "k1").headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("kept", [True, False])
def test_after_a_commit_whose_end_is_not_known_the_key_tells(
    place: Place, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    real = ingest.facts.request_screening

    def lost(*given: Any, **named: Any) -> None:
        if kept:
            real(*given, **named)
        raise UnknownOutcomeError(database.MAY_BE_DONE)

    monkeypatch.setattr(ingest.facts, "request_screening", lost)
    answer = send(place, "k1")
    assert (answer.status_code, "may have been done" in answer.text) == (504, True)
    monkeypatch.undo()
    again = send(place, "k1")
    assert (again.status_code, screenings(place)) == ((409, 1) if kept else (204, 1))
    assert not kept or "was carried out, but its answer was not stored" in again.text


def test_a_decision_that_was_not_stored_is_made_when_it_is_asked_again_though_the_level_was_stored_for_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    cash = {"transaction_amount": -5.0, "transaction_currency": "EUR", "operation": "cash"}
    body = {"policy": "payments", "external_id": "idem", "transaction": cash}
    assessed = assessments(place)

    def lost(*_: Any, **__: Any) -> None:
        raise UnknownOutcomeError(database.MAY_BE_DONE)

    monkeypatch.setattr(decide, "_store", lost)
    assert send(place, "d1", {**body, "freshness": "now"}, "/v1/decisions").status_code == 504
    assert assessments(place) == assessed + 1
    monkeypatch.undo()
    again, replayed = (send(place, "d1", {**body, "freshness": "now"}, "/v1/decisions") for _ in range(2))
    assert (again.status_code, again.json()["repeated"]) == (200, False), again.text
    assert (replayed.headers["Idempotency-Replayed"], replayed.json()) == ("true", again.json())


def test_a_secret_is_told_once(place: Place) -> None:
    body = {"url": "https://example.com/hook"}
    first, second = (send(place, "w1", body, "/v1/webhooks", role="admin") for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 409)
    with Session(place.engine) as session:
        assert session.scalars(select(IdempotencyKey.answer)).all() == [None]


def test_a_key_is_known_for_a_day_and_then_forgotten(place: Place) -> None:
    send(place, "k1")
    later = now_microseconds() + KEPT_US
    assert prune_keys(place.engine, clock=lambda: later - KEPT_US // 2) == 0
    assert prune_keys(place.engine, clock=lambda: later + 1) == 1
    assert send(place, "k1").status_code == 204
    assert screenings(place) == 2


def test_reading_takes_no_keys(place: Place) -> None:
    answer = place.ask("GET", PATH, role="admin", headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 200
    with Session(place.engine) as session:
        assert session.scalars(select(IdempotencyKey)).all() == []
