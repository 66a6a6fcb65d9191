"""Another version of the value model: who is due by it, and what is said of a value until it has said its own.

Stories on both databases: it is read before it is marked and after, two versions follow each other, workers end midway.
"""

from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from fivefold.domain.clock import DAY_US, HOUR_US, from_microseconds, second_text
from fivefold.domain.errors import FingerprintMismatchError, RegistryError, StoreError
from fivefold.domain.money import RateTable, ecb_rates
from fivefold.domain.settings import Settings
from fivefold.models import registry
from fivefold.models.value_model import ValueModel
from fivefold.store.levels import markings
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.champions import begin_champion
from fivefold.store.levels.queue_depth import queue_depth
from fivefold.store.tables.entities import ValueScore
from fivefold.store.tables.levels import Champion, DueMark, Marking
from fivefold.usecases.levels import worker_loop
from fivefold.usecases.levels.read import Freshness, read_level, read_level_of_profile
from fivefold.usecases.levels.value_scores import NO_MODEL, EntityScorer, read_value
from fivefold.usecases.levels.worker_loop import ChampionWatcher
from fivefold.usecases.portfolio.current_levels import list_current_levels
from fivefold.usecases.portfolio.export import export_customer
from fivefold.usecases.portfolio.search import Search, search_entities
from fivefold.usecases.portfolio.values import list_values, read_value_alone, search_values
from fivefold.usecases.rulesets.activate import advance_markings, has_open_markings
from fivefold.usecases.shared.entity_checks import OwnerGiven
from tests.models.making import value_model
from tests.usecases import banks
from tests.usecases.banks import Bank

MODEL = "fivefold-value"
NAMES = ("a", "b", "c", "d")
WHOLE = {"user_balance": 500.0, "user_created": "2025-01-01", "user_category": "WEB"}


class Shelf:
    """A registry: its champion, and the model that each version is."""

    number: int | None = None
    run_id = "first"
    model: Any = None
    broken: tuple[int, ...] = ()
    down = False
    lost: tuple[int, ...] = ()

    def __init__(self, *_: Any) -> None:
        """Be like any other."""

    def champion(self) -> Any:
        if Shelf.down:
            raise RegistryError("the registry does not answer")
        return None if Shelf.number is None else SimpleNamespace(number=Shelf.number, run_id=Shelf.run_id)

    def has_version(self, number: int, content_hash: str | None) -> bool:
        return number not in Shelf.lost and content_hash in {None, Shelf.model.content_hash}

    def load(self, number: int) -> Any:
        if number in Shelf.broken:
            raise FingerprintMismatchError("other indicators")
        return Shelf.model


@pytest.fixture(scope="module")
def model() -> ValueModel:
    made = value_model()
    rates = ecb_rates("EUR", date(2024, 1, 1))
    return replace(made, rates=RateTable("EUR", made.rates.as_known_on, rates.rates, "tests"))


