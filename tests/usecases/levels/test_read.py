"""Levels as people and programs ask for them: as fresh as they ask, and never another organisation's."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.risk.engine.assessments import NOT_IN_FULL
from fivefold.store.decisions import entity_state
from fivefold.store.flows.history import levels_at
from fivefold.store.levels import leases
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.levels import LevelGroup, NotInFullCount, is_refreshing
from fivefold.store.sql.database import writing
from fivefold.store.tables.levels import DueMark, Standing
from fivefold.usecases.decisions.inputs import level_row
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.levels import distribution as distributions
from fivefold.usecases.levels import read as read_levels
from fivefold.usecases.levels import worker
from fivefold.usecases.levels.distribution import distribution
from fivefold.usecases.levels.read import (
    HOUR_US,
    Freshness,
    LevelView,
    find_assessment,
    level_history,
    list_failed,
    read_level,
    read_level_of_profile,
)
from fivefold.usecases.levels.worker import BatchResult
from fivefold.usecases.portfolio import matrix
from fivefold.usecases.portfolio.current_levels import LevelFilters, list_current_levels
from fivefold.usecases.portfolio.lists_by_time import search_failures
from fivefold.usecases.portfolio.matrix import value_and_risk
from fivefold.usecases.portfolio.search import Search, count_entities, search_entities
from fivefold.usecases.shared import rates
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.rates import rates_for
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY}))
    made.put("a", country="NO")
    return made


def read(bank: Bank, freshness: Freshness) -> LevelView:
    return read_level(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a", freshness)


def view(bank: Bank) -> LevelView:
    return read_level_of_profile(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a")


def test_whoever_was_never_assessed_is_told_so_or_assessed(bank: Bank) -> None:
    shown = read(bank, Freshness.STORED)
    assert (shown.level, shown.status, shown.assessment, shown.refreshing) == (None, "never assessed", None, True)
    shown = read(bank, Freshness.REFRESH)
    assert (shown.level, shown.status, shown.assessment, shown.refreshing) == ("low", "assessed", "1.1", False)
    assert shown.ruleset == ("retail", 1)
    assert shown.breakdown["line"] == "Score 5: Country 5; Low"


def test_a_refresh_gives_what_stands_and_computes_behind_it(bank: Bank) -> None:
    bank.settle()
    bank.wait(1)
    shown = read(bank, Freshness.REFRESH)
    assert (shown.assessment, shown.refreshing) == ("1.1", False)
    assert bank.settle() == 1
    shown = read(bank, Freshness.STORED)
    assert (shown.assessment, shown.assessed_us) == ("1.1", bank.now), "looked at again, and the same"


def test_stored_changes_nothing_and_now_computes_for_the_answer(bank: Bank) -> None:
    bank.settle()
    assert read(bank, Freshness.STORED).assessment == "1.1"
    assert bank.settle() == 0
    bank.put("a", country="IR")
    shown = read(bank, Freshness.NOW)
    assert (shown.assessment, shown.level, shown.refreshing) == ("1.2", "high", False)


def test_a_profile_is_computed_for_the_view_where_it_must_be(bank: Bank) -> None:
    assert view(bank).assessment == "1.1"
    assert view(bank).assessment == "1.1", "nothing happened since"
    bank.put("a", country="RU")
    assert view(bank).level == "medium"
    bank.wait(microseconds=HOUR_US)
    assert view(bank).assessed_us == bank.now - HOUR_US
    bank.wait(microseconds=1)
    assert (view(bank).assessment, view(bank).assessed_us) == ("1.2", bank.now)


def test_while_a_worker_is_at_it_the_level_is_that_of_now(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one would be passed off as computed for the view; what the worker then has is not stored any more."""
    monkeypatch.setattr(worker, "WAIT_SECONDS", 0.05)
    bank.settle()
    bank.put("a", country="IR")
    made = worker.assess_entities
    calls = itertools.count()
    seen: list[LevelView] = []

    def meanwhile(*given: Any, **named: Any) -> Any:
        if next(calls) == 0:
            seen.append(view(bank))
        return made(*given, **named)

    monkeypatch.setattr(worker, "assess_entities", meanwhile)
    assert bank.run() == BatchResult(0, 0, 0)
    assert (seen[0].level, seen[0].assessment, seen[0].refreshing) == ("high", "1.2", False)
    assert (view(bank).level, view(bank).assessment) == ("high", "1.2")


