"""Attributes, tags, screenings, cases, ownerships, links and proposals are what the audit log says, row by row."""

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import FivefoldError
from fivefold.store.audit.bound_rows import TABLES
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.bulk_facts import RecordRow, ScreeningRow, TagRow, add_screenings, put_records, put_tags
from fivefold.usecases.ingest.entities import put_entities, put_owners
from fivefold.usecases.ingest.facts import RecordGiven, end_tag, set_tag
from fivefold.usecases.ingest.ownerships import OwnersRow
from fivefold.usecases.levels.clock_repair import repair_dates
from fivefold.usecases.shared.entity_checks import EntityRow, OwnerGiven
from tests.depth import examples, some
from tests.store import databases
from tests.store.audits import bind_unnamed, findings_in, findings_of, unguarded
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.audit.bound_bank import by_hand, fill, send_files
from tests.usecases.banks import Bank

NOT_BOUND = {
    "entities": {"noted_us"},
    "activations": {"reached_id", "reached_us", "finished_us"},
    "flow_runs": {"due_us", "lease", "lease_until_us", "attempts", "revision", "asks", "asked_us", "does"},
    "flow_actions": {"due_us", "waits_us"},
    "backtests": {"attempts", "part", "lease_until_us", "done", "total", "movers_removed_us"},
    "endpoints": {"planned_id"},
    "members": {"zone"},
    "ruleset_families": {"revision"},
    "tokens": {"last_used_us"},
}
"""Columns that workers and files write all the time, and those of the queue, which follow from what is bound."""
OF_ENTITIES = sorted(name for name, table in TABLES.items() if table.entities)


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return fill(engine)


def findings(bank: Bank) -> list[str]:
    return findings_of(bank.engine)


