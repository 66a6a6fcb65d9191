"""Backtests in the background: queued, claimed by one, followed, finished or failed where everybody sees it."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from sqlalchemy import Engine, Table, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import InvalidRulesetError, LockedError, NotFoundError, StoreError, UnknownOutcomeError
from fivefold.risk.language.reading import read_ruleset
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.rulesets import Backtest
from fivefold.usecases.accounts.organisations import add_member, end_membership
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes import backtests
from fivefold.usecases.changes.backtests import (
    BACKTESTS,
    list_backtests,
    report_of,
    request_backtest,
)
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared import jobs
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from fivefold.usecases.shared.jobs import FREE_LOSSES, LEASE_US, Lease, run_next_job
from tests.store.filling import filled_once
from tests.usecases.at_once import put_list_version
from tests.usecases.governed import NOW, SECOND, audited, document, founded, rows_of, together

People = tuple[Actor, Actor, Actor]


def prepared(engine: Engine) -> People:
    three = founded(engine)
    put_list_version(Context(engine, three[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    save_draft(Context(engine, three[0]), document())
    return three


@pytest.fixture
@filled_once
def three(engine: Engine) -> People:
    return prepared(engine)


def customers(engine: Engine, actor: Actor, count: int) -> None:
    countries = ("NO", "IR", "KP")
    rows = [EntityRow(f"c{number}", {"country": countries[number % 3], "income": 5.0}) for number in range(count)]
    put_entities(Context(engine, actor).at(NOW), "customer", rows)


def test_a_draft_is_tested_in_the_background(engine: Engine, three: People) -> None:
    customers(engine, three[0], 7)
    asked = request_backtest(Context(engine, three[1]).at(NOW), "retail")
    assert (asked.state, asked.done, asked.total, asked.version) == ("queued", 0, 0, None)
    assert asked.content_hash == read_ruleset(document()).content_hash
    assert run_next_job(engine, BACKTESTS, NOW) is True
    (line,) = list_backtests(Context(engine, three[0]), "retail")
    assert (line.state, line.done, line.total, line.error) == ("done", 7, 7, None)
    assert line.finished_us is not None
    assert line.finished_us >= NOW
    report = report_of(Context(engine, three[0]), line.id)
    assert (report["basis"], report["customers"], report["as_of_us"]) == ("customers", 7, NOW)
    assert report["backtest"]["draft"]["alone"]["medium"] == 2
    assert run_next_job(engine, BACKTESTS, NOW) is False, "nothing waits any more"


def test_what_a_member_who_left_asked_for_is_done_in_their_name(engine: Engine, three: People) -> None:
    """As docs/security.md says: a publisher cancels what must not be done."""
    customers(engine, three[0], 3)
    member = add_member(Context(engine, three[0]), "Zoe", ["publisher"])
    publisher = Actor(three[0].organisation_id, f"member:{member.id}")
    request_backtest(Context(engine, publisher).at(NOW), "retail")
    end_membership(Context(engine, three[0]), member.id)
    assert run_next_job(engine, BACKTESTS, NOW) is True
    (line,) = list_backtests(Context(engine, three[0]), "retail")
    assert (line.state, line.requested_by) == ("done", publisher.name)


def test_a_version_is_tested_as_it_was_committed(engine: Engine, three: People) -> None:
    made = commit(Context(engine, three[0]), "retail", 1)
    save_draft(Context(engine, three[0]), document(medium=25))
    asked = request_backtest(Context(engine, three[0]), "retail", 1)
    assert (asked.version, asked.content_hash) == (1, made.content_hash)
    with pytest.raises(NotFoundError, match="there is no version 2 of retail"):
        request_backtest(Context(engine, three[0]), "retail", 2)


def test_one_that_is_under_way_is_not_asked_for_twice(engine: Engine, three: People) -> None:
    first = request_backtest(Context(engine, three[0]), "retail")
    before = len(rows_of(engine, AuditEntry))
    assert request_backtest(Context(engine, three[1]), "retail").id == first.id
    assert len(rows_of(engine, AuditEntry)) == before
    run_next_job(engine, BACKTESTS, NOW)
    assert request_backtest(Context(engine, three[1]), "retail").id != first.id, "one that is done can be made again"


def test_editing_a_draft_cancels_no_backtest(engine: Engine, three: People) -> None:
    """Neither that of the committed version nor that of what the draft was before."""
    committed = commit(Context(engine, three[0]), "retail", 1).content_hash
    request_backtest(Context(engine, three[0]), "retail", 1)
    save_draft(Context(engine, three[0]), document(medium=25))
    earlier = request_backtest(Context(engine, three[0]), "retail").content_hash
    save_draft(Context(engine, three[0]), document(medium=20), 2)
    later = request_backtest(Context(engine, three[0]), "retail").content_hash
    while run_next_job(engine, BACKTESTS, NOW):
        save_draft(Context(engine, three[1]), document(medium=19), revision(engine))
    found = {line.content_hash: line.state for line in list_backtests(Context(engine, three[0]), "retail")}
    assert found == {committed: "done", earlier: "done", later: "done"}


def revision(engine: Engine) -> int:
    from fivefold.store.tables.rulesets import Draft

    return int(rows_of(engine, Draft)[0]["revision"])


def test_a_draft_that_cannot_be_run_is_refused_at_once(engine: Engine, three: People) -> None:
    for old, new in (("score:", "scores:"), ("[low, medium", "[low, mid"), ("{in_list: watched}", "{in_list: gone}")):
        save_draft(Context(engine, three[0]), document().replace(old, new), revision(engine))
        with pytest.raises(InvalidRulesetError):
            request_backtest(Context(engine, three[0]), "retail")
    assert rows_of(engine, Backtest) == []


def test_only_ones_own_are_seen(engine: Engine, three: People) -> None:
    other = founded(engine, "other")[0]
    number = request_backtest(Context(engine, three[0]), "retail").id
    with pytest.raises(NotFoundError, match=f"there is no finished backtest {number}"):
        report_of(Context(engine, three[0]), number)
    run_next_job(engine, BACKTESTS, NOW)
    assert report_of(Context(engine, three[0]), number)["basis"] == "examples"
    for ask in (
        lambda: report_of(Context(engine, other), number),
        lambda: list_backtests(Context(engine, other), "retail"),
        lambda: request_backtest(Context(engine, other), "retail"),
    ):
        with pytest.raises(NotFoundError):
            ask()
    with pytest.raises(NotFoundError, match="there is no finished backtest 99"):
        report_of(Context(engine, three[0]), 99)


def test_customers_have_their_names_in_what_is_shown_and_numbers_in_what_is_kept(engine: Engine, three: People) -> None:
    customers(engine, three[0], 3)
    commit(Context(engine, three[0]), "retail", 1)
    activate_directly(engine)
    save_draft(Context(engine, three[0]), document(medium=25).replace("points: 30", "points: 26"))
    request_backtest(Context(engine, three[0]), "retail")
    run_next_job(engine, BACKTESTS, NOW)
    (row,) = rows_of(engine, Backtest)
    assert "c1" not in row["report"]
    report = report_of(Context(engine, three[0]), row["id"])
    assert [mover["entity"] for mover in report["backtest"]["movers"]] == ["c1"]


def activate_directly(engine: Engine) -> None:
    from fivefold.store.tables.rulesets import Family

    with Session(engine) as session, session.begin():
        session.execute(update(Family).values(active_version_id=1))


def test_who_is_erased_while_it_runs_is_not_in_the_report(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers(engine, three[0], 6)
    commit(Context(engine, three[0]), "retail", 1)
    activate_directly(engine)
    save_draft(Context(engine, three[0]), document(medium=25).replace("points: 30", "points: 26"))
    request_backtest(Context(engine, three[0]), "retail")
    real = backtests.run_backtest

    def erasing(*given: Any) -> str:
        report = real(*given)
        with Session(engine) as session, session.begin():
            session.execute(update(Entity).where(Entity.external_id == "c1").values(erased_us=NOW))
        return report

    monkeypatch.setattr(backtests, "run_backtest", erasing)
    run_next_job(engine, BACKTESTS, NOW)
    movers = report_of(Context(engine, three[0]), 1)["backtest"]["movers"]
    assert [mover["entity"] for mover in movers] == ["c4"]


def test_what_goes_wrong_is_kept_and_others_go_on(engine: Engine, three: People) -> None:
    text = document()
    save_draft(Context(engine, three[0]), text[: text.index("examples:")], 1)
    first = request_backtest(Context(engine, three[0]).at(NOW), "retail").id
    save_draft(Context(engine, three[0]), text, 2)
    second = request_backtest(Context(engine, three[0]).at(NOW + 1), "retail").id
    assert run_next_job(engine, BACKTESTS, NOW + 2) is True
    assert run_next_job(engine, BACKTESTS, NOW + 2) is True
    found = {line.id: line for line in list_backtests(Context(engine, three[0]), "retail")}
    assert found[first].state == "failed"
    assert found[first].error == "retail reaches no customer, and has no examples to run on; give it some"
    assert found[first].finished_us is not None
    assert found[second].state == "done"
    assert [action for _, action, _, _ in audited(engine)][-4:] == [
        "ruleset.draft_saved",
        "backtest.requested",
        "backtest.failed",
        "backtest.done",
    ]
    assert verify(engine, print).entries == len(audited(engine))


def breaking(error: Exception) -> Callable[..., Any]:
    def run(*_: Any) -> str:
        raise error

    return run


def test_an_error_that_nobody_thought_of_is_seen_without_what_it_says(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could say anything, such as a customer's name."""
    monkeypatch.setattr(backtests, "run_backtest", breaking(ZeroDivisionError("Zoe")))
    request_backtest(Context(engine, three[0]), "retail")
    assert run_next_job(engine, BACKTESTS, NOW) is True
    assert list_backtests(Context(engine, three[0]), "retail")[0].error == "it broke off: ZeroDivisionError"


