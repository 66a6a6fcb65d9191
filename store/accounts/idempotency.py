"""Idempotency keys: one attempt carries out a request, and marks the key in the transaction that stores its changes.

After any failure of a process, a connection or a commit, the key shows whether the request was carried out. A
superseded attempt cannot commit. A transaction that only prepares the request, such as a level for a decision, must
not mark the key: it runs within `attempting(None)`. Nothing here begins or ends a transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Table, case, delete, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.accounts import IdempotencyKey

_KEYS = cast("Table", IdempotencyKey.__table__)

STARTED, STORED, ANSWERED = "started", "stored", "answered"
FORGOTTEN: Final = ""
"""Replaces an answer that is still to come, as it may mention an entity that was erased meanwhile."""


class RequestAttempt(NamedTuple):
    """One attempt at a request; *name* is unique."""

    token_id: int
    key: str
    name: str


_CURRENT: ContextVar[RequestAttempt | None] = ContextVar("attempt", default=None)


@contextmanager
def attempting(attempt: RequestAttempt | None) -> Iterator[None]:
    """Make *attempt* the current one within the block; None for no attempt."""
    token = _CURRENT.set(attempt)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def mark_stored(session: Session) -> None:
    """Mark the current attempt, if any, as stored; ConflictError if another attempt superseded it."""
    attempt = _CURRENT.get()
    if attempt is None:
        return
    result: Any = session.connection().execute(update(_KEYS).where(*_of(attempt)).values(state=STORED))
    if not result.rowcount:
        raise ConflictError("another attempt with the same Idempotency-Key took over; nothing was done")


def _of(attempt: RequestAttempt) -> tuple[Any, ...]:
    token_id, key, name = attempt
    return _KEYS.c.token_id == token_id, _KEYS.c.key == key, _KEYS.c.attempt == name


def begin_attempt(
    session: Session, attempt: RequestAttempt, organisation_id: int, digest: str, now_us: int, periods: tuple[int, int]
) -> IdempotencyKey | None:
    """Begin an attempt, or return the row of an earlier one.

    Args:
        session: in a transaction of its own.
        attempt: the new one.
        organisation_id: the caller's.
        digest: of the request.
        now_us: the current time.
        periods: a key begun longer ago than the first is free again; an attempt at the same request that started longer
            ago than the second, or as far ahead, by a fast clock, counts as abandoned.
    """
    kept_us, left_us = periods
    values = {"organisation_id": organisation_id, "digest": digest, "attempt": attempt.name, "begun_us": now_us}
    values |= {"state": STARTED, "status": None, "answer": None}
    connection = session.connection()
    insert = INSERTS[connection.dialect.name](_KEYS).values(token_id=attempt.token_id, key=attempt.key, **values)
    if connection.execute(insert.on_conflict_do_nothing().execution_options(preserve_rowcount=True)).rowcount:
        return None
    same = (IdempotencyKey.token_id == attempt.token_id, IdempotencyKey.key == attempt.key)
    row = session.scalars(select(IdempotencyKey).where(*same).with_for_update()).one()
    is_abandoned = row.state == STARTED and abs(now_us - row.begun_us) >= left_us and row.digest == digest
    if row.begun_us > now_us - kept_us and not is_abandoned:
        return row
    for name, value in values.items():
        setattr(row, name, value)
    return None


def store_answer(session: Session, attempt: RequestAttempt, status: int, answer: str | None) -> None:
    """Store the answer, unless it is to be forgotten; None for an answer that is given only once."""
    text = case((_KEYS.c.answer == FORGOTTEN, None), else_=answer)
    session.execute(update(_KEYS).where(*_of(attempt)).values(state=ANSWERED, status=status, answer=text))


def release_key(session: Session, attempt: RequestAttempt) -> None:
    """Free the key for another request: nothing was done."""
    session.execute(delete(_KEYS).where(*_of(attempt)))


def abandon(session: Session, attempt: RequestAttempt) -> None:
    """Mark the attempt as ended with an unknown outcome.

    If it stored something, its answer is lost; else another attempt may begin at once.
    """
    session.execute(update(_KEYS).where(*_of(attempt), _KEYS.c.state == STORED).values(state=ANSWERED))
    session.execute(update(_KEYS).where(*_of(attempt), _KEYS.c.state == STARTED).values(begun_us=1))


def prune(session: Session, forgotten_us: int, most: int) -> int:
    """Delete keys that began before a moment, up to *most*; return how many."""
    old = select(_KEYS.c.token_id, _KEYS.c.key).where(_KEYS.c.begun_us <= forgotten_us).limit(most)
    rows = [tuple(row) for row in session.execute(old)]
    for token_id, key in rows:
        where = (_KEYS.c.token_id == token_id, _KEYS.c.key == key, _KEYS.c.begun_us <= forgotten_us)
        session.execute(delete(_KEYS).where(*where))
    return len(rows)


def date_back(session: Session, latest_us: int, now_us: int) -> None:
    """Date keys that began after a moment to now: a fast clock dated them."""
    session.execute(update(_KEYS).where(_KEYS.c.begun_us > latest_us).values(begun_us=now_us))


def forget_answers(session: Session, organisation_id: int) -> None:
    """Empty an organisation's answers, stored ones and those still to come: they may mention an erased entity."""
    answer = case((_KEYS.c.state == ANSWERED, None), else_=FORGOTTEN)
    where = (_KEYS.c.organisation_id == organisation_id, _KEYS.c.answer.is_distinct_from(answer))
    session.execute(update(_KEYS).where(*where).values(answer=answer))