@pytest.fixture
def bank(engine: Engine, model: ValueModel, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """Four customers whom version 1 valued, one who never moved money; two are marked at a time."""
    monkeypatch.setattr(markings, "PART", 2)
    made = Bank(engine)
    made.valuer = EntityScorer(model, MODEL, 1)
    made.activate(banks.document({"country": banks.COUNTRY}))
    for number, name in enumerate(NAMES):
        made.put(name, country="NO")
        made.pay(number, name, **WHOLE)
    made.put("still", country="NO")
    made.settle()
    with Session(engine) as session, session.begin():
        begin_champion(session, MODEL, 1, made.now)
    made.wait(1 / 1440)
    return made


@pytest.fixture
def shelf(model: ValueModel, monkeypatch: pytest.MonkeyPatch) -> type[Shelf]:
    monkeypatch.setattr(registry, "Registry", Shelf)
    monkeypatch.setattr(Shelf, "number", 1)
    monkeypatch.setattr(Shelf, "run_id", "first")
    monkeypatch.setattr(Shelf, "model", model)
    monkeypatch.setattr(Shelf, "broken", ())
    monkeypatch.setattr(Shelf, "down", False)
    monkeypatch.setattr(Shelf, "lost", ())
    return Shelf


def worker(bank: Bank, folder: Path) -> ChampionWatcher:
    """What a worker that has just been started looks at the registry with."""
    settings = Settings(folder)
    settings.registry.touch()
    return ChampionWatcher(bank.engine, settings, lambda: bank.now)


def swap(bank: Bank, version: int) -> None:
    """Note that a version serves, as a promotion does."""
    with Session(bank.engine) as session, session.begin():
        begin_champion(session, MODEL, version, bank.now)


def marked(bank: Bank) -> set[str]:
    """Tell who has a mark by which they are due."""
    return {name for name in (*NAMES, "still") if (bank.mark_of(name).due_us or bank.now + 1) <= bank.now}


def refreshing(bank: Bank) -> set[str]:
    of = (bank.context, "customer")
    return {name for name in (*NAMES, "still") if read_level(*of, name, Freshness.STORED).refreshing}


def due_in_list(bank: Bank) -> set[str]:
    found = list_current_levels(bank.context, "customer")
    return {line.external_id for line in found if line.due_us is not None and line.due_us <= bank.now}


def superseded(bank: Bank, name: str) -> set[int | None]:
    """Read one customer's value in every way that there is; all say the same of which version serves instead."""
    of = (bank.context, "customer")
    value, alone = (read(*of, name, valuer=bank.valuer) for read in (read_value, read_value_alone))
    exported = export_customer(*of, name, by="ana", form="json").value
    assert value is not None
    assert alone is not None
    assert exported is not None
    lists: list[Any] = [
        *list_current_levels(*of),
        *list_values(*of),
        *search_values(*of, name),
        *search_entities(*of, Search(text=name)),
    ]
    found = {line.superseded_by for line in lists if line.external_id == name}
    return {value.superseded_by, alone.superseded_by, exported.superseded_by, *found}


def versions(bank: Bank, *names: str) -> dict[str, int]:
    """Give which version gave each one's latest value."""
    with Session(bank.engine) as session:
        rows = session.scalars(select(ValueScore).order_by(ValueScore.as_of_us))
        latest = {row.entity_id: row.model_version for row in rows}
    return {name: latest[bank.id_of(name)] for name in names or NAMES}


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


def test_after_a_withdrawal_another_model_of_the_same_number_values_everybody(
    bank: Bank, shelf: type[Shelf], model: ValueModel, tmp_path: Path
) -> None:
    """A registry is lost, and the first version of the next one is another model."""
    champion = worker(bank, tmp_path)
    while champion.look():
        pass
    shelf.number = None
    assert not champion.look()
    shelf.number, shelf.run_id, shelf.model = 1, "second", replace(model, horizon_days=30)
    swap(bank, 1)
    champion = worker(bank, tmp_path)
    while champion.look():
        pass
    assert marked(bank) == set(NAMES)
    bank.valuer = champion.valuer
    before = read_value(bank.context, "customer", "a", valuer=bank.valuer)
    assert before is not None
    assert (before.horizon_days, before.superseded_by) == (None, 1)
    without = read_value(bank.context, "customer", "a", valuer=None)
    assert without is not None
    for each in (before, without):
        assert each.unexplained == f"Version 1 of {MODEL} gave it, and another model has this number now."
    bank.settle()
    after = read_value(bank.context, "customer", "a", valuer=bank.valuer)
    assert after is not None
    assert (after.horizon_days, after.superseded_by, after.unexplained) == (30, None, "")


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


VALUED = {"input": {"value": "score"}, "cases": [{"when": {"at_least": 1}, "points": 40}], "on_unknown": {"points": 70}}


@pytest.fixture
def by_value(bank: Bank) -> Bank:
    """The same customers, whose level depends on their value: known it is medium, unknown it is high."""
    bank.activate(banks.document({"valued": VALUED}))
    for name in NAMES:
        bank.mark(name)
    bank.settle()
    bank.wait(1 / 1440)
    assert {bank.level(name) for name in NAMES} == {2}
    return bank


@pytest.mark.postgresql
def test_without_a_model_who_pays_has_no_value_until_one_is_loaded_and_others_keep_theirs(
    by_value: Bank, shelf: type[Shelf], tmp_path: Path
) -> None:
    """The registry is out of reach when a worker starts: nobody else comes to another level by that."""
    bank, shelf.down = by_value, True
    champion = worker(bank, tmp_path)
    with capture_logs() as logs:
        assert not champion.look()
    assert [line["event"] for line in logs] == ["value model not loaded"]
    bank.valuer = champion.valuer
    bank.pay(20, "a", **WHOLE)
    for name, reason in (("b", Reason.TAG), ("c", Reason.ATTRIBUTE), ("d", Reason.INTERVAL)):
        bank.mark(name, reason)
    with capture_logs() as logs:
        assert bank.settle() == 4
    assert [line["entities"] for line in logs if line["event"] == "no value"] == [1]
    assert versions(bank) == {"a": 0, "b": 1, "c": 1, "d": 1}
    assert [bank.level(name) for name in NAMES] == [3, 2, 2, 2]
    value = read_value(bank.context, "customer", "a", valuer=None)
    assert value is not None
    assert (value.score, value.unexplained, bank.standing("a").value_score) == (None, NO_MODEL, None)
    assert superseded(bank, "a") == {1}
    assert refreshing(bank) == {"a"}
    shelf.down = False
    while champion.look():
        pass
    assert marked(bank) == {"a"}
    bank.valuer = champion.valuer
    bank.wait(1 / 1440)
    assert bank.settle() == 1
    assert set(versions(bank).values()) == {1}
    assert not refreshing(bank)


@pytest.mark.postgresql
def test_whom_a_process_without_a_model_assessed_a_worker_with_one_looks_at_again(
    by_value: Bank, shelf: type[Shelf], tmp_path: Path
) -> None:
    """A service that has no model, beside a worker that began with the version long ago."""
    bank, champion = by_value, worker(by_value, tmp_path)
    while champion.look():
        pass
    bank.put("new")
    bank.pay(21, "new", **WHOLE)
    for name in ("d", "new"):
        if name == "d":
            bank.pay(22, name, **WHOLE)
        read_level(bank.context, "customer", name, Freshness.NOW, valuer=None)
        assert bank.level(name) == 3
    assert bank.settle() == 0, "nothing is due but by the marking"
    while champion.look():
        pass
    bank.valuer = champion.valuer
    bank.wait(1 / 1440)
    assert bank.settle() == 2
    value = read_value(bank.context, "customer", "new", valuer=bank.valuer)
    assert value is not None
    assert value.score is not None
    assert versions(bank)["d"] == 1
    with Session(bank.engine) as session:
        assert not session.scalars(select(Marking)).all()


@pytest.mark.postgresql
def test_without_a_model_a_payment_that_begins_to_count_and_what_is_newly_owned_end_a_value(by_value: Bank) -> None:
    bank = by_value
    ahead = from_microseconds(bank.now + DAY_US // 2).isoformat()
    bank.pay(23, "a", transaction_date=ahead, **WHOLE)
    bank.add_type("account", {}, {"operation": "text"})
    bank.put("old", kind="account")
    bank.pay(24, "old", "account", **WHOLE)
    bank.settle()
    assert versions(bank) == dict.fromkeys(NAMES, 1)
    bank.valuer = None
    bank.wait(1)
    bank.put("old", kind="account", owners=[OwnerGiven("customer", "b", None, None)])
    bank.put("c", country="SE")
    bank.settle()
    assert versions(bank) == {"a": 0, "b": 0, "c": 1, "d": 1}


@pytest.mark.postgresql
@pytest.mark.parametrize("lag_days", [0, 3])
def test_a_process_without_a_model_keeps_when_a_payment_begins_to_count(
    by_value: Bank, model: ValueModel, shelf: type[Shelf], tmp_path: Path, lag_days: int
) -> None:
    """Of a model without a lag it is one that was dated ahead. The customer "new" has no other payment."""
    bank, shelf.model = by_value, replace(model, definition={**model.definition, "settlement_lag_days": lag_days})
    champion = worker(bank, tmp_path)
    while champion.look():
        pass
    bank.valuer = champion.valuer
    bank.wait(10)
    bank.put("new")
    counts_us = bank.now + (lag_days or 1) * DAY_US
    date_of_payment = from_microseconds(counts_us - lag_days * DAY_US).isoformat()
    for number, name in enumerate(("a", "b", "new")):
        bank.pay(30 + number, name, transaction_date=date_of_payment, **WHOLE)
    bank.settle()
    bank.wait(0.5)
    bank.valuer = None
    for name, reason in (("a", Reason.TAG), ("b", Reason.VIEW), ("new", Reason.TAG)):
        bank.mark(name, reason)
    assert bank.settle() == 3
    assert versions(bank, "a", "b", "new") == {"a": 1, "b": 1, "new": 1}
    assert {bank.next_us(name) for name in ("a", "b", "new")} == {counts_us}
    bank.wait(lag_days or 1)
    bank.mark("b", Reason.VIEW)
    bank.settle()
    assert versions(bank, "a", "b", "new") == {"a": 0, "b": 0, "new": 0}
    while champion.look():
        pass
    assert marked(bank) >= {"a", "b"}
    bank.valuer = champion.valuer
    bank.wait(1 / 1440)
    assert bank.settle() == 3
    assert versions(bank, "a", "b", "new") == {"a": 1, "b": 1, "new": 1}
    value = read_value(bank.context, "customer", "new", valuer=bank.valuer)
    assert value is not None
    assert value.score is not None


@pytest.mark.postgresql
def test_a_champion_that_is_withdrawn_values_nobody_and_nobody_waits_for_it(
    by_value: Bank, shelf: type[Shelf], tmp_path: Path
) -> None:
    bank, running = by_value, worker(by_value, tmp_path)
    while running.look():
        pass
    shelf.number = None
    begun = worker(bank, tmp_path)
    with capture_logs() as logs:
        for champion in (running, begun, running):
            assert not champion.look()
            assert champion.valuer is None
    assert [line["event"] for line in logs] == ["value model unloaded", "value model withdrawn"]
    assert {line["log_level"] for line in logs} == {"warning"}
    bank.valuer = None
    bank.pay(20, "a", **WHOLE)
    bank.settle()
    assert versions(bank) == {"a": 0, "b": 1, "c": 1, "d": 1}
    assert superseded(bank, "a") == {None}
    assert not refreshing(bank)
    shelf.number = 1
    while running.look():
        pass
    assert marked(bank) == {"a"}
    bank.valuer = running.valuer
    bank.wait(1 / 1440)
    assert bank.settle() == 1
    assert set(versions(bank).values()) == {1}


@pytest.mark.postgresql
@pytest.mark.parametrize("other", [None, 2])
def test_where_another_worker_records_otherwise_a_worker_records_its_champion_again(
    by_value: Bank, shelf: type[Shelf], tmp_path: Path, other: int | None
) -> None:
    """The other one looks at another registry; whom it assessed without a model is valued again."""
    bank, champion = by_value, worker(by_value, tmp_path)
    while champion.look():
        pass
    if other is None:
        with Session(bank.engine) as session, session.begin():
            session.execute(delete(Champion))
    else:
        swap(bank, other)
    bank.valuer = None
    bank.pay(20, "a", **WHOLE)
    bank.settle()
    shelf.down = True
    with capture_logs() as logs:
        assert not champion.look()
        assert [line["event"] for line in logs] == ["value model not loaded"], "it is unknown what serves"
        shelf.down = False
        while champion.look():
            pass
    said = [line for line in logs if line["log_level"] == "error"]
    assert [(line["event"], line["version"]) for line in said] == [("workers disagree", 1)]
    assert said[0]["recorded"] == ("none" if other is None else f"version 2 of {MODEL}")
    assert marked(bank) == {"a"}
    bank.valuer = champion.valuer
    bank.wait(1 / 1440)
    assert bank.settle() == 1
    assert set(versions(bank).values()) == {1}


@pytest.mark.postgresql
@pytest.mark.parametrize("differs", ["model", "name"])
def test_two_workers_that_disagree_come_to_rest(
    bank: Bank, shelf: type[Shelf], model: ValueModel, tmp_path: Path, differs: str
) -> None:
    """Each looks at another registry, or has another name of the model; both registries begin with version 1."""
    both = [worker(bank, tmp_path), worker(bank, tmp_path)]
    models = [model, model]
    if differs == "model":
        models[1] = replace(model, horizon_days=30)
    else:
        both[1]._settings = replace(both[1]._settings, model_name="another")
    recorded = []
    for _ in range(5):
        for champion, shelf.model in zip(both, models, strict=True):
            with capture_logs() as logs:
                while champion.look():
                    pass
            with Session(bank.engine) as session:
                (row,) = session.scalars(select(Champion))
                recorded.append((row.model, row.content_hash))
    assert len(set(recorded[:4])) == 2
    assert len(set(recorded[4:])) == 1, "nobody takes it back for ever"
    while advance_markings(bank.engine, bank.now):
        pass
    assert not has_open_markings(bank.engine)
    with capture_logs() as logs:
        assert [champion.look() for champion in both] == [False, False]
    assert not logs, "it was said at an earlier look"


def test_a_disagreement_of_workers_is_logged_where_it_changes_and_ends(
    bank: Bank, shelf: type[Shelf], model: ValueModel, tmp_path: Path
) -> None:
    right, wrong = worker(bank, tmp_path), worker(bank, tmp_path)
    of_right, of_wrong = (1, model), (2, replace(model, horizon_days=30))
    for _ in range(2):
        look_at(right, shelf, of_right)
        look_at(wrong, shelf, of_wrong)
    later = worker_loop._LATER.format(moment=second_text(bank.now + HOUR_US))
    with capture_logs() as logs:
        for hours in (0, 0.5, 1, 1, 20, 10, 10):  # and the other one was stopped
            bank.wait(hours / 24)
            for _ in range(3):
                look_at(right, shelf, of_right)
    said = [(line["log_level"], line["event"], line.get("effect", "")) for line in logs]
    assert said == [
        ("error", "workers disagree", later),
        ("error", "workers disagree", worker_loop._AGAIN),
        ("info", "workers agree", ""),
    ]


def look_at(champion: ChampionWatcher, shelf: type[Shelf], of: tuple[int, ValueModel]) -> None:
    """Let a worker look at a registry of its own, whose champion is this version."""
    shelf.number, shelf.model = of
    while champion.look():
        pass


def test_a_worker_with_a_fast_clock_keeps_its_champion_recorded_no_longer_than_another_one(
    bank: Bank, shelf: type[Shelf], model: ValueModel, tmp_path: Path
) -> None:
    right, wrong = worker(bank, tmp_path), worker(bank, tmp_path)
    wrong._clock = lambda: bank.now + 400 * DAY_US
    of_right, of_wrong = (1, model), (2, replace(model, horizon_days=30))
    for _ in range(2):
        look_at(right, shelf, of_right)
        look_at(wrong, shelf, of_wrong)
    for hours, version in ((0, 2), (1, 1)):
        bank.wait(hours / 24)
        look_at(right, shelf, of_right)
        with Session(bank.engine) as session:
            assert session.scalars(select(Champion.model_version)).one() == version


@pytest.mark.postgresql
@pytest.mark.parametrize("number", [1, 2])
def test_a_worker_that_is_left_alone_after_a_disagreement_cures_the_record_and_values_everybody_again(
    bank: Bank, shelf: type[Shelf], model: ValueModel, tmp_path: Path, number: int
) -> None:
    """The other one had another model, of the same number or another; it valued everybody, and was stopped."""
    right, wrong = worker(bank, tmp_path), worker(bank, tmp_path)
    of_right, of_wrong = (1, model), (number, replace(model, horizon_days=30))
    for _ in range(2):
        look_at(right, shelf, of_right)
        look_at(wrong, shelf, of_wrong)
    bank.valuer = wrong.valuer
    bank.wait(1 / 1440)
    bank.settle()
    look_at(right, shelf, of_right)
    assert not marked(bank), "two that go on disagreeing would value everybody again at each look"
    bank.wait(1 / 24)
    look_at(right, shelf, of_right)
    assert marked(bank) == set(NAMES)
    bank.valuer = right.valuer
    bank.wait(1 / 1440)
    bank.settle()
    assert {each for name in NAMES for each in superseded(bank, name)} == {None}
    value = read_value(bank.context, "customer", "a", valuer=bank.valuer)
    assert value is not None
    assert value.unexplained == ""


@pytest.mark.postgresql
def test_whom_a_worker_of_an_older_release_goes_on_valuing_is_valued_again(
    bank: Bank, shelf: type[Shelf], tmp_path: Path
) -> None:
    """It stores no hash of the model, and runs until it is replaced; "d" cannot be assessed, and waits for news."""
    champion = worker(bank, tmp_path)
    while champion.look():
        pass
    bank.valuer = champion.valuer
    bank.pay(20, "c", **WHOLE)
    bank.settle()
    with Session(bank.engine) as session, session.begin():
        of = [bank.id_of(name) for name in ("c", "d")]
        session.execute(update(ValueScore).where(ValueScore.entity_id.in_(of)).values(model_hash=None))
        session.execute(update(DueMark).where(DueMark.entity_id == of[1]).values(quarantined=True))
    assert superseded(bank, "c") == {1}
    for _ in range(3):  # two entities at each look
        assert not champion.look()
    assert marked(bank) == {"c"}
    bank.wait(1 / 1440)
    assert bank.settle() == 1
    assert superseded(bank, "c") == {None}
    for _ in range(3):
        assert not champion.look()
    assert not marked(bank)


@pytest.mark.postgresql
def test_who_fails_or_is_due_already_is_not_marked_again_for_a_value_without_a_hash(
    bank: Bank, shelf: type[Shelf], tmp_path: Path
) -> None:
    """Another mark would forget how often they failed: who can never be assessed would fail for ever."""
    champion = worker(bank, tmp_path)
    while champion.look():
        pass
    later_us = bank.now + HOUR_US
    with Session(bank.engine) as session, session.begin():
        session.execute(update(ValueScore).values(model_hash=None))
        for name, due_us, attempts in (("a", later_us, 4), ("b", bank.now, 0), ("c", later_us, 0)):
            of = DueMark.entity_id == bank.id_of(name)
            session.execute(update(DueMark).where(of).values(due_us=due_us, attempts=attempts))
    before = {name: bank.mark_of(name) for name in ("a", "b")}
    for _ in range(3):
        assert not champion.look()
    assert marked(bank) == {"b", "c", "d"}
    for name, mark in before.items():
        after = bank.mark_of(name)
        assert (after.due_us, after.attempts, after.revision) == (mark.due_us, mark.attempts, mark.revision)


def test_a_worker_that_found_no_value_without_a_hash_looks_for_the_next_a_day_later(
    bank: Bank, shelf: type[Shelf], tmp_path: Path
) -> None:
    champion = worker(bank, tmp_path)
    for _ in range(6):  # it begins, and then looks at everybody
        champion.look()
    with Session(bank.engine) as session, session.begin():
        session.execute(update(ValueScore).values(model_hash=None))
    for days, due in ((0, set()), (1, set(NAMES))):
        bank.wait(days)
        for _ in range(3):
            assert not champion.look()
        assert marked(bank) == due


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_that_go_on_disagreeing_record_seldom(
    bank: Bank, shelf: type[Shelf], model: ValueModel, tmp_path: Path, workers: int
) -> None:
    watchers, recorded, rounds_a_day = [worker(bank, tmp_path) for _ in range(workers)], list[int](), 8
    for _ in range(4 * rounds_a_day):
        for number, champion in enumerate(watchers, 1):
            look_at(champion, shelf, (number, model))
            with Session(bank.engine) as session:
                recorded.extend(session.scalars(select(Champion.model_version)))
        bank.wait(1 / rounds_a_day)
    swaps, looks_a_day = [before != after for before, after in pairwise(recorded)], rounds_a_day * workers
    assert sum(swaps[:looks_a_day]) <= 6 * workers
    assert 0 < sum(swaps[-looks_a_day:]) <= workers, "on the last day few, but not none"


def test_a_registry_that_does_not_answer_withdraws_nothing(bank: Bank, shelf: type[Shelf], tmp_path: Path) -> None:
    champion = worker(bank, tmp_path)
    while champion.look():
        pass
    loaded, shelf.down = champion.valuer, True
    assert not champion.look()
    assert champion.valuer is loaded
    with Session(bank.engine) as session:
        assert session.scalars(select(Champion)).all()


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("now", ["without any version", "trained, not promoted"])
def test_a_registry_without_the_version_that_served_withdraws_nothing(
    bank: Bank, shelf: type[Shelf], model: ValueModel, tmp_path: Path, is_running: bool, now: str
) -> None:
    """Its files were lost, and another program made it anew; a training may have begun with version 1 again."""
    with Session(bank.engine) as session, session.begin():
        begin_champion(session, MODEL, 1, bank.now, model.content_hash)
    champion = worker(bank, tmp_path)
    while is_running and champion.look():
        pass
    loaded, shelf.number = champion.valuer, None
    if now == "without any version":
        shelf.lost = (1,)
    else:
        shelf.model = replace(model, horizon_days=30)
    with capture_logs() as logs:
        assert not champion.look()
    said = f"the registry has no champion, and not the version 1 of {MODEL} that served: it may have been lost"
    assert [(line["event"], line["error"]) for line in logs] == [("value model not loaded", said)]
    assert champion.valuer is loaded
    with Session(bank.engine) as session:
        assert session.scalars(select(Champion)).all()


def test_a_promotion_since_a_worker_looked_is_not_forgotten(bank: Bank, shelf: type[Shelf], tmp_path: Path) -> None:
    """The registry answers that there is none, and then a version is promoted before the answer is acted upon."""
    champion = worker(bank, tmp_path)
    answer = shelf.champion

    def none_and_then_one(registry_now: Shelf) -> Any:
        said = answer(registry_now)
        bank.wait(1 / 1440)
        swap(bank, 2)
        return said

    shelf.number = None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shelf, "champion", none_and_then_one)
        assert not champion.look()
    assert superseded(bank, "a") == {2}