def rows_of(connection: Connection, table: str) -> list[dict[str, Any]]:
    key = ", ".join(TABLES[table].primary)
    return [dict(row) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY {key}")).mappings()]


def insert(connection: Connection, table: str, row: Mapping[str, Any]) -> None:
    holders = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({holders})"), row)


def where(table: str, row: Mapping[str, Any]) -> str:
    return " AND ".join(f"{name} = {row[name]}" for name in TABLES[table].primary)


def test_what_nobody_changed_is_whole(bank: Bank) -> None:
    with bank.engine.connect() as connection:
        assert all(rows_of(connection, table) for table in TABLES)
        assert {row["state"] for row in rows_of(connection, "proposals")} == {
            "proposed",
            "approved",
            "refused",
            "withdrawn",
        }
    assert findings(bank) == []


def another(value: Any) -> Any:
    """Give another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value[:-1] + ("0" if value.endswith("1") else "1")
    return 1 if value is None else value + 1


ANOTHER: dict[str, dict[str, str]] = {
    "activations": {"kind": "off"},
    "flow_activations": {"kind": "off"},
    "challenges": {"state": "corrected"},
    "flow_runs": {"state": "failed"},
    "backtests": {"state": "failed"},
    "token_requests": {"role": "admin"},
    "tokens": {"role": "admin"},
    "policies": {"state": "active"},
    "group_versions": {"state": "active"},
}
"""Values that constraints admit."""


@pytest.mark.parametrize("table", some(sorted(TABLES), 3))
def test_every_column_is_compared(bank: Bank, table: str) -> None:
    """One UPDATE by who owns the database, in any column, of a row of any table; the row is named."""
    bound = TABLES[table]
    with bank.engine.connect() as connection:
        row = rows_of(connection, table)[-1]
        assert {*bound.columns, "salt"} == row.keys() - NOT_BOUND.get(table, set())
    name = ".".join(str(row[column] or 0) for column in bound.named_by)
    changed = {column: another(row[column]) for column in row} | {"state": "refused", "organisation_id": 2}
    if table == "records":
        changed["kind"] = "case" if row["kind"] == "alert" else "alert"
    changed |= ANOTHER.get(table, {})
    for column, value in changed.items():
        if column in {*bound.columns, "salt"}:
            with unguarded(bank.engine) as connection:
                statement = f"UPDATE {table} SET {column} = :value WHERE {where(table, row)}"
                assert connection.execute(text(statement), {"value": value}).rowcount == 1
                found = findings_in(connection)
            missing = column in {*bound.named_by, "organisation_id"}
            said = "is missing" if missing else "was changed since: content"
            assert any(f"row of {table} {name} {said}" in each for each in found), (column, found)


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_goes_and_one_that_comes_are_found(bank: Bank, table: str) -> None:
    bound = TABLES[table]
    with bank.engine.connect() as connection:
        row = rows_of(connection, table)[0]
    name = ".".join(str(row[column] or 0) for column in bound.named_by)
    with unguarded(bank.engine) as connection:
        connection.execute(text(f"DELETE FROM {table} WHERE {where(table, row)}"))
        found = findings_in(connection)
        assert sum(f"row of {table} {name} is missing" in each for each in found) == 1
        assert len(found) == 1 or table == "entities", "whose facts are those of nobody then"
    for salt in (row["salt"], None):
        new = {**row, bound.primary[-1]: 999, "salt": salt}
        if "external_id" in row:
            new["external_id"] = "new"
        if table == "tokens":
            new["sha256"] = "new"
        if table in {"entity_types", "ruleset_families", "flows", "members"}:
            new["name"] = "new"
        if table in {"ruleset_versions", "flow_versions", "policies", "group_versions"}:
            new["number"] = 999
        if "cause" in new:
            new["cause"] = "new"
        with unguarded(bank.engine) as connection:
            insert(connection, table, new)
            (found,) = findings_in(connection)
            assert f"no entry says that row of {table} {name.rpartition('.')[0]}" in found
            assert "999 was written" in found


@pytest.mark.parametrize("table", OF_ENTITIES)
def test_a_row_that_is_moved_to_another_entity_is_found(bank: Bank, table: str) -> None:
    with bank.engine.connect() as connection:
        other = bank.id_of("d")
        others = [each for each in rows_of(connection, table) if each["entity_id"] != other]
        row = next(each for each in others if each.get("number") != 1)  # the first version everybody has
    with unguarded(bank.engine) as connection:
        statement = f"UPDATE {table} SET entity_id = :other WHERE {where(table, row)}"
        connection.execute(text(statement), {"other": other})
        found = findings_in(connection)
    assert any(" is missing" in each for each in found), found
    assert any("no entry says that row of" in each for each in found), found


def test_erased_rows_are_not_missed_and_those_of_others_are(bank: Bank, tmp_path: Path) -> None:
    """Files brought facts of several customers; one of them, and an owner of what another owns too, are erased."""
    bank.wait(days=4000)
    with bank.engine.connect() as connection:
        former = next(row for row in rows_of(connection, "tags") if row["entity_id"] == bank.id_of("a"))
    for name in ("b", "a"):
        erase_entity(bank.context, "customer", name, tmp_path / "e")
        assert findings(bank) == []
    with bank.engine.connect() as connection:
        tag = rows_of(connection, "tags")[0]
    with unguarded(bank.engine) as connection:
        connection.execute(text(f"DELETE FROM tags WHERE id = {tag['id']}"))
        assert any(f"row of tags {tag['entity_id']}.{tag['id']} is missing" in each for each in findings_in(connection))
    with unguarded(bank.engine) as connection:
        connection.execute(text("UPDATE proposals SET decided_by = 'member:9' WHERE id = 1"))
        assert any("row of proposals 1 was changed since" in each for each in findings_in(connection))
    with unguarded(bank.engine) as connection:
        insert(connection, "tags", former)
        subject = f"row of tags {former['entity_id']}.{former['id']}"
        assert any(f"{subject} is there, and an entity of it was erased" in each for each in findings_in(connection))


def test_marking_an_entity_as_erased_by_hand_explains_no_missing_row(bank: Bank) -> None:
    with unguarded(bank.engine) as connection:
        connection.execute(text(f"UPDATE entities SET erased_us = 1 WHERE id = {bank.id_of('a')}"))
        connection.execute(text(f"DELETE FROM screenings WHERE entity_id = {bank.id_of('a')}"))
        assert sum("row of screenings" in each and "is missing" in each for each in findings_in(connection)) > 1


def test_the_repair_of_a_clock_that_was_ahead_is_no_break(engine: Engine) -> None:
    bank = Bank(engine)
    bind_unnamed(engine)
    bank.wait(days=3650)
    bank.put("a", country="NO")
    send_files(bank, "a")
    by_hand(bank, "a")
    assert findings(bank) == []
    assert {each.kind for each in repair_dates(engine, "cli:ana", "NTP was off")} >= {
        "attributes",
        "screenings",
        "tags",
    }
    assert findings(bank) == []


def test_a_program_of_the_release_before_writes_a_row_whose_later_columns_it_does_not_know(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it sealed is found if it is changed; its later columns are not, until a program writes that knows them."""
    tag, own = TABLES["tags"], {"type_name": "customer", "external_id": "a", "tag": "rolling"}
    set_tag(bank.context, **own, reason="both are at work")
    bank.wait(days=1)
    with monkeypatch.context() as before:
        before.setitem(cast("Any", TABLES), "tags", replace(tag, columns=tag.columns[:7]))
        end_tag(bank.context, **own)
    assert findings(bank) == []

    def found(column: str) -> list[str]:
        with unguarded(bank.engine) as connection:
            connection.execute(text(f"UPDATE tags SET {column} = 'another' WHERE tag = 'rolling'"))
            return findings_in(connection)

    assert any("was changed since: content" in each for each in found("set_by"))
    assert found("set_reason") == []
    set_tag(bank.context, **own, reason="the last program was replaced")
    with unguarded(bank.engine) as connection:
        connection.execute(text("UPDATE tags SET set_reason = NULL WHERE set_reason LIKE 'the last%'"))
        (changed,) = findings_in(connection)
    assert "was changed since: content" in changed


REFUSED = [
    "UPDATE proposals SET reason = 'other'",
    "UPDATE proposals SET content = '{}'",
    "UPDATE proposals SET reach = '{}'",
    "UPDATE proposals SET proposed_by = 'member:2'",
    "UPDATE proposals SET state = 'proposed' WHERE state = 'refused'",
    "UPDATE proposals SET state = 'approved' WHERE state = 'refused'",
    "UPDATE proposals SET state = 'approved' WHERE state = 'proposed'",
    "UPDATE proposals SET decided_by = 'member:3' WHERE state = 'approved'",
    "UPDATE proposals SET result = '{}' WHERE state = 'withdrawn'",
    "UPDATE proposals SET reason = 'erased', decision_reason = NULL, content = '{}', subject = 'erased', reach = '{}'",
    "DELETE FROM proposals",
    "UPDATE policies SET document = document || ' '",
    "UPDATE policies SET canonical = '{}'",
    "UPDATE policies SET content_hash = '0'",
    "UPDATE policies SET written_by = 'member:9'",
    "UPDATE policies SET approved_by = 'member:9' WHERE state = 'active'",
    "UPDATE policies SET state = 'active' WHERE state = 'retired'",
    "UPDATE policies SET state = 'active' WHERE state = 'proposed'",
    "UPDATE policies SET state = 'proposed' WHERE state = 'active'",
    "DELETE FROM policies",
    "UPDATE tags SET salt = NULL",
    "UPDATE attributes SET salt = '0'",
    "UPDATE ownerships SET salt = '0'",
    "UPDATE records SET salt = '0'",
    "UPDATE screenings SET salt = '0'",
    "UPDATE entities SET external_id = 'other' WHERE id = 1",
    "UPDATE entities SET type_id = 2",
    "UPDATE entities SET erased_us = 1, external_id = 'other' WHERE id = 1",
    "UPDATE entities SET salt = '0'",
    "DELETE FROM entities WHERE external_id = 'd'",
    "UPDATE activations SET reason = 'other'",
    "UPDATE activations SET at_us = 1",
    "DELETE FROM activations",
    "UPDATE ruleset_versions SET salt = '0'",
    "UPDATE flow_versions SET salt = '0'",
    "DELETE FROM flow_versions",
    "UPDATE flow_activations SET reason = 'other'",
    "DELETE FROM flow_activations",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_the_database_refuses_to_change_them(bank: Bank, statement: str) -> None:
    with pytest.raises(DBAPIError, match="is refused"), bank.engine.begin() as connection:
        connection.execute(text(statement))
    assert findings(bank) == []


NAMES = st.sampled_from("abc")
MANY = st.lists(NAMES, min_size=1, max_size=3, unique=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("attributes"), MANY, st.sampled_from(["NO", "SE", None])),
        st.tuples(st.just("tags"), MANY, st.sampled_from([None, DAY_US, 2 * DAY_US])),
        st.tuples(st.just("tag"), NAMES, st.sampled_from([None, DAY_US])),
        st.tuples(st.just("untag"), NAMES, st.none()),
        st.tuples(st.just("screenings"), MANY, st.booleans()),
        st.tuples(st.just("cases"), MANY, st.sampled_from([None, "confirmed", "none"])),
        st.tuples(st.just("owners"), MANY, st.sampled_from([None, 0])),
        st.tuples(st.just("erase"), NAMES, st.none()),
    ),
    min_size=5,
    max_size=25,
)


