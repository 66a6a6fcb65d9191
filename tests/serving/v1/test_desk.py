"""What is looked at first, and what a request may be."""

import time

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from domain.errors import StoreError
from serving.v1 import desk
from store.tables import Token
from tests.serving.v1.places import LIMITS, OURS, Place
from usecases.tokens import hash_of

MARK = "MARKED-7f3a9"


def test_a_token_may_come_in_either_header(furnished: Place) -> None:
    token = furnished.tokens[OURS, "admin"]
    for headers in ({"token": token}, {"Authorization": f"Bearer {token}"}, {"authorization": f"bearer  {token}"}):
        assert furnished.ask("GET", "/v1/settings", headers=headers).status_code == 200
    for headers in ({"Authorization": token}, {"Authorization": f"Basic {token}"}, {"Authorization": "Bearer"}):
        assert furnished.ask("GET", "/v1/settings", headers=headers).status_code == 401


def test_a_role_that_is_taken_is_gone_at_the_next_call(place: Place) -> None:
    path = f"/v1/members/{place.members[OURS, 'publisher']}/roles"
    assert place.ask("GET", "/v1/entity-types", role="publisher").status_code == 200
    place.good("PUT", path, {"roles": ["approver"]}, role="admin")
    assert place.ask("GET", "/v1/entity-types", role="publisher").status_code == 401


def test_one_thing_is_refused_before_the_other(place: Place) -> None:
    """Who asks, then their role, then the size, then the path, then the form, then what is there."""
    wide = b" " * (LIMITS.body_bytes + 1)
    path = "/v1/members/{}/roles"
    assert place.ask("PUT", path.format("x"), wide).status_code == 401
    assert place.ask("PUT", path.format("x"), wide, role="publisher").status_code == 403
    answer = place.ask("PUT", path.format("x"), wide, role="admin")
    assert answer.status_code == 413
    assert answer.json()[0]["errors"][0]["allowed"] == f"{LIMITS.body_bytes} bytes"
    for nothing in ("x", "0", "99999999999999999999", "1.0", "%00"):
        assert place.ask("PUT", path.format(nothing), b"{", role="admin").status_code == 404, nothing
    assert place.ask("PUT", path.format(10**6), b"{", role="admin").status_code == 422
    assert place.ask("PUT", path.format(10**6), {"roles": ["admin"]}, role="admin").status_code == 404


def test_more_rows_than_the_server_takes_are_413(place: Place) -> None:
    rows = [{"external_id": str(number)} for number in range(LIMITS.rows + 1)]
    answer = place.ask("POST", "/v1/entities/customer", rows, role="app")
    assert answer.status_code == 413
    assert answer.json()[0]["errors"] == [{"row": 30, "field": "body", "problem": "has 31 rows", "allowed": "30 rows"}]
    assert place.good("POST", "/v1/entities/customer", rows[1:], role="app")["new"] == LIMITS.rows


def test_nothing_of_an_answer_is_to_be_kept_on_the_way(furnished: Place) -> None:
    for role in ("investigator", "app", ""):
        assert furnished.ask("GET", "/v1/settings", role=role).headers["cache-control"] == "no-store"


def test_a_query_says_each_thing_once_and_nothing_unknown(furnished: Place) -> None:
    for query, where in (("limit=1&limit=2", "query"), ("limit=x", "query.limit"), ("lmit=1", "query.lmit")):
        answer = furnished.ask("GET", f"/v1/audit?{query}", role="admin")
        assert answer.status_code == 422
        assert [error["where"] for error in answer.json()[0]["errors"]] == [where]


@pytest.mark.parametrize(
    "error", [StoreError("the database cannot be reached"), OperationalError("SELECT secret", {}, TimeoutError())]
)
def test_a_database_out_of_reach_is_503(place: Place, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    import sqlite3

    if isinstance(error, OperationalError):
        locked = sqlite3.OperationalError("database is locked")
        locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
        error = OperationalError("SELECT secret", {}, locked)

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("usecases.members.members_of", fails)
    answer = place.ask("GET", "/v1/members", role="admin")
    assert (answer.status_code, answer.json()) == (503, [{"detail": "Service Unavailable"}])
    assert answer.headers["retry-after"] == "10"


def test_nobody_is_refused_for_a_token_that_cannot_be_looked_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise StoreError("the database cannot be reached")

    monkeypatch.setattr(desk, "note_use", fails)
    assert place.ask("GET", "/v1/settings", role="admin").status_code == 200, "to note its use is no reason"
    monkeypatch.setattr(desk, "find_credential", fails)
    assert place.ask("GET", "/v1/settings", role="admin").status_code == 503


def test_a_fault_of_ours_is_500_without_a_word_of_the_request(
    place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError(MARK)

    monkeypatch.setattr("usecases.members.members_of", fails)
    answer = place.ask("GET", "/v1/members", role="admin")
    assert (answer.status_code, answer.json()) == (500, [{"detail": "Internal Server Error"}])
    written = capfd.readouterr()
    assert MARK not in written.out + written.err
    assert "RuntimeError" in written.out + written.err


def last_used(place: Place) -> int | None:
    with Session(place.engine) as session:
        token = session.query(Token).filter_by(sha256=hash_of(place.tokens[OURS, "approver"])).one()
        return token.last_used_us


def test_a_tokens_use_is_noted_once_a_day(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    noon, day = 1_900_000_000_000_000, 86_400_000_000
    for now, noted in ((noon, noon), (noon + 1, noon), (noon + day, noon + day)):
        monkeypatch.setattr(desk, "now_microseconds", lambda now=now: now)
        place.good("GET", "/v1/settings", role="approver")
        assert last_used(place) == noted


def test_slow_use_cases_do_not_stop_the_others(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run in threads, of which there are several."""
    import asyncio

    from tests.serving.inprocess import client

    headers = {"token": place.tokens[OURS, "admin"]}
    monkeypatch.setattr("usecases.members.members_of", lambda *_: time.sleep(1.0) or [])

    async def both() -> float:
        async with client(place.edge) as asking:
            await asking.get("/v1/settings", headers=headers)
            slow = asyncio.create_task(asking.get("/v1/members", headers=headers))
            await asyncio.sleep(0.05)
            begun = time.perf_counter()
            assert (await asking.get("/v1/settings", headers=headers)).status_code == 200
            quick = time.perf_counter() - begun
            assert (await slow).status_code == 200
            return quick

    assert asyncio.run(both()) < 0.5
