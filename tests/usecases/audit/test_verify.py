"""Whatever is changed, taken out, put in or moved is found, and where; whatever is whole is called whole."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError
from fivefold.store.audit.chain import HASHED, hash_of_entry
from fivefold.store.audit.chain_reading import snapshot
from fivefold.store.audit.log import append, erase_values
from fivefold.store.sql.database import upgrade
from fivefold.store.tables.audit import AuditEntry, AuditHead, AuditValues
from fivefold.usecases.audit.record import ExportedHeads, export_heads
from fivefold.usecases.audit.verify import AuditFinding, VerificationResult, verify, verify_picture
from tests.depth import SHARED_FIXTURES, examples
from tests.store import databases
from tests.store.audits import entry, fill, organisation, unguarded

LENGTH = 7
ONE, TWO = 1, 2
"""Two organisations; each test changes the first one's chain."""


@pytest.fixture(scope="module", params=databases.KINDS)
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Two chains, only to be read: what tests change in it they take back."""
    url = databases.new_url(request.param, tmp_path_factory.mktemp("log"), migrated=False)
    with databases.opened(url) as engine:
        upgrade(engine)
        assert (organisation(engine, "one"), organisation(engine, "two")) == (ONE, TWO)
        fill(engine, "one", LENGTH)
        fill(engine, "two", 3)
        yield engine


@pytest.fixture
def kept(log: Engine, tmp_path: Path) -> ExportedHeads:
    return export_heads(log, tmp_path / "heads.json")


def found_in(connection: Connection, exported: ExportedHeads | None = None) -> list[tuple[int, int]]:
    """Where something is wrong."""
    return [(finding.organisation_id, finding.number) for finding in findings_in(connection, exported)]


def findings_in(connection: Connection, exported: ExportedHeads | None = None) -> list[AuditFinding]:
    found: list[AuditFinding] = []
    verified = verify_picture(connection, found.append, exported=exported)
    assert verified.findings == len(found)
    return found


def do(connection: Connection, statement: str, **values: Any) -> int:
    return connection.execute(text(statement), values).rowcount


def row_of(connection: Connection, table: str, number: int) -> dict[str, Any]:
    wanted = text(f"SELECT * FROM {table} WHERE organisation_id = {ONE} AND number = {number}")
    return dict(connection.execute(wanted).mappings().one())


def changed_to(before: Any) -> st.SearchStrategy[Any]:
    """Something else that the column can hold."""
    if isinstance(before, int):
        return st.integers(1, 2**62).filter(lambda value: value != before)
    letters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=64)
    return letters.filter(lambda value: value != before)


def test_a_whole_log_is_called_whole(log: Engine, kept: ExportedHeads) -> None:
    for exported in (None, kept):
        told: list[AuditFinding] = []
        assert verify(log, told.append, exported=exported) == VerificationResult(
            chains=2, entries=10, erased=0, findings=0
        )
        with snapshot(log) as connection:
            of_two = verify_picture(connection, told.append, organisation="two", exported=exported)
        assert of_two == VerificationResult(1, 3, 0, 0)
        assert told == []
    with snapshot(log) as connection, pytest.raises(ConfigError, match="there is no organisation 'three'"):
        verify_picture(connection, print, organisation="three")


def test_an_empty_log_is_whole(engine: Engine) -> None:
    assert verify(engine, print) == VerificationResult(0, 0, 0, 0)


@settings(max_examples=examples(60), suppress_health_check=SHARED_FIXTURES)
@given(st.data())
def test_any_change_of_any_column_of_an_entry_is_found_where_it_is(log: Engine, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, LENGTH), "number")
    column = data.draw(st.sampled_from([*set(HASHED) - {"organisation_id", "number"}, "hash"]), "column")
    with unguarded(log) as connection:
        before = row_of(connection, "audit_entries", number)[column]
        like = 0 if column in {"at_us", "bulk_count"} else ""
        value = data.draw(changed_to(like if before is None else before), "value")
        key = f"organisation_id = {ONE} AND number = {number}"
        assert do(connection, f"UPDATE audit_entries SET {column} = :value WHERE {key}", value=value) == 1
        found = found_in(connection)
    allowed = {(ONE, number), (ONE, number + 1)} if column == "hash" else {(ONE, number)}
    assert (ONE, number) in found
    assert set(found) <= allowed


@settings(max_examples=examples(60), suppress_health_check=SHARED_FIXTURES)
@given(st.data())
def test_a_change_that_is_hashed_again_is_found_after_it(log: Engine, data: st.DataObject) -> None:
    """Who changes an entry and its hash breaks the link of the next one, or the head."""
    number = data.draw(st.integers(1, LENGTH), "number")
    column = data.draw(st.sampled_from(["at_us", "actor", "action", "details", "subject_kind"]), "column")
    with unguarded(log) as connection:
        row = row_of(connection, "audit_entries", number)
        row[column] = data.draw(changed_to(row[column]), "value")
        key = f"organisation_id = {ONE} AND number = {number}"
        update = f"UPDATE audit_entries SET {column} = :value, hash = :made WHERE {key}"
        assert do(connection, update, value=row[column], made=hash_of_entry(row)) == 1
        found = found_in(connection)
    after = (ONE, min(number + 1, LENGTH))
    assert after in found
    # An action that speaks of rows, such as decision.made, has a finding of its own where there are none.
    assert set(found) - {after} <= ({(ONE, number), (ONE, 0)} if column == "action" else set())


VALUES_OF = {1: ("after",), 2: ("before", "after"), 3: ("before",), 6: ("after",), 7: ("before", "after")}
"""Numbers of the entries that have values; see KINDS."""


@settings(max_examples=examples(60), suppress_health_check=SHARED_FIXTURES)
@given(st.data())
def test_any_change_of_a_value_is_found_where_it_is(log: Engine, data: st.DataObject) -> None:
    number = data.draw(st.sampled_from(sorted(VALUES_OF)), "number")
    column = data.draw(st.sampled_from(["salt", "before", "after", "erased_us"]), "column")
    with unguarded(log) as connection:
        before = row_of(connection, "audit_values", number)[column]
        like = 0 if column == "erased_us" else ""
        value = data.draw(changed_to(like if before is None else before), "value")
        if before is not None:
            value = data.draw(st.sampled_from([value, None]), "or nothing")
        key = f"organisation_id = {ONE} AND number = {number}"
        assert do(connection, f"UPDATE audit_values SET {column} = :value WHERE {key}", value=value) == 1
        assert set(found_in(connection)) == {(ONE, number)}


@settings(max_examples=examples(50), suppress_health_check=SHARED_FIXTURES)
@given(taken=st.sets(st.integers(1, LENGTH), min_size=1), values_too=st.booleans())
def test_entries_that_were_taken_out_are_named(log: Engine, taken: set[int], *, values_too: bool) -> None:
    inside = f"WHERE organisation_id = {ONE} AND number IN ({','.join(map(str, taken))})"
    with unguarded(log) as connection:
        do(connection, f"DELETE FROM audit_entries {inside}")
        if values_too:
            do(connection, f"DELETE FROM audit_values {inside}")
        found = found_in(connection)
    first_of_gaps = {number for number in taken if number - 1 not in taken}
    with_values = {number for number in taken if number in VALUES_OF and not values_too}
    assert set(found) == {(ONE, number) for number in first_of_gaps | with_values}


@settings(max_examples=examples(40), suppress_health_check=SHARED_FIXTURES)
@given(st.lists(st.integers(1, LENGTH), min_size=2, max_size=2, unique=True))
def test_entries_that_changed_places_are_found_in_both(log: Engine, places: list[int]) -> None:
    first, second = places
    with unguarded(log) as connection:
        for table in ("audit_entries", "audit_values"):
            for before, after in ((first, 99), (second, first), (99, second)):
                change = f"UPDATE {table} SET number = {after} WHERE organisation_id = {ONE} AND number = {before}"
                do(connection, change)
        assert set(found_in(connection)) >= {(ONE, first), (ONE, second)}


@pytest.mark.parametrize("number", [2, LENGTH])
def test_an_entry_that_was_moved_to_another_organisation_is_found_in_both(log: Engine, number: int) -> None:
    with unguarded(log) as connection:
        do(
            connection,
            f"UPDATE audit_entries SET organisation_id = {TWO}, number = 4 WHERE organisation_id = {ONE}"
            f" AND number = {number}",
        )
        assert set(found_in(connection)) >= {(ONE, number), (TWO, 4)}


def put_in(connection: Connection, number: int, *, with_head: bool = False) -> None:
    """Put an entry behind the last one, well made, as who knows the format can."""
    row = row_of(connection, "audit_entries", LENGTH)
    row |= {"number": number, "previous_hash": row["hash"], "before_hash": None, "after_hash": None}
    row["hash"] = hash_of_entry(row)
    do(
        connection,
        f"INSERT INTO audit_entries ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",
        **row,
    )
    if with_head:
        head = "UPDATE audit_heads SET number = :number, hash = :made"
        do(connection, f"{head} WHERE organisation_id = {ONE}", number=number, made=row["hash"])


@pytest.mark.parametrize("number", [LENGTH + 1, LENGTH + 3])
def test_an_entry_that_was_put_in_behind_the_head_is_found(log: Engine, number: int) -> None:
    with unguarded(log) as connection:
        put_in(connection, number)
        assert set(found_in(connection)) == {(ONE, LENGTH + 1)}


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ("number = number + 1", LENGTH + 1),
        ("number = 3", 4),
        (f"hash = '{'0' * 64}'", LENGTH),
        (None, LENGTH),
    ],
)
def test_a_head_that_was_changed_or_deleted_is_found(log: Engine, change: str | None, number: int) -> None:
    asked = f"UPDATE audit_heads SET {change}" if change else "DELETE FROM audit_heads"
    with unguarded(log) as connection:
        do(connection, f"{asked} WHERE organisation_id = {ONE}")
        assert found_in(connection) == [(ONE, number)]


def cut(connection: Connection, last: int) -> None:
    """Cut off everything after an entry, and set the head back to it: nothing in the database shows that."""
    for table in ("audit_values", "audit_entries"):
        do(connection, f"DELETE FROM {table} WHERE organisation_id = {ONE} AND number > {last}")
    if last:
        made = row_of(connection, "audit_entries", last)["hash"]
        head = f"UPDATE audit_heads SET number = {last}, hash = :made WHERE organisation_id = {ONE}"
        do(connection, head, made=made)
    else:
        do(connection, f"DELETE FROM audit_heads WHERE organisation_id = {ONE}")


@pytest.mark.parametrize("last", range(LENGTH))
def test_a_tail_that_was_cut_off_is_found_with_exported_heads_alone(
    log: Engine, kept: ExportedHeads, last: int
) -> None:
    with unguarded(log) as connection:
        cut(connection, last)
        assert found_in(connection) == []
        found = findings_in(connection, kept)
    assert [str(finding) for finding in found] == [
        f"organisation one (1), entry {last + 1}: is missing: entry {LENGTH} was there when the heads were exported"
    ]


def test_a_chain_that_was_written_anew_is_found_with_exported_heads_alone(log: Engine, kept: ExportedHeads) -> None:
    with unguarded(log) as connection:
        cut(connection, 5)
        with Session(connection, join_transaction_mode="rollback_only") as session:
            for number in range(4):
                append(session, entry(ONE, number, actor="somebody"))
            session.flush()
            assert found_in(connection) == []
            (found,) = findings_in(connection, kept)
    head = kept.heads[0]
    assert (found.number, found.problem) == (
        LENGTH,
        f"is not the entry that was exported as the head: that one had the hash {head.hash}",
    )


def test_what_was_appended_since_the_heads_were_exported_is_no_finding(log: Engine, kept: ExportedHeads) -> None:
    with unguarded(log) as connection:
        put_in(connection, LENGTH + 1, with_head=True)
        assert found_in(connection, kept) == []


def test_an_organisation_of_which_nothing_is_left_is_found(log: Engine, kept: ExportedHeads) -> None:
    with unguarded(log) as connection:
        cut(connection, 0)
        do(connection, f"DELETE FROM organisations WHERE id = {ONE}")
        (found,) = findings_in(connection, kept)
        assert (found.organisation, found.number) == ("one", 1)
        for name, count in (("one", 1), ("two", 0)):
            told: list[AuditFinding] = []
            assert verify_picture(connection, told.append, organisation=name, exported=kept).findings == count


@pytest.mark.parametrize(
    ("change", "number", "problem"),
    [
        ("DELETE FROM audit_values WHERE organisation_id = 1 AND number = 2", 2, "are missing, and were not erased"),
        ("UPDATE audit_values SET erased_us = 1 WHERE organisation_id = 1 AND number = 3", 3, "still there"),
        ("INSERT INTO audit_values (organisation_id, number) VALUES (1, 4)", 4, "was written without any"),
        ("UPDATE audit_values SET after = NULL WHERE organisation_id = 1 AND number = 2", 2, "the change is missing"),
        ("UPDATE audit_values SET before = '' WHERE organisation_id = 1 AND number = 1", 1, "there, and was not"),
        ("UPDATE audit_values SET after = '' WHERE organisation_id = 1 AND number = 1", 1, "its hash is another"),
        ("INSERT INTO audit_values (organisation_id, number) VALUES (1, 99)", 99, "is missing, but its values are"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_values_is_said(log: Engine, change: str, number: int, problem: str) -> None:
    with unguarded(log) as connection:
        do(connection, change)
        (found,) = findings_in(connection)
    assert found.number == number
    assert problem in found.problem


def test_a_gap_is_told_with_its_end(log: Engine) -> None:
    with unguarded(log) as connection:
        for table in ("audit_values", "audit_entries"):
            do(connection, f"DELETE FROM {table} WHERE organisation_id = {ONE} AND number IN (2, 3, 4, 6)")
        assert [str(finding) for finding in findings_in(connection)] == [
            "organisation one (1), entry 2: is missing, and all up to entry 4",
            "organisation one (1), entry 6: is missing",
        ]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_entries SET at_us = 0.5 WHERE organisation_id = 1 AND number = 2",
        "UPDATE audit_entries SET details = x'00' WHERE organisation_id = 1 AND number = 2",
        "UPDATE audit_entries SET actor = CAST(x'ff' AS TEXT) WHERE organisation_id = 1 AND number = 2",
        "UPDATE audit_values SET after = CAST(x'ff' AS TEXT) WHERE organisation_id = 1 AND number = 2",
        "UPDATE audit_values SET after = x'00' WHERE organisation_id = 1 AND number = 2",
        "UPDATE audit_entries SET number = 'two' WHERE organisation_id = 1 AND number = 2",
    ],
)
def test_what_only_sqlite_can_be_made_to_hold_is_found(change: str, tmp_path: Path) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        fill(engine, "one", 3)
        with unguarded(engine) as connection:
            connection.connection.driver_connection.text_factory = (  # type: ignore[union-attr]  # SQLite has it
                lambda read: read.decode("utf-8", "surrogateescape")
            )
            connection.exec_driver_sql(change)
            assert (1, 2) in found_in(connection)


def test_erased_values_leave_the_chain_whole_and_are_counted(engine: Engine) -> None:
    fill(engine, "acme", LENGTH)
    with Session(engine) as session, session.begin():
        assert erase_values(session, 1, [1, 2, 4], 9) == 2
    assert verify(engine, print) == VerificationResult(chains=1, entries=LENGTH, erased=2, findings=2), (
        "nothing says so"
    )
    with Session(engine) as session, session.begin():
        said = {"entities": [1], "entries": 2, "values": "1-2,4"}
        append(session, entry(1, 4, action="entity.erased", details=said))
    assert verify(engine, print) == VerificationResult(chains=1, entries=LENGTH + 1, erased=2, findings=0)
    fill(engine, "acme", 1)
    assert verify(engine, print) == VerificationResult(chains=1, entries=LENGTH + 2, erased=2, findings=0)


def test_a_log_can_be_verified_while_it_is_written(engine: Engine) -> None:
    """An entry that comes meanwhile is not taken for one behind the head."""
    fill(engine, "acme", 3)
    told: list[AuditFinding] = []
    with hooked(lambda: fill(engine, "acme", 2)):
        assert verify(engine, told.append) == VerificationResult(1, 3, 0, 0)
    assert verify(engine, told.append) == VerificationResult(1, 5, 0, 0)
    assert told == []


@contextmanager
def hooked(meanwhile: Callable[[], Any]) -> Iterator[None]:
    """Do something once between the reading of the heads and that of the chains."""
    from fivefold.usecases.audit import verify as audit_verify

    with pytest.MonkeyPatch.context() as patch:
        real = audit_verify.heads

        def heads(connection: Connection) -> Any:
            read = real(connection)
            meanwhile()
            return read

        patch.setattr(audit_verify, "heads", heads)
        yield


@pytest.mark.full
def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        with Session(engine) as session, session.begin():
            fill_at_once(session, 12_000)
        peaks = []
        for name in ("short", "long"):
            tracemalloc.start()
            with snapshot(engine) as connection:
                assert verify_picture(connection, print, organisation=name).findings == 0
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < 1.3 * peaks[0]


def fill_at_once(session: Session, count: int) -> None:
    session.execute(text("INSERT INTO organisations (id, name, created_us) VALUES (1, 'short', 1), (2, 'long', 1)"))
    for of, some in ((1, count // 4), (2, count)):
        for number in range(some):
            append(session, entry(of, number))


def test_all_tables_of_the_log_are_looked_at() -> None:
    """A column that is added must be hashed, or be told here why it is not."""
    columns = {
        table.__tablename__: set(table.__table__.columns.keys()) for table in (AuditEntry, AuditValues, AuditHead)
    }
    assert columns["audit_entries"] == {*HASHED, "hash"}
    assert columns["audit_values"] == {"organisation_id", "number", "salt", "before", "after", "erased_us"}
    assert columns["audit_heads"] == {"organisation_id", "number", "hash"}
