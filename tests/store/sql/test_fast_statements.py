"""Prepared statements on both databases, also while others hold locks."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, bindparam, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fivefold.domain.errors import StoreError
from fivefold.store.sql.database import open_database
from fivefold.store.sql.fast_statements import PreparedStatements
from fivefold.store.tables.accounts import Token
from tests.store import databases
from tests.store.accounts.test_tokens import add_token

TABLE = Token.__table__
RELABEL = update(TABLE).where(TABLE.c.id == bindparam("of")).values(label=bindparam("new"), role="admin")  # type: ignore[arg-type]  # a table


def label(engine: Engine, token: int) -> str:
    with Session(engine) as session:
        return session.scalar(select(Token.label).where(Token.id == token)) or ""


def test_statements_run_and_tell_how_many_rows_they_changed(engine: Engine) -> None:
    statements, token = PreparedStatements(engine), add_token(engine)
    with statements.transaction():
        assert [statements.run(RELABEL, {"of": of, "new": "once"}) for of in (token, token, 10**6)] == [1, 1, 0]
    assert label(engine, token) == "once"


def test_an_error_takes_everything_back_and_the_next_goes_on(engine: Engine) -> None:
    statements, token = PreparedStatements(engine), add_token(engine)

    def half() -> None:
        with statements.transaction():
            statements.run(RELABEL, {"of": token, "new": "half"})
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert label(engine, token) == ""
    with statements.transaction():
        statements.run(RELABEL, {"of": token, "new": "whole"})
    assert label(engine, token) == "whole"


def test_a_quick_one_is_refused_where_another_writes_and_works_again_after(tmp_path: Path) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        statements, token = PreparedStatements(engine, quick=True), add_token(engine)

        def relabel(new: str) -> None:
            with statements.transaction():
                statements.run(RELABEL, {"of": token, "new": new})

        with engine.connect() as other:
            other.exec_driver_sql("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="another program wrote to the database"):
                relabel("refused")
            other.rollback()
        relabel("taken")
        assert label(engine, token) == "taken"
        statements.checkpoint()
        statements.close()
        statements.close()


def test_an_error_of_the_schema_is_none_of_reach(tmp_path: Path) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path, migrated=False)) as engine:
        statements = PreparedStatements(engine, quick=True)

        def run() -> None:
            with statements.transaction():
                statements.run(RELABEL, {"of": 1, "new": ""})

        with pytest.raises(Exception, match="no such table") as caught:
            run()
        assert not isinstance(caught.value, StoreError | DBAPIError)
        statements.close()


def test_a_database_that_is_down_is_out_of_reach() -> None:
    statements = PreparedStatements(open_database("postgresql://nobody@127.0.0.1:1/nothing"))
    with pytest.raises(StoreError, match="cannot be reached"), statements.transaction():
        pass
