"""Erasure: nothing of the person is left in any table, the chain holds, and what must be kept is kept."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

import pytest
import structlog
from sqlalchemy import Engine, LargeBinary, String, TypeDecorator, event, select, text, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import (
    ConfigError,
    ConflictError,
    InvalidDataError,
    NotFoundError,
)
from fivefold.store.audit import history_reading
from fivefold.store.erasure import erase as erasing
from fivefold.store.erasure.erase import with_owned
from fivefold.store.sql import database
from fivefold.store.sql.database import upgrade
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import DueMark
from fivefold.usecases.erasure.erase import erase_entity, set_legal_hold
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.distribution import distribution
from fivefold.usecases.levels.entity_profile import read_entity
from fivefold.usecases.levels.overrides import request_override
from fivefold.usecases.levels.read import Freshness, read_level, read_level_of_profile
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.portfolio.matrix import value_and_risk
from fivefold.usecases.portfolio.migration import Every, levels_over_time
from fivefold.usecases.portfolio.values import value_by_segment
from fivefold.usecases.shared.context import Context
from tests.store import databases
from tests.store.filling import filled_once
from tests.store.portfolio.counting import assert_counted
from tests.usecases.banks import Bank
from tests.usecases.erasure.erasures import WORD, chain_holds, everything, peopled, rename
from tests.usecases.platforms import transaction


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return peopled(engine)


def test_nothing_is_left_of_the_person_and_nothing_is_lost_of_others(bank: Bank, tmp_path: Path) -> None:
    before = everything(bank.engine)
    spoken_of = {table for table, content in before.items() if WORD in content}
    assert spoken_of >= {
        "assessment_inputs",
        "attributes",
        "audit_values",
        "decisions",
        "entities",
        "outbox",
        "overrides",
        "records",
        "screenings",
        "tags",
        "transactions",
    }
    others = {table: content.count("bystander") for table, content in before.items()}
    with Session(bank.engine) as session:
        salts = session.scalars(select(Entity.salt).where(Entity.external_id.startswith(WORD))).all()
    register = tmp_path / "var" / "erasures.jsonl"
    done = erase_entity(bank.context, "customer", f"{WORD}-1", register)
    after = everything(bank.engine)
    assert [table for table, content in after.items() if WORD in content] == []
    assert {table: content.count("bystander") for table, content in after.items()} == others
    assert len(salts) == 2
    assert not any(str(salt) in after["entities"] for salt in salts), "with it a name could be tried on former digests"
    assert len(done.entity_ids) == 2
    assert done.entries > 5
    assert WORD not in register.read_text()
    chain_holds(bank.engine)
    assert bank.level("bystander") == 3
    bank.settle()
    with pytest.raises(ConflictError, match="was erased"):
        replay_assessment(bank.context, f"{done.entity_ids[0]}.1")
    with pytest.raises(NotFoundError):
        erase_entity(bank.context, "customer", f"{WORD}-1", register)


KEPT_TEXTS = {
    "assessment_inputs": {"sha256"},
    "assessments": {"source", "status", "score", "engine"},
    "standings": {"status", "source", "floors_lost", "kept_by", "digest"},
    "outbox": {"event_id", "kind"},
    "deliveries": {"state", "lease"},
    "decisions": {"actor", "action"},
    "overrides": {"state", "requested_by", "decided_by", "revoked_by"},
}
"""Words and digests of the platform, and who acted: they say nothing that a person wrote about the erased entity."""


def test_each_text_of_a_row_that_is_kept_is_emptied_or_named_here() -> None:
    """A new column, such as a note on overrides, would keep its text after an erasure, and no other test fills it."""
    texts = {
        table.__tablename__: {
            column.name
            for column in table.__table__.columns
            if isinstance(column.type, String | LargeBinary | TypeDecorator) and column.name not in emptied
        }
        for table, emptied in erasing.EMPTIED.items()
    }
    assert texts == KEPT_TEXTS


def test_who_was_erased_is_counted_in_what_was_and_not_in_what_is(bank: Bank, tmp_path: Path) -> None:
    def counted() -> tuple[int, int, int, int]:
        over_time = levels_over_time(bank.context, "customer", Every.DAY, 1).moments[-1]
        matrix, segments = value_and_risk(bank.context, "customer"), value_by_segment(bank.context, "customer")
        return distribution(bank.context, "customer").entities, matrix.entities, segments.entities, over_time.entities

    assert counted() == (4, 4, 4, 4)
    erase_entity(bank.context, "customer", f"{WORD}-1", tmp_path / "erasures.jsonl")
    assert counted() == (2, 2, 2, 4)
    with bank.engine.connect() as connection:
        assert_counted(connection)


def test_the_same_name_can_come_again_and_is_somebody_else(bank: Bank, tmp_path: Path) -> None:
    done = erase_entity(bank.context, "customer", f"{WORD}-1", tmp_path / "e")
    bank.put(f"{WORD}-1", country="SE")
    bank.settle()
    assert bank.id_of(f"{WORD}-1") not in done.entity_ids
    assert len(bank.assessments(f"{WORD}-1")) == 1


@pytest.mark.postgresql
def test_whoever_was_erased_does_not_come_back(bank: Bank, tmp_path: Path) -> None:
    """Neither by the name that is left of them, nor by what happens to somebody whom somebody of theirs owns."""
    bank.put("lodger", owner=("customer", f"{WORD}-1-account"))
    bank.wait(3650)
    bank.settle()
    done = erase_entity(bank.context, "customer", f"{WORD}-1", tmp_path / "e")
    bank.settle()
    before = everything(bank.engine)
    for number in done.entity_ids:
        for attempt in _attempts(bank, f"erased-{number}", tmp_path):
            with pytest.raises((NotFoundError, InvalidDataError), match=r"there is no|a name reserved|does not exist"):
                attempt()
        later = Context(bank.engine, bank.actor, lambda: bank.now + DAY_US)
        for freshness in set(Freshness) - {Freshness.NOW}:
            read_level(later, "customer", f"erased-{number}", freshness)
        with pytest.raises(ConflictError, match=r"was erased on .*, so no level can be computed"):
            read_level(later, "customer", f"erased-{number}", Freshness.NOW)
        read_level_of_profile(later, "customer", f"erased-{number}")
    assert everything(bank.engine) == before, "what is left may be read, and nothing comes of it"
    set_tag(bank.context, "customer", "lodger", "watch")
    bank.pay(9, "lodger")
    bank.put("lodger", owner=("customer", "bystander"))
    assert bank.settle() == 2, "the lodger and the bystander"
    with Session(bank.engine) as session:
        assert not session.scalars(select(DueMark).where(DueMark.entity_id.in_(done.entity_ids))).all()
    assert read_entity(bank.context, "customer", f"erased-{done.entity_ids[0]}").erased_us == bank.now


def _attempts(bank: Bank, name: str, folder: Path) -> list[Callable[[], object]]:
    of = (bank.context, "customer", name)
    case = RecordGiven(external_id="new", opened_us=bank.now)
    return [
        lambda: bank.put(name, country="NO"),
        lambda: bank.put("bystander", owner=("customer", name)),
        lambda: bank.pay(8, name),
        lambda: set_tag(*of, "watch"),
        lambda: end_tag(*of, "watch"),
        lambda: add_screening(*of, "sanctions", has_match=True),
        lambda: put_record(*of, "case", case),
        lambda: request_override(*of, "low", "We know them."),
        lambda: set_legal_hold(*of, bank.now + 10, "Court order 7.", folder / "e"),
        lambda: erase_entity(of[0].at(bank.now + 3650 * DAY_US), *of[1:], folder / "e"),
    ]


def test_a_name_that_is_to_be_left_and_is_taken_is_told_before_anything_happens(bank: Bank, tmp_path: Path) -> None:
    number, whose = bank.id_of(f"{WORD}-1"), (bank.context, "customer")
    rename(bank, "bystander", f"erased-{number}")
    before = everything(bank.engine)
    with pytest.raises(ConflictError, match=f"there is an entity 'erased-{number}' already"):
        erase_entity(*whose, f"{WORD}-1", tmp_path / "e")
    assert everything(bank.engine) == before
    assert not (tmp_path / "e").exists()
    for name in (f"erased-{number}", f"{WORD}-1"):
        erase_entity(*whose, name, tmp_path / "e")


def test_who_is_called_as_will_be_left_of_them_is_erased(bank: Bank, tmp_path: Path) -> None:
    name = f"erased-{bank.id_of(f'{WORD}-1')}"
    rename(bank, f"{WORD}-1", name)
    assert len(erase_entity(bank.context, "customer", name, tmp_path / "e").entity_ids) == 2


@pytest.mark.postgresql
def test_what_is_to_be_erased_is_looked_at_as_it_is_once_it_is_locked(bank: Bank) -> None:
    """A hold may have come while we waited."""
    with Session(bank.engine) as session, session.begin():
        found = session.scalars(select(Entity).where(Entity.external_id == "bystander")).one()
        held = update(Entity).where(Entity.id == found.id).values(hold_until_us=7)
        session.execute(held.execution_options(synchronize_session=False))
        assert found.hold_until_us is None
        assert [entity.hold_until_us for entity in with_owned(session, found, bank.now)[0]] == [7, None]


@pytest.mark.postgresql
def test_others_add_transactions_while_its_batches_are_sealed_again(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That may take minutes. What comes meanwhile, of the person too, is erased and sealed with the rest."""
    read, times = history_reading.lines_of_batches, []

    def with_a_post(*given: Any) -> Any:
        yield from read(*given)
        times.append(len(given[1]))
        if len(times) == 1:  # nothing is locked yet: otherwise this would wait for ever
            bank.pay(1, f"{WORD}-1", transaction_id="late", operation="wire")
            bank.pay(1, "bystander", transaction_id="later", operation="wire")

    with bank.engine.begin() as connection:
        connection.execute(text("UPDATE organisation_settings SET retention_days = 0"))
    monkeypatch.setattr(history_reading, "lines_of_batches", with_a_post)
    erase_entity(bank.context, "customer", f"{WORD}-1", tmp_path / "e")
    assert times[1:] == [1]  # under the locks only the new batch is read
    with bank.engine.connect() as connection:
        names = connection.scalars(text("SELECT transaction_id FROM transactions")).all()
    assert "later" in names
    assert "late" not in names
    chain_holds(bank.engine)


