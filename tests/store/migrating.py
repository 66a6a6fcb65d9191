"""One migration, run again on a database that has all of them."""

from alembic import command
from sqlalchemy import Engine, text

from fivefold.store.sql.database import _alembic, _references_checked_at_the_end


def migrate_again(engine: Engine, before: str, revision: str) -> None:
    """Run a migration where the schema is that *before* it in what the migration adds, and the newest otherwise."""
    config = _alembic()
    with engine.connect() as connection, _references_checked_at_the_end(connection):
        newest = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        version = text("UPDATE alembic_version SET version_num = :version")
        connection.execute(version, {"version": before})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.execute(version, {"version": newest})
