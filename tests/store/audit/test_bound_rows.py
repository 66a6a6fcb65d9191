"""Seals of single rows hold beside programs that do not know their later columns."""

import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from fivefold.store.audit.bound_rows import TABLES, BoundTable, row_digest
from fivefold.store.sql import migrating


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


@pytest.mark.parametrize("seal", ["", ":", "10:", "11:00", "0:00", "ten:00", "-1:00"])
def test_a_seal_of_another_form_holds_for_nothing(seal: str) -> None:
    assert not TABLES["tags"].is_sealed(seal, "00", values_of(TABLES["tags"]))


def test_a_seal_without_a_count_holds_for_nothing() -> None:
    """A value that was put in behind the columns that such a seal covered was not found."""
    values = values_of(TABLES["tags"])
    assert not TABLES["tags"].is_sealed(row_digest("00", values), "00", values)


def test_the_page_says_how_a_row_is_named_and_which_columns_are_hashed() -> None:
    """Otherwise nobody could verify a log with a program of their own."""
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
    section = re.sub(r"\(.*?\)", "", page.partition("**Single rows.**")[2].partition("**Standings.**")[0])
    rows = re.findall(r"^\| `(\w+)` +\| (.*) \| (.*) \|$", section, re.MULTILINE)
    written = {name: (tuple(re.findall(r"\w+", named)), tuple(re.findall(r"\w+", held))) for name, named, held in rows}
    assert written == {name: (table.named_by, table.columns) for name, table in TABLES.items()}


def test_a_text_that_holds_the_columns_behind_it_is_not_as_it_was_sealed() -> None:
    tokens = TABLES["tokens"]
    *before, created_us, expires_us, revoked_us = values_of(tokens)
    seal = tokens.seal("00", values_of(tokens))
    for shorter in ([f"{created_us}\0={expires_us}\0={revoked_us}"], [created_us, f"{expires_us}\0={revoked_us}"]):
        assert not tokens.is_sealed(seal, "00", [*before, *shorter, *[None] * (3 - len(shorter))])
    assert not tokens.is_sealed(seal, "00", [*before, created_us, expires_us, f"{revoked_us}\0"])
