"""Every column of every table is compared with the audit log, or named in docs/audit.md as one that is not."""

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.store import tables
from fivefold.store.audit.bound_rows import TABLES
from fivefold.store.tables.accounts import Base
from fivefold.usecases.shared.context import Context
from tests.depth import some
from tests.store.audits import bind_unnamed, findings_in, unguarded
from tests.store.filling import filled_once
from tests.usecases.at_once import put_list_version, put_rates
from tests.usecases.banks import Bank
from tests.usecases.erasure.erasures import peopled
from tests.usecases.ingest.test_corrections import correct

DOCUMENTED = re.compile(r"^\| (`[^|]+`) \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)
WORD = re.compile("`([a-z_]+)`")
OF_THE_LOG = ("audit_entries", "audit_values", "audit_heads")
"""`test_verify` changes each of their columns."""
SEALED: Mapping[str, str] = {
    "transactions": "transaction_id = 'pending-1'",
    "corrections": "external_id = 'c1'",
    "assessments": "entity_id = 2 AND number = 1",
    "assessment_inputs": "entity_id = 2 AND number = 1",
    "input_layouts": "TRUE",
    "transitions": "entity_id = 2 AND number = 1",
    "decisions": "id = 1",
    "overrides": "id = 3",
    "list_versions": "TRUE",
    "rate_tables": "TRUE",
    "standings": "entity_id = 2",
    "portfolio_counts": "entities > 0 AND level = (SELECT max(level) FROM portfolio_counts WHERE entities > 0)",
    "level_move_counts": "to_level = (SELECT max(to_level) FROM level_move_counts)",
}
"""Tables that entries speak of, besides those whose rows are bound one by one; and which of their rows is changed."""
ANOTHER: Mapping[str, Any] = {"state": "refused", "organisation_id": 2, "members": '["XX"]', "kind": "reversal"}
"""Values that constraints and readers admit."""


def columns_of_tables() -> dict[str, set[str]]:
    for module in iter_modules(tables.__path__):
        import_module(f"{tables.__name__}.{module.name}")
    return {name: {column.name for column in table.columns} for name, table in Base.metadata.tables.items()}


def not_compared() -> dict[str, set[str]]:
    """The columns that the documentation names, by tables."""
    page = Path("docs/audit.md").read_text(encoding="utf-8").split("### Not compared")[1].split("\n## ")[0]
    everything, named = columns_of_tables(), {}
    for names, columns in DOCUMENTED.findall(page):
        for table in WORD.findall(names):
            assert table not in named, f"{table} is named twice"
            named[table] = everything[table] if columns == "all" else set(WORD.findall(columns))
    return named


def test_every_column_is_compared_or_named_as_one_that_is_not() -> None:
    named = not_compared()
    for table, columns in columns_of_tables().items():
        left_out = named.pop(table, set())
        assert left_out <= columns, f"{table} has no such columns: {left_out - columns}"
        if table in TABLES:
            assert columns - left_out == {*TABLES[table].columns, "salt"}, table
        elif table not in {*SEALED, *OF_THE_LOG}:
            assert columns == left_out, f"neither compared nor named in docs/audit.md: {table}"
    assert not named, "tables that there are not"


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """Two customers with transactions of the same calls, a correction, levels, an override, a list, rates."""
    made = peopled(engine)
    made.pay(20, "bystander", transaction_id="pending-1", transaction_state="PENDING")
    made.pay(20, "bystander", transaction_id="pending-1", transaction_state="SUCCEEDED")
    correct(made, "c1", "bystander-t", transaction_amount=-5.0)
    put_list_version(Context(engine, made.actor).at(made.now), "watched", 0, ("IR",), "Whom we watch", "our own")
    put_rates(Context(engine, made.actor).at(made.now), {"currency": "AED", "date": "2024-06-28", "rate": 0.25})
    made.override("bystander", 1)
    made.settle()
    bind_unnamed(engine)
    return made


def another(column: str, value: Any) -> Any:
    if column in ANOTHER:
        return ANOTHER[column]
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value[:-1] + ("0" if value.endswith("1") else "1")
    return 1 if value is None else value + (1000 if column in {"id", "entity_id", "number"} else 1)


@pytest.mark.parametrize("table", some(sorted(SEALED), 2))
def test_a_change_of_any_other_column_is_found(bank: Bank, table: str) -> None:
    """One UPDATE by who owns the database, in any column."""
    named, missed = not_compared().get(table, set()), []
    with bank.engine.connect() as connection:
        row = connection.execute(text(f"SELECT * FROM {table} WHERE {SEALED[table]}")).mappings().first()
        assert row is not None
        assert findings_in(connection) == []
    for column in sorted(row.keys() - named):
        with unguarded(bank.engine) as connection:
            statement = text(f"UPDATE {table} SET {column} = :value WHERE {SEALED[table]}")
            assert connection.execute(statement, {"value": another(column, row[column])}).rowcount > 0
            missed += [] if findings_in(connection) else [column]
    assert missed == []


@pytest.mark.parametrize("table", some(sorted(SEALED), 2))
def test_a_row_that_goes_and_one_that_comes_are_found(bank: Bank, table: str) -> None:
    """One DELETE, or one INSERT of a copy under another key, by who owns the database."""
    with unguarded(bank.engine) as connection:
        assert connection.execute(text(f"DELETE FROM {table} WHERE {SEALED[table]}")).rowcount > 0
        assert findings_in(connection) != []
    key = [column.name for column in Base.metadata.tables[table].primary_key]
    with unguarded(bank.engine) as connection:
        row = dict(connection.execute(text(f"SELECT * FROM {table} WHERE {SEALED[table]}")).mappings().one())
        for column in row.keys() & {key[-1], "external_id"}:
            row[column] = another(column, row[column])
        holders = ", ".join(f":{column}" for column in row)
        connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({holders})"), row)
        assert findings_in(connection) != []
