"""Numbers that the program names outside: each is given once, whatever was deleted since, on both databases."""

from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Engine, Integer, LargeBinary, Table, insert, text

from fivefold.store.sql.json_text import JSONText
from fivefold.store.tables.accounts import Base
from tests.depth import some

pytestmark = pytest.mark.postgresql

COUNTED = sorted(
    name for name, table in Base.metadata.tables.items() if table.dialect_options["sqlite"].get("autoincrement")
)
NO_ROW_GOES = {
    "activations", "backtests", "champions", "console_sessions", "decisions", "entities", "entity_types",
    "flow_activations", "flow_versions", "flows", "group_versions", "imports", "material_changes", "members",
    "named_groups", "organisations", "overrides", "peer_files", "policies", "proposals", "ruleset_families",
    "ruleset_versions", "token_requests", "tokens", "usage", "validations",
}  # fmt: skip
"""Tables of which no part of the program deletes a row: the greatest number is the last one that was given."""
ROWS_GO = {
    "corrections": "named by their own external number, and in the audit log beside an entity that does not come back",
    "flow_schedules": "named nowhere: their runs come by the moment",
    "level_releases": "named nowhere: a release is that of a backtest",
    "links": "named in the audit log alone, beside entities that do not come back",
    "markings": "named nowhere: what they made due is",
    "ownerships": "named in the audit log alone, beside entities that do not come back",
    "prediction_days": "named nowhere: an event names type, version and day",
    "retention_runs": "a run goes where a later one of its kind is there, so never the last one",
    "workers": "named nowhere but in the list of those that run",
}
"""Tables of which rows are deleted, and why a number may be given again or never is."""
JOBS = {"evidence_jobs", "flow_replays", "points_jobs", "reference_jobs", "threshold_reviews", "validation_jobs"}
CHECKED = {
    "challenges": {"state": "open"},
    "flow_activations": {"kind": "active"},
    "flow_runs": {"state": "ended"},
    "records": {"kind": "case"},
}
"""Words that a check of the table asks for."""


def test_every_table_that_numbers_its_rows_gives_a_number_once_or_says_why_not() -> None:
    numbered = {
        name
        for name, table in Base.metadata.tables.items()
        for column in [next(iter(table.primary_key.columns))]
        if len(table.primary_key.columns) == 1 and isinstance(column.type, Integer) and not column.foreign_keys
    }
    assert sorted([*COUNTED, *NO_ROW_GOES, *ROWS_GO]) == sorted(numbered)


def test_a_file_numbers_as_the_tables_say(engine: Engine) -> None:
    """What a database does not say of itself, so that nothing else compares it with the migrations."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            made = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")).all()
        assert sorted(name for name, sql in made if "AUTOINCREMENT" in (sql or "")) == COUNTED


def add(engine: Engine, table: str, distinct: int = 1) -> int:
    """Add a row that says nothing, and what it refers to; give its number."""
    of = Base.metadata.tables[table]
    for parent in {key.column.table.name for column in _needed(of) for key in column.foreign_keys} - {table}:
        with engine.connect() as connection:
            is_there = connection.execute(text(f"SELECT 1 FROM {parent} WHERE id = 1")).first()
        if is_there is None:
            add(engine, parent)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        made = connection.execute(insert(of).values(_plain(of, distinct)).returning(of.c.id))
        return int(made.scalar_one())


def remove(engine: Engine, table: str, number: int) -> None:
    """Delete a row, whatever guards it."""
    without_guards(engine)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        assert connection.execute(text(f"DELETE FROM {table} WHERE id = :id"), {"id": number}).rowcount == 1


def without_guards(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            for guard in connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                connection.exec_driver_sql(f"DROP TRIGGER {guard}")


def _needed(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if not column.nullable and column.name != "id"]


def _plain(table: Table, distinct: int) -> dict[str, Any]:
    """Give values of each kind; what refers to another row does so to its first one."""
    given: dict[str, Any] = {}
    for column in _needed(table):
        kind = column.type
        if isinstance(kind, Boolean):
            given[column.name] = False
        elif isinstance(kind, Integer):
            given[column.name] = 1 if column.foreign_keys or column.name == "organisation_id" else distinct
        elif isinstance(kind, JSONText):
            given[column.name] = {}
        else:
            given[column.name] = b"" if isinstance(kind, LargeBinary) else f"x{distinct}"
    return given | ({"state": "queued"} if table.name in JOBS else {}) | CHECKED.get(table.name, {})


@pytest.mark.parametrize("table", some(sorted(COUNTED), 3))
def test_the_number_of_the_newest_row_names_no_other_one_once_it_is_gone(engine: Engine, table: str) -> None:
    first = add(engine, table)
    remove(engine, table, first)
    assert add(engine, table) > first
