"""The outbox: what others are to be told, written with what happened. Nothing here begins or ends a transaction.

Endpoints are told of events in the order of their numbers, up to a number below which nothing can appear any more. On
SQLite there is one writer, so that is the last number. PostgreSQL hands out numbers before transactions commit, and a
smaller one may become visible after a larger one: a planner that went by the last number that it sees would lose it.
So whoever writes holds, until its transaction ends, a shared lock that says which number was the last one before it.
Nobody ever waits for such a lock; the planner reads which ones are held, and stays below them.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from sqlalchemy import CursorResult, func, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session

from fivefold.store.tables.events import OutboxEvent

_WRITING = 0x5F0B << 48
"""PostgreSQL's locks from this number on, up to 2^48 of them, say who writes to the outbox; any range would do."""


class NewEvent(NamedTuple):
    """Something that happened, as it is put into the outbox.

    Attributes:
        event_id: its own name, at most 80 characters, never used again for anything else, in no organisation.
        kind: such as `level.reached`, at most 50 characters.
        at_us: when it happened.
        body: a JSON object as text; what the receiver finds under `data`.
    """

    event_id: str
    kind: str
    entity_id: int
    at_us: int
    body: str


_LAST = "coalesce(pg_sequence_last_value('outbox_id_seq'), 0)"
_SAY_WHO_WRITES = text(f"SELECT pg_advisory_xact_lock_shared({_WRITING} + {_LAST})")
_ALL_OF_THEM = text(
    "INSERT INTO outbox (organisation_id, event_id, kind, entity_id, at_us, body)"
    " SELECT :of, event_id, kind, entity_id, at_us, body FROM ROWS FROM (json_to_recordset(CAST(:given AS json))"
    " AS (event_id text, kind text, entity_id bigint, at_us bigint, body text)) WITH ORDINALITY"
    " AS given (event_id, kind, entity_id, at_us, body, place) ORDER BY place ON CONFLICT (event_id) DO NOTHING"
)
"""COPY would fail on an event that is there; arrays in place of JSON took five times as long."""
_INSERT = sqlite.insert(OutboxEvent).on_conflict_do_nothing(index_elements=["event_id"])


def add_events(session: Session, organisation_id: int, rows: Iterable[NewEvent]) -> int:
    """Put events into the outbox, numbered in the order given, in the transaction of what happened; tell how many.

    One whose `event_id` is there already is left as it is, so that whoever tries again tells nothing twice. Rows of
    the outbox are never deleted: erasure empties their body.
    """
    events = list(rows)
    if not events:
        return 0
    connection = session.connection()
    columns = [row._asdict() for row in events]
    if connection.dialect.name == "sqlite":
        result = connection.execute(_INSERT, [{"organisation_id": organisation_id, **row} for row in columns])
        return cast("CursorResult[Any]", result).rowcount
    connection.execute(_SAY_WHO_WRITES)  # before any number is taken
    return connection.execute(_ALL_OF_THEM, {"of": organisation_id, "given": json.dumps(columns)}).rowcount


_HELD = text(
    "SELECT min(number) FROM (SELECT ((classid::bigint << 32) | objid::bigint) - :writing AS number FROM pg_locks"
    " WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS held"
    " WHERE number >= 0 AND number < 1::bigint << 48"
)


def settled_number(session: Session) -> int:
    """Tell up to which number the outbox is complete: a transaction that begins now sees all that is ever up to it.

    Whoever wrote one of these rows held its lock before the last number was read. So it holds it still, and its rows
    lie above, or it has ended, and whoever looks from now on sees them.
    """
    if session.get_bind().dialect.name == "sqlite":
        return session.scalar(select(func.max(OutboxEvent.id))) or 0
    last: int = session.execute(text(f"SELECT {_LAST}")).scalar_one()
    first_writing: int | None = session.execute(_HELD, {"writing": _WRITING}).scalar()
    return last if first_writing is None else min(last, first_writing)
