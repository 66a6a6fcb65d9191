"""Requests with a key, below HTTP: what ends an attempt, and what the key gives to the next one.

`tests/serving/v1/test_idempotency.py` shows what callers get, and `tests/usecases/erasure/test_answers.py` what an
erasure leaves.
"""

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, StoreError
from fivefold.store.accounts.idempotency import STARTED, STORED, RequestAttempt, attempting, mark_stored
from fivefold.store.tables.accounts import IdempotencyKey
from fivefold.usecases.shared import idempotency
from fivefold.usecases.shared.idempotency import IdempotentRequest, StoredAnswer, answer_once
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
    with Session(engine) as session, session.begin():
        session.execute(update(IdempotencyKey).values(begun_us=IdempotencyKey.begun_us - idempotency.LEFT_US))
    with pytest.raises(ConflictError, match="was carried out, but its answer was not stored"):
        answer_once(engine, request_sent, stores)


def test_a_key_of_another_attempt_is_neither_marked_nor_ended(engine: Engine, request_sent: IdempotentRequest) -> None:
    """The second attempt took over from the first, which stood still; what the first one stores is refused."""

    def stood_still(first: RequestAttempt) -> StoredAnswer:
        with Session(engine) as session, session.begin():
            session.execute(update(IdempotencyKey).values(begun_us=IdempotencyKey.begun_us - idempotency.LEFT_US))

        def took_over(_: RequestAttempt) -> StoredAnswer:
            with pytest.raises(ConflictError, match="took over; nothing was done"):
                store_in(engine, first)
            assert states(engine) == [STARTED]
            return done(first)

        return answer_once(engine, request_sent, took_over)

    assert answer_once(engine, request_sent, stood_still) == StoredAnswer(200, "done")
    assert answer_once(engine, request_sent, done) == StoredAnswer(200, "done", replayed=True)
