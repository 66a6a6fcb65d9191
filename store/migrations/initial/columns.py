"""What the first tables share: a type of keys, and indexes of some rows alone."""

from typing import Any

import sqlalchemy as sa

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite numbers rows by itself only where their key is plainly an integer."""


def only_where(condition: str) -> dict[str, Any]:
    """Give the options of an index that has the rows of a condition alone."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