def test_an_override_is_shown_with_the_rules_level_beneath(bank: Bank) -> None:
    bank.settle()
    bank.override("a", 3)
    bank.settle()
    shown = view(bank)
    assert (shown.level, shown.rules_level, shown.source) == ("high", "low", "override")
    assert shown.override is not None
    assert (shown.override.level, shown.override.requested_by, shown.override.approved_by) == (
        "high",
        "member:1",
        "member:2",
    )


def test_the_moment_of_a_lower_level_is_shown_where_time_alone_holds_the_level(bank: Bank) -> None:
    bank.put("a", country="IR")
    bank.settle()
    entered = bank.now
    bank.wait(days=1)
    assert bank.standing().may_move_down_us == entered + 10 * DAY_US
    assert read(bank, Freshness.STORED).may_move_down_us is None, "the rules say no lower level"
    bank.put("a", country="NO")
    bank.settle()
    assert read(bank, Freshness.STORED).may_move_down_us == entered + 10 * DAY_US
    for status in sorted(NOT_IN_FULL):
        assert stored(bank, Standing, status=status).may_move_down_us is None, status
    assert stored(bank, Standing, status="assessed").may_move_down_us is not None
    assert stored(bank, DueMark, error="it broke").may_move_down_us is None
    assert stored(bank, DueMark, error=None).may_move_down_us is not None
    bank.wait(days=9)
    assert read(bank, Freshness.STORED).may_move_down_us is None, "that moment is here"


def stored(bank: Bank, table: type[Standing | DueMark], **values: str | None) -> LevelView:
    """Store something of everyone's level, and show the level."""
    with writing(bank.engine) as session:
        session.execute(update(table).values(**values))
    return read(bank, Freshness.STORED)


def test_an_override_is_shown_without_the_moment_of_a_lower_level_by_the_rules(bank: Bank) -> None:
    bank.put("a", country="IR")
    bank.settle()
    bank.override("a", 3)
    bank.settle()
    bank.put("a", country="NO")
    bank.settle()
    assert bank.standing().may_move_down_us == bank.now + 10 * DAY_US
    assert read(bank, Freshness.STORED).may_move_down_us is None


@pytest.mark.postgresql
def test_source_is_what_the_level_rests_on_and_in_the_history_what_made_each_difference(bank: Bank) -> None:
    """An assessment under a live override, and one after its end, change nothing about it."""
    bank.settle()
    until_us = bank.now + 3 * DAY_US
    bank.wait(1)
    bank.override("a", 3, until_us)
    bank.settle()
    bank.wait(1)
    bank.put("a", country="DE")
    bank.settle()
    then_us = bank.now
    assert _sources(bank) == {"override"}
    bank.now = until_us
    bank.settle()
    assert (bank.level("a"), _sources(bank)) == (1, {"expiry"})
    bank.wait(1)
    bank.put("a", country="NO")
    bank.settle()
    assert _sources(bank) == {"expiry"}
    assert [each.source for each in bank.assessments("a")] == ["rules", "override", "rules", "expiry", "rules"]
    with Session(bank.engine) as session:
        (then,) = levels_at(session, [bank.id_of("a")], then_us)
    assert (then.level, then.source) == (3, "override")


def _sources(bank: Bank) -> set[str | None]:
    """What the level of "a" rests on, in every place that says it."""
    (line,) = list_current_levels(bank.context, "customer")
    with Session(bank.engine) as session:
        state = entity_state(session, bank.id_of("a"), bank.now)
        (now,) = levels_at(session, [bank.id_of("a")], bank.now)
    row = level_row(bank.id_of("a"), state.standing, bank.now, ahead=False)
    return {read(bank, Freshness.STORED).source, line.source, now.source, row["source"]}


@pytest.mark.postgresql
def test_an_override_counts_at_once_when_it_begins_and_when_it_ends(bank: Bank) -> None:
    """No worker was there between: neither after its approval, nor at its end, nor after it was revoked."""
    bank.settle()
    bank.wait(1)
    bank.override("a", 3, bank.now + DAY_US)
    assert (read(bank, Freshness.STORED).level, read(bank, Freshness.STORED).refreshing) == ("low", True)
    shown = read(bank, Freshness.REFRESH)
    assert (shown.level, shown.source, shown.refreshing) == ("high", "override", False)
    bank.wait(0.5)
    assert read(bank, Freshness.REFRESH).assessed_us < bank.now, "nothing about the override changed: behind the answer"
    assert bank.mark_of("a").due_us == bank.now
    bank.wait(0.5)
    shown = read(bank, Freshness.REFRESH)
    assert (shown.level, shown.source, shown.override) == ("low", "expiry", None)
    number = bank.override("a", 2)
    assert read(bank, Freshness.REFRESH).level == "medium"
    bank.revoke("a", number)
    shown = read(bank, Freshness.REFRESH)
    assert (shown.level, shown.source) == ("low", "rules")


