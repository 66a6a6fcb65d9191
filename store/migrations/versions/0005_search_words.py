"""Words by which entities are found; and who has a tag or an owner, in order."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from fivefold.store.migrations.initial.columns import BIG
from fivefold.store.portfolio.words import words_of_entity
from fivefold.store.sql.bulk import write_rows

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ENTITIES = sa.text(
    "SELECT e.id, e.type_id, e.external_id, a.content FROM entities e LEFT JOIN attributes a ON a.entity_id = e.id"
    " AND a.number = (SELECT max(b.number) FROM attributes b WHERE b.entity_id = e.id)"
    " WHERE e.erased_us IS NULL AND e.id > :after ORDER BY e.id LIMIT 10000"
)


def upgrade() -> None:
    """Create the table, fill it from what entities are, and index it."""
    op.create_table(
        "search_words",
        sa.Column("type_id", sa.Integer, primary_key=True),
        sa.Column("place", sa.SmallInteger, primary_key=True),
        sa.Column("word", sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql"), primary_key=True),
        sa.Column("entity_id", BIG, sa.ForeignKey("entities.id"), primary_key=True),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    fields = {
        number: json.loads(declared)
        for number, declared in connection.execute(sa.text("SELECT id, fields FROM entity_types"))
    }
    after = 0
    while rows := connection.execute(_ENTITIES, {"after": after}).all():
        write_rows(connection, "search_words", ("type_id", "place", "word", "entity_id"), _words(rows, fields))
        after = rows[-1].id
    op.create_index("ix_search_words_entity_id", "search_words", ["entity_id", "word"])
    op.create_index("ix_ownerships_owner_id_entity_id", "ownerships", ["owner_id", "entity_id"])
    op.create_index("ix_tags_tag", "tags", ["organisation_id", "tag", "entity_id"])


def _words(rows: Any, fields: Mapping[int, Mapping[str, Any]]) -> Iterator[tuple[int, int, str, int]]:
    for row in rows:
        attributes = json.loads(row.content) if row.content else {}
        for place, word in words_of_entity(row.external_id, attributes, fields[row.type_id]):
            yield row.type_id, int(place), word, row.id
