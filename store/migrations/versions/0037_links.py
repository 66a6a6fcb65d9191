"""Links between entities, with a guard: what one says stays, but for its times; and the kinds of links of a type."""

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG, only_where
from fivefold.store.migrations.initial.guards import LINK_IS_ERASED, refuse, refuse_unless_erased, unchanged

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

_FIXED = (
    "id", "organisation_id", "type_id", "entity_id", "link", "other_id", "thing", "recorded_us", "set_by", "salt",
)  # fmt: skip
"""What nothing changes once a link is stored."""


def upgrade() -> None:
    """Create the table; types of entities that are there have no links."""
    op.add_column("entity_types", sa.Column("links", sa.Text()))
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
    refuse("links", "UPDATE", f"NOT ({unchanged(_FIXED)})")
    refuse_unless_erased("links", "DELETE", is_erased=LINK_IS_ERASED)
