"""The audit log: appended in one chain without gaps, read from its end, refusing every change, erased by value."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.orm import Session

from fivefold.domain.paging import Part
from fivefold.store.audit.chain import GENESIS, hash_of_entry, hash_of_value
from fivefold.store.audit.log import append, append_all, appended_at_end, entries, erase_values, latest, latest_entries
from fivefold.store.sql.database import open_database, require_current, upgrade
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.audit import AuditEntry, AuditHead, AuditValues
from tests.pace import slowness
from tests.store import databases
from tests.store.audits import entry, fill, organisation


def chain_of(engine: Engine, organisation_id: int) -> list[tuple[int, str, str]]:
    with Session(engine) as session:
        return [(found.number, found.previous_hash, found.hash) for found in entries(session, organisation_id)]


def require_whole(engine: Engine, organisation_id: int, count: int) -> None:
    chain = chain_of(engine, organisation_id)
    assert [number for number, _, _ in chain] == list(range(1, count + 1))
    assert [before for _, before, _ in chain] == [GENESIS, *(made for _, _, made in chain)][:count]
    with Session(engine) as session:
        head = session.get_one(AuditHead, organisation_id)
        assert (head.number, head.hash) == (count, chain[-1][2])


def columns(engine: Engine, table: type) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(text("number"))).mappings()]


def test_entries_are_chained_and_say_what_they_were_given(engine: Engine) -> None:
    made = fill(engine, "acme", 5)
    assert [one.number for one in made] == [1, 2, 3, 4, 5]
    rows, of = columns(engine, AuditEntry), organisation(engine, "acme")
    assert [row["hash"] for row in rows] == [one.hash for one in made] == [hash_of_entry(row) for row in rows]
    require_whole(engine, of, 5)
    assert (rows[1]["actor"], rows[1]["subject_id"], rows[1]["at_us"]) == ("cli:ana", "7", 1_001)
    assert [row["details"] for row in rows] == ['{"plan":"trial"}', "{}", "{}", "{}", "{}"]
    assert [row["bulk_count"] for row in rows] == [None, None, None, 2, None]


def test_values_stand_apart_beside_salted_hashes(engine: Engine) -> None:
    fill(engine, "acme", 5)
    rows, values = columns(engine, AuditEntry), columns(engine, AuditValues)
    assert [(row["number"], row["before"], row["after"], row["erased_us"]) for row in values] == [
        (1, None, '{"label":"Zoë","plan":"trial"}', None),
        (2, '{"label":"Zoë"}', '{"label":"Anna"}', None),
        (3, '{"label":"Anna"}', None, None),
    ]
    assert "Anna" not in repr(rows)
    assert len({row["salt"] for row in values}) == 3
    assert all(len(row["salt"]) == 64 for row in values)
    assert [row["before_hash"] for row in rows[3:]] == [row["after_hash"] for row in rows[3:]] == [None, None]
    changed = values[1]
    assert rows[1]["before_hash"] == hash_of_value(changed["salt"], "before", changed["before"])
    assert rows[1]["after_hash"] == hash_of_value(changed["salt"], "after", changed["after"])


def test_each_organisation_has_a_chain_of_its_own(engine: Engine) -> None:
    fill(engine, "one", 3)
    fill(engine, "two", 2)
    fill(engine, "one", 2)
    require_whole(engine, organisation(engine, "one"), 5)
    require_whole(engine, organisation(engine, "two"), 2)


def test_what_is_taken_back_leaves_no_gap(engine: Engine) -> None:
    fill(engine, "acme", 2)
    of = organisation(engine, "acme")
    new = organisation(engine, "new")
    for number in (of, new):
        with Session(engine) as session:
            assert append_all(session, [entry(number, 9)])[0].number == (3 if number == of else 1)
            session.rollback()
    require_whole(engine, of, 2)
    assert chain_of(engine, new) == []
    assert [made.number for made in fill(engine, "acme", 2)] == [3, 4]
    require_whole(engine, of, 4)


def test_entries_of_a_block_are_added_as_it_ends_and_none_where_it_fails(engine: Engine) -> None:
    of = organisation(engine, "acme")
    with Session(engine) as session, session.begin():
        with appended_at_end(session):
            append(session, entry(of, 0))
            append(session, entry(of, 1))
            assert list(entries(session, of)) == []
        with suppress(RuntimeError), appended_at_end(session):
            append(session, entry(of, 2))
            raise RuntimeError
        append(session, entry(of, 3))
        assert [each.at_us for each in entries(session, of)] == [1_000, 1_001, 1_003]
    require_whole(engine, of, 3)


def test_several_entries_of_one_transaction_follow_each_other(engine: Engine) -> None:
    of = organisation(engine, "acme")
    with Session(engine) as session, session.begin():
        assert [append_all(session, [entry(of, number)])[0].number for number in range(3)] == [1, 2, 3]
    require_whole(engine, of, 3)


def test_the_head_is_locked_after_the_change_that_is_recorded(engine: Engine) -> None:
    """Others wait from that lock to the end of the transaction, so nothing else may come between."""
    of = organisation(engine, "acme")
    fill(engine, "acme", 1)
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *words: asked.append(" ".join(words[2].split()[:3])))
    with Session(engine) as session, session.begin():
        session.add(Organisation(name="pending", created_us=1))
        append(session, entry(of, 1))
    assert asked == [
        "INSERT INTO organisations",
        "UPDATE audit_heads SET",
        "INSERT INTO audit_entries",
        "INSERT INTO audit_values",
        "UPDATE audit_heads SET",
    ]


def test_an_entry_of_nobody_is_refused(engine: Engine) -> None:
    with pytest.raises(DBAPIError), Session(engine) as session, session.begin():
        append(session, entry(99, 0))


def test_values_that_are_not_exact_are_refused_before_anything_is_locked(engine: Engine) -> None:
    of = organisation(engine, "acme")
    for fields in ({"details": {"rate": 0.5}}, {"before": {"rate": 0.5}}, {"after": {"rate": 0.5}}):
        with Session(engine) as session:
            with pytest.raises(TypeError, match=r"the value\.rate is 0\.5; canonical JSON"):
                append(session, entry(of, 4, **fields))
            assert session.scalar(select(func.count()).select_from(AuditHead)) == 0


@pytest.mark.parametrize("fresh", [True, False])
def test_those_who_append_at_once_make_one_chain(kind: str, tmp_path: Path, fresh: bool) -> None:
    """Each thread has connections of its own, as a process has; a head that is not there yet is made once."""
    url = databases.new_url(kind, tmp_path)
    writers, each = 4, 15
    with databases.opened(url) as engine:
        of = [organisation(engine, name) for name in ("one", "two")]
        before = 0 if fresh else len(fill(engine, "one", 1))
        together = threading.Barrier(writers)

        def write(number: int) -> None:
            own = open_database(url)
            together.wait()
            for turn in range(each):
                with Session(own) as session, session.begin():
                    append(session, entry(of[turn % 2], number))
                with Session(own) as session:  # every third is taken back, after it had its number
                    if turn % 3 == 0:
                        append(session, entry(of[0], number))
            own.dispose()

        with ThreadPoolExecutor(writers) as pool:
            list(pool.map(write, range(writers)))
        require_whole(engine, of[0], before + writers * 8)
        require_whole(engine, of[1], writers * 7)


PROCESS = """
import sys
from sqlalchemy.orm import Session
from fivefold.store.audit.log import append
from fivefold.store.audit.chain import Entry
from fivefold.store.sql.database import open_database, require_current, upgrade
engine = open_database(sys.argv[1])
for turn in range(20):
    with Session(engine) as session, session.begin():
        append(session, Entry(organisation_id=1, at_us=turn, actor="system", action="a", subject_kind="s", after={}))