def test_an_override_that_decides_no_more_is_not_what_a_level_rests_on(bank: Bank) -> None:
    """The rules came to the same level beneath it, so that its end changed none."""
    bank.settle()
    until_us = bank.now + 3 * DAY_US
    bank.override("a", 3, until_us)
    bank.settle()
    bank.wait(1)
    bank.put("a", country="IR")
    bank.settle()
    assert (bank.level("a"), _sources(bank)) == (3, {"override"})
    bank.now = until_us
    bank.settle()
    assert (bank.level("a"), _sources(bank)) == (3, {"rules"})
    with Session(bank.engine) as session, session.begin():
        session.merge(bank.standing("a")).assessed_us = bank.now + 1
    with Session(bank.engine) as session:
        (then,) = levels_at(session, [bank.id_of("a")], bank.now)
    assert (then.level, then.source) == (3, "rules")


def test_history_tells_what_was_reached_and_goes_on_where_asked(bank: Bank) -> None:
    for country in ("NO", "RU", "NO", "IR"):  # the third is withheld
        bank.wait(1)
        bank.put("a", country=country)
        bank.mark("a")
        bank.settle()
    lines = level_history(bank.context, "customer", "a")
    assert [(line.assessment, line.level, line.reached) for line in lines] == [
        ("1.4", "high", True),
        ("1.3", "medium", False),
        ("1.2", "medium", True),
        ("1.1", "low", True),
    ]
    rest = level_history(bank.context, "customer", "a", Part(2, (3,)))
    assert [line.assessment for line in rest] == ["1.2", "1.1"]
    assert lines[0].line == "Score 70: Country 70; High"


