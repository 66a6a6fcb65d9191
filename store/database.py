"""The database: SQLite beside everything else generated, or PostgreSQL by one setting; the same code above both."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from domain.errors import ConfigError, StoreError

_MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30
"""How long SQLite waits for another process's write before it gives up."""


def open_database(url: str) -> Engine:
    """Open a database; ConfigError where the address is none that is supported. Connects at first use."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(f"FIVEFOLD_DATABASE_URL cannot be read; it must be {_EXAMPLES}") from None
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if parsed.get_backend_name() != "sqlite":
        raise ConfigError(f"FIVEFOLD_DATABASE_URL names {parsed.get_backend_name()!r}; it must be {_EXAMPLES}")
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest version: forward only, nothing is lost."""
    with _readable_errors(), engine.begin() as connection:
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current(engine: Engine) -> None:
    """Raise StoreError unless the schema is exactly the one that this program knows."""
    newest = ScriptDirectory.from_config(_alembic()).get_current_head()
    with _readable_errors(), engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != newest:
        raise StoreError(
            f"the database has schema {found or 'none'}, and this program needs {newest}: run `fivefold serve`"
            " or `fivefold tokens` of the matching version once to bring it forward"
        )


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Turn a driver's error into one that says what to look at, without the address's password."""
    try:
        yield
    except DBAPIError as error:
        raise StoreError(f"the database cannot be used: {error.orig}") from error


_EXAMPLES = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME"


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    # Readers and the one writer do not block each other; a power cut may lose the last commits, never the file.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
