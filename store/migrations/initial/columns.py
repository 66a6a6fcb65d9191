"""What the first tables share: a type of keys, indexes of some rows alone, and the columns of jobs."""

from typing import Any

import sqlalchemy as sa

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite numbers rows by itself only where their key is plainly an integer."""


def only_where(condition: str) -> dict[str, Any]:
    """Give the options of an index that has the rows of a condition alone."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def job_columns() -> list[sa.Column[Any]]:
    """Give the columns of a table of jobs that workers run, each under a lease."""
    return [
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("part", sa.Text()),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_us", sa.BigInteger(), nullable=False),
        sa.Column("lease_until_us", sa.BigInteger()),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger()),
        sa.Column("error", sa.Text()),
    ]
