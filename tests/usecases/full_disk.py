"""A disk that is full, after a little more or at one statement, and has space again later."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from fivefold.domain.errors import StoreError

_SPARE_PAGES = 60
_FILLS = "INSERT INTO filling VALUES (zeroblob(10000000))"


@contextmanager
def little_space(engine: Engine) -> Iterator[None]:
    """Let SQLite's file grow by little, and let that be what is raised; then there is space again."""
    with engine.connect() as connection:
        most = connection.execute(text("PRAGMA page_count")).scalar_one() + _SPARE_PAGES

    def limit(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={most}")

    event.listen(engine, "checkout", limit)
    with pytest.raises(StoreError) as refused:
        yield
    full = "the disk of the database's file is full, or the file may not grow"
    assert str(refused.value) == f"{full}: {engine.url.database}"
    event.remove(engine, "checkout", limit)
    engine.dispose()


@contextmanager
def little_space_for(engine: Engine, beginning: str) -> Iterator[None]:
    """Let a statement of this beginning, inside a savepoint, take more space than there is.

    It writes one row, after which SQLite undoes the whole transaction: it could undo a statement of several alone.
    """
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE filling (content BLOB)"))

    def fill(connection: Connection, _: object, statement: str, parameters: Any, *__: object) -> tuple[str, Any]:
        is_it = connection.in_nested_transaction() and statement.startswith(beginning)
        return (_FILLS, ()) if is_it else (statement, parameters)

    event.listen(engine, "before_cursor_execute", fill, retval=True)
    with little_space(engine):
        yield
    event.remove(engine, "before_cursor_execute", fill)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE filling"))