@pytest.mark.parametrize(
    ("what", "remaining"), [("another is erased", ["t2"]), ("one more is theirs", ["bystander-u", "t2"])]
)
def test_what_others_have_in_a_batch_is_sealed_as_it_is_once_it_is_locked(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, remaining: list[str]
) -> None:
    """Sealed as it was before, it would have rows of one who is erased too by now: the log would not hold any more."""
    read, meanwhile = history_reading.lines_of_batches, list[str]()
    rows = [
        transaction(number, name, transaction_date=bank.day)
        for number, name in enumerate((f"{WORD}-1", "bystander", "third"))
    ]
    bank.put("third")
    add_transactions(bank.context, rows)
    with bank.engine.begin() as connection:
        connection.execute(text("UPDATE organisation_settings SET retention_days = 0"))

    def read_beside(*given: Any) -> Any:
        yield from read(*given)
        if meanwhile:
            return
        meanwhile.append(what)
        if what == "another is erased":
            erase_entity(bank.context, "customer", "bystander", tmp_path / "e")
        else:
            bank.put("bystander", owner=("customer", f"{WORD}-1"))

    monkeypatch.setattr(history_reading, "lines_of_batches", read_beside)
    erase_entity(bank.context, "customer", f"{WORD}-1", tmp_path / "e")
    with bank.engine.connect() as connection:
        assert sorted(connection.scalars(text("SELECT transaction_id FROM transactions"))) == remaining
    chain_holds(bank.engine)


