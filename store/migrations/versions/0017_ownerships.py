"""Owners of entities, several and dated; what processes of the release before write comes along."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_FIXED = ("id", "entity_id", "owner_id")
_ERASED = "EXISTS (SELECT 1 FROM entities WHERE id IN (OLD.entity_id, OLD.owner_id) AND erased_us IS NOT NULL)"
_NOW = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)",
}
_UNKNOWN = (
    "(NEW.owner_id IS NULL OR NOT EXISTS (SELECT 1 FROM ownerships o WHERE o.entity_id = NEW.id"
    " AND o.owner_id = NEW.owner_id AND (o.until_us IS NULL OR o.until_us > {now})))"
)
_END = (
    "UPDATE ownerships SET until_us = {now} WHERE entity_id = NEW.id AND owner_id = OLD.owner_id"  # noqa: S608 (our own)
    " AND (until_us IS NULL OR until_us > {now}) AND " + _UNKNOWN
)
_BEGIN = (
    "INSERT INTO ownerships (entity_id, owner_id) SELECT NEW.id, NEW.owner_id"
    " WHERE NEW.owner_id IS NOT NULL AND " + _UNKNOWN
)


def upgrade() -> None:
    """Make the table from what is known, its guards, and the triggers for processes of the release before."""
    op.create_table(
        "ownerships",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("entity_id", _BIG, nullable=False),
        sa.Column("owner_id", _BIG, nullable=False),
        sa.Column("from_us", sa.BigInteger),
        sa.Column("until_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_ownerships"),
        sa.ForeignKeyConstraint(["entity_id"], ["entities.id"], name="fk_ownerships_entity_id"),
        sa.ForeignKeyConstraint(["owner_id"], ["entities.id"], name="fk_ownerships_owner_id"),
    )
    for column in ("entity_id", "owner_id"):
        op.create_index(f"ix_ownerships_{column}", "ownerships", [column])
    op.execute(
        "INSERT INTO ownerships (entity_id, owner_id)"
        " SELECT id, owner_id FROM entities WHERE owner_id IS NOT NULL ORDER BY id"
    )
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        _on_postgresql()
    else:
        _on_sqlite()


def _on_postgresql() -> None:
    changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in _FIXED)
    op.execute(
        "CREATE TRIGGER ownerships_history_update BEFORE UPDATE ON ownerships FOR EACH ROW"
        f" WHEN ({changed}) EXECUTE FUNCTION audit_refuse()"
    )
    op.execute(
        "CREATE FUNCTION ownerships_refuse_unless_erased() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {_ERASED} THEN RETURN OLD; END IF;"
        " RAISE EXCEPTION USING MESSAGE = 'ownerships is history, DELETE is refused unless an entity is erased';"
        " END $$"
    )
    op.execute(
        "CREATE TRIGGER ownerships_erased_delete BEFORE DELETE ON ownerships"
        " FOR EACH ROW EXECUTE FUNCTION ownerships_refuse_unless_erased()"
    )
    op.execute(
        "CREATE TRIGGER ownerships_erased_delete_all BEFORE TRUNCATE ON ownerships"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )
    now = _NOW["postgresql"]
    op.execute(
        "CREATE FUNCTION ownerships_of_release_before() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF TG_OP = 'UPDATE' THEN {_END.format(now=now)}; END IF;"
        f" {_BEGIN.format(now=now)}; RETURN NULL; END $$"
    )
    for what, when in (
        ("INSERT", "NEW.owner_id IS NOT NULL"),
        ("UPDATE OF owner_id", "NEW.owner_id IS DISTINCT FROM OLD.owner_id"),
    ):
        op.execute(
            f"CREATE TRIGGER entities_owner_{what.split()[0].lower()} AFTER {what} ON entities FOR EACH ROW"
            f" WHEN ({when}) EXECUTE FUNCTION ownerships_of_release_before()"
        )


def _on_sqlite() -> None:
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _FIXED)
    for what, when, said in (
        ("update", changed, "ownerships is append-only, UPDATE is refused"),
        ("delete", f"NOT {_ERASED}", "ownerships is history, DELETE is refused unless an entity is erased"),
    ):
        op.execute(
            f"CREATE TRIGGER ownerships_history_{what} BEFORE {what} ON ownerships WHEN {when}"
            f" BEGIN SELECT RAISE(ABORT, '{said}'); END"
        )
    now = _NOW["sqlite"]
    op.execute(
        "CREATE TRIGGER entities_owner_insert AFTER INSERT ON entities WHEN NEW.owner_id IS NOT NULL"
        f" BEGIN {_BEGIN.format(now=now)}; END"
    )
    op.execute(
        "CREATE TRIGGER entities_owner_update AFTER UPDATE OF owner_id ON entities"
        f" WHEN NEW.owner_id IS NOT OLD.owner_id BEGIN {_END.format(now=now)}; {_BEGIN.format(now=now)}; END"
    )
