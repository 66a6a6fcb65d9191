"""Current levels in the order in which people look at them: by score, since when, by value and by segment."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_standings_score": ["type_id", "level", "score", "entity_id"],
    "ix_standings_segment": ["type_id", "segment", "level", "score", "entity_id"],
    "ix_standings_since": ["type_id", "level", "level_since_us", "entity_id"],
    "ix_standings_value": ["type_id", "level", "expected_value", "entity_id"],
}
_FROM_HISTORY = """
UPDATE standings SET
  score = coalesce((SELECT CASE WHEN a.score = '' THEN 0 ELSE CAST(a.score AS DOUBLE PRECISION) END FROM assessments a
    WHERE a.entity_id = standings.entity_id AND a.number = standings.number), 0),
  level_since_us = coalesce((SELECT t.at_us FROM transitions t WHERE t.entity_id = standings.entity_id
    ORDER BY t.number DESC LIMIT 1), 0),
  (value_score, segment, expected_value, value_currency) = (
    SELECT v.score, v.segment, v.expected_value, CASE WHEN v.score IS NOT NULL THEN v.currency END FROM value_scores v
    WHERE v.entity_id = standings.entity_id ORDER BY v.as_of_us DESC LIMIT 1)
"""


def upgrade() -> None:
    """Add the columns, fill them from what is stored, and index them."""
    for column in (
        sa.Column("score", sa.Float(53), nullable=False, server_default="0"),
        sa.Column("level_since_us", sa.BigInteger, nullable=False, server_default="-1"),
        sa.Column("value_score", sa.Float(53)),
        sa.Column("segment", sa.String(10)),
        sa.Column("expected_value", sa.Float(53)),
        sa.Column("value_currency", sa.String(3)),
    ):
        op.add_column("standings", column)
    op.execute(_FROM_HISTORY)
    for name, columns in _INDEXES.items():
        op.create_index(name, "standings", columns)
