"""Many rows at once: all of them as they are, in the transaction of whoever writes, or none."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, Column, Engine, Float, MetaData, String, Table, create_engine, text
from sqlalchemy.orm import Session

from fivefold.store.sql.statements import put_rows, write_rows
from tests.store import databases

COLUMNS = ("number", "big", "exact", "said", "holds")
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
KINDS = (BigInteger(), BigInteger(), Float(53), String(200), Boolean())
MANY = Table(
    "many",
    MetaData(),
    *(Column(name, kind, primary_key=name == "number") for name, kind in zip(COLUMNS, KINDS, strict=True)),
)
ROWS = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False),
    st.none() | TEXTS | st.sampled_from(["", "\\N", "\\.", "\t", "\n", "a\\b", '"', "'", "\r\n", "NULL", "ÿ𝄞"]),
    st.none() | st.booleans(),
)


@pytest.fixture(scope="module", params=databases.KINDS)
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    url = databases.new_url(request.param, tmp_path_factory.mktemp("bulk"), migrated=False)
    with databases.opened(url) as engine:
        with engine.begin() as connection:
            MANY.create(connection)
        yield engine


def stored(connection: Any) -> list[tuple[Any, ...]]:
    rows = connection.execute(text("SELECT number, big, exact, said, holds FROM many ORDER BY number"))
    return [(*row[:4], None if row[4] is None else bool(row[4])) for row in rows]


@given(st.lists(ROWS, max_size=20))
def test_rows_are_stored_as_they_are(table: Engine, rows: list[tuple[Any, ...]]) -> None:
    numbered = [(number, *row) for number, row in enumerate(rows)]
    with table.connect() as connection:
        write_rows(connection, "many", COLUMNS, iter(numbered))
        assert stored(connection) == numbered
        connection.rollback()


@given(st.lists(ROWS, max_size=20), st.lists(ROWS, max_size=20))
def test_rows_are_written_over_by_their_key(
    table: Engine, before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]
) -> None:
    with table.connect() as connection:
        put_rows(connection, MANY, COLUMNS, ((number, *row) for number, row in enumerate(before)))
        put_rows(connection, MANY, COLUMNS, ((number, *row) for number, row in enumerate(after)))
        expected = [*after, *before[len(after) :]]
        assert stored(connection) == [(number, *row) for number, row in enumerate(expected)]
        connection.rollback()


def test_columns_that_are_not_given_stay_as_they_are(table: Engine) -> None:
    with table.connect() as connection:
        write_rows(connection, "many", COLUMNS, [(1, 2, 0.5, "a", True), (2, 3, 1.5, "b", False)])
        put_rows(connection, MANY, ("number", "said"), [(2, "c"), (3, "d")])
        assert stored(connection) == [(1, 2, 0.5, "a", True), (2, 3, 1.5, "c", False), (3, None, None, "d", None)]
        connection.rollback()


def test_rows_are_gone_with_their_transaction(table: Engine) -> None:
    with Session(table) as session:
        write_rows(session, "many", COLUMNS, [(1, 2, 0.5, "a", True)])
        session.rollback()
    with table.connect() as connection:
        assert stored(connection) == []


def test_rows_are_part_of_what_else_the_transaction_does(table: Engine) -> None:
    with Session(table) as session:
        session.execute(text("INSERT INTO many (number) VALUES (1)"))
        write_rows(session, "many", COLUMNS, [(2, None, None, None, None)])
        assert [row[0] for row in stored(session)] == [1, 2]
        session.rollback()


def test_a_row_that_cannot_be_stored_is_an_error(table: Engine) -> None:
    bad = [(1, 2, 0.5, "a", True), (1, 2, 0.5, "b", True)]
    with table.connect() as connection, pytest.raises(Exception, match=r"(?i)unique"):
        write_rows(connection, "many", COLUMNS, bad)
    with table.connect() as connection:
        assert stored(connection) == []


def test_many_rows_go_in(table: Engine) -> None:
    with table.connect() as connection:
        write_rows(connection, "many", COLUMNS, ((number, number, None, "x", None) for number in range(5000)))
        assert connection.execute(text("SELECT count(*) FROM many")).scalar_one() == 5000
        connection.rollback()


def test_no_rows_are_no_error() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE many (number INTEGER)"))
        write_rows(connection, "many", ["number"], [])
        assert connection.execute(text("SELECT count(*) FROM many")).scalar_one() == 0
