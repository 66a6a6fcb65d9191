"""Levels: assessments, standings, transitions, overrides, due marks."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite numbers rows by itself only where their key is plainly an integer."""


def upgrade() -> None:
    """Make the tables."""
    _assessment_inputs()
    _assessments()
    _transitions()
    _due_marks()
    _overrides()
    _standings()
    if op.get_context().dialect.name == "postgresql":
        # Rows that change all the time: a version that fits beside the old one leaves the indexes alone.
        for table in ("due_marks", "standings"):
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 50)")


def _assessment_inputs() -> None:
    op.create_table(
        "assessment_inputs",
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("content", sa.Text),
        sa.PrimaryKeyConstraint("entity_id", "number", name="pk_assessment_inputs"),
    )


def _assessments() -> None:
    op.create_table(
        "assessments",
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("as_of_us", sa.BigInteger, nullable=False),
        sa.Column("version_id", sa.Integer),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("level", sa.SmallInteger),
        sa.Column("rules_level", sa.SmallInteger),
        sa.Column("floor", sa.SmallInteger, nullable=False),
        sa.Column("score", sa.Text, nullable=False),
        sa.Column("engine", sa.String(20), nullable=False),
        sa.Column("breakdown", sa.Text),
        sa.PrimaryKeyConstraint("entity_id", "number", name="pk_assessments"),
    )


def _transitions() -> None:
    op.create_table(
        "transitions",
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("from_level", sa.SmallInteger),
        sa.Column("to_level", sa.SmallInteger),
        sa.Column("source", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("entity_id", "number", name="pk_transitions"),
    )
    op.create_index("ix_transitions_organisation_id_at_us", "transitions", ["organisation_id", "at_us"])


def _due_marks() -> None:
    op.create_table(
        "due_marks",
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("type_id", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("due_us", sa.BigInteger),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("reasons", sa.Integer, nullable=False),
        sa.Column("lease", sa.String(40)),
        sa.Column("lease_until_us", sa.BigInteger),
        sa.Column("claimed", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("quarantined", sa.Boolean, nullable=False),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("entity_id", name="pk_due_marks"),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_due_marks_entity_id"),
    )
    op.create_index("ix_due_marks_waiting", "due_marks", ["quarantined", "priority", "due_us"])


def _overrides() -> None:
    op.create_table(
        "overrides",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("until_us", sa.BigInteger),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_us", sa.BigInteger, nullable=False),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_us", sa.BigInteger),
        sa.Column("decision_reason", sa.Text),
        sa.Column("revoked_by", sa.Text),
        sa.Column("revoked_us", sa.BigInteger),
        sa.Column("revocation_reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_overrides"),
        sa.CheckConstraint("state IN ('requested', 'approved', 'refused', 'revoked')", name=op.f("ck_overrides_state")),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_overrides_entity_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_overrides_organisation_id"),
    )
    op.create_index("ix_overrides_entity_id_state", "overrides", ["entity_id", "state"])


def _standings() -> None:
    op.create_table(
        "standings",
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("type_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("assessed_us", sa.BigInteger, nullable=False),
        sa.Column("version_id", sa.Integer),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("level", sa.SmallInteger),
        sa.Column("rules_level", sa.SmallInteger),
        sa.Column("hard_floor", sa.SmallInteger, nullable=False),
        sa.Column("entered_us", sa.BigInteger),
        sa.Column("may_move_down_us", sa.BigInteger),
        sa.Column("override_id", _BIG),
        sa.PrimaryKeyConstraint("entity_id", name="pk_standings"),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_standings_entity_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_standings_organisation_id"),
    )
    op.create_index("ix_standings_organisation_id_level", "standings", ["organisation_id", "level"])
