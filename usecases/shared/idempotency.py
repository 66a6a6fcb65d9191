"""Requests that are carried out once: the same key again gives the same answer."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.domain.errors import ConfigError, ConflictError, StoreError
from fivefold.store.accounts import idempotency
from fivefold.store.accounts.idempotency import ANSWERED, STARTED, RequestAttempt
from fivefold.store.sql.database import writing

KEPT_US: Final = DAY_US
"""So long a key is known."""
LEFT_US: Final = 120_000_000
"""An attempt that stored nothing for so long has ended without a word: no request takes that long."""
MOST_AT_ONCE: Final = 2_000
BAD: Final = 400
"""From here on a status says that nothing was done."""


@dataclass(frozen=True)
class IdempotentRequest:
    """A request with a key: its organisation and token, the key, and a digest of the whole request."""

    organisation_id: int
    token_id: int
    key: str
    digest: str


@dataclass(frozen=True)
class StoredAnswer:
    """What is answered.

    Attributes:
        body: None where there is none to be kept.
        replayed: it is the answer of an earlier attempt.
        unknown: the attempt ended without knowing whether it stored anything.
    """

    status: int
    body: str | None
    replayed: bool = False
    unknown: bool = False


def answer_once(
    engine: Engine,
    request: IdempotentRequest,
    work: Callable[[RequestAttempt], StoredAnswer],
    *,
    clock: Callable[[], int] = now_microseconds,
) -> StoredAnswer:
    """Carry a request out, unless that was done before: then give the answer of then.

    An answer of 400 and above says that nothing was done, and the key may be used again.

    Args:
        engine: the database.
        request: what is asked.
        work: carries it out, and stores what it stores within `store.accounts.idempotency.attempting`.
        clock: the present.

    Raises:
        ConfigError: the key stands for another request.
        ConflictError: the first request is under way, or was carried out and its answer is not there.
    """
    attempt = RequestAttempt(request.token_id, request.key, secrets.token_hex(16))
    now = clock()
    with writing(engine) as session:
        moments = (now - KEPT_US, now - LEFT_US)
        stored = idempotency.begin_attempt(session, attempt, request.organisation_id, request.digest, now, moments)
        before = None if stored is None else (stored.digest, stored.state, stored.status, stored.answer)
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
    request: IdempotentRequest, digest: str, state: str, status: int | None, body: str | None
) -> StoredAnswer:
    key_name = f"Idempotency-Key {request.key!r}"
    if digest != request.digest:
        how = "send exactly that one again to have its answer; another change needs a key of its own"
        raise ConfigError(f"{key_name} was sent with another request before: {how}")
    if state == STARTED:
        raise ConflictError(f"the request of {key_name} is under way; send it again when it has ended")
    if state == ANSWERED and status is not None and body is not None:
        return StoredAnswer(status, body, replayed=True)
    raise ConflictError(f"the request of {key_name} was carried out, and its answer was not kept; look what there is")


def _end(engine: Engine, attempt: RequestAttempt, answer: StoredAnswer) -> None:
    """Store the answer, or release the key. Where the outcome is unknown, the next attempt finds it out."""
    with suppress(StoreError), writing(engine) as session:
        if answer.unknown:
            idempotency.abandon(session, attempt)
        elif answer.status >= BAD:
            idempotency.release_key(session, attempt)
        else:
            idempotency.store_answer(session, attempt, answer.status, answer.body)


def prune_keys(engine: Engine, *, clock: Callable[[], int] = now_microseconds) -> int:
    """Forget keys that are known no longer; tell how many, a part of them at a time."""
    with writing(engine) as session:
        return idempotency.prune(session, clock() - KEPT_US, MOST_AT_ONCE)
