"""A list that changes reaches everybody part by part: nobody is taken for up to date before, and no kill loses one."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.store.levels import markings
from fivefold.store.levels.assessment_queue import Reason
from fivefold.usecases.levels.read import Freshness, read_level, read_level_of_profile
from fivefold.usecases.monitoring.operations import read_figures
from fivefold.usecases.portfolio.current_levels import list_current_levels
from fivefold.usecases.rulesets.activate import advance_markings, has_open_markings
from tests.store import databases
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import LISTED, Bank, document
from tests.usecases.governed import due_reasons

CUSTOMERS = ("a", "b", "c", "d", "e")


def put(bank: Bank, *members: str) -> int:
    return put_list_version(bank.context, "hot", bank.now, members, "Hot", "ours").touched


@pytest.fixture
def bank(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """Five customers of one country, which is on no list yet; two are marked at a time."""
    monkeypatch.setattr(markings, "PART", 2)
    return settled(engine)


def settled(engine: Engine) -> Bank:
    made = Bank(engine)
    put(made, "IR")
    made.activate(document({"listed": LISTED}))
    for name in CUSTOMERS:
        made.put(name, country="MM")
    made.settle()
    made.wait(1)
    return made


def refreshing(bank: Bank) -> list[str]:
    views = {name: read_level(bank.context, "customer", name, Freshness.STORED) for name in CUSTOMERS}
    return [name for name, view in views.items() if view.refreshing]


def test_who_is_not_marked_yet_is_about_to_be_computed(bank: Bank) -> None:
    assert put(bank, "IR", "MM") == 5
    assert refreshing(bank) == list(CUSTOMERS)
    assert bank.settle() == 2
    assert refreshing(bank) == ["c", "d", "e"], "the level of these is of the list before"
    assert [bank.level(name) for name in CUSTOMERS] == [2, 2, 1, 1, 1]
    assert advance_markings(bank.engine, bank.now) == 2
    bank.settle()
    assert refreshing(bank) == ["e"]
    assert has_open_markings(bank.engine)
    assert advance_markings(bank.engine, bank.now) == 1
    assert refreshing(bank) == ["e"], "its mark says so now"
    bank.settle()
    assert not has_open_markings(bank.engine)
    assert refreshing(bank) == []
    assert {bank.level(name) for name in CUSTOMERS} == {2}


def test_who_is_looked_at_before_is_computed_by_the_new_list(bank: Bank) -> None:
    put(bank, "IR", "MM")
    view = read_level_of_profile(bank.context, "customer", "e")
    assert (view.level, view.refreshing) == ("medium", True), "a computation that began before may end behind this one"
    assert bank.level("d") == 1
    assert read_level(bank.context, "customer", "d", Freshness.NOW).level == "medium"


def test_what_waits_is_counted_before_it_is_marked(bank: Bank) -> None:
    put(bank, "IR", "MM")
    figures = read_figures(bank.context).assessments
    assert figures is not None
    assert (figures.due, figures.oldest_us) == (5, bank.now)


def test_lists_of_levels_say_that_they_are_due_since_the_change(bank: Bank) -> None:
    bank.wait(1)
    put_list_version(bank.context, "hot", bank.now - DAY_US // 2, ["MM"], "Hot", "ours")
    due = {line.external_id: line.due_us for line in list_current_levels(bank.context, "customer")}
    assert due == dict.fromkeys(CUSTOMERS, bank.now)


def test_two_changes_are_marked_side_by_side(bank: Bank) -> None:
    put(bank, "IR", "MM")
    bank.wait(1)
    put(bank, "IR", "MM", "KP")
    assert [advance_markings(bank.engine, bank.now) for _ in range(3)] == [4, 2, 0]
    assert bank.settle() == 5


def test_a_list_that_holds_later_makes_nobody_due_before(bank: Bank) -> None:
    put_list_version(bank.context, "hot", bank.now + 10, ["MM"], "Hot", "ours")
    assert refreshing(bank) == []
    bank.wait(microseconds=10)
    assert refreshing(bank) == list(CUSTOMERS)
    while advance_markings(bank.engine, bank.now):
        pass
    assert due_reasons(bank.engine)[bank.id_of("e")] & Reason.LIST
    bank.settle()
    assert {bank.level(name) for name in CUSTOMERS} == {2}


_KILLED = """
import os, signal, sys
from fivefold.store.levels import markings
from fivefold.store.sql.database import open_database
from fivefold.usecases.rulesets import activate as usecase

markings.PART = 2
whole = markings.mark_part

def killed(session, marking, now_us):
    whole(session, marking, now_us)
    os.kill(os.getpid(), signal.SIGKILL)

markings.mark_part = killed
usecase.advance_markings(open_database(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.mark.postgresql
def test_a_worker_that_is_killed_within_a_part_loses_and_repeats_nobody(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markings, "PART", 2)
    url = databases.new_url(kind, tmp_path)
    with databases.opened(url) as engine:
        bank = settled(engine)
        put(bank, "IR", "MM")
        engine.dispose()
        died = subprocess.run([sys.executable, "-c", _KILLED, url, str(bank.now)], check=False)
        assert died.returncode == -9
        marked = [number for number, reason in due_reasons(engine).items() if reason & Reason.LIST]
        assert len(marked) == 2, "the part that was under way was taken back"
        assert [advance_markings(engine, bank.now) for _ in range(3)] == [2, 1, 0]
        assert bank.settle() == 5
        assert {bank.level(name) for name in CUSTOMERS} == {2}
