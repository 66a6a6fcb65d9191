"""Levels that a roll-back releases."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "level_releases",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("backtest_id", sa.Integer, nullable=False),
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("held_level", sa.SmallInteger, nullable=False),
        sa.Column("held_entered_us", sa.BigInteger, nullable=False),
        sa.Column("assessed_us", sa.BigInteger, nullable=False),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("entered_us", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.SmallInteger, nullable=False),
        sa.Column("hard_floor", sa.SmallInteger, nullable=False),
        sa.Column("floors_lost", sa.Text),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_level_releases"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_level_releases_organisation_id"),
        sa.ForeignKeyConstraint(["backtest_id"], ["backtests.id"], name="fk_level_releases_backtest_id"),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_level_releases_entity_id"),
    )
    for column in ("backtest_id", "entity_id"):
        op.create_index(f"ix_level_releases_{column}", "level_releases", [column])
