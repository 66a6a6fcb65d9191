"""Seals of single rows hold beside programs that do not know their later columns."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from fivefold.store.audit.bound_rows import TABLES, BoundTable, row_digest
from fivefold.store.sql import migrating

NAMED_SINCE = "0016"
"""Programs of the migrations before this one wrote seals without a count of columns."""


@pytest.fixture(scope="module")
def counts() -> dict[str, dict[str, int]]:
    """How many of a table's columns there are after each migration; they must be the first ones."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        present: dict[str, dict[str, int]] = {}
        for revision in migrating.steps(connection):
            migrating.migrate(connection, revision)
            for name, table in TABLES.items():
                stored = {column["name"] for column in inspect(connection).get_columns(name)}
                known = [column for column in table.columns if column in stored]
                assert known == list(table.columns[: len(known)]), f"{name}: a column of {revision} is not the last"
                present.setdefault(revision, {})[name] = len(known)
    return present


def values_of(table: BoundTable) -> list[Any]:
    return [f"value {number}" for number in range(len(table.columns))]


def first(values: list[Any], count: int) -> list[Any]:
    """The values of a row that has none in its later columns."""
    return [*values[:count], *[None] * (len(values) - count)]


def test_a_column_of_a_later_migration_goes_last(counts: dict[str, dict[str, int]]) -> None:
    assert counts[migrating.newest()] == {name: len(table.columns) for name, table in TABLES.items()}


def test_the_counts_of_programs_that_did_not_write_them_are_those_of_their_schemas(
    counts: dict[str, dict[str, int]],
) -> None:
    for name, table in TABLES.items():
        former = {known[name] for revision, known in counts.items() if revision < NAMED_SINCE}
        assert set(table.former_counts) == former - {len(table.columns)}, name


@pytest.mark.parametrize("name", TABLES)
def test_what_a_program_without_the_later_columns_sealed_holds(name: str) -> None:
    table, values = TABLES[name], values_of(TABLES[name])
    for count in range(1, len(values)):
        seal = replace(table, columns=table.columns[:count]).seal("00", values[:count])
        assert table.is_sealed(seal, "00", values)
        assert table.is_sealed(seal, "00", first(values, count))
        for place, other in product(range(count), (None, "other")):
            assert not table.is_sealed(seal, "00", [*values[:place], other, *values[place + 1 :]])


@pytest.mark.parametrize("name", TABLES)
def test_no_value_that_a_program_with_all_columns_sealed_can_be_taken_out_or_put_in(name: str) -> None:
    """Nor all behind a column, as if an older program had written the row."""
    table, values = TABLES[name], values_of(TABLES[name])
    for shorter in (first(values, count) for count in range(len(values))):
        assert table.is_sealed(table.seal("00", shorter), "00", shorter)
        assert not table.is_sealed(table.seal("00", values), "00", shorter)
        assert not table.is_sealed(table.seal("00", shorter), "00", values)


def test_seals_without_a_count_hold_by_the_columns_of_such_programs() -> None:
    later = {name: table for name, table in TABLES.items() if table.former_counts}
    assert later.keys() >= {"tags", "organisation_settings"}
    for table in later.values():
        values = values_of(table)
        for count in table.former_counts:
            assert table.is_sealed(row_digest("00", values[:count]), "00", values)
            assert not table.is_sealed(row_digest("00", values[: count - 1]), "00", values)
            assert not table.is_sealed(row_digest("00", values), "00", first(values, count))


@pytest.mark.parametrize("seal", ["", ":", "10:", "11:00", "0:00", "ten:00", "-1:00"])
def test_a_seal_of_another_form_holds_for_nothing(seal: str) -> None:
    assert not TABLES["tags"].is_sealed(seal, "00", values_of(TABLES["tags"]))
