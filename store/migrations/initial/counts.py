"""Triggers that count: the entities of each cell of a portfolio, and the changes of levels of each day."""

from alembic import op

_CELL = ("organisation_id", "type_id", "level", "segment", "currency", "erased", "part")
_COLUMNS = f"{', '.join(_CELL)}, entities, cents"
_ADD_CELL = (
    f"ON CONFLICT ({', '.join(_CELL)}) DO UPDATE SET entities = portfolio_counts.entities + excluded.entities,"
    " cents = portfolio_counts.cents + excluded.cents"
)
_LOOKED_AT = ("organisation_id", "type_id", "level", "segment", "value_currency", "erased", "expected_value")
_MOVE = "organisation_id, type_id, day, from_level, to_level, part"
_ADD_MOVE = f"ON CONFLICT ({_MOVE}) DO UPDATE SET entities = level_move_counts.entities + excluded.entities"
_DAY_US = 86_400_000_000


def create() -> None:
    """Create the triggers, and on PostgreSQL the functions that they run."""
    if op.get_bind().dialect.name == "postgresql":
        _count_cells_by_statement()
    else:
        _count_cells_by_row()
    _count_moves()


def _cell_of(of: str = "") -> str:
    """Give the cell of a row; *of* is where the row is, with a dot."""
    return (
        f"{of}organisation_id AS organisation_id, {of}type_id AS type_id, coalesce({of}level, 0) AS level,"
        f" coalesce({of}segment, '') AS segment, coalesce({of}value_currency, '') AS currency,"
        f" {of}erased AS erased"
    )


def _cents(of: str = "") -> str:
    return f"coalesce(CAST(round({of}expected_value * 100) AS BIGINT), 0)"


def _count_cells_by_row() -> None:
    """Count row by row: SQLite has one writer at a time."""

    def counting(row: str, sign: str) -> str:
        cell, cents = _cell_of(f"{row}."), _cents(f"{row}.")
        # WHERE TRUE: without it SQLite reads ON as part of a join.
        adding = f"INSERT INTO portfolio_counts ({_COLUMNS}) SELECT {cell}, 0, {sign}1, {sign}{cents}"
        return f"{adding} WHERE TRUE {_ADD_CELL};"

    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _LOOKED_AT)
    for statement, when, body in (
        ("INSERT", "", counting("NEW", "")),
        ("DELETE", "", counting("OLD", "-")),
        (f"UPDATE OF {', '.join(_LOOKED_AT)}", f"WHEN {changed} ", counting("OLD", "-") + " " + counting("NEW", "")),
    ):
        name = f"standings_counted_{statement.partition(' ')[0].lower()}"
        op.execute(f"CREATE TRIGGER {name} AFTER {statement} ON standings {when}BEGIN {body} END")


def _count_cells_by_statement() -> None:
    """Count what a statement changed in one go, in rows that this connection alone adds to: writers never wait."""
    for statement, side, sign in (("insert", "new", ""), ("delete", "old", "-")):
        _count_cells_of(statement, f"SELECT {_cell_of()}, {sign}1 AS one, {sign}{_cents()} AS cents FROM {side}_rows")  # noqa: S608 (as above)
    _count_cells_of(
        "update",
        f"SELECT {_cell_of()}, 1 AS one, {_cents()} AS cents FROM new_rows"  # noqa: S608 (as above)
        f" UNION ALL SELECT {_cell_of()}, -1, -{_cents()} FROM old_rows",
    )


def _count_cells_of(statement: str, changes: str) -> None:
    cell = ", ".join(_CELL[:-1])
    adding = (
        f"INSERT INTO portfolio_counts ({_COLUMNS}) SELECT {cell}, pg_backend_pid(), sum(one), sum(cents)"  # noqa: S608 (as above)
        f" FROM ({changes}) AS changed GROUP BY {cell} HAVING sum(one) <> 0 OR sum(cents) <> 0 {_ADD_CELL}"
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


def _move_of(of: str) -> str:
    """Give the cell of a transition; *of* is where the row is. What was before 1970 is counted on its first day."""
    return (
        f"{of}.organisation_id AS organisation_id, entities.type_id AS type_id,"
        f" CASE WHEN {of}.at_us < 0 THEN 0 ELSE {of}.at_us / {_DAY_US} END AS day,"
        f" coalesce({of}.from_level, 0) AS from_level, coalesce({of}.to_level, 0) AS to_level"
    )


def _count_moves() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # What a statement added in one go, in rows that this connection alone adds to: writers never wait.
        op.execute(
            "CREATE FUNCTION transitions_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"  # noqa: S608 (our own words)
            f" INSERT INTO level_move_counts ({_MOVE}, entities)"
            f" SELECT {_move_of('new_rows')}, pg_backend_pid(), count(*)"
            " FROM new_rows JOIN entities ON entities.id = new_rows.entity_id"
            f" GROUP BY 1, 2, 3, 4, 5 {_ADD_MOVE}; RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER transitions_counted AFTER INSERT ON transitions REFERENCING NEW TABLE AS new_rows"
            " FOR EACH STATEMENT EXECUTE FUNCTION transitions_count()"
        )
    else:
        op.execute(
            "CREATE TRIGGER transitions_counted AFTER INSERT ON transitions BEGIN"  # noqa: S608 (our own words)
            f" INSERT INTO level_move_counts ({_MOVE}, entities) SELECT {_move_of('NEW')}, 0, 1"
            f" FROM entities WHERE entities.id = NEW.entity_id {_ADD_MOVE}; END"
        )
