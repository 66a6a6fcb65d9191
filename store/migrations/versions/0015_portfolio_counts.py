"""Counters of who stands where, by level and segment, which the database keeps with every change of a standing."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_KEYS = ("organisation_id", "type_id", "level", "segment", "currency", "part")
_COLUMNS = f"{', '.join(_KEYS)}, entities, cents"
_ADD = (
    f"ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET entities = portfolio_counts.entities + excluded.entities,"
    " cents = portfolio_counts.cents + excluded.cents"
)
_LOOKED_AT = ("organisation_id", "type_id", "level", "segment", "value_currency", "expected_value")


def _counted(of: str = "") -> str:
    """Give the cell of a row; *of* is where the row is, with a dot."""
    return (
        f"{of}organisation_id AS organisation_id, {of}type_id AS type_id, coalesce({of}level, 0) AS level,"
        f" coalesce({of}segment, '') AS segment, coalesce({of}value_currency, '') AS currency"
    )


def _cents(of: str = "") -> str:
    return f"coalesce(CAST(round({of}expected_value * 100) AS BIGINT), 0)"


def upgrade() -> None:
    """Create the table, count who is there, and let triggers count from then on."""
    op.create_table(
        "portfolio_counts",
        sa.Column("organisation_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("type_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("level", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("segment", sa.String(10), primary_key=True),
        sa.Column("currency", sa.String(3), primary_key=True),
        sa.Column("part", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("entities", sa.BigInteger(), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
    )
    op.execute(
        f"INSERT INTO portfolio_counts ({_COLUMNS}) SELECT {_counted()}, 0, count(*), sum({_cents()}) FROM standings"  # noqa: S608 (our own words)
        " GROUP BY 1, 2, 3, 4, 5"
    )
    if op.get_bind().dialect.name == "postgresql":
        _count_statements()
    else:
        _count_rows()


def _count_rows() -> None:
    """Count row by row: SQLite has one writer at a time."""

    def counting(row: str, sign: str) -> str:
        cell, cents = _counted(f"{row}."), _cents(f"{row}.")
        # WHERE TRUE: without it SQLite reads ON as part of a join.
        return f"INSERT INTO portfolio_counts ({_COLUMNS}) SELECT {cell}, 0, {sign}1, {sign}{cents} WHERE TRUE {_ADD};"

    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _LOOKED_AT)
    for statement, when, body in (
        ("INSERT", "", counting("NEW", "")),
        ("DELETE", "", counting("OLD", "-")),
        (f"UPDATE OF {', '.join(_LOOKED_AT)}", f"WHEN {changed} ", counting("OLD", "-") + " " + counting("NEW", "")),
    ):
        name = f"standings_counted_{statement.partition(' ')[0].lower()}"
        op.execute(f"CREATE TRIGGER {name} AFTER {statement} ON standings {when}BEGIN {body} END")


def _count_statements() -> None:
    """Count what a statement changed in one go, in rows that this connection alone adds to: writers never wait."""
    for statement, side, sign in (("insert", "new", ""), ("delete", "old", "-")):
        _create(statement, f"SELECT {_counted()}, {sign}1 AS one, {sign}{_cents()} AS cents FROM {side}_rows")  # noqa: S608 (as above)
    _create(
        "update",
        f"SELECT {_counted()}, 1 AS one, {_cents()} AS cents FROM new_rows"  # noqa: S608 (as above)
        f" UNION ALL SELECT {_counted()}, -1, -{_cents()} FROM old_rows",
    )


def _create(statement: str, changes: str) -> None:
    cell = ", ".join(_KEYS[:-1])
    adding = (
        f"INSERT INTO portfolio_counts ({_COLUMNS}) SELECT {cell}, pg_backend_pid(), sum(one), sum(cents)"  # noqa: S608 (as above)
        f" FROM ({changes}) AS changed GROUP BY {cell} HAVING sum(one) <> 0 OR sum(cents) <> 0 {_ADD}"
    )
    op.execute(
        f"CREATE FUNCTION standings_count_{statement}() RETURNS trigger LANGUAGE plpgsql"
        f" AS $$ BEGIN {adding}; RETURN NULL; END $$"
    )
    tables = {"insert": "NEW TABLE AS new_rows", "delete": "OLD TABLE AS old_rows"}
    tables["update"] = "NEW TABLE AS new_rows OLD TABLE AS old_rows"
    op.execute(
        f"CREATE TRIGGER standings_counted_{statement} AFTER {statement.upper()} ON standings"
        f" REFERENCING {tables[statement]} FOR EACH STATEMENT EXECUTE FUNCTION standings_count_{statement}()"
    )
