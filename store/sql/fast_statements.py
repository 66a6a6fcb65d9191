"""A few prepared statements run as plain text, because SQLAlchemy takes eight times as long as SQLite."""

from collections.abc import Mapping
from typing import Any, Self, cast

from sqlalchemy import ClauseElement, Engine

from fivefold.store.sql.database import BUSY_SECONDS, raise_if_may_be_kept, raise_if_out_of_reach, reachable


class CompiledStatement:
    """A statement of SQLAlchemy, compiled for this database's driver."""

    def __init__(self, engine: Engine, statement: ClauseElement) -> None:
        """Compile it."""
        compiled = cast("Any", statement.compile(dialect=engine.dialect))  # its attributes depend on the dialect
        self.text = str(compiled)
        self._fixed: dict[str, Any] = compiled.params
        by_position: list[str] | None = compiled.positiontup
        self._order = None if by_position is None else [(name, self._fixed[name]) for name in by_position]

    def bind(self, values: Mapping[str, Any]) -> Any:
        """Return *values* in the driver's form: by position or by name."""
        if self._order is None:
            return {**self._fixed, **values}
        return [values.get(name, fixed) for name, fixed in self._order]


class PreparedStatements:
    """Runs statements in transactions; each statement is compiled once.

    A *quick* one keeps its own connection to SQLite, never waits for a lock, and leaves checkpoints of the write-ahead
    log to others: a transaction takes microseconds, or is refused. It is for one thread.
    """

    def __init__(self, engine: Engine, *, quick: bool = False) -> None:
        """Connect to nothing yet."""
        self.engine = engine
        self._quick = quick
        self._open_connection: Any = None
        self._pooled: Any = None
        self._connection: Any = None
        on_sqlite = engine.dialect.name == "sqlite"
        self._begins = "BEGIN IMMEDIATE" if on_sqlite else f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'"
        self._statements: dict[int, tuple[ClauseElement, CompiledStatement]] = {}

    def transaction(self) -> Self:
        """Return the context manager of a transaction: it commits at the end of `with`, or rolls back after an error.

        StoreError if the database is out of reach; UnknownOutcomeError if the connection was lost during the commit.
        """
        return self

    def __enter__(self) -> None:
        """Begin."""
        try:
            self._pooled = self._open()
            self._connection = self._pooled.driver_connection
            self._connection.execute(self._begins)
        except BaseException as error:
            self._end(rolled_back=True)
            raise_if_out_of_reach(error, self.engine)
            raise

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Commit, or roll back after an error."""
        try:
            if error is None:
                self._connection.commit()
        except BaseException as failed:
            error = failed
            raise_if_may_be_kept(failed)
            raise_if_out_of_reach(failed, self.engine)
            raise
        finally:
            self._end(rolled_back=error is not None)
        raise_if_out_of_reach(error, self.engine)

    def run(self, statement: ClauseElement, values: Mapping[str, Any]) -> int:
        """Run a statement in the open transaction; return the number of rows that it changed."""
        return int(self._executed(statement, values).rowcount)

    def first(self, statement: ClauseElement, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Run a statement that returns rows; return the first of them, or None."""
        rows = self._executed(statement, values).fetchall()  # all rows: a cursor that is not read to its end stays open
        return rows[0] if rows else None

    def _executed(self, statement: ClauseElement, values: Mapping[str, Any]) -> Any:
        _, compiled = self._statements.get(id(statement), (None, None))
        if compiled is None:
            compiled = CompiledStatement(self.engine, statement)
            self._statements[id(statement)] = (statement, compiled)  # kept alive, so that its id stays unique
        return self._connection.execute(compiled.text, compiled.bind(values))

    def checkpoint(self) -> None:
        """Checkpoint SQLite's write-ahead log, as far as no reader needs it."""
        with reachable(self.engine), self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the kept connection."""
        if self._open_connection is not None:
            self._open_connection.invalidate()
            self._open_connection = None

    def _open(self) -> Any:
        if not self._quick:
            return self.engine.raw_connection()
        if self._open_connection is None:
            self._open_connection = self.engine.raw_connection()
            for pragma in ("busy_timeout=0", "wal_autocheckpoint=0"):
                self._open_connection.driver_connection.execute(f"PRAGMA {pragma}")
        return self._open_connection

    def _end(self, *, rolled_back: bool) -> None:
        """Roll back if asked, then return the connection to the pool or keep it; a broken one is discarded."""
        pooled, self._connection, self._pooled = self._pooled, None, None
        if pooled is None:  # it could not even be opened
            return
        is_broken = False
        if rolled_back:
            try:
                pooled.driver_connection.rollback()
            except self.engine.dialect.loaded_dbapi.Error:
                is_broken = True
        if self._quick:
            if is_broken:
                self.close()
        elif is_broken:
            pooled.invalidate()
        else:
            pooled.close()
