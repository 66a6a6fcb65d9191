"""What is looked at first, and what a request may be."""

import asyncio
import re
import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from fivefold.domain.errors import StoreError
from fivefold.domain.paging import Page
from fivefold.serving.authentication import RateLimiter
from fivefold.serving.v1 import dispatch
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.reading import refused_body
from fivefold.serving.v1.route import Route
from fivefold.store.sql.clocks import DatabaseClock
from fivefold.store.tables.accounts import Token
from fivefold.store.tables.entities import Tag
from fivefold.usecases.accounts.credentials import hash_of
from fivefold.usecases.shared.actors import Role
from tests.console.test_queries import statements
from tests.pace import slowness, until_in_loop
from tests.serving.inprocess import client
from tests.serving.v1.places import LIMITS, OURS, PLANS, Place, routes

MARK = "MARKED-7f3a9"
HELD_SECONDS = 10 * slowness()
"""So long a request holds its thread at most, which is less than the time limit of a request."""


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


@pytest.mark.parametrize(
    ("method", "path", "body", "role"),
    [
        ("PUT", "/v1/entities/company/acme/tags/late", b"{}", "investigator"),
        ("POST", "/v1/transactions", b"[]", "app"),
        ("GET", "/v1/settings", b"{}", "approver"),
    ],
)
@pytest.mark.parametrize("is_shared", [False, True])
def test_a_token_that_is_revoked_while_a_body_is_sent_does_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: bytes, role: str, *, is_shared: bool
) -> None:
    read_body = dispatch.read_body
    token = place.tokens[OURS, role]

    async def slowly_read_body(*arguments: Any) -> bytes:
        content = await read_body(*arguments)
        with Session(place.engine) as session, session.begin():
            session.execute(update(Token).where(Token.sha256 == hash_of(token)).values(revoked_us=1))
        return content

    monkeypatch.setattr(dispatch, "read_body", slowly_read_body)
    headers = {} if is_shared else {"Idempotency-Key": "one"}
    answer = place.ask(method, path, body, token=token, headers=headers)
    assert (answer.status_code, answer.json()) == (401, [{"detail": dispatch.NO_CREDENTIALS}])
    with Session(place.engine) as session:
        assert session.scalar(select(Tag.id).where(Tag.tag == "late")) is None


def test_who_asks_is_looked_up_again_for_a_change_alone(place: Place) -> None:
    def lookups(*request: Any) -> int:
        place.good(*request, role="investigator")
        with statements(place.engine) as sent:
            place.good(*request, role="investigator")
        return len([each for each in sent if "FROM tokens LEFT OUTER JOIN members" in " ".join(each.split())])

    assert lookups("GET", "/v1/settings") == 1
    assert lookups("PUT", "/v1/entities/company/acme/tags/late", {}) == 2


def test_one_thing_is_refused_before_the_other(place: Place) -> None:
    """Who asks, then their role, then the size, then the path, then the form, then what is there."""
    wide = b" " * (LIMITS.body_bytes + 1)
    path = "/v1/members/{}/roles"
    assert place.ask("PUT", path.format("x"), wide).status_code == 401
    assert place.ask("PUT", path.format("x"), wide, role="publisher").status_code == 403
    answer = place.ask("PUT", path.format("x"), wide, role="admin")
    assert answer.status_code == 413
    assert answer.json()[0]["errors"][0]["allowed"] == f"{LIMITS.body_bytes:,} bytes"
    for nothing in ("x", "0", "99999999999999999999", "1.0", "%00"):
        answer = place.ask("PUT", path.format(nothing), b"{", role="admin")
        assert (answer.status_code, answer.text.startswith('[{"detail":"there is no member \'')) == (404, True), (
            answer.text
        )
    revoked = place.ask("POST", "/v1/tokens/x/revoke", role="admin")
    assert (revoked.status_code, revoked.json()) == (404, [{"detail": "there is no token 'x'"}])
    assert place.ask("PUT", path.format(10**6), b"{", role="admin").status_code == 422
    assert place.ask("PUT", path.format(10**6), {"roles": ["admin"]}, role="admin").status_code == 404


