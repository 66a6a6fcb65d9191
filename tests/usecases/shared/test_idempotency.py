"""Requests with a key, below HTTP: what ends an attempt, and what the key gives to the next one.

`tests/serving/v1/test_idempotency.py` shows what callers get, and `tests/usecases/erasure/test_answers.py` what an
erasure leaves.
"""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.domain.errors import ConfigError, ConflictError, StoreError, UnderWayError
from fivefold.store.accounts.idempotency import ANSWERED, STARTED, STORED, RequestAttempt, attempting, mark_stored
from fivefold.store.sql import clocks
from fivefold.store.tables.accounts import IdempotencyKey
from fivefold.usecases.shared import idempotency
from fivefold.usecases.shared.idempotency import IdempotentRequest, StoredAnswer, answer_once, prune_keys
from tests.store import databases
from tests.usecases import platforms


@pytest.fixture
def request_sent(engine: Engine) -> IdempotentRequest:
    return IdempotentRequest(platforms.organisation(engine), 1, "k1", "0" * 64)


def states(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(IdempotencyKey.state)))


def done(_: RequestAttempt) -> StoredAnswer:
    return StoredAnswer(200, "done")


def store_in(engine: Engine, attempt: RequestAttempt) -> None:
    with attempting(attempt), Session(engine) as session, session.begin():
        mark_stored(session)


def begin_earlier(engine: Engine, by_us: int) -> None:
    with Session(engine) as session, session.begin():
        session.execute(update(IdempotencyKey).values(begun_us=IdempotencyKey.begun_us - by_us))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_after_an_attempt_that_was_broken_off_the_next_one_begins_at_once(
    engine: Engine, request_sent: IdempotentRequest, error: type[BaseException]
) -> None:
    def broken_off(_: RequestAttempt) -> StoredAnswer:
        raise error

    with pytest.raises(error):
        answer_once(engine, request_sent, broken_off)
    assert answer_once(engine, request_sent, done) == StoredAnswer(200, "done")
    assert answer_once(engine, request_sent, broken_off) == StoredAnswer(200, "done", replayed=True)


def test_the_key_of_an_attempt_that_died_is_taken_over_by_its_own_request_alone(
    engine: Engine, request_sent: IdempotentRequest
) -> None:
    def died(first: RequestAttempt) -> StoredAnswer:
        begin_earlier(engine, idempotency.LEFT_US)
        with pytest.raises(ConfigError, match="was sent with another request before"):
            answer_once(engine, replace(request_sent, digest="1" * 64), done)
        assert answer_once(engine, request_sent, done) == StoredAnswer(200, "done")
        return done(first)

    answer_once(engine, request_sent, died)
    assert states(engine) == [ANSWERED]


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["postgresql"])
def test_an_attempt_that_is_under_way_is_not_taken_over_by_a_machine_whose_clock_is_ahead(
    engine: Engine, request_sent: IdempotentRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ahead_us() -> int:
        return now_microseconds() + 2 * idempotency.LEFT_US

    def slow(first: RequestAttempt) -> StoredAnswer:
        with databases.opened(engine.url.render_as_string(hide_password=False), 7200) as fast:
            for module in (clocks, idempotency):
                monkeypatch.setattr(module, "now_microseconds", ahead_us)
            with pytest.raises(UnderWayError, match="is under way"):
                answer_once(fast, request_sent, done)
        return done(first)

    assert answer_once(engine, request_sent, slow) == StoredAnswer(200, "done")


def test_an_attempt_that_is_broken_off_after_it_stored_something_is_not_repeated(
    engine: Engine, request_sent: IdempotentRequest
) -> None:
    def stores(attempt: RequestAttempt) -> StoredAnswer:
        store_in(engine, attempt)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        answer_once(engine, request_sent, stores)
    with pytest.raises(ConflictError, match="was carried out, but its answer was not stored"):
        answer_once(engine, request_sent, done)


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["postgresql"])
def test_an_old_key_that_is_used_again_while_old_ones_are_deleted_stays(
    engine: Engine, request_sent: IdempotentRequest
) -> None:
    """Else the same request sent once more would be carried out twice. On SQLite, which has one writer, one waits."""
    answer_once(engine, request_sent, done)
    begin_earlier(engine, idempotency.KEPT_US)
    again: list[StoredAnswer] = []

    def use_again(*sent: Any) -> None:
        if sent[2].startswith("DELETE") and not again:
            again.append(StoredAnswer(0, None))
            again.append(answer_once(engine, request_sent, lambda _: StoredAnswer(200, "done again")))

    event.listen(engine, "before_cursor_execute", use_again)
    prune_keys(engine)
    assert again[1:] == [StoredAnswer(200, "done again")]
    assert answer_once(engine, request_sent, done) == StoredAnswer(200, "done again", replayed=True)


@pytest.mark.postgresql
def test_a_key_of_a_clock_that_was_days_ahead_is_free_a_day_after_that_clock_is_right(
    engine: Engine, request_sent: IdempotentRequest
) -> None:
    next_day = replace(request_sent, digest="1" * 64)
    answer_once(engine, request_sent, done)
    begin_earlier(engine, -3 * DAY_US)
    prune_keys(engine)
    assert answer_once(engine, request_sent, done) == StoredAnswer(200, "done", replayed=True)
    with pytest.raises(ConfigError, match="was sent with another request before"):
        answer_once(engine, next_day, done)
    begin_earlier(engine, idempotency.KEPT_US)
    assert answer_once(engine, next_day, done) == StoredAnswer(200, "done")


@pytest.mark.parametrize("status", [400, 404, 500])
def test_an_answer_from_400_on_frees_the_key(engine: Engine, request_sent: IdempotentRequest, status: int) -> None:
    assert answer_once(engine, request_sent, lambda _: StoredAnswer(status, "no")).status == status
    assert states(engine) == []
    assert answer_once(engine, request_sent, done) == StoredAnswer(200, "done")


def test_an_answer_that_the_database_does_not_take_is_given_and_the_key_says_that_it_was_carried_out(
    engine: Engine, request_sent: IdempotentRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is stored by then: an error in its place would have it sent again with another key."""

    def stores(attempt: RequestAttempt) -> StoredAnswer:
        store_in(engine, attempt)
        return done(attempt)

    def refuse(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as refusing:
        refusing.setattr(idempotency.idempotency, "store_answer", refuse)
        assert answer_once(engine, request_sent, stores) == StoredAnswer(200, "done")
    assert states(engine) == [STORED]
    begin_earlier(engine, idempotency.LEFT_US)
    with pytest.raises(ConflictError, match="was carried out, but its answer was not stored"):
        answer_once(engine, request_sent, stores)


def test_a_key_of_another_attempt_is_neither_marked_nor_ended(engine: Engine, request_sent: IdempotentRequest) -> None:
    """The second attempt took over from the first, which stood still; what the first one stores is refused."""

    def stood_still(first: RequestAttempt) -> StoredAnswer:
        begin_earlier(engine, idempotency.LEFT_US)

        def took_over(_: RequestAttempt) -> StoredAnswer:
            with pytest.raises(ConflictError, match="took over; nothing was done"):
                store_in(engine, first)
            assert states(engine) == [STARTED]
            return done(first)

        return answer_once(engine, request_sent, took_over)

    assert answer_once(engine, request_sent, stood_still) == StoredAnswer(200, "done")
    assert answer_once(engine, request_sent, done) == StoredAnswer(200, "done", replayed=True)