def step(bank: Bank, folder: Path, what: str, names: Any, value: Any) -> None:
    """Do one thing; what is refused changes nothing."""
    of, begin = (bank.context, "customer"), banks.platforms.NOW - 900 * DAY_US
    match what:
        case "attributes":
            put_entities(*of, [EntityRow(name, {"country": value}) for name in names])
        case "tags":
            put_tags(*of, [TagRow(name, "vip", begin, value and bank.now + value) for name in names])
        case "tag":
            set_tag(*of, names, "vip", until_us=value and bank.now + value)
        case "untag":
            end_tag(*of, names, "vip")
        case "screenings":
            add_screenings(*of, [ScreeningRow(name, "pep", value, bank.now) for name in names])
        case "cases":
            given = {
                name: RecordGiven(external_id=name, opened_us=begin, closed_us=value and bank.now, outcome=value)
                for name in names
            }
            put_records(*of, [RecordRow(name, given[name]) for name in names], "case")
        case "owners":
            end = None if value is None else bank.now + value
            given_owners = tuple(OwnerGiven("customer", name, None, end) for name in names)
            put_owners(bank.context, "account", [OwnersRow(0, "x", given_owners)])
        case "erase":
            bank.wait(days=2)
            erase_entity(*of, names, folder / "e")


@given(STEPS, st.data())
@settings(max_examples=examples(15), suppress_health_check=list(HealthCheck), deadline=None)
def test_whatever_happens_is_whole_and_whatever_is_done_by_hand_is_not(steps: Any, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = databases.new_url("sqlite", Path(folder))
        with databases.opened(url, 10**9) as engine:
            bank = Bank(engine)
            bank.add_type("account", {}, {})
            bank.wait(days=-365)  # what is to come here is past for the database
            with engine.begin() as connection:
                connection.execute(text("UPDATE organisation_settings SET retention_days = 1"))
            bind_unnamed(engine)
            bank.put("x", kind="account")
            for each in steps:
                with suppress(FivefoldError):
                    step(bank, Path(folder), *each)
                bank.wait(microseconds=1000)
            assert findings(bank) == []
            table = data.draw(st.sampled_from(OF_ENTITIES))
            with engine.connect() as connection:
                rows = rows_of(connection, table)
            if rows:
                row = data.draw(st.sampled_from(rows))
                with unguarded(engine) as connection:
                    connection.execute(text(f"DELETE FROM {table} WHERE {where(table, row)}"))
                    assert any(f"row of {table}" in each and "is missing" in each for each in findings_in(connection))
