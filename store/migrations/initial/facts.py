"""The first tables of the schema: who is assessed, and what is known of them."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, only_where


def create() -> None:
    """Create them."""
    _entity_types()
    _entities()
    _ownerships()
    _attributes()
    _transactions()
    _corrections()
    _tags()
    _screenings()
    _records()
    _list_versions()
    _value_scores()


def _entity_types() -> None:
    op.create_table(
        "entity_types",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("transaction_fields", sa.Text, nullable=False),
        sa.Column("case_fields", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("organisation_id", "name"),
    )


def _entities() -> None:
    op.create_table(
        "entities",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer, sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("noted_us", sa.BigInteger),
        sa.Column("hold_until_us", sa.BigInteger),
        sa.Column("hold_reason", sa.Text),
        sa.Column("erased_us", sa.BigInteger),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("type_id", "external_id"),
        sa.Index("ix_entities_erased", "id", **only_where("erased_us IS NOT NULL")),
        sa.Index("ix_entities_type", "organisation_id", "type_id", "id"),
    )


def _ownerships() -> None:
    op.create_table(
        "ownerships",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False, index=True),
        sa.Column("owner_id", BIG, sa.ForeignKey("entities.id"), nullable=False, index=True),
        sa.Column("from_us", sa.BigInteger),
        sa.Column("until_us", sa.BigInteger),
        sa.Column("salt", sa.String(32)),
    )


def _attributes() -> None:
    op.create_table(
        "attributes",
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("known_us", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("salt", sa.String(32)),
    )


def _transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("organisation_id", sa.Integer, primary_key=True),
        sa.Column("transaction_id", sa.Text, primary_key=True),
        sa.Column("entity_id", BIG, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("recorded_us", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.Float(53), nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("balance", sa.Float(53)),
        sa.Column("category", sa.Text),
        sa.Column("account_created_us", sa.BigInteger),
        sa.Column("content", sa.Text),
        sa.Column("batch", sa.BigInteger),
        sa.Column("settled_batch", sa.BigInteger),
        sa.Index("ix_transactions_batch", "batch"),
        sa.Index("ix_transactions_entity_id_at_us", "entity_id", "at_us"),
        sa.Index("ix_transactions_settled_batch", "settled_batch", **only_where("settled_batch IS NOT NULL")),
    )


def _corrections() -> None:
    op.create_table(
        "corrections",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False, index=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("known_us", sa.BigInteger, nullable=False),
        sa.Column("recorded_us", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at_us", sa.BigInteger),
        sa.Column("amount", sa.Float(53)),
        sa.Column("currency", sa.Text),
        sa.Column("state", sa.Text),
        sa.Column("balance", sa.Float(53)),
        sa.Column("category", sa.Text),
        sa.Column("account_created_us", sa.BigInteger),
        sa.Column("content", sa.Text),
        sa.Column("batch", sa.BigInteger, nullable=False, index=True),
        sa.CheckConstraint("kind IN ('correction', 'reversal')", name="kind"),
        sa.UniqueConstraint("organisation_id", "external_id"),
    )


def _tags() -> None:
    op.create_table(
        "tags",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("tag", sa.String(100), nullable=False),
        sa.Column("from_us", sa.BigInteger, nullable=False),
        sa.Column("until_us", sa.BigInteger),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.Index("ix_tags_entity_id_tag", "entity_id", "tag"),
    )


def _screenings() -> None:
    op.create_table(
        "screenings",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("screening", sa.String(100), nullable=False),
        sa.Column("found", sa.Boolean, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("recorded_us", sa.BigInteger, nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.Index("ix_screenings_entity_id_screening", "entity_id", "screening"),
    )


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("kind", sa.String(5), nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False, index=True),
        sa.Column("opened_us", sa.BigInteger, nullable=False),
        sa.Column("closed_us", sa.BigInteger),
        sa.Column("outcome", sa.String(100)),
        sa.Column("status", sa.String(100)),
        sa.Column("content", sa.Text),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("kind IN ('case', 'alert')", name="kind"),
        sa.UniqueConstraint("organisation_id", "kind", "external_id"),
    )


def _list_versions() -> None:
    op.create_table(
        "list_versions",
        sa.Column("organisation_id", sa.Integer, sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("since_us", sa.BigInteger, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("members", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )


def _value_scores() -> None:
    op.create_table(
        "value_scores",
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("as_of_us", sa.BigInteger, primary_key=True),
        sa.Column("score", sa.Float(53)),
        sa.Column("segment", sa.String(10)),
        sa.Column("expected_value", sa.Float(53)),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
    )
