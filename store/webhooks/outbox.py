"""The outbox: events for webhooks, stored with the change itself. Nothing here begins or ends a transaction.

Events are delivered in the order of their numbers, up to a number below which none can appear any longer. SQLite has
one writer, so that is the last number. PostgreSQL assigns numbers before transactions commit, and a smaller one may
become visible after a larger one: a planner that relied on the last visible number would lose it. So each writer holds,
until its transaction ends, a shared advisory lock whose key is the last number before its own. No process waits for
such a lock; the planner reads which keys are held, and stays below them.
"""

import json
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from sqlalchemy import Connection, CursorResult, func, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import StoreError
from fivefold.store.tables.events import OutboxEvent

EventKind = Literal[
    "flow.acted",
    "flow.reviewed",
    "flow.taken_back",
    "group.entered",
    "group.left",
    "level.reached",
    "value_model.due",
]
EVENT_KINDS: Final[tuple[EventKind, ...]] = get_args(EventKind)
"""All kinds of events; an endpoint for any other kind would receive nothing."""
NOBODY = 0
"""Replaces an entity's number in an event that is about no entity. No entity has this number."""
_WRITING = 0x5F << 56
"""The first of the 2^56 keys of PostgreSQL's locks for writers of the outbox; any range would do."""
_GOING_ON = 5_550_002
"""The number of PostgreSQL's lock that lets one program at a time advance the numbers; any number would do."""


class NewEvent(NamedTuple):
    """An event for the outbox.

    Attributes:
        event_id: unique across all organisations and times, at most 80 characters. It ends in a moment in microseconds:
            after a restore from a backup, numbers of rows are assigned again, and moments are not.
        kind: one of `EVENT_KINDS`, at most 50 characters.
        entity_id: the entity of the event, or `NOBODY`.
        at_us: when it happened.
        body: a JSON object as text; the receiver's `data`.
    """

    event_id: str
    kind: EventKind
    entity_id: int
    at_us: int
    body: str


_LAST = "coalesce(pg_sequence_last_value('outbox_id_seq'), 0)"
_LOCK_AS_WRITER = text(f"SELECT pg_advisory_xact_lock_shared({_WRITING} + {_LAST})")
_INSERT_ALL = text(
    "INSERT INTO outbox (organisation_id, event_id, kind, entity_id, at_us, body)"
    " SELECT :of, event_id, kind, entity_id, at_us, body FROM ROWS FROM (json_to_recordset(CAST(:given AS json))"
    " AS (event_id text, kind text, entity_id bigint, at_us bigint, body text)) WITH ORDINALITY"
    " AS given (event_id, kind, entity_id, at_us, body, place) ORDER BY place ON CONFLICT (event_id) DO NOTHING"
)
"""JSON, as COPY would fail on an event that exists, and arrays took five times as long."""
_INSERT = sqlite.insert(OutboxEvent).on_conflict_do_nothing(index_elements=["event_id"])


def add_events(session: Session, organisation_id: int, rows: Iterable[NewEvent]) -> int:
    """Add events to the outbox, numbered in the order given, in the transaction of the change; return how many.

    An event whose `event_id` exists is skipped, so that a retry sends nothing twice. Erasure empties the body of a row;
    the row itself is removed only by the retention policy, long after any retry (`store.erasure.retention`).
    """
    events = list(rows)
    if not events:
        return 0
    connection = session.connection()
    columns = [row._asdict() for row in events]
    if connection.dialect.name == "sqlite":
        result = connection.execute(_INSERT, [{"organisation_id": organisation_id, **row} for row in columns])
        return cast("CursorResult[Any]", result).rowcount
    connection.execute(_LOCK_AS_WRITER)  # before any number is taken
    return connection.execute(_INSERT_ALL, {"of": organisation_id, "given": json.dumps(columns)}).rowcount


_TO_THE_CLOCK = text(
    "SELECT setval('outbox_id_seq', greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint,"
    " coalesce(pg_sequence_last_value('outbox_id_seq'), 0) + 1000000))"
)
_MAY_NUMBER = text("SELECT has_sequence_privilege('outbox_id_seq', 'UPDATE')")
_COUNT_EVENTS = text(
    "INSERT INTO sqlite_sequence (name, seq) SELECT 'outbox', 0"
    " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'outbox')"
)
_TO_THIS_CLOCK = text("UPDATE sqlite_sequence SET seq = max(:now_us, seq + 1000000) WHERE name = 'outbox'")


def number_from_now(connection: Connection) -> None:
    """Advance the numbers of events to the current moment, in microseconds since 1970 by the database's clock.

    A restored database would otherwise assign numbers that receivers know. Between two calls there is less than one
    event a microsecond, so that none of the new numbers was used. If a clock was ahead, they advance by a million.
    Writers need not wait: numbers that they take meanwhile lie below. StoreError if the database's role may not do it.
    """
    if connection.dialect.name == "sqlite":
        connection.execute(_COUNT_EVENTS)
        connection.execute(_TO_THIS_CLOCK, {"now_us": now_microseconds()})
        return
    require_right_to_number(connection)
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_GOING_ON})")
    connection.execute(_TO_THE_CLOCK)


def require_right_to_number(connection: Connection) -> None:
    """Raise StoreError unless the database's role may advance the numbers of events; on SQLite every role may."""
    if connection.dialect.name == "postgresql" and not connection.scalar(_MAY_NUMBER):
        raise StoreError(
            "this role of the database may not let the numbers of events go on, which are given a second time after a"
            " restore: as the owner, GRANT UPDATE ON SEQUENCE outbox_id_seq TO the role"
        )


_FIRST_WRITING = text(
    "SELECT min(number) FROM (SELECT ((classid::bigint << 32) | objid::bigint) - :writing AS number FROM pg_locks"
    " WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS held"
    " WHERE number >= 0 AND number < 1::bigint << 56"
)


def settled_number(session: Session) -> int:
    """Return the number up to which the outbox is complete: a transaction that begins now sees every row up to it.

    The writer of each of these rows took its lock before the last number was read. Either it still holds the lock, and
    its rows lie above; or it has ended, and transactions that begin now see them.
    """
    if session.get_bind().dialect.name == "sqlite":
        return session.scalar(select(func.max(OutboxEvent.id))) or 0
    last: int = session.execute(text(f"SELECT {_LAST}")).scalar_one()
    first_writing: int | None = session.execute(_FIRST_WRITING, {"writing": _WRITING}).scalar()
    return last if first_writing is None else min(last, first_writing)
