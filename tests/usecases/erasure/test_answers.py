"""Answers of requests with a key, where a customer is erased: those before, and those that were under way."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import to_microseconds
from fivefold.domain.errors import ConflictError, StoreError, UnknownOutcomeError
from fivefold.store.accounts.idempotency import RequestAttempt, attempting, forget_answers
from fivefold.store.erasure import erase as erasing
from fivefold.store.tables.accounts import IdempotencyKey, Organisation
from fivefold.store.tables.entities import Entity
from fivefold.usecases.erasure import erase
from fivefold.usecases.erasure.again import erase_again
from fivefold.usecases.erasure.erase import erase_entity, numbered
from fivefold.usecases.erasure.register import RegisterLine, line_of_transaction
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.idempotency import IdempotentRequest, StoredAnswer, answer_once
from tests.usecases import platforms
from tests.usecases.banks import Bank

NAME = "customer-17"


@pytest.fixture
def bank(engine: Engine) -> Bank:
    """Two customers of ten years ago."""
    ours = Bank(engine)
    ours.now = to_microseconds(datetime(2016, 1, 1, tzinfo=UTC))
    for name in (NAME, "bystander"):
        ours.put(name, country="NO")
    ours.wait(3650)
    return ours


def request_of(bank: Bank, key: str) -> IdempotentRequest:
    return IdempotentRequest(bank.of, 1, key, "0" * 64)


def answers(bank: Bank) -> dict[str, str | None]:
    with Session(bank.engine) as session:
        return {row.key: row.answer for row in session.scalars(select(IdempotencyKey))}


@pytest.mark.parametrize("stores", [True, False])
def test_an_answer_under_way_when_its_customer_is_erased_is_given_once(
    bank: Bank, tmp_path: Path, stores: bool
) -> None:
    context = Context(bank.engine, bank.actor).at(bank.now)

    def work(attempt: RequestAttempt) -> StoredAnswer:
        if stores:
            with attempting(attempt):
                set_tag(context, "customer", "bystander", "watch")
        erase_entity(context, "customer", NAME, tmp_path / "register")
        return StoredAnswer(200, NAME)

    answer_once(bank.engine, request_of(bank, "before"), lambda _: StoredAnswer(200, NAME))
    assert answers(bank) == {"before": NAME}
    elsewhere = IdempotentRequest(platforms.organisation(bank.engine, "other bank"), 2, "elsewhere", "0" * 64)
    answer_once(bank.engine, elsewhere, lambda _: StoredAnswer(200, NAME))
    assert answer_once(bank.engine, request_of(bank, "during"), work).body == NAME
    assert answers(bank) == {"before": None, "during": None, "elsewhere": NAME}, "of the same name, at another bank"
    for key in ("before", "during"):
        with pytest.raises(ConflictError, match="its answer was not stored"):
            answer_once(bank.engine, request_of(bank, key), work)
    answer_once(bank.engine, request_of(bank, "after"), lambda _: StoredAnswer(200, "bystander"))
    assert answers(bank)["after"] == "bystander"


def test_an_answer_that_is_empty_is_not_written_again(bank: Bank) -> None:
    written: list[int] = []

    def count(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE idempotency_keys"):
            written.append(cursor.rowcount)

    for key in ("one", "two"):
        answer_once(bank.engine, request_of(bank, key), lambda _: StoredAnswer(200, NAME))
    event.listen(bank.engine, "after_cursor_execute", count)
    for _ in range(2):
        with Session(bank.engine) as session, session.begin():
            forget_answers(session, bank.of)
    event.remove(bank.engine, "after_cursor_execute", count)
    assert (written, set(answers(bank).values())) == ([2, 0], {None})


def test_answers_are_emptied_with_the_erasure_though_the_program_is_killed_right_after_it(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(_: Context) -> None:
        raise KilledError

    answer_once(bank.engine, request_of(bank, "before"), lambda _: StoredAnswer(200, NAME))
    monkeypatch.setattr(erase, "forget_late_answers", killed)
    with pytest.raises(KilledError):
        erase_entity(Context(bank.engine, bank.actor).at(bank.now), "customer", NAME, tmp_path / "register")
    assert answers(bank) == {"before": None}


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize("is_repeated", [False, True])
def test_an_answer_that_begins_before_the_erasure_is_committed_is_not_kept(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_repeated: bool
) -> None:
    """The request reads the customer beside the erasure, after this has emptied the answers that it sees."""
    context, register = Context(bank.engine, bank.actor).at(bank.now), tmp_path / "register"
    erase_rows = erasing.erase

    def erase_beside(*of: Any) -> dict[str, list[int]]:
        rows = erase_rows(*of)
        answer_once(bank.engine, request_of(bank, "beside"), lambda _: StoredAnswer(200, NAME))
        return rows

    monkeypatch.setattr(erasing, "erase", erase_beside)
    if is_repeated:
        with Session(bank.engine) as session, line_of_transaction(register) as line:
            customer = session.scalars(select(Entity).where(Entity.external_id == NAME)).one()
            organisation = session.get_one(Organisation, bank.of).name
            line.add_erasure(organisation, [numbered(customer)], bank.now)
        assert erase_again(bank.engine, "member:1", register, now_us=bank.now).erased == 1
    else:
        erase_entity(context, "customer", NAME, register)
    assert answers(bank) == {"beside": None}


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize("answers_again", ["at once", "later"])
def test_an_answer_beside_an_erasure_whose_connection_was_lost_at_its_end_is_not_kept(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers_again: str
) -> None:
    context, register = Context(bank.engine, bank.actor).at(bank.now), tmp_path / "register"
    add_erasure, commit, writes = RegisterLine.add_erasure, bank.engine.dialect.do_commit, Context.writing

    def commit_without_answer(connection: Any) -> None:
        monkeypatch.setattr(bank.engine.dialect, "do_commit", commit)
        commit(connection)
        if answers_again == "later":
            monkeypatch.setattr(Context, "writing", out_of_reach)
        raise psycopg.OperationalError("gone")

    def out_of_reach(*_: Any) -> Any:
        raise StoreError("the database is out of reach")

    def add_at_the_end(*of: Any) -> None:
        add_erasure(*of)
        answer_once(bank.engine, request_of(bank, "beside"), lambda _: StoredAnswer(200, NAME))
        monkeypatch.setattr(bank.engine.dialect, "do_commit", commit_without_answer)

    monkeypatch.setattr(RegisterLine, "add_erasure", add_at_the_end)
    with pytest.raises(UnknownOutcomeError, match="erase-again"):
        erase_entity(context, "customer", NAME, register)
    if answers_again == "later":
        assert answers(bank) == {"beside": NAME}
        monkeypatch.setattr(Context, "writing", writes)
        assert erase_again(bank.engine, "member:1", register, now_us=bank.now).erased == 0, "it was erased"
    assert answers(bank) == {"beside": None}
