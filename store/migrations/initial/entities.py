"""The first tables of entities and their facts."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, only_where


def create() -> None:
    """Create them."""
    _transactions()
    _entity_types()
    _list_versions()
    _organisation_settings()
    _entities()
    _attributes()
    _corrections()
    _links()
    _ownerships()
    _records()
    _screenings()
    _search_words()
    _summary_transactions()
    _tags()
    _transaction_blocks()
    _value_scores()
    _tag_ends()


def _transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("organisation_id", sa.Integer(), primary_key=True),
        sa.Column("transaction_id", sa.Text(), primary_key=True),
        sa.Column("entity_id", BIG, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.Float(53), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("state", sa.Text()),
        sa.Column("balance", sa.Float(53)),
        sa.Column("category", sa.Text()),
        sa.Column("account_created_us", sa.BigInteger()),
        sa.Column("content", sa.Text()),
        sa.Column("batch", sa.BigInteger()),
        sa.Column("settled_batch", sa.BigInteger()),
    )
    op.create_index("ix_transactions_batch", "transactions", ["batch"])
    op.create_index("ix_transactions_entity_id_at_us", "transactions", ["entity_id", "at_us"])
    op.create_index(
        "ix_transactions_settled_batch", "transactions", ["settled_batch"], **only_where("settled_batch IS NOT NULL")
    )


def _entity_types() -> None:
    op.create_table(
        "entity_types",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("transaction_fields", sa.Text(), nullable=False),
        sa.Column("case_fields", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("purposes", sa.Text()),
        sa.Column("links", sa.Text()),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("organisation_id", "name"),
    )


def _list_versions() -> None:
    op.create_table(
        "list_versions",
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("since_us", sa.BigInteger(), primary_key=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("members", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(12)),
    )


def _organisation_settings() -> None:
    op.create_table(
        "organisation_settings",
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("levels", sa.Text(), nullable=False),
        sa.Column("locked_us", sa.BigInteger()),
        sa.Column("base_currency", sa.String(3), nullable=False),
        sa.Column("override_cap_percent", sa.Integer(), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=False),
        sa.Column("minimum_coverage_percent", sa.Integer(), nullable=False),
        sa.Column("programs_lower_levels", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("two_people_promote", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("sole_operator_us", sa.BigInteger()),
        sa.Column("challenge_days", sa.Integer()),
        sa.Column("outbox_days", sa.Integer()),
        sa.Column("deliveries_days", sa.Integer()),
        sa.Column("reports_days", sa.Integer()),
        sa.Column("assessments_days", sa.Integer()),
        sa.Column("flows_days", sa.Integer()),
        sa.Column("lowest_alert_percent", sa.Integer()),
        sa.Column("salt", sa.String(32)),
    )


def _entities() -> None:
    op.create_table(
        "entities",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer(), sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("noted_us", sa.BigInteger()),
        sa.Column("hold_until_us", sa.BigInteger()),
        sa.Column("hold_reason", sa.Text()),
        sa.Column("erased_us", sa.BigInteger()),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("type_id", "external_id"),
    )
    op.create_index("ix_entities_erased", "entities", ["id"], **only_where("erased_us IS NOT NULL"))
    op.create_index("ix_entities_type", "entities", ["organisation_id", "type_id", "id"])


def _attributes() -> None:
    op.create_table(
        "attributes",
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("known_us", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("salt", sa.String(32)),
    )


def _corrections() -> None:
    op.create_table(
        "corrections",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("known_us", sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger()),
        sa.Column("amount", sa.Float(53)),
        sa.Column("currency", sa.Text()),
        sa.Column("state", sa.Text()),
        sa.Column("balance", sa.Float(53)),
        sa.Column("category", sa.Text()),
        sa.Column("account_created_us", sa.BigInteger()),
        sa.Column("content", sa.Text()),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('correction', 'reversal')", name="kind"),
        sa.UniqueConstraint("organisation_id", "external_id"),
    )
    op.create_index("ix_corrections_batch", "corrections", ["batch"])
    op.create_index("ix_corrections_entity_id", "corrections", ["entity_id"])


def _links() -> None:
    op.create_table(
        "links",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("type_id", sa.Integer(), sa.ForeignKey("entity_types.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("link", sa.String(100), nullable=False),
        sa.Column("other_id", BIG, sa.ForeignKey("entities.id")),
        sa.Column("thing", sa.Text()),
        sa.Column("from_us", sa.BigInteger()),
        sa.Column("until_us", sa.BigInteger()),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("salt", sa.String(32)),
    )
    op.create_index("ix_links_entity_id_link", "links", ["entity_id", "link"])
    op.create_index("ix_links_other_id_link", "links", ["other_id", "link"], **only_where("other_id IS NOT NULL"))
    op.create_index("ix_links_thing", "links", ["type_id", "link", "thing"], **only_where("thing IS NOT NULL"))


def _ownerships() -> None:
    op.create_table(
        "ownerships",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("owner_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("from_us", sa.BigInteger()),
        sa.Column("until_us", sa.BigInteger()),
        sa.Column("salt", sa.String(32)),
    )
    op.create_index("ix_ownerships_entity_id", "ownerships", ["entity_id"])
    op.create_index("ix_ownerships_owner_id", "ownerships", ["owner_id"])
    op.create_index("ix_ownerships_owner_id_entity_id", "ownerships", ["owner_id", "entity_id"])


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("kind", sa.String(5), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("closed_us", sa.BigInteger()),
        sa.Column("outcome", sa.String(100)),
        sa.Column("status", sa.String(100)),
        sa.Column("content", sa.Text()),
        sa.Column("salt", sa.String(32)),
        sa.CheckConstraint("kind IN ('case', 'alert')", name="kind"),
        sa.UniqueConstraint("organisation_id", "kind", "external_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_records_entity_id", "records", ["entity_id"])


def _screenings() -> None:
    op.create_table(
        "screenings",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("screening", sa.String(100), nullable=False),
        sa.Column("found", sa.Boolean(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.String(32)),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_screenings_entity_id_screening", "screenings", ["entity_id", "screening"])


def _search_words() -> None:
    op.create_table(
        "search_words",
        sa.Column("type_id", sa.Integer(), primary_key=True),
        sa.Column("place", sa.SmallInteger(), primary_key=True),
        sa.Column("word", sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql"), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_search_words_entity_id", "search_words", ["entity_id", "word"])


def _summary_transactions() -> None:
    op.create_table(
        "summary_transactions",
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("transaction_id", sa.Text(), primary_key=True),
        sa.Column("organisation_id", sa.Integer(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
    )


def _tags() -> None:
    op.create_table(
        "tags",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("organisation_id", sa.Integer(), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("tag", sa.String(100), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger()),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.Column("set_reason", sa.Text()),
        sa.Column("ended_by", sa.Text()),
        sa.Column("end_reason", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tags_entity_id_tag", "tags", ["entity_id", "tag"])
    op.create_index("ix_tags_tag", "tags", ["organisation_id", "tag", "entity_id"])


def _transaction_blocks() -> None:
    op.create_table(
        "transaction_blocks",
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("until_us", sa.BigInteger(), primary_key=True),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )


def _value_scores() -> None:
    op.create_table(
        "value_scores",
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sa.Column("as_of_us", sa.BigInteger(), primary_key=True),
        sa.Column("score", sa.Float(53)),
        sa.Column("segment", sa.String(10)),
        sa.Column("expected_value", sa.Float(53)),
        sa.Column("expected_value_low", sa.Float(53)),
        sa.Column("expected_value_high", sa.Float(53)),
        sa.Column("interval_level_percent", sa.Integer()),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("model_hash", sa.String(64)),
        sa.Column("failure", sa.Text()),
    )


def _tag_ends() -> None:
    op.create_table(
        "tag_ends",
        sa.Column("tag_id", BIG, sa.ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("announced", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_index("ix_tag_ends_waiting", "tag_ends", ["announced", "due_us"])
    op.create_index("ix_tag_ends_entity_id", "tag_ends", ["entity_id"])