def test_records_are_kept_as_long_as_they_must_be(bank: Bank, tmp_path: Path) -> None:
    before = everything(bank.engine)
    last = bank.now - 3650 * DAY_US
    with pytest.raises(ConflictError, match="kept for 1,826 days after the last activity, here until 2020-12-31"):
        erase_entity(bank.context.at(last + 1826 * DAY_US - 1), "customer", f"{WORD}-1", tmp_path / "e")
    assert everything(bank.engine) == before
    assert not (tmp_path / "e").exists()
    erase_entity(bank.context.at(last + 1826 * DAY_US), "customer", f"{WORD}-1", tmp_path / "e")


@pytest.mark.postgresql
def test_a_legal_hold_keeps_them_and_is_released(bank: Bank, tmp_path: Path) -> None:
    whose = (bank.context, "customer")
    set_legal_hold(*whose, f"{WORD}-1-account", bank.now + 10, "Court order 7.", tmp_path / "e")
    with pytest.raises(ConflictError, match="a legal hold is on it until"):
        erase_entity(*whose, f"{WORD}-1", tmp_path / "e")
    set_legal_hold(*whose, f"{WORD}-1-account", bank.now, "Lifted.", tmp_path / "e")
    erase_entity(*whose, f"{WORD}-1", tmp_path / "e")
    assert "Court" not in str(everything(bank.engine))


