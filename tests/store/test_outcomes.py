"""What is known of a transaction whose end went wrong: that nothing was kept, or nothing at all."""

import sqlite3
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import IntegrityError

from fivefold.domain.errors import StoreError, UnknownOutcomeError
from fivefold.store.sql.database import writing
from fivefold.store.sql.fast_statements import PreparedStatements
from fivefold.store.tables.accounts import Token
from tests.store.accounts.test_tokens import add_token


def lost(engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception, *, kept: bool) -> None:
    """Let the next commit end with an error, before or after the database has kept what there is."""
    real = engine.dialect.do_commit

    def commit(connection: Any) -> None:
        monkeypatch.undo()
        if kept:
            real(connection)
        else:
            connection.rollback()
        raise error

    monkeypatch.setattr(engine.dialect, "do_commit", commit)


def store_one(engine: Engine, times: int = 1) -> None:
    with writing(engine) as session:
        for _ in range(times):
            session.execute(text("INSERT INTO organisations (name, created_us) VALUES ('acme', 1)"))


def gone(engine: Engine) -> Exception:
    if engine.dialect.name == "postgresql":
        return psycopg.OperationalError("server closed the connection unexpectedly")
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return error


@pytest.mark.parametrize("kept", [True, False])
def test_where_the_database_goes_away_at_the_end_nobody_says_that_nothing_was_done(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    lost(engine, monkeypatch, gone(engine), kept=kept)
    with pytest.raises(UnknownOutcomeError, match="it may have been done, so check"):
        store_one(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM organisations")).scalar() == int(kept)


@pytest.mark.parametrize("kept", [True, False])
def test_nor_does_a_charge_of_scoring_whose_statements_the_driver_runs_itself(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    statements, token = PreparedStatements(engine), add_token(engine)
    real = PreparedStatements._open

    def opened(self: PreparedStatements) -> Any:
        pooled = real(self)
        return SimpleNamespace(
            driver_connection=Losing(pooled.driver_connection, gone(engine), kept), close=pooled.close
        )

    monkeypatch.setattr(PreparedStatements, "_open", opened)
    with pytest.raises(UnknownOutcomeError, match="it may have been done, so check"), statements.transaction():
        statements.run(update(Token).where(Token.id == token).values(label="charged"), {})
    with engine.connect() as connection:
        assert (connection.scalar(select(Token.label).where(Token.id == token)) == "charged") is kept


class Losing:
    """A connection of the driver that is lost in a commit, before or after the database has kept what there is."""

    def __init__(self, real: Any, error: Exception, kept: bool) -> None:
        self._real, self._error, self._kept = real, error, kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def commit(self) -> None:
        (self._real.commit if self._kept else self._real.rollback)()
        raise self._error


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE])
def test_where_the_database_itself_refuses_nothing_was_done(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    error: Exception = psycopg.errors.SerializationFailure("could not serialize")
    if engine.dialect.name == "sqlite":
        error = sqlite3.OperationalError("refused")
        error.sqlite_errorcode = code  # type: ignore[attr-defined]  # of the line above
    lost(engine, monkeypatch, error, kept=False)
    with pytest.raises(StoreError) as found:
        store_one(engine)
    assert not isinstance(found.value, UnknownOutcomeError)


def test_an_error_on_the_way_undoes_everything(engine: Engine) -> None:
    with pytest.raises(IntegrityError):
        store_one(engine, times=2)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM organisations")).scalar() == 0