def test_who_lost_the_database_gives_a_backtest_back_once_it_answers_and_that_does_not_count(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_backtest(Context(engine, three[0]), "retail")
    with monkeypatch.context() as patch:
        patch.setattr(backtests, "run_backtest", breaking(StoreError("the database cannot be reached")))
        for _ in range(FREE_LOSSES):
            with pytest.raises(StoreError):
                run_next_job(engine, BACKTESTS, NOW)
    assert run_next_job(engine, BACKTESTS, NOW + 1) is True, "nobody waits for the end of its lease"
    line = list_backtests(Context(engine, three[0]), "retail")[0]
    assert (line.state, line.attempts) == ("done", 1)


def test_a_lock_of_others_is_no_attempt_at_a_backtest_however_often(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_backtest(Context(engine, three[0]), "retail")
    with monkeypatch.context() as patch:
        patch.setattr(backtests, "run_backtest", breaking(LockedError("another transaction held a lock")))
        for _ in range(FREE_LOSSES + backtests.MOST_ATTEMPTS + 1):
            with pytest.raises(LockedError):
                run_next_job(engine, BACKTESTS, NOW)
    assert run_next_job(engine, BACKTESTS, NOW + 1) is True
    line = list_backtests(Context(engine, three[0]), "retail")[0]
    assert (line.state, line.attempts) == ("done", 1)


def test_a_lease_is_renewed_while_a_part_takes_long_unless_it_stands_still(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_backtest(Context(engine, three[0]), "retail")
    real, first = backtests.run_backtest, NOW + LEASE_US

    def end_us() -> int:
        end: int = rows_of(engine, Backtest)[0]["lease_until_us"]
        return end

    def slow(*given: Any) -> str:
        until = monotonic() + 5
        while end_us() == first and monotonic() < until:
            sleep(0.005)
        assert end_us() > first
        monkeypatch.setattr(jobs, "LONGEST_PART_US", -1)
        sleep(0.02)
        still = end_us()
        sleep(0.02)
        assert end_us() == still
        return real(*given)

    monkeypatch.setattr(jobs, "HOLD_US", 2_000)
    monkeypatch.setattr(backtests, "run_backtest", slow)
    assert run_next_job(engine, BACKTESTS, NOW)
    assert list_backtests(Context(engine, three[0]), "retail")[0].error is None


def test_progress_that_another_transaction_holds_up_is_told_the_next_time(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_backtest(Context(engine, three[0]), "retail")
    real, refusals = jobs.update_leased_job, [LockedError("another transaction held a lock")]

    def locked(*given: Any, **values: Any) -> bool:
        if "part" in values and refusals:
            raise refusals.pop()
        return real(*given, **values)

    monkeypatch.setattr(jobs, "update_leased_job", locked)
    assert run_next_job(engine, BACKTESTS, NOW)
    assert not refusals
    assert list_backtests(Context(engine, three[0]), "retail")[0].state == "done"


def test_a_lease_whose_renewal_had_no_answer_is_given_back_as_well(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_backtest(Context(engine, three[0]), "retail")

    def unanswered(_engine: Engine, _setting: Any, progress: Any, _keep: Any) -> str:
        progress(1, 7, "customers")
        raise UnknownOutcomeError("it may have been done")

    def renew(lease: Lease, *given: Any) -> None:
        held = lease._ends_us
        real(lease, *given)
        lease._ends_us |= held  # as where the answer to the commit was lost

    real = Lease.progress
    with monkeypatch.context() as patch:
        patch.setattr(Lease, "progress", renew)
        patch.setattr(backtests, "run_backtest", unanswered)
        with pytest.raises(UnknownOutcomeError):
            run_next_job(engine, BACKTESTS, NOW)
    assert run_next_job(engine, BACKTESTS, NOW + 1) is True
    assert list_backtests(Context(engine, three[0]), "retail")[0].attempts == 1


def test_a_backtest_that_loses_the_database_each_time_is_quarantined_in_the_end(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_backtest(Context(engine, three[0]), "retail")
    runs = 0

    def breaks(*_: object) -> str:
        nonlocal runs
        runs += 1
        raise StoreError("the database cannot be reached")

    monkeypatch.setattr(backtests, "run_backtest", breaks)
    for _ in range(FREE_LOSSES + backtests.MOST_ATTEMPTS):
        with pytest.raises(StoreError):
            run_next_job(engine, BACKTESTS, NOW)
    assert run_next_job(engine, BACKTESTS, NOW) is True
    (line,) = list_backtests(Context(engine, three[0]), "retail")
    assert (line.state, line.attempts, runs) == ("quarantined", 5, 7)
    assert line.error == (
        "its worker ended, stood still, or lost the database, at least 5 times while it ran; request it again"
        " once the reason is found"
    )
    assert audited(engine)[-1][1] == "backtest.quarantined"


def test_losses_of_all_workers_count_together_after_the_first_of_each(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_backtest(Context(engine, three[0]), "retail")
    monkeypatch.setattr(backtests, "run_backtest", breaking(StoreError("the database cannot be reached")))
    memories: list[Any] = [WeakKeyDictionary() for _ in range(2)]  # what each of two workers knows
    losses = 0
    for number in range(20):
        monkeypatch.setattr(jobs, "_LOST", memories[number // 3 % 2])  # one takes it three times, and then the other
        with suppress(StoreError):
            run_next_job(engine, BACKTESTS, NOW + number * LEASE_US)
            break
        losses += 1
    assert losses <= 2 * FREE_LOSSES + backtests.MOST_ATTEMPTS
    assert list_backtests(Context(engine, three[0]), "retail")[0].state == "quarantined"


def test_what_another_worker_took_over_is_not_given_back(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_backtest(Context(engine, three[0]), "retail")
    with monkeypatch.context() as patch:
        patch.setattr(backtests, "run_backtest", breaking(StoreError("the database cannot be reached")))
        with pytest.raises(StoreError):
            run_next_job(engine, BACKTESTS, NOW)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "_LOST", WeakKeyDictionary())
        assert run_next_job(engine, BACKTESTS, NOW + LEASE_US) is True, "another process, once the lease is over"
    assert run_next_job(engine, BACKTESTS, NOW + LEASE_US) is False
    line = list_backtests(Context(engine, three[0]), "retail")[0]
    assert (line.state, line.attempts) == ("done", 2)


def test_who_took_too_long_writes_nothing_over_who_took_over(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_backtest(Context(engine, three[0]), "retail")
    real = backtests.run_backtest

    def late(own: Engine, setting: Any, progress: Any, keep: Any) -> str:
        monkeypatch.setattr(backtests, "run_backtest", real)
        assert run_next_job(engine, BACKTESTS, NOW + LEASE_US) is True
        return '{"basis": "examples"}'

    monkeypatch.setattr(backtests, "run_backtest", late)
    before = len(rows_of(engine, AuditEntry))
    assert run_next_job(engine, BACKTESTS, NOW) is True
    (row,) = rows_of(engine, Backtest)
    assert row["state"] == "done"
    assert "content_hash" in json.loads(row["report"])
    assert len(rows_of(engine, AuditEntry)) == before + 1


def test_progress_is_written_as_it_goes_and_keeps_the_lease(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fivefold.usecases.rulesets import run_backtest as backtest_running

    customers(engine, three[0], 7)
    monkeypatch.setattr(backtest_running, "MOST_ENTITIES", 3)
    seen = []
    real = jobs.update_leased_job

    def watching(session: Session, table: Table, number: int, held_us: int, **values: Any) -> bool:
        if "state" not in values:
            seen.append((values["done"], values["total"], values["lease_until_us"]))
        return real(session, table, number, held_us, **values)

    monkeypatch.setattr(jobs, "update_leased_job", watching)
    request_backtest(Context(engine, three[0]), "retail")
    run_next_job(engine, BACKTESTS, NOW)
    assert [(done, total) for done, total, _ in seen] == [(0, 7), (0, 7), (3, 7), (6, 7), (7, 7)]
    leases = [lease for *_, lease in seen]
    assert leases == sorted(leases)
    assert leases[0] >= NOW + LEASE_US
    assert leases[-1] < NOW + LEASE_US + 60 * SECOND


def test_workers_together_run_each_backtest_once(kind: str, tmp_path: Path) -> None:
    def prepare(engine: Engine) -> People:
        three = prepared(engine)
        for revision, medium in enumerate((29, 28, 27), 1):
            request_backtest(Context(engine, three[0]), "retail")
            save_draft(Context(engine, three[0]), document(medium=medium), revision)
        return three

    def work(engine: Engine, three: People) -> list[str]:
        while run_next_job(engine, BACKTESTS, NOW):
            pass
        return [action for _, action, _, _ in audited(engine) if action in {"backtest.done", "backtest.failed"}]

    made = together(kind, tmp_path, prepare, work, work, work)
    assert max(made, key=len) == ["backtest.done"] * 3, made
