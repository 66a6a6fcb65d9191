"""The shared parts of the first tables: a type of keys, partial indexes, and the columns of jobs."""

from typing import Any

import sqlalchemy as sa

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""The type of a numbered key: SQLite numbers rows itself only if their key is declared as a plain integer."""


def only_where(condition: str) -> dict[str, Any]:
    """Return the options of a partial index, of the rows that meet a condition."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def job_columns() -> list[sa.Column[Any]]:
    """Return the columns of a table of jobs that workers run, each under a lease."""
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
