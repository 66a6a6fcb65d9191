"""A backtest that ends its worker, or that is not wanted any more: it stops by itself, or by whoever says so."""

from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.store.tables.rulesets import Backtest
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes import backtests
from fivefold.usecases.changes.backtests import (
    BACKTESTS,
    cancel_backtest,
    list_backtests,
    request_backtest,
)
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.rulesets import run_backtest as backtest_running
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared import jobs
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from fivefold.usecases.shared.jobs import LEASE_US, run_next_job
from tests.usecases.at_once import put_list_version
from tests.usecases.governed import NOW, audited, document, founded, rows_of
from tests.usecases.platforms import transaction

People = tuple[Actor, Actor, Actor]


class Killed(BaseException):
    """What ends a process, such as the end of its memory, is not caught by anything."""


@pytest.fixture
def three(engine: Engine) -> People:
    three = founded(engine)
    put_list_version(Context(engine, three[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    rows = [EntityRow(f"c{number}", {"country": "NO", "income": 5.0}) for number in range(7)]
    put_entities(Context(engine, three[0]).at(NOW), "customer", rows)
    save_draft(Context(engine, three[0]), document())
    return three


def parts(monkeypatch: pytest.MonkeyPatch, kill_at: int | None) -> list[int]:
    """How many entities were read together; the worker is killed where there are at least so many."""
    real, seen = backtest_running.read_stored_portfolio, list[int]()

    def reading(session: Any, organisation: int, kind: int, ids: list[int], *rest: Any, **more: Any) -> Any:
        seen.append(len(ids))
        if kill_at is not None and len(ids) >= kill_at:
            raise Killed
        return real(session, organisation, kind, ids, *rest, **more)

    monkeypatch.setattr(backtest_running, "read_stored_portfolio", reading)
    return seen


def work(engine: Engine, times: int) -> None:
    """Workers come one after another, each after the lease of the one before."""
    for time in range(times):
        try:
            run_next_job(engine, BACKTESTS, NOW + time * 2 * LEASE_US)
        except Killed:
            continue


@pytest.mark.postgresql
def test_what_ends_every_worker_is_quarantined_with_the_reason_and_never_claimed_again(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = parts(monkeypatch, kill_at=1)
    request_backtest(Context(engine, three[0]).at(NOW), "retail")
    work(engine, 20)
    (line,) = list_backtests(Context(engine, three[0]), "retail")
    assert (line.state, line.attempts) == ("quarantined", backtests.MOST_ATTEMPTS)
    assert line.error == (
        f"its worker ended, stood still, or lost the database, at least {backtests.MOST_ATTEMPTS} times while it"
        " ran, the last time at customers 1 to 7 of 7 (0 transactions); request it again once the reason is found"
    )
    assert len(seen) == backtests.MOST_ATTEMPTS, "fifty times of fifty before"
    assert [action for _, action, _, _ in audited(engine)][-1] == "backtest.quarantined"
    assert request_backtest(Context(engine, three[1]), "retail").id != line.id, "it can be asked for again"
    assert verify(engine, print).entries == len(audited(engine))


@pytest.mark.postgresql
def test_each_attempt_takes_fewer_together_so_that_one_that_was_too_large_gets_through(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest_running, "MOST_ENTITIES", 8)
    seen = parts(monkeypatch, kill_at=3)
    request_backtest(Context(engine, three[0]).at(NOW), "retail")
    work(engine, 2)
    (line,) = list_backtests(Context(engine, three[0]), "retail")
    assert (line.state, line.attempts, line.done) == ("done", 2, 7)
    assert seen == [7, 2, 2, 2, 1]


def test_parts_are_bounded_by_transactions_and_progress_moves_with_each(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One customer with more than a part may have is a part of its own."""
    counts = {"c0": 2, "c1": 2, "c2": 9, "c3": 1, "c4": 1, "c5": 1, "c6": 1}
    rows = [transaction(number * 10 + one, name) for number, name in enumerate(counts) for one in range(counts[name])]
    add_transactions(Context(engine, three[0]).at(NOW), rows, "customer")
    monkeypatch.setattr(backtest_running, "MOST_TRANSACTIONS", 3)
    seen = parts(monkeypatch, None)
    told: list[int] = []
    real = jobs.update_leased_job
    monkeypatch.setattr(jobs, "update_leased_job", lambda *a, **v: (told.append(v["done"]) if "part" in v else None) or real(*a, **v))  # fmt: skip  # noqa: E501 (one line is read more easily)
    request_backtest(Context(engine, three[0]).at(NOW), "retail")
    assert run_next_job(engine, BACKTESTS, NOW)
    assert seen == [1, 1, 1, 3, 1]
    assert sorted(set(told)) == [0, 1, 2, 3, 6, 7]


@pytest.mark.postgresql
def test_a_worker_that_is_asked_to_end_gives_its_backtest_back_at_once(engine: Engine, three: People) -> None:
    """And no attempt is counted: nothing is wrong with it."""
    request_backtest(Context(engine, three[0]).at(NOW), "retail")
    assert run_next_job(engine, BACKTESTS, NOW, stopping=lambda: True)
    (row,) = rows_of(engine, Backtest)
    assert (row["state"], row["attempts"], row["lease_until_us"]) == ("queued", 0, None)
    assert run_next_job(engine, BACKTESTS, NOW)
    assert list_backtests(Context(engine, three[0]), "retail")[0].state == "done"


def test_one_that_waits_is_cancelled_and_never_run(engine: Engine, three: People) -> None:
    number = request_backtest(Context(engine, three[0]).at(NOW), "retail").id
    line = cancel_backtest(Context(engine, three[1]), number, " of another draft ")
    assert (line.state, line.error) == ("cancelled", "member:2 cancelled it: of another draft")
    assert run_next_job(engine, BACKTESTS, NOW) is False
    assert audited(engine)[-1][:3] == ("member:2", "backtest.cancelled", str(number))
    with pytest.raises(
        ConflictError, match=f"backtest {number} is cancelled; only a waiting or running one can be cancelled"
    ):
        cancel_backtest(Context(engine, three[1]), number, "again")
    assert request_backtest(Context(engine, three[0]), "retail").id != number


def test_one_that_runs_is_cancelled_and_stops_at_its_next_part(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest_running, "MOST_ENTITIES", 2)
    number = request_backtest(Context(engine, three[0]).at(NOW), "retail").id
    seen = []
    real = backtest_running.read_stored_portfolio

    def cancelling(*given: Any, **more: Any) -> Any:
        seen.append(1)
        if len(seen) == 2:
            cancel_backtest(Context(engine, three[2]), number, "too slow today")
        return real(*given, **more)

    monkeypatch.setattr(backtest_running, "read_stored_portfolio", cancelling)
    assert run_next_job(engine, BACKTESTS, NOW)
    assert len(seen) == 2
    (line,) = list_backtests(Context(engine, three[0]), "retail")
    assert line.state == "cancelled"
    assert [action for _, action, _, _ in audited(engine)][-1] == "backtest.cancelled"


def test_nobody_cancels_what_is_anothers_or_without_a_reason(engine: Engine, three: People) -> None:
    number = request_backtest(Context(engine, three[0]).at(NOW), "retail").id
    other = founded(engine, "other")[0]
    with pytest.raises(NotFoundError, match=f"there is no backtest {number}"):
        cancel_backtest(Context(engine, other), number, "why not")
    with pytest.raises(Exception, match="reason must say why"):
        cancel_backtest(Context(engine, three[0]), number, " ")
    assert rows_of(engine, Backtest)[0]["state"] == "queued"
