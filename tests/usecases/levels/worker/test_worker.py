"""The worker: nothing is lost, nothing is done twice, and nobody holds up anybody else."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, LockedError, StoreError
from fivefold.features import numba_cache
from fivefold.features.reading.fast_columns import column_loops
from fivefold.risk.facts.patterns import counts, loops
from fivefold.store.ingest.entities import subject_of
from fivefold.store.levels import leases as claims
from fivefold.store.levels.assessment_queue import Subject
from fivefold.store.levels.leases import LeasedBatch
from fivefold.store.sql.database import writing
from fivefold.store.tables.entities import Entity
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.levels import persist as storing
from fivefold.usecases.levels import worker
from fivefold.usecases.levels.assess import AssessmentResult, assess_entities
from fivefold.usecases.levels.read import list_failed
from fivefold.usecases.levels.worker import (
    FIRST_BACK_OFF_US,
    LEASE_US,
    MAX_ABANDONED_LEASES,
    MAX_ATTEMPTS,
    BatchResult,
    WorkerTally,
    assess_now,
    back_off_us,
    process_batch,
    run_batch,
    warm,
)
from fivefold.usecases.shared.context import Context
from tests.store.audits import bind_unnamed, findings_of, forged
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank

BAD_LUCK = "ValueError in usecases.levels.worker._all_of"
"""What is kept of the error: not its words."""


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A bank with five customers, of whom nobody was assessed yet."""
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY, "watch": banks.WATCH}))
    for name in "abcde":
        made.put(name, country="NO")
    return made


def claimed(bank: Bank, lease: str) -> LeasedBatch:
    """What a worker claimed that then was slow, or died."""
    with writing(bank.engine) as session:
        batch = claims.claim(session, lease, bank.now, bank.now + LEASE_US, 100, MAX_ABANDONED_LEASES)
    assert batch is not None
    return batch


def poisoned(monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException) -> None:
    """Let every assessment of one entity fail, with whomever it is assessed."""

    def assess(
        session: Session, organisation_id: int, type_id: int, reasons: dict[int, int], *others: Any
    ) -> AssessmentResult:
        if number in reasons:
            raise error
        return assess_entities(session, organisation_id, type_id, reasons, *others)

    monkeypatch.setattr(worker, "assess_entities", assess)


@pytest.mark.postgresql
def test_one_batch_is_as_large_as_asked(bank: Bank) -> None:
    assert [bank.run(most=3), bank.run(most=3), bank.run(most=3)] == [BatchResult(3, 0, 3), BatchResult(2, 0, 2), None]


