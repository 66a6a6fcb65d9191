"""What is read from blocks is what is stored: late, settled, corrected or erased transactions among it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from fivefold.domain.errors import InvalidDataError
from fivefold.store.ingest import blocks
from fivefold.store.levels.assessment_queue import Subject
from fivefold.store.tables.entities import TransactionBlock
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels import assess as assessing
from fivefold.usecases.levels import persist
from fivefold.usecases.levels.assess import AssessmentResult, assess_entities
from fivefold.usecases.levels.portfolio import transactions_for
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.levels.worker import assess_now
from tests.store import databases
from tests.usecases.banks import Bank, document
from tests.usecases.levels.test_bounded_reads import (
    INPUTS,
    OF_ENDS,
    STEP,
    WHOLE,
    happen,
    rules,
    rules_look_at_all,
    sent,
)

EXAMPLES = count()


@pytest.fixture(scope="module", params=databases.KINDS)
def bank(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder: Path = tmp_path_factory.mktemp("blocks")
    with databases.opened(databases.new_url(request.param, folder)) as engine:
        yield Bank(engine)


@contextmanager
def small_blocks() -> Iterator[None]:
    """Let two transactions make a block, and four a second one, of what is older than a day."""
    sizes = {"FEWEST": 2, "MOST": 3, "OPEN_US": 86_400_000_000}
    with patch.multiple(blocks, **sizes):
        yield


def assess(bank: Bank, name: str) -> None:
    with small_blocks():
        assess_now(bank.engine, Subject(bank.id_of(name), bank.of, 1), clock=lambda: bank.now)


def results(bank: Bank, name: str) -> tuple[AssessmentResult, AssessmentResult]:
    """Assess now, as the worker does, and by every transaction as it is stored; nothing is stored."""

    def all_of_them(*given: Any, **named: Any) -> Any:
        return transactions_for(*given, **{**named, "back": None})

    with Session(bank.engine) as session:
        of = (bank.of, 1, {bank.id_of(name): 1}, bank.now)
        by_blocks = assess_entities(session, *of)
        with patch.object(assessing, "transactions_for", all_of_them), rules_look_at_all(), without_blocks():
            return by_blocks, assess_entities(session, *of)


@contextmanager
def without_blocks() -> Iterator[None]:
    with patch.object(blocks, "_from_blocks", lambda *given: ([], {})):
        yield


def ends(bank: Bank, name: str) -> list[int]:
    """Where the blocks of a customer end, in days before the present."""
    with Session(bank.engine) as session:
        statement = select(TransactionBlock.until_us).where(TransactionBlock.entity_id == bank.id_of(name))
        return sorted((bank.now - until_us) // 86_400_000_000 for until_us in session.scalars(statement))


@given(
    st.lists(st.sampled_from([*INPUTS, *OF_ENDS, *WHOLE]), min_size=1, max_size=4, unique_by=str),
    st.lists(STEP, min_size=2, max_size=6),
)
def test_blocks_change_nothing(bank: Bank, inputs: list[dict[str, Any]], steps: list[tuple[str, Any]]) -> None:
    name = f"c{next(EXAMPLES)}"
    bank.put(name)
    bank.activate(document(rules(inputs)))
    rows: list[dict[str, Any]] = []
    for step in steps:
        with suppress(InvalidDataError):  # what was reversed before cannot be reversed
            happen(bank, name, rows, step)
        by_blocks, whole = results(bank, name)
        assert by_blocks.records == whole.records
        assess(bank, name)


@pytest.fixture
def busy(bank: Bank) -> str:
    """A customer with a payment on each of the last eleven days, of whom there are blocks."""
    name = f"busy{next(EXAMPLES)}"
    bank.put(name)
    bank.activate(document(rules([{"count": "transactions", "over": "90 days"}, {"median": "amount"}])))
    add_transactions(bank.context, [payment(bank, name, number, -number) for number in range(11)])
    assess(bank, name)
    return name


def payment(bank: Bank, name: str, number: int, days: float, **more: Any) -> dict[str, Any]:
    row = {"days": days, "transaction_amount": 10.0 + number, "transaction_currency": "EUR", **more}
    return sent(bank, name, number, row)


@pytest.mark.postgresql
def test_many_transactions_are_put_into_blocks_that_hold_a_few_each(bank: Bank, busy: str) -> None:
    """Ten are older than a day, and a block holds three at most."""
    assert len(ends(bank, busy)) == 4
    assert min(ends(bank, busy)) == 1


@pytest.mark.parametrize(("days", "remaining"), [(0, 4), (-0.5, 4), (-1, 3), (-3, 3), (-4, 2), (-5, 2), (-400, 0)])
def test_a_late_transaction_ends_the_blocks_of_its_time_and_behind(
    bank: Bank, busy: str, days: float, remaining: int
) -> None:
    add_transactions(bank.context, [payment(bank, busy, 500, days)])
    assert len(ends(bank, busy)) == remaining
    by_blocks, whole = results(bank, busy)
    assert by_blocks.records == whole.records
    bank.wait(3)
    assess(bank, busy)
    by_blocks, whole = results(bank, busy)
    assert by_blocks.records == whole.records


def test_a_pending_transaction_that_is_settled_ends_its_block(bank: Bank, busy: str) -> None:
    row = payment(bank, busy, 600, -5, transaction_state="PENDING")
    add_transactions(bank.context, [row])
    assess(bank, busy)
    before = ends(bank, busy)
    add_transactions(bank.context, [{**row, "transaction_state": "SUCCEEDED"}])
    assert len(ends(bank, busy)) < len(before)
    by_blocks, whole = results(bank, busy)
    assert by_blocks.records == whole.records


@pytest.mark.postgresql
def test_a_correction_stands_beside_blocks(bank: Bank, busy: str) -> None:
    """Blocks have what was taken; what a correction says of it is read anew."""
    before = ends(bank, busy)
    about = {"transaction_id": f"{busy}-x", "corrects": f"{busy}-7", "transaction_amount": 99_999.0}
    add_transactions(bank.context, [{**about, "correction_reason": "It was wrong."}])
    assert ends(bank, busy) == before
    by_blocks, whole = results(bank, busy)
    assert by_blocks.records == whole.records


def test_blocks_that_no_window_looks_at_go_once_new_ones_are_made(bank: Bank) -> None:
    name = f"gone{next(EXAMPLES)}"
    bank.put(name)
    bank.activate(document(rules([{"count": "transactions", "over": "20 days"}])))
    add_transactions(bank.context, [payment(bank, name, number, -number) for number in range(11)])
    assess(bank, name)
    bank.wait(60)
    add_transactions(bank.context, [payment(bank, name, 100 + number, -number) for number in range(8)])
    assess(bank, name)
    assert max(ends(bank, name)) < 20


def test_a_longer_window_reads_what_came_before_the_first_block(bank: Bank) -> None:
    name = f"longer{next(EXAMPLES)}"
    bank.put(name)
    bank.activate(document(rules([{"count": "transactions", "over": "20 days"}])))
    add_transactions(bank.context, [payment(bank, name, number, -7 * number) for number in range(11)])
    assess(bank, name)
    assert ends(bank, name)
    bank.activate(document(rules([{"count": "transactions", "over": "60 days"}, {"max": "amount"}])))
    by_blocks, whole = results(bank, name)
    assert by_blocks.records == whole.records
    assess(bank, name)
    assert max(ends(bank, name)) > 20


@pytest.mark.postgresql
@pytest.mark.parametrize("days", [0, -5])
def test_what_comes_while_blocks_are_made_is_in_them_or_behind_them(bank: Bank, busy: str, days: float) -> None:
    """A fact that is stored after the reading bumps the revision: no block is stored that lacks it."""
    with bank.engine.begin() as connection:
        connection.execute(text("DELETE FROM transaction_blocks"))
    add_transactions(bank.context, [payment(bank, busy, 700, 0)])
    real: Callable[..., Any] = assessing.transactions_for

    def overtaken(*given: Any, **named: Any) -> Any:
        read = real(*given, **named)
        add_transactions(bank.context, [payment(bank, busy, 701, days)])
        return read

    with patch.object(assessing, "transactions_for", overtaken):
        assess(bank, busy)
    assert ends(bank, busy) == []
    assess(bank, busy)
    assert len(ends(bank, busy)) == 4
    by_blocks, whole = results(bank, busy)
    assert by_blocks.records == whole.records


class Killed(BaseException):
    """The worker ends here."""


@pytest.mark.postgresql
def test_a_worker_that_ends_between_its_rows_leaves_no_block(bank: Bank, busy: str) -> None:
    with bank.engine.begin() as connection:
        connection.execute(text("DELETE FROM transaction_blocks"))
    add_transactions(bank.context, [payment(bank, busy, 800, 0)])
    number = len(bank.assessments(busy))

    def killed(*given: Any) -> None:
        blocks.store_blocks(*given)
        raise Killed

    with patch.object(persist, "store_blocks", killed), pytest.raises(Killed):
        assess(bank, busy)
    assert (ends(bank, busy), len(bank.assessments(busy))) == ([], number)
    bank.wait(1)  # the lease ends
    assess(bank, busy)
    assert ends(bank, busy)
    by_blocks, whole = results(bank, busy)
    assert by_blocks.records == whole.records


def test_what_was_assessed_by_blocks_is_made_again_to_the_byte(bank: Bank, busy: str) -> None:
    add_transactions(bank.context, [payment(bank, busy, 900, 0, transaction_amount=2000.0)])
    assess(bank, busy)
    names = [f"{bank.id_of(busy)}.{made.number}" for made in bank.assessments(busy)]
    assert len(names) == 2
    assert all(replay_assessment(bank.context, name).same for name in names)


@pytest.mark.postgresql
def test_erasure_takes_blocks_out(bank: Bank, busy: str, tmp_path: Path) -> None:
    number = bank.id_of(busy)
    bank.wait(3000)
    erase_entity(bank.context, "customer", busy, tmp_path / "erasures.jsonl")
    with Session(bank.engine) as session:
        statement = select(TransactionBlock).where(TransactionBlock.entity_id == number)
        assert session.scalars(statement).all() == []
