"""Indexes in the order of lists: a page of a large one is found by its key, without a sort."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_FAILED = sa.text("status IN ('failed', 'unclassified', 'undetermined')")


def upgrade() -> None:
    """Put longer indexes in the place of three, and make three that were not there."""
    for name, table, columns, before in (
        ("ix_entities_type", "entities", ["organisation_id", "type_id", "id"], "ix_entities_organisation_id"),
        (
            "ix_standings_level",
            "standings",
            ["organisation_id", "level", "type_id", "entity_id"],
            "ix_standings_organisation_id_level",
        ),
        ("ix_decisions_entity_id_id", "decisions", ["entity_id", "id"], "ix_decisions_entity_id"),
    ):
        op.create_index(name, table, columns)
        op.drop_index(before, table)
    op.create_index("ix_overrides_organisation_id_id", "overrides", ["organisation_id", "id"])
    op.create_index("ix_backtests_family_id", "backtests", ["family_id"])
    of = ["organisation_id", "entity_id"]
    op.create_index("ix_standings_failed", "standings", of, sqlite_where=_FAILED, postgresql_where=_FAILED)