def test_who_is_assessed_twice_is_counted_once(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """The customers come, and then their transactions: each is due twice, and one fails at first."""
    tally = WorkerTally()
    poisoned(monkeypatch, bank.id_of("c"), ValueError("bad luck"))
    done = bank.run()
    assert done is not None
    tally.add(done)
    assert (tally.assessed, tally.with_level, tally.failed) == (4, 4, 1)
    monkeypatch.undo()
    for name in "abcde":
        with Session(bank.engine) as session:
            entity = session.get(Entity, bank.id_of(name))
            assert entity is not None
            subject = subject_of(entity)
        done = assess_now(bank.engine, subject, clock=lambda: bank.now)
        assert done is not None
        tally.add(done)
    assert (tally.assessed, tally.with_level, tally.failed) == (5, 5, 0)


def test_whose_status_is_failed_is_counted_as_failed(engine: Engine) -> None:
    bank = Bank(engine)
    large = {"unit": "ratio", "multiply": [{"field": "income"}] * 20}
    larger = {"unit": "ratio", "multiply": [{"calculation": "large"}] * 20}
    rule = {"input": {"calculation": "larger"}, "cases": [{"when": {"at_least": 1}, "points": 5}]}
    bank.activate(banks.document({"product": rule}, calculate={"large": large, "larger": larger}))
    bank.put("a", income=1.0)
    bank.put("b", income=20_000.0)
    done = bank.run()
    assert done is not None
    assert [bank.assessments(name)[-1].status for name in "ab"] == ["assessed", "failed"]
    assert (done, done.without_result) == (BatchResult(1, 1, 1), 0)
    tally = WorkerTally()
    tally.add(done)
    assert (tally.assessed, tally.with_level, tally.failed) == (1, 1, 1)


def test_one_that_cannot_be_assessed_holds_up_nobody(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, bank.id_of("c"), ValueError("bad luck"))
    assert bank.run() == BatchResult(4, 1, 4)
    assert [len(bank.assessments(name)) for name in "abcde"] == [1, 1, 0, 1, 1]
    mark = bank.mark_of("c")
    assert (mark.due_us, mark.error, mark.lease) == (
        bank.now + back_off_us(1),
        BAD_LUCK,
        None,
    )
    assert bank.run() is None


@pytest.mark.postgresql
@pytest.mark.parametrize("error", [pl.exceptions.PanicException("deep inside"), RecursionError("too deep")])
def test_whatever_goes_wrong_with_one_ends_no_worker(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    poisoned(monkeypatch, bank.id_of("c"), error)
    assert bank.run() == BatchResult(4, 1, 4)


def test_one_that_cannot_be_stored_holds_up_nobody(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    number = bank.id_of("c")

    def store(session: Session, batch: LeasedBatch, result: AssessmentResult, actor: str) -> storing.StoredLevels:
        if any(made.entity_id == number for made in result.records):
            raise ArithmeticError("out of range")
        return storing.store_result(session, batch, result, actor)

    monkeypatch.setattr(worker, "store_result", store)
    assert bank.run() == BatchResult(4, 1, 4)
    assert bank.mark_of("c").error == "ArithmeticError in usecases.levels.worker._all_of"
    assert bank.run() is None


def test_who_fails_again_and_again_is_quarantined_with_the_error_to_be_seen(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, bank.id_of("c"), ValueError("bad luck"))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert bank.run() in {BatchResult(4, 1, 4), BatchResult(0, 1, 0)}
        bank.now += back_off_us(attempt) - 1
        assert bank.run() is None
        bank.now += 1
    assert bank.run() is None
    mark = bank.mark_of("c")
    assert (mark.quarantined, mark.attempts, mark.error) == (
        True,
        MAX_ATTEMPTS,
        BAD_LUCK,
    )
    monkeypatch.undo()
    assert bank.run() is None  # time alone releases nobody
    bank.put("c", country="RU")
    assert bank.settle() == 1
    assert (bank.level("c"), bank.mark_of("c").error) == (2, None)


def test_to_be_asked_for_is_no_attempt_however_often_it_fails(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.settle()
    before = bank.mark_of("c").due_us
    poisoned(monkeypatch, bank.id_of("c"), ValueError("bad luck"))
    with Session(bank.engine) as session:
        subject = subject_of(session.get_one(Entity, bank.id_of("c")))
    for _ in range(40):
        assert assess_now(bank.engine, subject, clock=lambda: bank.now) == BatchResult(0, 1, 0)
    mark = bank.mark_of("c")
    assert (mark.attempts, mark.quarantined, mark.due_us, mark.error) == (
        0,
        False,
        before,
        BAD_LUCK,
    )


def test_a_success_forgets_the_failures_before(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, bank.id_of("c"), ValueError("bad luck"))
    bank.run()
    monkeypatch.undo()
    bank.now += back_off_us(1)
    bank.settle()
    assert (bank.mark_of("c").attempts, bank.mark_of("c").error) == (0, None)


def test_a_ruleset_that_lacks_a_list_fails_all_of_them_until_the_list_is_there(engine: Engine) -> None:
    from tests.usecases.at_once import put_list_version

    bank = Bank(engine)
    bank.activate(banks.document({"listed": banks.LISTED}))
    bank.put("a", country="KP")
    bank.put("b", country="NO")
    assert bank.run() == BatchResult(0, 2, 0)
    assert "hot" in (bank.mark_of().error or "")
    put_list_version(Context(engine, bank.actor).at(bank.now), "hot", 0, ["KP"], "Hot", "ours")
    assert bank.run() == BatchResult(2, 0, 2)
    assert (bank.level("a"), bank.level("b")) == (2, 1)


def test_a_database_out_of_reach_is_nobodys_failure(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is away: whoever was claimed is tried again, and never quarantined for that."""

    def away(*_: object) -> AssessmentResult:
        raise StoreError("the database cannot be reached")

    monkeypatch.setattr(worker, "assess_entities", away)
    for _ in range(MAX_ATTEMPTS + 1):
        with pytest.raises(StoreError):
            bank.run()
        bank.now += LEASE_US
    monkeypatch.undo()
    assert not any(bank.mark_of(name).quarantined for name in "abcde")
    assert bank.settle() == 5
    assert [bank.mark_of(name).attempts for name in "abcde"] == [0] * 5


@pytest.mark.postgresql
def test_whom_another_transaction_holds_up_is_tried_soon_behind_the_others_and_it_says_why(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often: it is no attempt, and nobody waits until the worker's own leases end."""
    poisoned(monkeypatch, bank.id_of("a"), LockedError("another transaction held a lock"))
    for _ in range(MAX_ABANDONED_LEASES + 1):
        with pytest.raises(LockedError):
            bank.run()
        bank.now += FIRST_BACK_OFF_US
    with pytest.raises(LockedError):
        bank.run()
    bank.put("f", country="NO")
    assert bank.run() == BatchResult(1, 0, 1)
    mark = bank.mark_of("a")
    assert (mark.attempts, mark.quarantined, mark.lease) == (0, False, None)
    assert mark.error == "LockedError: another transaction held a lock"
    with pytest.raises(LockedError):
        assess_now(bank.engine, Subject(bank.id_of("a"), mark.organisation_id, mark.type_id), clock=lambda: bank.now)
    assert bank.mark_of("a").lease is None, "who asks holds up nobody either"
    monkeypatch.undo()
    bank.now += FIRST_BACK_OFF_US
    assert bank.settle() == 5
    assert bank.mark_of("a").error is None


@pytest.mark.postgresql
def test_who_ends_every_worker_holds_up_nobody_and_is_quarantined_with_why(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if by a kill: nothing is caught, nothing is given back. New facts about it change nothing of that."""
    killer, sizes = bank.id_of("c"), list[int]()

    def dies(session: Session, of: int, kind: int, reasons: Mapping[int, int], *rest: Any) -> AssessmentResult:
        sizes.append(len(reasons))
        if killer in reasons:
            raise KeyboardInterrupt
        return assess_entities(session, of, kind, reasons, *rest)

    monkeypatch.setattr(worker, "assess_entities", dies)
    for _ in range(MAX_ABANDONED_LEASES):
        assert not bank.mark_of("c").quarantined
        goes_on = True
        while goes_on:
            with suppress(KeyboardInterrupt):  # another worker begins
                goes_on = bank.run(most=10) is not None
        bank.mark("c")
        bank.now += LEASE_US
    assert bank.run() is None
    assert bank.mark_of("c").quarantined
    assert (sizes[0], sizes[-8:]) == (5, [1] * 8)
    assert all(bank.level(name) is not None for name in "abde")
    assert list_failed(Context(bank.engine, bank.actor))[0][2].endswith("it may need more memory than there is")
    monkeypatch.undo()
    bank.mark("c")
    assert bank.settle() == 1


@pytest.mark.postgresql
def test_who_was_claimed_by_one_that_died_is_assessed_when_the_lease_ends(bank: Bank) -> None:
    claimed(bank, "dead")
    bank.now += LEASE_US - 1
    assert bank.run() is None
    bank.now += 1
    assert bank.run() == BatchResult(5, 0, 5)


@pytest.mark.postgresql
def test_a_worker_that_lost_its_lease_stores_nothing(bank: Bank) -> None:
    slow = claimed(bank, "slow")
    bank.now += LEASE_US
    assert bank.settle() == 5
    before = [bank.assessments(name) for name in "abcde"]
    assert process_batch(bank.engine, slow, clock=lambda: bank.now) == BatchResult(0, 0, 0)
    assert [len(bank.assessments(name)) for name in "abcde"] == [len(made) for made in before] == [1] * 5
    assert [len(bank.events(name)) for name in "abcde"] == [1] * 5


@pytest.mark.postgresql
def test_a_slow_worker_that_fails_puts_off_nobody_who_was_taken_over(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = claimed(bank, "slow")
    bank.now += LEASE_US
    bank.settle()
    later = bank.next_us("c")
    poisoned(monkeypatch, bank.id_of("c"), ValueError("bad luck"))
    process_batch(bank.engine, slow, clock=lambda: bank.now)
    mark = bank.mark_of("c")
    assert (mark.due_us, mark.attempts, mark.error) == (later, 0, None)


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen once while an assessment is under way, after everything was read."""
    left = [happens]

    def assess(*given: Any) -> AssessmentResult:
        found = assess_entities(*given)
        if left:
            left.pop()()
        return found

    monkeypatch.setattr(worker, "assess_entities", assess)


@pytest.mark.postgresql
def test_facts_come_in_while_an_assessment_is_open_and_are_not_lost(
    kind: str, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits: the fact is stored while the worker still computes; and it is assessed right after."""

    def tag() -> None:
        waited = "SET lock_timeout = '1s'" if kind == "postgresql" else "PRAGMA busy_timeout = 1000"
        with bank.engine.connect() as connection:
            connection.execute(text(waited))
        set_tag(bank.context, "customer", "c", "watch")

    meanwhile(monkeypatch, tag)
    assert bank.run() == BatchResult(5, 0, 5)
    assert bank.level("c") == 1
    assert bank.run() == BatchResult(1, 0, 1)
    assert bank.level("c") == 3
    assert bank.transitions("c") == [(None, 1), (1, 3)]


@pytest.mark.postgresql
def test_a_lease_that_is_lost_while_it_computes_stores_nothing(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    def takes_over() -> None:
        bank.now += LEASE_US
        assert run_batch(bank.engine, clock=lambda: bank.now) == BatchResult(5, 0, 5)

    meanwhile(monkeypatch, takes_over)
    assert bank.run() == BatchResult(0, 0, 0)
    assert [len(bank.assessments(name)) for name in "abcde"] == [1] * 5


@pytest.mark.postgresql
def test_one_is_assessed_at_once_whether_it_is_due_or_not(bank: Bank) -> None:
    with Session(bank.engine) as session:
        subject = subject_of(session.get_one(Entity, bank.id_of("a")))
    assert assess_now(bank.engine, subject, clock=lambda: bank.now) == BatchResult(1, 0, 1)
    assert assess_now(bank.engine, subject, clock=lambda: bank.now) == BatchResult(1, 0, 1)
    assert len(bank.assessments("a")) == 1, "it came to the same"
    with bank.engine.begin() as connection:
        connection.execute(text("DELETE FROM due_marks WHERE entity_id = :of"), {"of": subject.entity_id})
    assert assess_now(bank.engine, subject, clock=lambda: bank.now) is None, "as of one that was erased"


@pytest.mark.postgresql
@pytest.mark.parametrize("ends_first", [True, False])
def test_one_that_a_worker_holds_is_assessed_by_what_is_known_now(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, ends_first: bool
) -> None:
    """A fact comes, a worker claims, another fact comes: what the worker read is not what the caller has to know."""
    monkeypatch.setattr(worker, "WAIT_SECONDS", 60.0 if ends_first else 0.2)
    slow = claimed(bank, "slow")
    set_tag(bank.context, "customer", "a", "watch")
    subject = Subject(bank.id_of("a"), bank.of, 1)
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(assess_now, bank.engine, subject, clock=lambda: bank.now)
        if ends_first:
            assert process_batch(bank.engine, slow, clock=lambda: bank.now).assessed == 5
            assert asked.result() == BatchResult(1, 0, 1)
        else:  # it is dead, or takes its time: its result for this one is not stored any more
            assert asked.result() == BatchResult(1, 0, 1)
            assert process_batch(bank.engine, slow, clock=lambda: bank.now).assessed == 4
    assert bank.level("a") == 3
    with bank.engine.connect() as connection:
        attempts = connection.scalars(text("SELECT attempts FROM due_marks")).all()
    assert set(attempts) == {0}, "nobody abandoned it"


def test_where_the_lease_is_taken_again_and_again_it_is_said(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the level of before is not passed off as that of now."""
    monkeypatch.setattr(worker, "LONGEST_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(worker, "process_batch", lambda *_, **__: BatchResult(0, 0, 0))
    with pytest.raises(ConflictError, match="is being assessed by others all the time"):
        assess_now(bank.engine, Subject(bank.id_of("a"), bank.of, 1), clock=lambda: bank.now)


def test_what_it_does_is_in_the_audit_log_and_the_chain_holds(bank: Bank) -> None:
    bank.settle()
    with bank.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT actor, bulk_count, details FROM audit_entries WHERE action = 'assessments.made'")
        ).all()
    ((actor, count, details),) = rows
    assert (actor, count) == ("system", 5)
    assert json.loads(details).items() >= {"assessed": 5, "moved": 5}.items()
    bind_unnamed(bank.engine)
    assert findings_of(bank.engine) == []


@pytest.mark.postgresql
def test_who_has_nothing_known_any_more_is_not_claimed_for_ever(bank: Bank) -> None:
    number = bank.id_of("c")
    with forged(bank.engine) as connection:
        connection.execute(text("DELETE FROM attributes WHERE entity_id = :of"), {"of": number})
    assert bank.run() == BatchResult(4, 0, 4)
    mark = bank.mark_of("c")
    assert (mark.due_us, mark.lease, mark.quarantined) == (None, None, False)


def test_an_error_of_the_database_that_is_no_outage_is_that_of_the_entity(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = OperationalError("SELECT", {}, Exception("a statement that is not right"))
    poisoned(monkeypatch, bank.id_of("c"), broken)
    assert bank.run() == BatchResult(4, 1, 4)


def test_a_warm_worker_compiles_nothing_while_it_holds_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a new machine a first batch of several waited five seconds for it, and all that came meanwhile."""
    numba_cache.compile_loops.cache_clear()
    warm()

    def compiles(*_: Any) -> None:
        raise AssertionError("it is compiled now")

    monkeypatch.setattr(numba_cache, "cached_module", compiles)
    assert column_loops().SIGNATURES
    assert counts.compile_loops(loops).SIGNATURES


def test_an_event_asks_polars_few_times(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.pay(1)
    run_batch(bank.engine, clock=lambda: bank.now)
    queries, lazy = list[str](), pl.DataFrame.lazy

    def counted(frame: pl.DataFrame) -> pl.LazyFrame:
        queries.append(str(frame.columns))
        return lazy(frame)

    monkeypatch.setattr(pl.DataFrame, "lazy", counted)
    bank.pay(2)
    assert run_batch(bank.engine, clock=lambda: bank.now) is not None
    assert len(queries) <= 40
