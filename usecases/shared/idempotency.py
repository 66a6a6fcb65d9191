"""Requests that are carried out once: a repeated key returns the same answer."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.domain.errors import ConfigError, ConflictError, StoreError, UnderWayError
from fivefold.store.accounts import idempotency
from fivefold.store.accounts.idempotency import ANSWERED, RequestAttempt
from fivefold.store.sql.clocks import clock_of, database_now_us, latest_us
from fivefold.store.sql.database import writing

KEPT_US: Final = DAY_US
"""How long a key is stored."""
LEFT_US: Final = 120_000_000
"""An attempt without an answer for this long has died, as no request takes that long.

So has one that began this far in the future, by a clock that was ahead.
"""
MOST_AT_ONCE: Final = 2_000
BAD: Final = 400
"""From this status on, an answer means that nothing was done."""


@dataclass(frozen=True)
class IdempotentRequest:
    """A request with an idempotency key: its organisation, token and key, and a digest of the whole request."""

    organisation_id: int
    token_id: int
    key: str
    digest: str


@dataclass(frozen=True)
class StoredAnswer:
    """The answer to a request.

    Attributes:
        body: the body; None if it is not stored.
        replayed: whether it is the answer of an earlier attempt.
        unknown: whether the attempt ended without knowing if it stored anything.
    """

    status: int
    body: str | None
    replayed: bool = False
    unknown: bool = False


def answer_once(
    engine: Engine, request: IdempotentRequest, work: Callable[[RequestAttempt], StoredAnswer]
) -> StoredAnswer:
    """Carry a request out and return its answer; return the earlier answer if that was done before.

    An answer of 400 and above means that nothing was done, and the key may be used again.

    Args:
        engine: the database.
        request: the request.
        work: carries the request out, and stores its changes within `store.accounts.idempotency.attempting`.

    Raises:
        ConfigError: the key belongs to another request.
        UnderWayError: the first request has no answer yet, and may still get one.
        ConflictError: the request was carried out before, and its answer is not stored.
    """
    attempt = RequestAttempt(request.token_id, request.key, secrets.token_hex(16))
    with writing(engine) as session:
        now = clock_of(engine).now_us()
        periods = (KEPT_US, LEFT_US)
        earlier = idempotency.begin_attempt(session, attempt, request.organisation_id, request.digest, now, periods)
        before = None
        if earlier is not None:
            is_under_way = earlier.state != ANSWERED and abs(now - earlier.begun_us) < LEFT_US
            before = (earlier.digest, is_under_way, earlier.status, earlier.answer)
    if before is not None:
        return _answer_of(request, *before)
    try:
        answer = work(attempt)
    except BaseException:
        _end(engine, attempt, StoredAnswer(500, None, unknown=True))
        raise
    _end(engine, attempt, answer)
    return answer


def _answer_of(
    request: IdempotentRequest, digest: str, is_under_way: bool, status: int | None, body: str | None
) -> StoredAnswer:
    """Return the answer of an earlier attempt; ConfigError for another request.

    UnderWayError without an answer yet, ConflictError if it is not stored.
    """
    key_name = f"Idempotency-Key {request.key!r}"
    if digest != request.digest:
        how = "repeat exactly that request to get its answer; another change needs a key of its own"
        raise ConfigError(f"{key_name} was sent with another request before: {how}")
    if is_under_way:
        raise UnderWayError(f"the request of {key_name} is under way; send it again when it has ended")
    if status is not None and body is not None:
        return StoredAnswer(status, body, replayed=True)
    raise ConflictError(f"the request of {key_name} was carried out, but its answer was not stored; check the result")


def _end(engine: Engine, attempt: RequestAttempt, answer: StoredAnswer) -> None:
    """Store the answer, or release the key; if the outcome is unknown, leave it to the next attempt to find out."""
    with suppress(StoreError), writing(engine) as session:
        if answer.unknown:
            idempotency.abandon(session, attempt)
        elif answer.status >= BAD:
            idempotency.release_key(session, attempt)
        else:
            idempotency.store_answer(session, attempt, answer.status, answer.body)


def prune_keys(engine: Engine, *, clock: Callable[[], int] = now_microseconds) -> int:
    """Delete up to `MOST_AT_ONCE` expired keys; return how many were deleted.

    A key that a fast clock dated after now counts from now on, so that it is kept no longer than others.
    """
    with writing(engine) as session:
        now = clock()
        idempotency.date_back(session, latest_us(session, now), database_now_us(session))
        return idempotency.prune(session, now - KEPT_US, MOST_AT_ONCE)
