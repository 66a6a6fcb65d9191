"""Who is assessed and what is known of them: entities, transactions, tags, screenings, records, lists, values."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite numbers rows by itself only where their key is plainly an integer."""


def upgrade() -> None:
    """Make the tables."""
    _transactions()
    _entity_types()
    _list_versions()
    _organisation_settings()
    _entities()
    _attributes()
    _records()
    _screenings()
    _tags()
    _value_scores()


def _transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("recorded_us", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.Float(53), nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("balance", sa.Float(53)),
        sa.Column("category", sa.Text),
        sa.Column("account_created_us", sa.BigInteger),
        sa.Column("content", sa.Text),
        sa.PrimaryKeyConstraint("organisation_id", "transaction_id", name="pk_transactions"),
    )
    op.create_index("ix_transactions_entity_id_at_us", "transactions", ["entity_id", "at_us"])


def _entity_types() -> None:
    op.create_table(
        "entity_types",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("transaction_fields", sa.Text, nullable=False),
        sa.Column("case_fields", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_entity_types"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_entity_types_organisation_id"),
        sa.UniqueConstraint("organisation_id", "name", name="uq_entity_types_organisation_id"),
    )


def _list_versions() -> None:
    op.create_table(
        "list_versions",
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("since_us", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("members", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "name", "since_us", name="pk_list_versions"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_list_versions_organisation_id"),
    )


def _organisation_settings() -> None:
    op.create_table(
        "organisation_settings",
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("levels", sa.Text, nullable=False),
        sa.Column("locked_us", sa.BigInteger),
        sa.Column("base_currency", sa.String(3), nullable=False),
        sa.Column("override_cap_percent", sa.Integer, nullable=False),
        sa.Column("retention_days", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", name="pk_organisation_settings"),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_organisation_settings_organisation_id"
        ),
    )


def _entities() -> None:
    op.create_table(
        "entities",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("type_id", sa.Integer, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("owner_id", _BIG),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("hold_until_us", sa.BigInteger),
        sa.Column("hold_reason", sa.Text),
        sa.Column("erased_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_entities"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_entities_organisation_id"),
        sa.ForeignKeyConstraint(["owner_id"], ["entities.id"], name="fk_entities_owner_id"),
        sa.ForeignKeyConstraint(["type_id"], ["entity_types.id"], name="fk_entities_type_id"),
        sa.UniqueConstraint("type_id", "external_id", name="uq_entities_type_id"),
    )
    op.create_index("ix_entities_organisation_id", "entities", ["organisation_id"])
    op.create_index("ix_entities_owner_id", "entities", ["owner_id"])


def _attributes() -> None:
    op.create_table(
        "attributes",
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("known_us", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("entity_id", "number", name="pk_attributes"),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_attributes_entity_id"),
    )


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(5), nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("opened_us", sa.BigInteger, nullable=False),
        sa.Column("closed_us", sa.BigInteger),
        sa.Column("outcome", sa.String(100)),
        sa.Column("status", sa.String(100)),
        sa.Column("content", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_records"),
        sa.CheckConstraint("kind IN ('case', 'alert')", name=op.f("ck_records_kind")),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_records_entity_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_records_organisation_id"),
        sa.UniqueConstraint("organisation_id", "kind", "external_id", name="uq_records_organisation_id"),
    )
    op.create_index("ix_records_entity_id", "records", ["entity_id"])


def _screenings() -> None:
    op.create_table(
        "screenings",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("screening", sa.String(100), nullable=False),
        sa.Column("found", sa.Boolean, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("recorded_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_screenings"),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_screenings_entity_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_screenings_organisation_id"),
    )
    op.create_index("ix_screenings_entity_id_screening", "screenings", ["entity_id", "screening"])


def _tags() -> None:
    op.create_table(
        "tags",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("organisation_id", sa.Integer, nullable=False),
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("tag", sa.String(100), nullable=False),
        sa.Column("from_us", sa.BigInteger, nullable=False),
        sa.Column("until_us", sa.BigInteger),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tags"),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_tags_entity_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_tags_organisation_id"),
    )
    op.create_index("ix_tags_entity_id_tag", "tags", ["entity_id", "tag"])


def _value_scores() -> None:
    op.create_table(
        "value_scores",
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("as_of_us", sa.BigInteger, nullable=False),
        sa.Column("score", sa.Float(53)),
        sa.Column("segment", sa.String(10)),
        sa.Column("expected_value", sa.Float(53)),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("entity_id", "as_of_us", name="pk_value_scores"),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_value_scores_entity_id"),
    )
