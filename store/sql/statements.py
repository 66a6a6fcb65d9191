"""Shared statements: inserts of each dialect, also of many rows at once, and deletes of many rows.

Many rows are sent by COPY on PostgreSQL, and by one statement for all of them on SQLite.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import polars as pl
from sqlalchemy import Connection, String, Table, Text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fivefold.store.sql.arrays import array_text

INSERTS: Final[Mapping[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""The insert of each dialect: unlike the generic one, it can leave or change a row that exists already."""
UNSEEN: Final[Mapping[str, Any]] = {"synchronize_session": False}
"""The option of a statement on rows that the session does not hold."""


def write_rows(
    session: Session | Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Add rows to a table, in the session's transaction; values in the order of the columns."""
    connection = session.connection() if isinstance(session, Session) else session
    driver: Any = connection.connection.driver_connection
    names = ", ".join(f'"{name}"' for name in columns)
    if connection.dialect.name == "postgresql":
        with driver.cursor() as cursor, cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
            for row in rows:
                copy.write_row(row)
    else:
        holders = ", ".join("?" * len(columns))
        connection.exec_driver_sql("SELECT 1")  # begins the transaction if nothing has
        driver.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({holders})', rows)  # noqa: S608 (our own words)


def put_rows(
    session: Session | Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Add rows to a table, or overwrite those with the same primary key, in the session's transaction.

    Other columns keep their values. A change of columns without an index leaves the indexes alone: a delete and an
    insert would cost an entry in each index, and triggers would count the row twice.
    """
    connection = session.connection() if isinstance(session, Session) else session
    all_rows = list(rows)
    if not all_rows:
        return
    statement = _put_statement(table, tuple(columns), connection.dialect.name)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(statement, all_rows)
    else:  # as arrays: one statement with one plan, for any number of rows
        connection.exec_driver_sql(statement, tuple(map(array_text, zip(*all_rows, strict=True))))


@cache
def _put_statement(table: Table, columns: tuple[str, ...], dialect: str) -> str:
    names, key = (", ".join(f'"{name}"' for name in some) for some in (columns, table.primary_key.columns.keys()))
    others = (name for name in columns if name not in table.primary_key.columns)
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    if dialect == "sqlite":
        source = f"VALUES ({', '.join('?' * len(columns))})"
    else:
        source = f"SELECT * FROM unnest({', '.join(f'%s::{_array_type(table, name)}' for name in columns)})"  # noqa: S608 (our own words)
    return f'INSERT INTO "{table.name}" ({names}) {source} ON CONFLICT ({key}) DO UPDATE SET {changes}'


def _array_type(table: Table, name: str) -> str:
    """Return the type of an array of a column's values; of texts without a length, as a cast would cut them."""
    kind = table.columns[name].type
    return f"{Text() if isinstance(kind, String) else kind}[]"


def write_frame(session: Session, table: str, frame: pl.DataFrame) -> None:
    """Add the rows of a frame, whose columns are a table's and have no empty text, in the session's transaction.

    On PostgreSQL they are sent as CSV, which Polars writes several times faster than Python writes rows one by one.
    """
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        write_rows(session, table, frame.columns, frame.iter_rows())
        return
    names = ", ".join(f'"{name}"' for name in frame.columns)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table}" ({names}) FROM STDIN (FORMAT csv)') as copy:
        copy.write(frame.write_csv(include_header=False).encode())


def delete_rows_of(session: Session, table: str, entity_ids: Iterable[int]) -> None:
    """Delete the rows of entities, in the session's transaction."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        among, parameter = "IN (SELECT value FROM json_each(?))", json.dumps(list(entity_ids))
    else:
        among, parameter = "= ANY(%s::bigint[])", array_text(entity_ids)
    connection.exec_driver_sql(f'DELETE FROM "{table}" WHERE "entity_id" {among}', (parameter,))  # noqa: S608 (our own words)
