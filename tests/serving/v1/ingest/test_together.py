"""Many clients that post one transaction each at the same moment: every one gets the answer that is its own."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from polars.exceptions import PanicException
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from fivefold.domain.errors import StoreError, UnknownOutcomeError
from fivefold.serving.v1 import dispatch
from fivefold.serving.v1.routes import ingest
from fivefold.store.audit.history_reading import ADDED
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import Transaction
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.ingest.together import add_transactions_together
from tests.pace import slowness, until
from tests.serving.inprocess import client
from tests.serving.v1.places import OURS, Place, settled
from tests.store.audits import bind_unnamed

HELD_SECONDS = 15 * slowness()
NEW = {"new": 1, "changed": 0, "repeated": 0, "corrections": 0, "without_rate": 0, "refused": 0, "errors": []}


def row(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "transaction_id": name,
        "user_id": "many",
        "transaction_amount": 5,
        "transaction_currency": "EUR",
        "transaction_date": "2026-01-01",
        **changed,
    }


def post(place: Place, *bodies: Any, **headers: str) -> list[httpx.Response]:
    """Post all at once, behind one that holds the thread until they have come."""
    held, let_go = threading.Event(), threading.Event()
    whole = dispatch.SHARED._answer_all

    def answer(requests: Sequence[Any]) -> Iterator[Any]:
        if not held.is_set():
            held.set()
            assert let_go.wait(HELD_SECONDS)
        yield from whole(requests)

    def let_go_once_all_wait(count: int) -> None:
        until(lambda: sum(map(len, dispatch.SHARED._queues.values())) >= count, 10)
        let_go.set()

    async def ask() -> list[httpx.Response]:
        async with client(place.edge) as asking:

            async def one(body: Any, **more: str) -> httpx.Response:
                sent = {"token": place.tokens[OURS, "app"], **more}
                return await asking.request("POST", "/v1/transactions", content=json.dumps(body), headers=sent)

            first = asyncio.create_task(one([row("held")]))
            assert await asyncio.to_thread(held.wait, HELD_SECONDS)
            tasks = [asyncio.create_task(one(body, **headers)) for body in bodies]
            await asyncio.to_thread(let_go_once_all_wait, 0 if headers else len(bodies))
            await first
            return list(await asyncio.gather(*tasks))

    dispatch.SHARED._answer_all = answer
    try:
        return asyncio.run(ask())
    finally:
        dispatch.SHARED._answer_all = whole


@pytest.fixture
def many(place: Place) -> Place:
    place.good("PUT", "/v1/entities/customer/many", {"attributes": {"country": "NO"}}, role="app")
    return place


def test_each_gets_its_own_answer(many: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def noted(context: Any, calls: Sequence[Any]) -> Any:
        sizes.append(len(calls))
        return add_transactions_together(context, calls)

    monkeypatch.setattr(ingest, "add_transactions_together", noted)
    with Session(many.engine) as session:
        before = session.query(AuditEntry).filter_by(action=ADDED).count()
    good = [[row(f"g{number}")] for number in range(8)]
    answers = post(many, *good, [row("x", user_id="nobody")], {"no": "list"}, [row("g0")], [row("g1", user_id="y")])
    assert sizes == [11], "what cannot be read is not among them"
    assert Counter(answer.status_code for answer in answers) == {200: 9, 422: 3}
    assert [answer.json() for answer in answers[2:8]] == [NEW] * 6
    assert sorted(answer.json()["new"] for answer in (answers[0], answers[10])) == [0, 1]
    assert "nobody" in answers[8].text
    assert "stored with other content" in answers[11].text or "there is no such customer" in answers[11].text
    bind_unnamed(many.engine)
    assert not verify(many.engine, print).findings
    with Session(many.engine) as session:
        after = session.query(AuditEntry).filter_by(action=ADDED).count()
    assert after == before + 1 + 8, "one for each call that took something"


def test_one_with_a_key_is_carried_out_once_by_itself(many: Place) -> None:
    bodies = [[row("k")]] * 3
    answers = post(many, *bodies, **{"Idempotency-Key": "k"})
    assert {answer.status_code for answer in answers} <= {200, 409}
    again = many.ask("POST", "/v1/transactions", bodies[0], role="app", headers={"Idempotency-Key": "k"})
    assert (again.json()["new"], again.headers["Idempotency-Replayed"]) == (1, "true")


@pytest.mark.parametrize(("error", "status"), [(StoreError("away"), 503), (UnknownOutcomeError("away"), 504)])
def test_where_the_database_goes_away_all_know(
    many: Place, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def gone(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(ingest, "add_transactions_together", gone)
    assert {answer.status_code for answer in post(many, [row("1")], [row("2")])} == {status}


def test_where_polars_breaks_off_each_is_carried_out_by_itself(many: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise PanicException("a value that nobody expects")

    monkeypatch.setattr(ingest, "add_transactions_together", broken)
    assert {answer.status_code for answer in post(many, [row("p1")], [row("p2")])} == {200}


_INSERT = "CREATE TRIGGER refusal BEFORE INSERT ON transactions"
REFUSALS = {
    "sqlite": (f"{_INSERT} WHEN NEW.transaction_id = 'r2' BEGIN SELECT RAISE(ABORT, 'not this one'); END",),
    "postgresql": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$",
        f"{_INSERT} FOR EACH ROW WHEN (NEW.transaction_id = 'r2') EXECUTE FUNCTION refuse()",
    ),
}
"""Stands for what nobody expects of a database: it refuses one row, and with it all that come in the same copy."""
ENDS = {
    "sqlite": ("DROP TRIGGER refusal",),
    "postgresql": ("DROP TRIGGER refusal ON transactions", "DROP FUNCTION refuse()"),
}


def run_all(engine: Engine, statements: Iterable[str]) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@contextmanager
def refusing(engine: Engine) -> Iterator[None]:
    """Let a database refuse one row meanwhile: the tests that follow have the same PostgreSQL."""
    run_all(engine, REFUSALS[engine.dialect.name])
    try:
        yield
    finally:
        run_all(engine, ENDS[engine.dialect.name])


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_the_database_refuses_of_one_is_the_answer_of_that_one_alone(tmp_path: Path, kind: str) -> None:
    with settled(tmp_path, kind) as place:
        place.good("PUT", "/v1/entities/customer/many", {"attributes": {}}, role="app")
        with refusing(place.engine):
            answers = post(place, *([row(f"r{number}")] for number in range(5)))
        assert [answer.status_code for answer in answers] == [200, 200, 500, 200, 200]
        assert [answer.json() for answer in answers if answer.status_code == 200] == [NEW] * 4
        with Session(place.engine) as session:
            stored = session.scalars(select(Transaction.transaction_id).order_by(Transaction.transaction_id)).all()
        assert stored == ["held", "r0", "r1", "r3", "r4"]
        bind_unnamed(place.engine)
        assert not verify(place.engine, print).findings