engine.dispose()
"""


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.full)], indirect=True)
def test_processes_that_append_at_once_make_one_chain(kind: str, tmp_path: Path) -> None:
    url = databases.new_url(kind, tmp_path)
    with databases.opened(url) as engine:
        assert organisation(engine, "acme") == 1
        root = Path(__file__).parents[3]
        started = [subprocess.Popen([sys.executable, "-c", PROCESS, url], cwd=root) for _ in range(3)]
        assert [process.wait(timeout=120 * slowness()) for process in started] == [0, 0, 0]
        require_whole(engine, 1, 60)


KEY = "(organisation_id, number)"
ENTRY = "audit_entries (organisation_id, number, at_us, actor, action, subject_kind, details, previous_hash, hash)"
REFUSED = [
    ("UPDATE", "UPDATE audit_entries SET actor = 'somebody'"),
    ("UPDATE", "UPDATE audit_entries SET actor = actor WHERE number = 2"),
    ("DELETE", "DELETE FROM audit_entries"),
    ("DELETE", "DELETE FROM audit_entries WHERE number = 2"),
    ("UPDATE", "UPDATE audit_values SET after = '{}'"),
    ("UPDATE", "UPDATE audit_values SET after = NULL"),
    ("UPDATE", "UPDATE audit_values SET erased_us = 1"),
    ("UPDATE", "UPDATE audit_values SET salt = NULL, before = NULL, after = NULL"),
    ("UPDATE", "UPDATE audit_values SET before = NULL, after = NULL, erased_us = 1"),
    ("UPDATE", "UPDATE audit_values SET salt = NULL, before = NULL, after = NULL, erased_us = 1, number = number + 9"),
    ("UPDATE", "UPDATE audit_values SET salt = NULL, before = NULL, after = NULL, erased_us = 2 WHERE number = 1"),
    ("DELETE", "DELETE FROM audit_values"),
    ("DELETE", "DELETE FROM audit_heads"),
]
REFUSED_BY_POSTGRESQL = [
    ("TRUNCATE", "TRUNCATE audit_entries CASCADE"),
    ("TRUNCATE", "TRUNCATE audit_values"),
    ("TRUNCATE", "TRUNCATE audit_heads"),
    (
        "UPDATE",
        f"INSERT INTO {ENTRY} VALUES (1, 2, 3, '', '', '', '', '', '') ON CONFLICT {KEY} DO UPDATE SET actor = ''",
    ),
]
REFUSED_BY_SQLITE = [
    ("INSERT", f"INSERT OR REPLACE INTO {ENTRY} VALUES (1, 2, 3, '', '', '', '', '', '')"),
    ("UPDATE", "UPDATE OR REPLACE audit_entries SET number = 1 WHERE number = 2"),
    ("INSERT", "REPLACE INTO audit_values (organisation_id, number) VALUES (1, 2)"),
]


def test_no_change_of_what_was_written_is_taken(kind: str, engine: Engine) -> None:
    fill(engine, "acme", 5)
    with Session(engine) as session, session.begin():
        assert erase_values(session, 1, [1], 1) == 1
    before = columns(engine, AuditEntry), columns(engine, AuditValues), columns(engine, AuditHead)
    for what, statement in REFUSED + (REFUSED_BY_SQLITE if kind == "sqlite" else REFUSED_BY_POSTGRESQL):
        with pytest.raises(DBAPIError, match=f"is append-only, {what} is refused"), engine.begin() as connection:
            connection.execute(text(statement))
    assert (columns(engine, AuditEntry), columns(engine, AuditValues), columns(engine, AuditHead)) == before


def wipe(engine: Engine, of: int) -> None:
    with Session(engine) as session, session.begin():
        assert erase_values(session, of, [1], 1) == 1


def test_a_role_of_postgresql_needs_no_right_to_change_entries(tmp_path: Path) -> None:
    """The rights that the documentation gives to a service whose role does not own the tables are enough for it."""
    url = databases.new_url("postgresql", tmp_path, migrated=False)
    with databases.opened(url) as owner:
        upgrade(owner)
        of = organisation(owner, "acme")
        with databases.with_least_rights(url) as engine:
            upgrade(engine)
            require_current(engine)
            with Session(engine) as session, session.begin():
                append(session, entry(of, 1))
            with pytest.raises(ProgrammingError, match="permission denied for table audit_values"):
                wipe(engine, of)
            wipe(owner, of)
            with (
                engine.connect() as connection,
                pytest.raises(DBAPIError, match=r"permission denied for .*audit_entries"),
            ):
                connection.execute(text("UPDATE audit_entries SET actor = 'somebody'"))
        require_whole(owner, of, 1)


def test_values_are_erased_for_good_with_their_salt(engine: Engine) -> None:
    fill(engine, "acme", 5)
    before = columns(engine, AuditEntry)
    with Session(engine) as session, session.begin():
        assert erase_values(session, 1, [2, 3, 4, 99], 77) == 2, "the fourth has no values"
        assert erase_values(session, 1, [2], 88) == 0, "once"
    assert columns(engine, AuditEntry) == before
    nothing = {"organisation_id": 1, "salt": None, "before": None, "after": None, "erased_us": 77}
    first, *erased = columns(engine, AuditValues)
    assert erased == [{**nothing, "number": 2}, {**nothing, "number": 3}]
    assert first["after"] == '{"label":"Zoë","plan":"trial"}'


def test_entries_are_read_by_their_numbers_and_the_latest_by_their_time(engine: Engine) -> None:
    for name, count in (("one", 4), ("two", 3)):
        fill(engine, name, count)
    with Session(engine) as session:
        one, two = (organisation(engine, name) for name in ("one", "two"))
        assert [found.number for found in entries(session, one)] == [1, 2, 3, 4]
        assert [found.number for found in entries(session, one, 2, 3)] == [2, 3]
        assert [found.number for found in entries(session, two, 2)] == [2, 3]
        assert list(entries(session, two, 4)) == list(entries(session, 99)) == []

        def shown(count: int, name: str | None = None) -> list[tuple[str, int]]:
            return [(of, found.number) for found, of in latest(session, count, name)]

        assert shown(4) == [("two", 2), ("one", 3), ("two", 3), ("one", 4)]
        assert shown(2, "two") == [("two", 2), ("two", 3)]
        assert len(shown(99)) == 7
        assert shown(5, "nobody") == []


def test_entries_come_newest_first_and_are_nobody_elses(engine: Engine) -> None:
    fill(engine, "ours", 5)
    fill(engine, "theirs", 2)
    of = organisation(engine, "ours")
    with Session(engine) as session:
        assert [entry.number for entry in latest_entries(session, of, Part(3))] == [5, 4, 3]
        assert [entry.number for entry in latest_entries(session, of, Part(3, (3,)))] == [2, 1]
        assert list(latest_entries(session, of, Part(3, (1,)))) == []
        assert {entry.organisation_id for entry in latest_entries(session, of, Part(9))} == {of}
