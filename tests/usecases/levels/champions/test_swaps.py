"""Another version of the value model: who is due by it, and what is said of a value until it has said its own.

Stories on both databases: it is read before it is marked and after, two versions follow each other, workers end midway.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import StoreError
from fivefold.models.value_model import ValueModel
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.champions import begin_champion
from fivefold.store.levels.markings import queue_depth
from fivefold.store.tables.levels import Champion, DueMark, Marking
from fivefold.usecases.levels import worker_loop
from fivefold.usecases.levels.read import Freshness, read_level, read_level_of_profile
from fivefold.usecases.levels.value_scores import EntityScorer, read_value
from fivefold.usecases.rulesets.activate import advance_markings, has_open_markings
from tests.usecases.banks import Bank
from tests.usecases.levels.champions.champion_stories import (
    MODEL,
    NAMES,
    Shelf,
    due_in_list,
    marked,
    refreshing,
    superseded,
    swap,
    versions,
    worker,
)


def test_before_it_is_marked_everybody_is_due_and_each_value_says_by_whom_it_is_not(bank: Bank) -> None:
    assert {each for name in NAMES for each in superseded(bank, name)} == {None}
    assert not refreshing(bank)
    swap(bank, 2)
    assert {each for name in NAMES for each in superseded(bank, name)} == {2}
    assert refreshing(bank) == set(NAMES), "nobody has valued the one who never moved money"
    assert due_in_list(bank) == set(NAMES)
    assert not marked(bank), "workers do that"
    with Session(bank.engine) as session:
        assert queue_depth(session, bank.of, bank.now).due == 4


def test_a_worker_marks_them_part_by_part_and_then_values_them(bank: Bank, shelf: type[Shelf], tmp_path: Path) -> None:
    swap(bank, 2)
    shelf.number = 2
    champion = worker(bank, tmp_path)
    assert champion.look()
    assert not marked(bank), "it has loaded it, and begins"
    assert champion.look()
    assert marked(bank) == {"a", "b"}
    assert refreshing(bank) == set(NAMES)
    bank.valuer = champion.valuer
    assert bank.settle() == 2
    assert versions(bank) == {"a": 2, "b": 2, "c": 1, "d": 1}
    assert [superseded(bank, name) for name in NAMES] == [{None}, {None}, {2}, {2}]
    assert refreshing(bank) == due_in_list(bank) == {"c", "d"}
    while champion.look():
        pass
    assert bank.settle() == 2
    assert set(versions(bank).values()) == {2}
    assert not refreshing(bank)
    assert not champion.look()
    with Session(bank.engine) as session:
        assert not session.scalars(select(Marking)).all()


@pytest.mark.postgresql
def test_a_person_who_looks_before_the_mark_arrives_sees_the_new_value(bank: Bank, model: ValueModel) -> None:
    swap(bank, 2)
    new = EntityScorer(model, MODEL, 2)
    viewed = read_level_of_profile(bank.context, "customer", "d", valuer=new)
    assert not viewed.refreshing
    assert superseded(bank, "d") == {None}
    assert refreshing(bank) == {"a", "b", "c"}


def test_of_two_in_a_row_the_last_one_counts(bank: Bank, shelf: type[Shelf], tmp_path: Path) -> None:
    """The marking of the first ends where it is, and whom it valued is due by the second."""
    champion = worker(bank, tmp_path)
    shelf.number = 2
    assert champion.look()
    assert champion.look()
    bank.valuer = champion.valuer
    bank.settle()
    swap(bank, 3)
    assert {each for name in NAMES for each in superseded(bank, name)} == {3}
    assert refreshing(bank) == set(NAMES)
    shelf.number = 3
    while champion.look():
        pass
    bank.valuer = champion.valuer
    bank.wait(1 / 1440)
    assert bank.settle() == 4
    assert set(versions(bank).values()) == {3}
    assert not refreshing(bank)


@pytest.mark.postgresql
def test_a_settlement_lag_comes_and_goes_with_the_version_that_has_it(
    bank: Bank, model: ValueModel, shelf: type[Shelf], tmp_path: Path
) -> None:
    """Version 2 counts the payment of today from 14 days on; version 3 counts it at once again."""
    lag = {**model.definition, "settlement_lag_days": 14}
    champion = worker(bank, tmp_path)
    paid_us = bank.now - DAY_US // 1440
    for number, serves in ((2, replace(model, definition=lag)), (3, model)):
        shelf.number, shelf.model = number, serves
        while champion.look():
            pass
        bank.valuer = champion.valuer
        assert bank.settle() == 4
        value = read_value(bank.context, "customer", "a", valuer=bank.valuer)
        assert value is not None
        assert (value.score is None) == (number == 2)
        is_due = bank.next_us("a") == paid_us + 14 * DAY_US
        assert is_due == (number == 2)
        bank.wait(1)


@pytest.mark.postgresql
def test_one_that_comes_back_has_nobody_to_value_whom_it_valued_last(bank: Bank) -> None:
    swap(bank, 2)
    swap(bank, 1)
    assert not refreshing(bank)
    assert {each for name in NAMES for each in superseded(bank, name)} == {None}
    with Session(bank.engine) as session:
        assert not session.scalars(select(Marking)).all()


def test_where_a_worker_ends_midway_the_next_marks_the_rest(
    bank: Bank, shelf: type[Shelf], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.number = 2
    first = worker(bank, tmp_path)
    first.look()
    first.look()
    with monkeypatch.context() as patched:
        patched.setattr(worker_loop.markings, "mark_part", dies)
        with pytest.raises(StoreError):
            first.look()
    assert marked(bank) == {"a", "b"}
    assert refreshing(bank) == set(NAMES)
    second = worker(bank, tmp_path)
    while second.look():
        pass
    assert marked(bank) == set(NAMES)
    bank.valuer = second.valuer
    assert bank.settle() == 4
    assert not refreshing(bank)


def dies(*_: object, **__: object) -> int:
    raise StoreError("out of reach")


@pytest.mark.full
def test_whom_an_older_worker_valued_meanwhile_it_marks_once_it_sees_the_new_one(
    bank: Bank, shelf: type[Shelf], tmp_path: Path
) -> None:
    """Two workers: the one that sees it first marks, the other one assesses by what it had."""
    older = worker(bank, tmp_path)
    assert older.look()
    assert not older.look()
    shelf.number = 2
    newer = worker(bank, tmp_path)
    while newer.look():
        pass
    assert older.valuer is not None
    bank.valuer = older.valuer
    assert bank.settle() == 4
    assert set(versions(bank).values()) == {1}
    assert superseded(bank, "a") == {2}, "who reads it is told all the same"
    while older.look():
        pass
    assert marked(bank) == set(NAMES)


def test_a_worker_that_cannot_load_it_marks_nobody_and_everybody_stays_due(
    bank: Bank, shelf: type[Shelf], tmp_path: Path
) -> None:
    champion = worker(bank, tmp_path)
    champion.look()
    swap(bank, 2)
    shelf.number, shelf.broken = 2, (2,)
    assert not champion.look()
    assert not marked(bank)
    assert refreshing(bank) == set(NAMES)
    assert advance_markings(bank.engine, bank.now) == 0, "only those who loaded it mark for it"
    assert not has_open_markings(bank.engine), "so a worker that does all there is to do ends"


@pytest.mark.full
def test_where_beginning_fails_the_next_look_begins(
    bank: Bank, shelf: type[Shelf], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the version after that one cannot be loaded."""
    shelf.number = 2
    champion = worker(bank, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(worker_loop, "begin_champion", dies)
        for _ in range(2):
            with pytest.raises(StoreError, match="out of reach"):
                champion.look()
    assert not refreshing(bank)
    shelf.number, shelf.broken = 3, (3,)
    while champion.look():
        pass
    assert marked(bank) == set(NAMES)


def test_at_another_start_nobody_is_due_whom_the_same_version_looked_at(
    bank: Bank, shelf: type[Shelf], tmp_path: Path
) -> None:
    for _ in range(2):
        champion = worker(bank, tmp_path)
        while champion.look():
            pass
        assert not marked(bank)
    with Session(bank.engine) as session:
        (row,) = session.scalars(select(Champion))
        assert (row.model, row.model_version) == (MODEL, 1)
        assert row.since_us < bank.now, "it served before"


@pytest.mark.parametrize("when", ["while a worker runs", "between two workers"])
def test_a_registry_that_was_made_anew_makes_everybody_due(
    bank: Bank, shelf: type[Shelf], model: ValueModel, tmp_path: Path, when: str
) -> None:
    """Its first version has the number by which all are valued, and is another model."""
    champion = worker(bank, tmp_path)
    while champion.look():
        pass
    assert not marked(bank)
    shelf.run_id, shelf.model = "second", replace(model, test_as_of=model.test_as_of + 1)
    swap(bank, 1)
    older = champion.valuer
    if when == "between two workers":
        champion = worker(bank, tmp_path)
    while champion.look():
        pass
    assert champion.valuer is not older
    assert refreshing(bank) >= set(NAMES)
    while advance_markings(bank.engine, bank.now):
        pass
    assert marked(bank) >= set(NAMES)
    bank.valuer = champion.valuer
    bank.settle()
    for each in (champion, worker(bank, tmp_path)):
        while each.look():
            pass
        assert not has_open_markings(bank.engine), "once"
    assert not marked(bank)


def test_another_model_of_a_number_that_had_begun_values_those_too_whom_the_first_one_valued(
    bank: Bank, shelf: type[Shelf], model: ValueModel, tmp_path: Path
) -> None:
    """Version 2 valued some when a registry with version 1 alone was restored; the next version 2 is another model."""
    second = replace(model, horizon_days=30)
    bank.valuer = EntityScorer(second, MODEL, 2)
    for name in ("a", "b"):
        bank.mark(name, Reason.VALUE)
    bank.settle()
    swap(bank, 1)
    shelf.number, shelf.run_id, shelf.model = 2, "third", replace(model, horizon_days=60)
    champion = worker(bank, tmp_path)
    while champion.look():
        pass
    assert marked(bank) == set(NAMES)
    assert superseded(bank, "a") == {2}


def test_who_owns_what_has_transactions_is_due_without_any_value(bank: Bank) -> None:
    bank.valuer = None
    bank.add_type("account", {}, {"operation": "text"})
    bank.put("owner", country="NO")
    bank.put("account", ("customer", "owner"), "account")
    bank.pay(17, "account", "account")
    bank.settle()
    swap(bank, 2)
    assert read_level(bank.context, "customer", "owner", Freshness.STORED).refreshing


def test_one_of_another_name_and_the_same_number_is_another_one(bank: Bank) -> None:
    with Session(bank.engine) as session, session.begin():
        begin_champion(session, "another", 1, bank.now)
    assert refreshing(bank) == set(NAMES)
    assert superseded(bank, "a") == {1}


def test_who_is_due_for_something_else_is_counted_once_and_the_reasons_are_both(
    bank: Bank, shelf: type[Shelf], tmp_path: Path
) -> None:
    bank.mark("c", Reason.TAG)
    with Session(bank.engine) as session, session.begin():
        session.execute(update(DueMark).where(DueMark.entity_id == bank.id_of("d")).values(quarantined=True))
    swap(bank, 2)
    with Session(bank.engine) as session:
        depth = queue_depth(session, bank.of, bank.now)
    assert depth.due == 4
    shelf.number = 2
    champion = worker(bank, tmp_path)
    while champion.look():
        pass
    assert bank.mark_of("c").reasons & (Reason.TAG | Reason.VALUE) == Reason.TAG | Reason.VALUE
    assert not bank.mark_of("d").quarantined, "another version is news"