def test_a_hold_needs_a_reason(bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a reason"):
        set_legal_hold(bank.context, "customer", "bystander", bank.now + 10, " ", tmp_path / "e")


def test_other_organisations_cannot_erase_or_hold(bank: Bank, tmp_path: Path) -> None:
    other = Bank(bank.engine, "other bank")
    with pytest.raises(NotFoundError):
        erase_entity(Context(bank.engine, other.actor).at(bank.now), "customer", f"{WORD}-1", tmp_path / "e")
    with pytest.raises(NotFoundError):
        set_legal_hold(
            Context(bank.engine, other.actor).at(bank.now),
            "customer",
            f"{WORD}-1",
            bank.now + 10,
            "Because.",
            tmp_path / "e",
        )


@pytest.mark.postgresql
def test_a_worker_that_is_at_it_stores_nothing_more(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read everything, and is about to store what came of it."""
    from fivefold.usecases.levels import worker

    made = worker.assess_entities

    def erased_meanwhile(*given: Any, **named: Any) -> Any:
        found = made(*given, **named)
        erase_entity(bank.context, "customer", f"{WORD}-1", tmp_path / "e")
        return found

    bank.settle()
    bank.mark(f"{WORD}-1")
    monkeypatch.setattr(worker, "assess_entities", erased_meanwhile)
    assert bank.run() == worker.BatchResult(0, 0, 0)
    assert [table for table, content in everything(bank.engine).items() if WORD in content] == []


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_worker_that_is_about_to_store_does_not_deadlock_with_an_erasure(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure has locked the entity, and deletes its due mark next."""
    from fivefold.usecases.levels import worker

    made, computed, locked = worker.assess_entities, Event(), Event()

    def waits_before_it_stores(*given: Any, **named: Any) -> Any:
        found = made(*given, **named)
        computed.set()
        locked.wait(10)
        return found

    bank.settle()
    bank.mark(f"{WORD}-1")
    monkeypatch.setattr(worker, "assess_entities", waits_before_it_stores)
    with ThreadPoolExecutor(1) as pool, Session(bank.engine) as session, session.begin():
        storing = pool.submit(bank.run)
        assert computed.wait(10)
        with_owned(session, session.get_one(Entity, bank.id_of(f"{WORD}-1")), bank.now)
        locked.set()
        while not databases.waits_for_a_lock(bank.engine) and not storing.done():
            sleep(0.002)
        free = select(DueMark).where(DueMark.entity_id == bank.id_of(f"{WORD}-1")).with_for_update(nowait=True)
        assert session.scalar(free) is not None
        session.commit()
    assert storing.result().assessed == 1


def bytes_of_files(bank: Bank) -> dict[str, int]:
    """How often the word stands in each file of a SQLite database."""
    path = Path(bank.engine.url.database or "")
    return {each.name: each.read_bytes().lower().count(WORD.encode()) for each in path.parent.glob(f"{path.name}*")}


def without_secure_delete(engine: Engine) -> None:
    """Connect as a build of SQLite does that was compiled without SQLITE_SECURE_DELETE, before the product's words."""
    engine.dispose()
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA secure_delete=OFF"), insert=True)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_no_file_of_the_database_has_a_byte_of_it(bank: Bank, tmp_path: Path) -> None:
    without_secure_delete(bank.engine)
    assert sum(bytes_of_files(bank).values()) > 40
    erase_entity(bank.context, "customer", f"{WORD}-1", tmp_path / "e")
    assert set(bytes_of_files(bank).values()) == {0}


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_program_that_reads_meanwhile_keeps_it_in_the_file_and_that_is_said(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bank.engine.connect() as reader:
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT * FROM entities").fetchone()
        monkeypatch.setattr("fivefold.store.sql.database.BUSY_SECONDS", 0)
        with structlog.testing.capture_logs() as lines:
            erase_entity(bank.context, "customer", f"{WORD}-1", tmp_path / "e")
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "what was erased is in the files of the database until the next checkpoint, as another program reads them"
    ]
    assert sum(bytes_of_files(bank).values()) > 0
    assert database.empty_write_ahead_log(bank.engine)
    assert set(bytes_of_files(bank).values()) == {0}


def test_a_service_that_does_not_own_its_tables_does_all_but_erase(tmp_path: Path) -> None:
    url = databases.new_url("postgresql", tmp_path, migrated=False)
    with databases.opened(url) as owner:
        upgrade(owner)
    with databases.with_least_rights(url) as engine:
        bank = peopled(engine)
        erasure = ("customer", f"{WORD}-1", tmp_path / "erased.jsonl")
        with pytest.raises(ConflictError, match="the role that owns the tables"):
            erase_entity(bank.context, *erasure)
        assert not erasure[-1].exists()
        with databases.opened(url) as owner:
            erase_entity(replace(bank.context, engine=owner), *erasure)
        chain_holds(engine)
        assert bank.level("bystander") is not None
