"""Events and their deliveries, decisions, changes of note, validations, members and their roles."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite numbers rows by itself only where their key is plainly an integer."""


def upgrade() -> None:
    """Make the tables."""
    _outbox()
    _endpoints()
    _material_changes()
    _members()
    _policies()
    _validations()
    _decisions()
    _deliveries()
    _tokens()


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("event_id", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("event_id", name="uq_outbox_event_id"),
    )
    op.create_index("ix_outbox_organisation_id_id", "outbox", ["organisation_id", "id"])


def _endpoints() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("kinds", sa.Text, nullable=False),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("private_allowed", sa.Boolean, nullable=False),
        sa.Column("planned_id", _BIG, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_endpoints"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_endpoints_organisation_id"),
    )
    op.create_index("ix_endpoints_organisation_id", "endpoints", ["organisation_id"])


def _material_changes() -> None:
    op.create_table(
        "material_changes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("registered_by", sa.Text, nullable=False),
        sa.Column("registered_us", sa.BigInteger, nullable=False),
        sa.Column("validation_id", sa.Integer),
        sa.Column("signed_by", sa.Text),
        sa.Column("signed_us", sa.BigInteger),
        sa.Column("conclusion", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_material_changes"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_material_changes_organisation_id"),
    )
    op.create_index("ix_material_changes_organisation_id", "material_changes", ["organisation_id"])


def _members() -> None:
    op.create_table(
        "members",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("left_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_members_organisation_id"),
        sa.UniqueConstraint("organisation_id", "name", name="uq_members_organisation_id"),
    )


def _policies() -> None:
    op.create_table(
        "policies",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("canonical", sa.Text, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("written_by", sa.Text, nullable=False),
        sa.Column("written_us", sa.BigInteger, nullable=False),
        sa.Column("approved_by", sa.Text),
        sa.Column("approved_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_policies"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_policies_organisation_id"),
        sa.UniqueConstraint("organisation_id", "name", "number", name="uq_policies_organisation_id"),
    )


def _validations() -> None:
    op.create_table(
        "validations",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("from_us", sa.BigInteger, nullable=False),
        sa.Column("until_us", sa.BigInteger, nullable=False),
        sa.Column("made_us", sa.BigInteger, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_validations"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_validations_organisation_id"),
    )
    op.create_index("ix_validations_organisation_id", "validations", ["organisation_id"])


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("policy_id", sa.Integer, nullable=False),
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("assessment_number", sa.Integer),
        sa.Column("value_as_of_us", sa.BigInteger),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("decision_key", sa.Text),
        sa.Column("inputs", sa.Text),
        sa.Column("answer", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_decisions_organisation_id"),
        sa.ForeignKeyConstraint(["policy_id"], ["policies.id"], name="fk_decisions_policy_id"),
        sa.UniqueConstraint("organisation_id", "decision_key", name="uq_decisions_organisation_id"),
    )
    op.create_index("ix_decisions_entity_id", "decisions", ["entity_id"])
    op.create_index("ix_decisions_organisation_id", "decisions", ["organisation_id"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("endpoint_id", sa.Integer, nullable=False),
        sa.Column("event_number", _BIG, nullable=False),
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_us", sa.BigInteger, nullable=False),
        sa.Column("lease", sa.String(40)),
        sa.Column("lease_until_us", sa.BigInteger),
        sa.Column("delivered_us", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("endpoint_id", "event_number", name="pk_deliveries"),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name=op.f("ck_deliveries_state")),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_deliveries_endpoint_id"),
    )
    for name, columns, state in (
        ("next", ["endpoint_id", "next_us"], "waiting"),
        ("pair", ["endpoint_id", "entity_id", "event_number"], "waiting"),
        ("dead", ["endpoint_id", "event_number"], "dead"),
    ):
        only = sa.text(f"state = '{state}'")
        op.create_index(f"ix_deliveries_{name}", "deliveries", columns, sqlite_where=only, postgresql_where=only)


def _tokens() -> None:
    with op.batch_alter_table("tokens") as batch:
        batch.add_column(sa.Column("member_id", sa.Integer))
        batch.drop_constraint(op.f("ck_tokens_role"), type_="check")
        batch.create_check_constraint(
            op.f("ck_tokens_role"), "role IN ('app', 'investigator', 'approver', 'publisher', 'admin')"
        )
