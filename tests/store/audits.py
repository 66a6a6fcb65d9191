"""Audit logs for tests: entries of every kind, and the means to change what must not be changed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.store.accounts.tokens import organisation_named
from fivefold.store.audit.bound_rows import TABLES, stream_rows
from fivefold.store.audit.chain import Entry, digest_of
from fivefold.store.audit.log import ChainPosition, append, append_all
from fivefold.usecases.audit.verify import verify, verify_picture

KINDS: tuple[dict[str, Any], ...] = (
    {"after": {"label": "Zoë", "plan": "trial"}, "details": {"plan": "trial"}},
    {"before": {"label": "Zoë"}, "after": {"label": "Anna"}, "subject_id": "7"},
    {"before": {"label": "Anna"}},
    {"bulk_count": 2, "bulk_digest": digest_of([1, 2]), "actor": "token:12"},
    {},
)
"""With a value after, both, before, for many, and with nothing."""


def entry(organisation_id: int, number: int, **fields: Any) -> Entry:
    """An entry that is like no other."""
    kind = KINDS[number % len(KINDS)]
    fixed = {"actor": "cli:ana", "action": "thing.done", "subject_kind": "thing"}
    return Entry(**{"organisation_id": organisation_id, "at_us": 1_000 + number, **fixed, **kind, **fields})


def organisation(engine: Engine, name: str) -> int:
    with Session(engine) as session, session.begin():
        return organisation_named(session, name, 1).id


def fill(engine: Engine, name: str, count: int) -> list[ChainPosition]:
    """Append entries, each in a transaction of its own."""
    of = organisation(engine, name)
    made = []
    for number in range(count):
        with Session(engine) as session, session.begin():
            made += append_all(session, [entry(of, number)])
    return made


def findings_of(engine: Engine) -> list[str]:
    """All that the comparison of the logs with what is stored finds."""
    findings: list[str] = []
    verify(engine, lambda finding: findings.append(str(finding)))
    return findings


def findings_in(connection: Connection) -> list[str]:
    """The same of one picture of the database, as of a change that is taken back."""
    findings: list[str] = []
    verify_picture(connection, lambda finding: findings.append(str(finding)))
    return findings


def bind_unnamed(engine: Engine, at_us: int | None = None) -> int:
    """Bind rows that a test wrote by itself, as the call would have that writes such rows: no entry names them yet.

    Returns how many entries it appended: one a table and organisation. *at_us*: their moment; None for now.
    """
    appended, moment = 0, now_microseconds() if at_us is None else at_us
    with Session(engine) as session, session.begin():
        named: set[tuple[str, str]] = set()
        for after in session.scalars(text("SELECT after FROM audit_values WHERE after LIKE '%\"rows\"%'")):
            named.update((table, name) for table, rows in json.loads(after)["rows"].items() for name in rows)
        for table in TABLES.values():
            rows: dict[int, dict[str, str | None]] = {}
            for of, salt, values in list(stream_rows(session.connection(), table)):
                name = table.name_of(values)
                if (table.name, name) not in named:
                    rows.setdefault(of, {})[name] = None if salt is None else table.seal(str(salt), values)
            for of, unnamed in sorted(rows.items()):
                after = {"rows": {table.name: unnamed}}
                append(session, entry(of, 0, action="thing.made", after=after, details={}, at_us=moment))
                appended += 1
    return appended


@contextmanager
def forged(engine: Engine) -> Iterator[Connection]:
    """Give a connection that may do everything, as who owns the database can; what it did stays."""
    with engine.begin() as connection:
        guards = []
        if engine.dialect.name == "sqlite":
            guards = list(connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")))
            for name, _ in guards:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection
        for _, written in guards:
            connection.exec_driver_sql(written)


@contextmanager
def unguarded(engine: Engine) -> Iterator[Connection]:
    """Give a connection that may do everything, as who owns the database can; what it did is taken back at the end."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for name in connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection
        connection.rollback()