def test_what_failed_is_listed_with_its_reason(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("no such luck")

    monkeypatch.setattr(worker, "assess_entities", broken)
    for _ in range(worker.MAX_ATTEMPTS):
        bank.run()
        bank.wait(1)
    (line,) = list_failed(Context(bank.engine, bank.actor))
    assert "quarantined after 6 attempts: ValueError" in str(line)
    assert "no such luck" not in str(line)  # words that are not ours may name a value of a customer


@pytest.mark.postgresql
def test_a_new_fact_leaves_that_the_last_attempt_failed_until_one_succeeds(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fact earns new attempts; that it came says nothing of whether they succeed."""

    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("it broke")

    bank.settle()
    with monkeypatch.context() as patched:
        patched.setattr(worker, "assess_entities", broken)
        bank.put("a", country="IR")
        for _ in range(worker.MAX_ATTEMPTS):
            bank.run()
            bank.wait(1)
    assert "quarantined after 6 attempts: ValueError" in str(list_failed(bank.context))
    set_tag(bank.context, "customer", "a", "watch")
    assert "failed, to be tried again: ValueError" in str(list_failed(bank.context))
    assert value_and_risk(bank.context, "customer").failing == 1
    assert distribution(bank.context, "customer").failing == 1
    assert [line.failing for line in list_current_levels(bank.context, "customer")] == [True]
    level = read(bank, Freshness.STORED)
    assert (level.problem is None, level.refreshing, level.level) == (False, True, "low")
    bank.settle()
    assert list_failed(bank.context) == []
    assert (read(bank, Freshness.STORED).problem, bank.standing().level) == (None, 3)


ASKED: list[Callable[[Bank, Actor], Any]] = [
    lambda bank, actor: read_level_of_profile(Context(bank.engine, actor), "customer", "a"),
    lambda bank, actor: read_level(Context(bank.engine, actor), "customer", "a", Freshness.STORED),
    lambda bank, actor: read_level(Context(bank.engine, actor), "customer", "a", Freshness.NOW),
    lambda bank, actor: level_history(Context(bank.engine, actor), "customer", "a"),
]


@pytest.mark.parametrize("ask", ASKED)
def test_another_organisation_sees_nobody(bank: Bank, ask: Callable[[Bank, Actor], Any]) -> None:
    other = Bank(bank.engine, "other")
    bank.settle()
    with pytest.raises(NotFoundError, match="there is no customer 'a'"):
        ask(bank, other.actor)
    with Session(bank.engine) as session, pytest.raises(NotFoundError):
        find_assessment(session, other.actor, "1.1")
    assert len(bank.assessments("a")) == 1


@pytest.mark.postgresql
def test_a_level_is_read_as_it_stands_while_another_transaction_holds_its_mark(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.settle()
    bank.wait(days=1)
    monkeypatch.setattr(read_levels, "MARK_SECONDS", 0.2)
    with bank.engine.begin() as holder:
        holder.execute(update(DueMark).values(priority=DueMark.priority))
        shown = read(bank, Freshness.REFRESH)
    assert (shown.level, shown.status, shown.refreshing) == ("low", "assessed", True)


def test_to_look_at_a_level_is_not_to_refresh_it(bank: Bank) -> None:
    """What is planned for later is not why a customer who is looked at is due."""
    bank.settle()
    assert Reason(bank.mark_of("a").reasons) == Reason.INTERVAL
    for freshness in (Freshness.REFRESH, Freshness.REFRESH, Freshness.STORED):
        assert not read(bank, freshness).refreshing
    assert Reason(bank.mark_of("a").reasons) == Reason.VIEW
    bank.put("a", country="RU")
    assert read(bank, Freshness.REFRESH).refreshing
    assert Reason(bank.mark_of("a").reasons) == Reason.VIEW | Reason.ATTRIBUTE


@pytest.mark.postgresql
@pytest.mark.parametrize("ends", ["an override", "a tag"])
@pytest.mark.parametrize("look", ["none", "before the worker", "while it works"])
def test_what_ended_is_about_to_count_whether_the_level_was_looked_at_before_or_not(
    engine: Engine, ends: str, look: str
) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"watch": banks.WATCH}))
    bank.put("a", country="NO")
    until_us = bank.now + DAY_US
    if ends == "a tag":
        set_tag(bank.context, "customer", "a", "watch", until_us=until_us)
    else:
        bank.override("a", 3, until_us)
    bank.settle()
    bank.wait(days=0.9)
    if look != "none":
        assert not read(bank, Freshness.REFRESH).refreshing
    if look == "while it works":
        look_while_it_works(bank)
    found = read(bank, Freshness.STORED)
    assert (found.level, found.refreshing) == ("high", False)
    bank.wait(days=0.2)
    found = read(bank, Freshness.STORED)
    assert (found.level, found.refreshing) == ("high", True), "no worker ran since"
    if look == "while it works":
        look_while_it_works(bank)
        assert not read(bank, Freshness.STORED).refreshing, "what ended has counted"
    assert bank.settle() == 1
    assert not read(bank, Freshness.REFRESH).refreshing
    assert not read(bank, Freshness.STORED).refreshing, "nothing ended since"


def look_while_it_works(bank: Bank) -> None:
    """Look at a level between a worker's claim and its result: the customer is due again at once, as looked at."""
    with writing(bank.engine) as session:
        batch = leases.claim(session, "held", bank.now, bank.now + DAY_US, 10, 3)
    assert batch is not None
    bank.mark("a", Reason.VIEW)
    worker.process_batch(bank.engine, batch, clock=lambda: bank.now)
    assert (Reason(bank.mark_of("a").reasons), bank.mark_of("a").lease) == (Reason.VIEW, None)


def test_who_is_at_it_is_told_and_who_is_quarantined_is_not_about_to_be_computed() -> None:
    nothing = {"due_us": None, "lease_until_us": None, "quarantined": False, "reasons": int(Reason.TAG)}
    for told, known in (
        (False, {}),
        (True, {"due_us": 5}),
        (False, {"due_us": 6}),
        (True, {"lease_until_us": 6}),
        (False, {"lease_until_us": 5}),
        (False, {"due_us": 5, "quarantined": True}),
        (False, {"due_us": 5, "reasons": int(Reason.VIEW)}),
        (True, {"due_us": 5, "reasons": int(Reason.VIEW | Reason.TAG)}),
        (False, {"due_us": 4, "reasons": int(Reason.VIEW), "planned_us": 6}),
        (True, {"due_us": 4, "reasons": int(Reason.VIEW), "planned_us": 5}),
    ):
        assert is_refreshing(DueMark(**{**nothing, **known}), 5) is told
    assert not is_refreshing(None, 5)
    quarantined = DueMark(**{**nothing, "quarantined": True})
    assert is_refreshing(None, 5, is_marked_later=True)
    assert is_refreshing(quarantined, 5, is_marked_later=True), "its mark will be set anew"


def test_stale_rates_are_told_where_money_was_converted(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """How old rates may be is set here: those that ship are renewed with every release of their package."""
    bank.settle()
    monkeypatch.setattr(rates, "STALE_AFTER", timedelta(days=-1))
    assert read(bank, Freshness.STORED).stale_rates_days is None, "a rule of countries converts nothing"
    version = bank.activate(banks.document({"cash": banks.CASH}))
    bank.pay(1)
    bank.settle()
    assert bank.standing().version_id == version
    assert read(bank, Freshness.STORED).stale_rates_days is None, "euros alone were added up"
    bank.pay(2, transaction_currency="USD")
    bank.settle()
    with Session(bank.engine) as session:
        newest = rates_for(session, bank.of, "EUR", from_microseconds(bank.now).date()).newest
    age = (from_microseconds(bank.now).date() - newest).days
    assert read(bank, Freshness.STORED).stale_rates_days == age
    often = {"input": {"count": "transactions", "over": "1 day"}, "cases": [{"when": {"above": 9}, "points": 40}]}
    version = bank.activate(banks.document({"often": often}))
    read(bank, Freshness.NOW)
    assert bank.standing().version_id == version
    assert read(bank, Freshness.STORED).stale_rates_days is None, "to count converts nothing"
    bank.activate(banks.document({"cash": banks.CASH}))
    read(bank, Freshness.NOW)
    monkeypatch.setattr(rates, "STALE_AFTER", timedelta(days=age))
    assert read(bank, Freshness.STORED).stale_rates_days is None


@pytest.mark.postgresql
def test_a_worker_that_writes_while_a_portfolio_is_counted_moves_nobody_between_its_figures(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`a` fails once the levels are counted: of one without a level more than there are, some would be left over."""
    bank.settle()
    counted = matrix.count_not_in_full

    def overtaken(*of: Any) -> list[NotInFullCount]:
        with Session(bank.engine) as session, session.begin():
            session.execute(update(Standing).values(status="failed", level=None))
        return counted(*of)

    monkeypatch.setattr(matrix, "count_not_in_full", overtaken)
    found = value_and_risk(bank.context, "customer")
    assert (found.entities, found.without_level, found.without_ruleset, found.not_in_full) == (1, 0, 0, {})


def test_a_customer_who_comes_while_everyone_is_counted_is_in_both_counts_or_in_neither(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.settle()
    grouped = distributions.level_groups

    def overtaken(*of: Any) -> list[LevelGroup]:
        bank.put("new", country="NO")
        bank.settle()
        return grouped(*of)

    monkeypatch.setattr(distributions, "level_groups", overtaken)
    found = distribution(bank.context, "customer")
    assert (found.entities, sum(found.by_level.values()), found.not_assessed) == (1, 1, 0)


@pytest.mark.postgresql
def test_who_fails_is_counted_filtered_and_listed_while_they_are_tried_again(bank: Bank) -> None:
    """An error leaves the status of the assessment before: `e` is tried again, `f` and the new `y` are quarantined."""
    for name in ("e", "f"):
        bank.put(name, country="NO")
    bank.settle()
    bank.put("y", country="NO")
    with Session(bank.engine) as session, session.begin():
        for name, quarantined in (("e", False), ("f", True), ("y", True)):
            mark = session.get_one(DueMark, bank.id_of(name))
            mark.error, mark.attempts, mark.quarantined = "it broke", 6, quarantined
    found_matrix, everyone = value_and_risk(bank.context, "customer"), distribution(bank.context, "customer")
    assert (found_matrix.failing, found_matrix.quarantined, everyone.failing, everyone.quarantined) == (3, 2, 3, 2)
    found = search_entities(bank.context, "customer", Search(failing=True))
    assert [line.external_id for line in found] == ["e", "f", "y"], "those who are counted"
    for failing, names in ((True, {"e", "f"}), (False, {"a"}), (None, {"a", "e", "f"})):
        lines = list_current_levels(bank.context, "customer", LevelFilters(failing=failing))
        assert {line.external_id for line in lines} == names
    for name, failing in (("a", False), ("e", True), ("y", True)):
        for asked in (True, False):
            search = Search(text=name, failing=asked)
            assert len(search_entities(bank.context, "customer", search)) == (asked is failing)
            assert count_entities(bank.context, "customer", search).count == (asked is failing)
    assert list_failed(bank.context) == [
        ("customer", "e", "failed, to be tried again: it broke"),
        ("customer", "f", "quarantined after 6 attempts: it broke"),
        ("customer", "y", "quarantined after 6 attempts: it broke"),
    ]
    assert [line.quarantined for line in search_failures(bank.context)] == [False, True, True]