@pytest.mark.parametrize("character", ["%0A", "%0D", "%09", "%00", "%C2%85"])
def test_a_control_character_in_an_identifier_is_refused_where_it_would_be_stored(
    furnished: Place, character: str
) -> None:
    answer = furnished.ask("PUT", f"/v1/entities/customer/a{character}b", {"attributes": {}}, role="app")
    assert (answer.status_code, "external_id" in answer.text) == (422, True), answer.text
    assert answer.json()[0]["errors"][0]["problem"]


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
    for query, where in (("limit=1&limit=2", "query.limit"), ("limit=x", "query.limit"), ("lmit=1", "query.lmit")):
        answer = furnished.ask("GET", f"/v1/audit?{query}", role="admin")
        assert answer.status_code == 422
        assert [error["where"] for error in answer.json()[0]["errors"]] == [where]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (StoreError("the database cannot be reached"), "the database cannot be reached"),
        (
            OperationalError("SELECT secret", {}, TimeoutError()),
            "another program wrote to the database for longer than the limit",
        ),
    ],
)
def test_a_database_out_of_reach_is_503(
    place: Place, monkeypatch: pytest.MonkeyPatch, error: Exception, cause: str
) -> None:
    import sqlite3

    if isinstance(error, OperationalError):
        locked = sqlite3.OperationalError("database is locked")
        locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
        error = OperationalError("SELECT secret", {}, locked)

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("fivefold.usecases.accounts.organisations.members_of", fails)
    answer = place.ask("GET", "/v1/members", role="admin")
    detail = cause if isinstance(error, OperationalError) else "Service Unavailable"  # a lock is no secret
    assert (answer.status_code, answer.json()) == (503, [{"detail": detail}])
    assert answer.headers["retry-after"] == "10"
    assert place.watching.causes[-1] == cause, "the log has every cause"


def test_nobody_is_refused_for_a_token_that_cannot_be_looked_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise StoreError("the database cannot be reached")

    monkeypatch.setattr(dispatch, "note_use", fails)
    assert place.ask("GET", "/v1/settings", role="admin").status_code == 200, "to note its use is no reason"
    monkeypatch.setattr(dispatch, "find_credential", fails)
    assert place.ask("GET", "/v1/settings", role="admin").status_code == 503
    assert place.watching.causes[-1] == "the database cannot be reached"


