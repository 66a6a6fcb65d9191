"""Challenges of assessments, with a guard: one is settled once, and goes with its entity alone."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, only_where
from fivefold.store.migrations.initial.guards import refuse, refuse_unless_erased, unchanged

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_OPENED = (
    "id", "organisation_id", "entity_id", "number", "words", "received_us", "opened_us", "opened_by", "due_us",
    "record_sha256", "salt",
)  # fmt: skip
"""What nothing changes once a challenge is opened."""


def upgrade() -> None:
    """Create the table, and let an organisation set within how many days a challenge is due."""
    op.add_column("organisation_settings", sa.Column("challenge_days", sa.Integer()))
    op.create_table(
        "challenges",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("record_sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("settled_by", sa.Text()),
        sa.Column("settled_us", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
        sa.Column("answer", sa.Text()),
        sa.Column("facts", sa.Text()),
        sa.Column("settled_number", sa.Integer()),
        sa.Column("override_id", BIG),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("state IN ('open', 'confirmed', 'corrected', 'overridden')", name="state"),
    )
    op.create_index(
        "ix_challenges_open", "challenges", ["entity_id", "number"], unique=True, **only_where("state = 'open'")
    )
    op.create_index("ix_challenges_by_due", "challenges", ["organisation_id", "due_us", "id"])
    op.create_index("ix_challenges_by_state", "challenges", ["organisation_id", "state", "due_us", "id"])
    op.create_index("ix_challenges_entity", "challenges", ["entity_id", "due_us", "id"])
    settled = "OLD.state = 'open' AND NEW.state <> 'open' AND NEW.settled_by IS NOT NULL AND NEW.reason IS NOT NULL"
    refuse("challenges", "UPDATE", f"NOT ({unchanged(_OPENED)} AND {settled})")
    refuse_unless_erased("challenges", "DELETE")
