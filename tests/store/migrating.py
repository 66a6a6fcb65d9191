"""One migration, run again on a database that has all of them."""

import re

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


def numbered_as_before(engine: Engine, *tables: str) -> None:
    """Let a file of SQLite number the rows of tables by the greatest number that is there, as they began."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA writable_schema=ON")
        for table in tables:
            made = connection.execute(
                text("SELECT sql FROM sqlite_master WHERE name = :of"), {"of": table}
            ).scalar_one()
            earlier = re.sub(r"\)\s*\Z", f", \n\tCONSTRAINT pk_{table} PRIMARY KEY (id)\n)", made)
            earlier = earlier.replace("id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "id INTEGER NOT NULL", 1)
            assert earlier.count("PRIMARY KEY") == 1
            change = text("UPDATE sqlite_master SET sql = :sql WHERE name = :of AND type = 'table'")
            connection.execute(change, {"sql": earlier, "of": table})
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :of"), {"of": table})
        connection.commit()
    engine.dispose()  # each connection has read the schema
