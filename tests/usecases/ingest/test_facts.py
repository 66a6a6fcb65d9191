"""What people and programs find out: what is refused, what is nothing new, and what the log says of it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import ConfigError, ConflictError, InvalidDataError, NotFoundError
from fivefold.store.tables.entities import Record, Tag
from fivefold.usecases.ingest.bulk_facts import TagRow, put_tags
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from tests.pace import until
from tests.store.databases import waits_for_a_lock
from tests.store.filling import filled_once
from tests.usecases import platforms
from tests.usecases.banks import Bank


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    made = Bank(engine)
    made.put("a")
    made.put("b")
    return made


def tag(bank: Bank, name: str = "a", word: str = "watch", until_us: int | None = None) -> None:
    set_tag(bank.context, "customer", name, word, until_us=until_us)


def untag(bank: Bank, name: str = "a", word: str = "watch") -> None:
    end_tag(bank.context, "customer", name, word)


def screen(bank: Bank, name: str = "a", word: str = "pep", at_us: int | None = None) -> None:
    add_screening(bank.context, "customer", name, word, has_match=True, at_us=at_us)


def record(bank: Bank, given: RecordGiven, name: str = "a") -> None:
    put_record(bank.context, "customer", name, "case", given)


def rows(bank: Bank, columns: str, table: str) -> list[tuple[Any, ...]]:
    with bank.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM {table} ORDER BY 1, 2"))]


def opened(bank: Bank, **changed: Any) -> RecordGiven:
    return RecordGiven(**{"external_id": "1", "opened_us": bank.now - DAY_US, **changed})


REFUSED: dict[str, tuple[Callable[[Bank], object], type[Exception], str]] = {
    "no such entity": (lambda bank: tag(bank, "z"), NotFoundError, "there is no customer 'z'"),
    "no tag": (lambda bank: tag(bank, word=""), ConfigError, "^tag is ''; it must be text of 1 to 100"),
    "a tag with NUL": (lambda bank: tag(bank, word="a\0"), ConfigError, "none of them NUL"),
    "a tag with half a character": (lambda bank: tag(bank, word="\ud800"), ConfigError, "^tag is"),
    "a tag without an end in sight": (
        lambda bank: tag(bank, until_us=to_microseconds(date(9999, 1, 1))),
        ConfigError,
        "its end must be before the year 9000",
    ),
    "a tag that ended": (lambda bank: tag(bank, until_us=bank.now), ConfigError, "that is in the past"),
    "a tag that it has not": (untag, NotFoundError, "does not have the tag 'watch'"),
    "a screening to come": (lambda bank: screen(bank, at_us=bank.now + 1), ConfigError, "in the future"),
    "a screening without a name": (lambda bank: screen(bank, word=""), ConfigError, "^screening is ''"),
    "a case to come": (
        lambda bank: record(bank, opened(bank, opened_us=bank.now + 1)),
        ConfigError,
        "opened_at is at .* in the future",
    ),
    "a case that ends first": (
        lambda bank: record(bank, opened(bank, closed_us=bank.now - 2 * DAY_US)),
        ConfigError,
        "closed before it was opened; closed_at must not be earlier",
    ),
    "a case that will end": (
        lambda bank: record(bank, opened(bank, closed_us=bank.now + 1)),
        ConfigError,
        "in the future",
    ),
    "an outcome of an open case": (
        lambda bank: record(bank, opened(bank, outcome="confirmed")),
        ConfigError,
        "has an outcome and no end; it needs closed_at too",
    ),
    "a case without a number": (lambda bank: record(bank, opened(bank, external_id="")), ConfigError, "case's number"),
    "a field that cases lack": (
        lambda bank: record(bank, opened(bank, fields={"x": 1})),
        InvalidDataError,
        "is not a field of this type",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_and_leaves_nothing(bank: Bank, what: str) -> None:
    happens, error, words = REFUSED[what]
    bank.settle()
    before = len(rows(bank, "number, hash", "audit_entries"))
    with pytest.raises(error, match=words):
        happens(bank)
    assert (bank.mark_of("a").due_us, len(rows(bank, "number, hash", "audit_entries"))) == (None, before)
    assert (
        rows(bank, "tag, id", "tags")
        == rows(bank, "id, screening", "screenings")
        == rows(bank, "id, kind", "records")
        == []
    )


def test_another_organisations_entities_are_not_there(bank: Bank) -> None:
    other = Bank(bank.engine, "other")
    for happens in (tag, untag, screen, lambda one: record(one, opened(one))):
        with pytest.raises(NotFoundError, match="there is no customer 'a'"):
            happens(other)


def test_a_tag_that_files_gave_twice_has_the_new_end_too(bank: Bank) -> None:
    """One row has that end already, and the other one lasts for good."""
    until_us = bank.now + 30 * DAY_US
    for begin, end in ((10, until_us), (5, None)):
        put_tags(bank.context, "customer", [TagRow("a", "watch", bank.now - begin * DAY_US, end)])
    tag(bank, until_us=until_us)
    assert rows(bank, "id, until_us", "tags") == [(1, bank.now), (2, bank.now), (3, until_us)]


def test_a_tag_that_is_set_again_has_the_new_end(bank: Bank) -> None:
    begun = bank.now
    tag(bank)
    bank.wait(days=1)
    tag(bank, until_us=bank.now + DAY_US)
    bank.wait(days=2)
    tag(bank)  # the one before has ended by itself
    untag(bank)
    assert rows(bank, "from_us, until_us", "tags") == [
        (begun, begun + DAY_US),
        (begun + DAY_US, begun + 2 * DAY_US),
        (begun + 3 * DAY_US, begun + 3 * DAY_US),
    ]
    with pytest.raises(NotFoundError):
        untag(bank)


def test_a_tag_that_a_clock_ahead_set_is_ended_once(bank: Bank) -> None:
    tag(bank)
    bank.wait(microseconds=-1_000_000)  # another machine
    untag(bank)
    with pytest.raises(NotFoundError, match="does not have the tag"):
        untag(bank)
    until_us = bank.now + DAY_US
    tag(bank, until_us=until_us)
    assert rows(bank, "id, from_us, until_us", "tags") == [(1, bank.now, bank.now), (2, bank.now, until_us)]


def test_a_tag_that_an_earlier_release_ended_where_it_begins_ahead_is_not_there(bank: Bank) -> None:
    """That release kept the beginning by the clock that was ahead, and put the end there too."""
    tag(bank)
    with Session(bank.engine) as session, session.begin():
        ended = session.get_one(Tag, 1)
        ended.from_us = ended.until_us = bank.now + DAY_US
    before = len(rows(bank, "number, hash", "audit_entries"))
    with pytest.raises(NotFoundError, match="does not have the tag"):
        untag(bank)
    assert len(rows(bank, "number, hash", "audit_entries")) == before
    tag(bank)
    ends = (bank.now + DAY_US, bank.now + DAY_US)
    assert rows(bank, "id, from_us, until_us", "tags") == [(1, *ends), (2, bank.now, None)]


def test_a_case_sent_again_is_changed_or_nothing_new(bank: Bank) -> None:
    record(bank, opened(bank))
    bank.settle()
    record(bank, opened(bank))
    assert bank.mark_of("a").due_us is None
    for changed in ({"status": "with the bank"}, {"closed_us": bank.now, "outcome": "confirmed"}):
        record(bank, opened(bank, **changed))
        assert bank.mark_of("a").due_us == bank.now
        bank.settle()
    assert rows(bank, "external_id, status, outcome", "records") == [("1", None, "confirmed")]


def test_a_case_stays_with_its_entity_and_an_alert_may_have_the_same_number(bank: Bank) -> None:
    record(bank, opened(bank))
    with pytest.raises(ConflictError, match="about another entity"):
        record(bank, opened(bank), "b")
    put_record(bank.context, "customer", "b", "alert", opened(bank))
    other = Bank(bank.engine, "other")
    other.put("a")
    record(other, opened(other))
    assert len(rows(bank, "id, kind", "records")) == 3


def test_each_is_one_entry_of_the_log_whose_values_are_apart(bank: Bank) -> None:
    tag(bank)
    untag(bank)
    screen(bank)
    record(bank, opened(bank, status="secret"))
    entries = rows(bank, "number, action, subject_kind, subject_id, details", "audit_entries")[2:]
    assert [entry[1] for entry in entries] == ["tag.set", "tag.ended", "screening.added", "case.put"]
    assert {entry[2:4] for entry in entries} == {("entity", str(bank.id_of("a")))}
    assert [entry[4] for entry in entries] == ["{}", f'{{"ended_us":{bank.now}}}', "{}", "{}"]
    assert "secret" in str(rows(bank, "number, after", "audit_values"))


@pytest.mark.parametrize("kind", ["postgresql"])
def test_two_who_open_the_same_case_at_once_are_no_fault_of_ours(bank: Bank) -> None:
    """SQLite has one writer: there the second one finds the case."""
    with ThreadPoolExecutor(1) as pool, Session(bank.engine) as session:
        session.add(
            Record(organisation_id=bank.of, kind="case", external_id="1", entity_id=bank.id_of("a"), opened_us=1)
        )
        session.flush()
        other = pool.submit(record, bank, opened(bank))
        until(lambda: waits_for_a_lock(bank.engine))
        assert not other.done(), "it waits for the first"
        session.commit()
        with pytest.raises(ConflictError, match="another call stored the same at this moment"):
            other.result()
    record(bank, opened(bank, status="found"))
    assert rows(bank, "external_id, status", "records") == [("1", "found")]


def test_those_who_set_the_same_tag_at_the_same_time_leave_one(bank: Bank) -> None:
    """Before, each of them ended what it saw, and added its own: three were live."""
    engine = bank.engine
    together = Barrier(4)

    def work(number: int) -> None:
        together.wait()
        for round_ in range(5):
            until = None if number == 0 else platforms.NOW + 10**12 + number
            now = platforms.NOW + 10 * round_ + number
            set_tag(bank.context.at(now), "customer", "a", "watch", until_us=until)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, number) for number in range(4)]:
            done.result()
    now = platforms.NOW + 1000
    with Session(engine) as session:
        live = session.scalars(select(Tag).where(Tag.until_us.is_(None) | (Tag.until_us > now))).all()
    assert len(live) == 1
