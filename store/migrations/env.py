"""Alembic's entry: runs the migrations on the connection that `store.sql.database.upgrade` gives."""

from alembic import context

import fivefold.store.tables.all  # noqa: F401 (so that all tables are among those of Base)
from fivefold.store.tables.accounts import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
