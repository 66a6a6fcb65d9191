"""Counters of levels reached, by day, from and to, which the database keeps with every transition."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_KEYS = "organisation_id, type_id, day, from_level, to_level, part"
_ADD = f"ON CONFLICT ({_KEYS}) DO UPDATE SET entities = level_move_counts.entities + excluded.entities"
_DAY_US = 86_400_000_000


def _counted(of: str) -> str:
    """Give the cell of a transition; *of* is where the row is. What was before 1970 is counted on its first day."""
    return (
        f"{of}.organisation_id AS organisation_id, entities.type_id AS type_id,"
        f" CASE WHEN {of}.at_us < 0 THEN 0 ELSE {of}.at_us / {_DAY_US} END AS day,"
        f" coalesce({of}.from_level, 0) AS from_level, coalesce({of}.to_level, 0) AS to_level"
    )


def upgrade() -> None:
    """Create the table, count what was reached, and let a trigger count from then on."""
    op.create_table(
        "level_move_counts",
        *(
            sa.Column(name, kind, primary_key=True, autoincrement=False)
            for name, kind in (
                ("organisation_id", sa.Integer()),
                ("type_id", sa.Integer()),
                ("day", sa.Integer()),
                ("from_level", sa.SmallInteger()),
                ("to_level", sa.SmallInteger()),
                ("part", sa.Integer()),
            )
        ),
        sa.Column("entities", sa.BigInteger(), nullable=False),
    )
    op.execute(
        f"INSERT INTO level_move_counts ({_KEYS}, entities) SELECT {_counted('transitions')}, 0, count(*)"  # noqa: S608 (our own words)
        " FROM transitions JOIN entities ON entities.id = transitions.entity_id GROUP BY 1, 2, 3, 4, 5"
    )
    if op.get_bind().dialect.name == "postgresql":
        # What a statement added in one go, in rows that this connection alone adds to: writers never wait.
        op.execute(
            "CREATE FUNCTION transitions_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"  # noqa: S608 (our own words)
            f" INSERT INTO level_move_counts ({_KEYS}, entities)"
            f" SELECT {_counted('new_rows')}, pg_backend_pid(), count(*)"
            " FROM new_rows JOIN entities ON entities.id = new_rows.entity_id"
            f" GROUP BY 1, 2, 3, 4, 5 {_ADD}; RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER transitions_counted AFTER INSERT ON transitions REFERENCING NEW TABLE AS new_rows"
            " FOR EACH STATEMENT EXECUTE FUNCTION transitions_count()"
        )
    else:
        op.execute(
            "CREATE TRIGGER transitions_counted AFTER INSERT ON transitions BEGIN"  # noqa: S608 (our own words)
            f" INSERT INTO level_move_counts ({_KEYS}, entities) SELECT {_counted('NEW')}, 0, 1"
            f" FROM entities WHERE entities.id = NEW.entity_id {_ADD}; END"
        )
