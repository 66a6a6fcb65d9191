"""Reading chains: one picture of the database, streamed; names and heads beside it."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from fivefold.store.audit import chain_reading as audit_reading
from fivefold.store.audit.chain_reading import Head, chains, heads, names, snapshot, stray_values
from fivefold.store.audit.log import erase_values
from tests.store import databases
from tests.store.audits import fill, organisation, unguarded


def test_a_picture_does_not_change_while_others_write(engine: Engine) -> None:
    fill(engine, "acme", 2)
    with snapshot(engine) as connection:
        assert [head.number for head in heads(connection)] == [2]
        fill(engine, "acme", 1)
        fill(engine, "new", 1)
        assert [head.number for head in heads(connection)] == [2]
        assert [row["number"] for row in chains(connection)] == [1, 2]
        assert list(names(connection).values()) == ["acme"]
    with snapshot(engine) as connection:
        assert [head.number for head in heads(connection)] == [3, 1]


def test_a_picture_leaves_the_connection_as_it_was(engine: Engine) -> None:
    ids = []
    for read in (snapshot, Engine.connect, snapshot):
        with read(engine) as connection:
            assert connection.scalar(text("SELECT 'é'")) == "é"
            ids.append(id(connection.connection.driver_connection))
    assert len(set(ids)) == 1, "it is the same one"
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO organisations (name, created_us) VALUES ('é', 1)"))
        if engine.dialect.name == "postgresql":
            assert connection.scalar(text("SHOW transaction_isolation")) == "read committed"
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT name FROM organisations")) == "é"


def test_entries_come_with_their_values_in_the_order_of_their_chains(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_reading, "ROWS_AT_A_TIME", 3)
    for name, count in (("one", 5), ("two", 4), ("one", 6)):
        fill(engine, name, count)
    of = [organisation(engine, name) for name in ("one", "two")]
    with Session(engine) as session, session.begin():
        erase_values(session, of[0], [1], 9)
    with snapshot(engine) as connection:
        rows = list(chains(connection))
        assert [(row["organisation_id"], row["number"]) for row in rows] == [
            *((of[0], number) for number in range(1, 12)),
            *((of[1], number) for number in range(1, 5)),
        ]
        assert [row["values_number"] for row in rows[:5]] == [1, 2, 3, None, None]
        assert (rows[0]["erased_us"], rows[0]["salt"], rows[1]["before"]) == (9, None, '{"label":"Zoë"}')
        assert [dict(row) for row in chains(connection, of[1])] == [dict(row) for row in rows[11:]]
        assert heads(connection) == [
            Head(of[0], "one", 11, rows[10]["hash"]),
            Head(of[1], "two", 4, rows[-1]["hash"]),
        ]
        assert names(connection) == dict(zip(of, ("one", "two"), strict=True))
        assert list(stray_values(connection)) == []


def test_a_long_log_is_fetched_a_few_rows_at_a_time(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL by a cursor in the server: else all rows would be sent at once, whatever the program fetches."""
    monkeypatch.setattr(audit_reading, "ROWS_AT_A_TIME", 4)
    with databases.opened(databases.new_url(kind, tmp_path)) as engine:
        fill(engine, "acme", 10)
        cursors: list[Any] = []
        event.listen(engine, "before_cursor_execute", lambda _, cursor, *__: cursors.append(cursor))
        with snapshot(engine) as connection:
            rows = chains(connection)
            next(rows)
            if kind == "postgresql":
                assert type(cursors[-1]).__name__ == "ServerCursor"
            else:
                assert len(cursors[-1].fetchall()) < 10
            rows.close()  # type: ignore[attr-defined]  # it is a generator


def test_values_of_no_entry_are_seen(engine: Engine) -> None:
    fill(engine, "one", 2)
    fill(engine, "two", 3)
    of = organisation(engine, "two")
    with unguarded(engine) as connection:
        connection.execute(text("DELETE FROM audit_entries WHERE number IN (1, 3)"))
        assert [row["number"] for row in stray_values(connection, of)] == [1, 3]
        assert len(list(stray_values(connection))) == 3


def test_bytes_that_are_no_text_can_be_read(tmp_path: Path) -> None:
    """SQLite takes them; PostgreSQL does not."""
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO organisations VALUES (1, CAST(x'41ff' AS TEXT), 1)")
        with snapshot(engine) as connection:
            assert names(connection) == {1: "A\udcff"}