def test_a_disk_that_is_full_is_named_in_the_log(place: Place) -> None:
    with place.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def full(connection: Any, _: object, __: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(place.engine, "checkout", full)
    for batch in range(100):
        rows = [{"external_id": f"{batch}-{number}"} for number in range(LIMITS.rows)]
        answer = place.ask("POST", "/v1/entities/customer", rows, role="app")
        if answer.status_code != 200:
            break
    assert (answer.status_code, answer.json()) == (503, [{"detail": "Service Unavailable"}])
    assert answer.headers["retry-after"] == "10"
    full = "the disk of the database's file is full, or the file may not grow"
    assert place.watching.causes[-1] == f"{full}: {place.engine.url.database}"


def test_a_key_that_a_full_disk_does_not_take_is_explained_in_the_log(place: Place) -> None:
    def fill(_: object, __: object, statement: str, parameters: Any, *___: object) -> tuple[str, Any]:
        is_of_key = statement.startswith("INSERT INTO idempotency_keys")
        return ("CREATE TABLE filling AS SELECT zeroblob(1000000)", ()) if is_of_key else (statement, parameters)

    with place.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    event.listen(
        place.engine, "checkout", lambda connection, *_: connection.execute(f"PRAGMA max_page_count={pages + 99}")
    )
    event.listen(place.engine, "before_cursor_execute", fill, retval=True)
    entity = {"attributes": {"country": "NO"}}
    answer = place.ask("PUT", "/v1/entities/customer/a", entity, role="app", headers={"Idempotency-Key": "one"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    full = "the disk of the database's file is full, or the file may not grow"
    assert place.watching.causes[-1] == f"{full}: {place.engine.url.database}"


def test_a_fault_of_ours_is_500_without_a_word_of_the_request(
    place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError(MARK)

    monkeypatch.setattr("fivefold.usecases.accounts.organisations.members_of", fails)
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
        monkeypatch.setattr(DatabaseClock, "now_us", lambda _, now=now: now)
        place.good("GET", "/v1/settings", role="approver")
        assert last_used(place) == noted


def test_slow_use_cases_do_not_stop_the_others(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run in threads, of which there are several."""
    headers = {"token": place.tokens[OURS, "admin"]}
    begun, gate = threading.Event(), threading.Event()

    def held(*_: object) -> Page:
        begun.set()
        assert gate.wait(HELD_SECONDS)
        return Page()

    monkeypatch.setattr("fivefold.usecases.accounts.organisations.members_of", held)

    async def both() -> tuple[int, int]:
        async with client(place.edge) as asking:
            slow = asyncio.create_task(asking.get("/v1/members", headers=headers))
            assert await asyncio.to_thread(begun.wait, HELD_SECONDS)
            quick = await asking.get("/v1/settings", headers=headers)
            gate.set()
            return quick.status_code, (await slow).status_code

    assert asyncio.run(both()) == (200, 200)


def test_rows_are_counted_before_they_are_read(place: Place) -> None:
    """Of each a problem was made once: four megabytes took two gigabytes."""
    for path in ("/v1/transactions", "/v1/entities/customer"):
        answer = place.ask("POST", path, b"[" + b"1," * 20_000 + b"1]", role="app")
        assert answer.status_code == 413
        assert answer.json()[0]["errors"][0]["problem"] == "has 20,001 rows"


def test_an_object_of_very_many_names_is_not_read(place: Place) -> None:
    wide = b'{"a":1,' + b",".join(b'"k%d":1' % number for number in range(3_000)) + b"}"
    for method, path, body in (
        ("PUT", "/v1/entities/customer/a", wide),
        ("POST", "/v1/transactions", b"[1," + wide + b"]"),
        ("POST", "/v1/decisions", b'{"transaction":' + wide + b"}"),
    ):
        answer = place.ask(method, path, body, role="app")
        assert answer.status_code == 413
        assert answer.json()[0]["errors"][0]["problem"] == "has 3,001 fields"


def test_a_plus_of_a_query_that_is_not_escaped_is_named(place: Place) -> None:
    answer = place.ask("GET", "/v1/transitions?since=2024-07-01T00:00:00+02:00", role="investigator")
    assert answer.status_code == 422
    (error,) = answer.json()[0]["errors"]
    assert (error["where"], error["problem"].rpartition("; ")[2]) == ("query.since", "in a query + is written %2B")
    assert place.ask("GET", "/v1/transitions?since=2024-07-01T00:00:00%2B02:00", role="investigator").status_code == 200


def test_problems_are_named_up_to_a_hundred_and_it_is_said_that_there_are_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes()[1], "_limits", replace(LIMITS, rows=500))
    answer = place.ask("POST", "/v1/transactions", [1] * 300, role="app")
    assert answer.status_code == 422
    assert answer.json()[0]["detail"] == "Unprocessable Entity: the first 100 problems, and there are more"
    assert [error["where"] for error in answer.json()[0]["errors"]] == [f"body.{number}" for number in range(100)]
    wide = {f"k{number}": 1 for number in range(300)}
    answer = place.ask("PUT", "/v1/entities/customer/a", wide, role="app")
    assert answer.json()[0]["detail"] == "Unprocessable Entity: the first 100 of 300 problems"
    assert len(answer.json()[0]["errors"]) == 100
    few = place.ask("POST", "/v1/entities/customer", [{"external_id": "a"}, {"external_id": 1}, {"x": 1}], role="app")
    assert few.json()[0]["detail"] == "Unprocessable Entity"
    assert [error["where"] for error in few.json()[0]["errors"]] == [
        "body.1.external_id",
        "body.2.external_id",
        "body.2.x",
    ]


def test_what_was_sent_is_not_repeated_at_any_length(place: Place) -> None:
    name = "x" * 40_000
    for method, path, body in (
        ("PUT", "/v1/entities/customer/a", {name: 1}),
        ("PUT", "/v1/entities/customer/a", {"attributes": {name: 1}}),
    ):
        answer = place.ask(method, path, body, role="app")
        assert answer.status_code == 422
        assert len(answer.content) < 10_000


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_parameter_that_a_route_does_not_have_is_refused(furnished: Place, route: Route) -> None:
    path = re.sub("{[a-z_]+}", "1", route.path)
    role = next(role for role in Role if role in route.roles)
    answer = furnished.ask(route.method, f"{path}?nosuch=1", role=role)
    assert answer.status_code == 422
    assert "query.nosuch" in [error["where"] for error in answer.json()[0]["errors"]]


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if "body" not in route.takes], ids=lambda r: f"{r.method} {r.path}"
)
def test_a_body_that_a_route_does_not_read_is_refused(furnished: Place, route: Route) -> None:
    role = next(role for role in Role if role in route.roles)
    path = re.sub("{[a-z_]+}", "1", route.path)
    answer = furnished.ask(route.method, path, {"reason": "no more"}, role=role)
    assert answer.status_code == 422
    assert answer.json()[0]["errors"]


def test_a_reason_in_the_body_of_the_end_of_a_tag_is_refused_and_the_query_named(place: Place) -> None:
    path = "/v1/entities/company/acme/tags/disputed"
    answer = place.ask("DELETE", path, {"reason": "no more"}, role="investigator")
    (error,) = answer.json()[0]["errors"]
    expected = "is not read: this route takes none; the query takes reason, expected_since"
    assert (answer.status_code, error["where"], error["problem"]) == (422, "body", expected)
    assert place.ask("DELETE", path, {}, role="app").status_code != 422


@pytest.mark.parametrize(
    ("body", "is_refused"),
    [
        (b"", False),
        (b" { }\n", False),
        (b"{\n}", False),
        (b"null", False),
        (b"nu ll", True),
        (b"[]", True),
        (b"{", True),
        (b" " * 1_000_000 + b"x", True),  # in a time that is not the square of its length
        (b"{" + b" " * 1_000_000 + b"x", True),
    ],
    ids=range(9),
)
def test_an_empty_object_says_nothing_however_it_is_written(body: bytes, is_refused: bool) -> None:
    route = next(route for route in ROUTES if "body" not in route.takes)
    assert (refused_body(route, body) is not None) is is_refused


def test_a_route_takes_no_larger_body_than_its_work_needs() -> None:
    most = {route.path: route.most_bytes(64_000_000) for route in ROUTES if route.method in {"POST", "PUT"}}
    assert most["/v1/transactions"] == 64_000_000
    assert most["/v1/rulesets/{family}/draft"] == 256_000
    assert most["/v1/members"] == 1_000_000


def test_drafts_that_take_long_keep_nobody_else_waiting(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight drafts of a megabyte once kept all of the platform's routes for minutes."""
    gate = threading.Event()

    def slow(*_: object) -> tuple[str, str]:
        assert gate.wait(HELD_SECONDS)
        return "retail", "customer"

    monkeypatch.setattr("fivefold.usecases.rulesets.life_cycle.names_in", slow)

    async def ask() -> tuple[int, list[int]]:
        async with client(place.edge) as asking:
            headers = {"token": place.tokens[OURS, "admin"]}
            draft = {"json": {"document": "a: 1"}, "headers": headers}
            drafts = [asyncio.create_task(asking.put("/v1/rulesets/other/draft", **draft)) for _ in range(8)]
            await until_in_loop(lambda: sum(draft.done() for draft in drafts) == 3)  # those that are refused
            quick = await asking.get("/v1/settings", headers=headers)
            gate.set()
            return quick.status_code, sorted(answer.status_code for answer in await asyncio.gather(*drafts))

    quick, drafts = asyncio.run(ask())
    assert quick == 200
    assert drafts == [422] * 5 + [429] * 3


def test_a_token_asks_no_more_often_than_its_plan_says(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PLANS["unlimited"].model_copy(update={"requests_per_minute": 2})
    monkeypatch.setattr(routes()[1], "_plans", {"unlimited": plan})
    monkeypatch.setattr(routes()[1], "_rate_limiter", RateLimiter())
    assert [place.ask("GET", "/v1/settings", role="admin").status_code for _ in range(3)] == [200, 200, 429]
    refused = place.ask("GET", "/v1/settings", role="admin")
    assert int(refused.headers["retry-after"]) <= 30
    assert place.ask("GET", "/v1/settings", role="approver").status_code == 200, "each token for itself"
