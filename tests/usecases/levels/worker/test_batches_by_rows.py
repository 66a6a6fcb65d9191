"""A batch is bounded by what it reads, not by entities alone; and each one's turn comes."""

from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.usecases.levels import worker
from fivefold.usecases.levels.worker import BatchResult
from tests.usecases import banks
from tests.usecases.banks import Bank

ROWS = {"a": 2, "b": 1, "c": 10, "d": 1}
"""Of the last 180 days; what came before is not read."""


@pytest.fixture
def bank(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Bank:
    made = Bank(engine)
    made.activate(banks.document({"cash": banks.CASH}))
    monkeypatch.setattr(worker, "MOST_ROWS", 4)
    return made


def arrive(bank: Bank, names: str) -> None:
    """Customers, the first of whom is due for longest; each has eight transactions of years ago besides."""
    for name in names:
        bank.put(name)
        bank.wait(microseconds=1)
    number = 0
    for name in names:
        days = ["2019-01-01"] * 8 + ["2026-11-01"] * ROWS[name]
        for day in days:
            number += 1
            bank.pay(number, name, transaction_date=day)


def assessed(bank: Bank) -> list[set[str]]:
    """Who was assessed in each batch."""
    found: list[set[str]] = []
    before: dict[str, int] = dict.fromkeys(ROWS, 0)
    while (done := bank.run()) is not None:
        now = {name: len(bank.assessments(name)) for name in ROWS}
        found.append({name for name in ROWS if now[name] > before[name]})
        assert done == BatchResult(len(found[-1]), 0, len(found[-1]))
        before = now
    return found


@pytest.mark.parametrize(
    ("names", "batches"),
    [
        ("abcd", [{"a", "b", "d"}, {"c"}]),
        ("cabd", [{"c"}, {"a", "b", "d"}]),
        ("adcb", [{"a", "b", "d"}, {"c"}]),
    ],
)
def test_a_batch_reads_no_more_rows_than_it_may(bank: Bank, names: str, batches: list[set[str]]) -> None:
    """One with more than that has a batch of its own, as soon as nobody is due for longer."""
    arrive(bank, names)
    assert assessed(bank) == batches
    marks = [bank.mark_of(name) for name in ROWS]
    assert [(mark.lease, mark.claimed, mark.attempts, mark.error) for mark in marks] == [(None, None, 0, None)] * 4


@pytest.mark.postgresql
def test_rows_of_accounts_count_for_their_owners(bank: Bank) -> None:
    arrive(bank, "ac")
    bank.put("owner", None)
    bank.put("c", ("customer", "owner"))
    sizes = []
    while (done := bank.run()) is not None:
        sizes.append(done.assessed)
    assert sizes == [1, 1, 1]


def test_where_nothing_reads_transactions_none_are_counted(bank: Bank) -> None:
    bank.activate(banks.document({"country": banks.COUNTRY}))
    arrive(bank, "abcd")
    assert bank.run() == BatchResult(4, 0, 4)


@pytest.mark.postgresql
def test_what_cannot_be_counted_is_told_of_each(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ruleset that cannot be read is no reason to stop the worker."""

    def refuse(*_: Any) -> dict[int, int]:
        raise worker.InvalidRulesetError([], "it")

    monkeypatch.setattr(worker, "rows_to_read", refuse)
    arrive(bank, "ab")
    assert bank.run() == BatchResult(2, 0, 2)
