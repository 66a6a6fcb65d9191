"""Duties: side by side, over and over, none held up by another's failure; and done until nothing is left."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from polars.exceptions import PanicException
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import FingerprintMismatchError, StoreError
from fivefold.domain.settings import Settings
from fivefold.models import registry
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import Reason, Subject
from fivefold.store.tables.entities import ValueScore
from fivefold.usecases.levels import worker_loop as under_test
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.levels.worker_loop import (
    ChampionWatcher,
    PeriodicTask,
    drain,
    mark_scored_by_other_version,
    run_forever,
)
from tests.models.making import value_model
from tests.usecases import banks
from tests.usecases.banks import Bank

LONGEST_SECONDS = 20.0


def counting(times: int, then: Callable[[], None] = lambda: None) -> tuple[list[int], Callable[[], bool]]:
    """Something to do that many times, and what it does after."""
    done: list[int] = []

    def run() -> bool:
        if len(done) < times:
            done.append(len(done))
            return True
        then()
        return False

    return done, run


def test_each_is_done_until_nothing_is_left() -> None:
    few, run_few = counting(2)
    many, run_many = counting(5)
    drain([PeriodicTask("few", run_few, 0.01), PeriodicTask("many", run_many, 0.01)])
    assert (len(few), len(many)) == (2, 5)


def test_and_goes_on_while_something_is_to_come() -> None:
    asked: list[int] = []

    def until() -> bool:
        asked.append(1)
        return len(asked) == 3

    done, run = counting(1)
    drain([PeriodicTask("one", run, 0.01)], until)
    assert (len(done), len(asked)) == (1, 3)


def test_errors_are_raised_where_it_is_done_once() -> None:
    def run() -> bool:
        raise StoreError("gone")

    with pytest.raises(StoreError):
        drain([PeriodicTask("bad", run, 0.01)])


@pytest.mark.parametrize(
    "error", [StoreError("the database cannot be reached"), ValueError("a secret"), PanicException("a secret")]
)
def test_one_that_fails_is_tried_again_and_holds_up_no_other(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    stop, failed = Event(), list[int]()
    good, run_good = counting(50)

    def run_bad() -> bool:
        failed.append(1)
        if len(failed) >= 3 and len(good) == 50:
            stop.set()
        raise error

    begun = monotonic()
    run_forever([PeriodicTask("good", run_good, 0.001), PeriodicTask("bad", run_bad, 0.001)], stop)
    assert len(good) == 50
    assert len(failed) >= 3
    assert monotonic() - begun < LONGEST_SECONDS
    assert "a secret" not in capsys.readouterr().err


def test_what_goes_on_alongside_is_told_to_stop() -> None:
    stop, ended = Event(), list[bool]()

    def alongside(asked: Event) -> None:
        ended.append(asked.wait(LONGEST_SECONDS))

    _, run = counting(1, stop.set)
    run_forever([PeriodicTask("one", run, 0.001)], stop, alongside)
    assert ended == [True]


class Shelf:
    """A registry: the number of its champion, and whether it can be loaded."""

    number: int | None = None
    broken = False

    def __init__(self, *_: Any) -> None:
        """Be like any other."""

    def champion(self) -> Any:
        return None if Shelf.number is None else SimpleNamespace(number=Shelf.number)

    def load(self, number: int) -> Any:
        if Shelf.broken:
            raise FingerprintMismatchError("other indicators")
        return f"model {number}"


@pytest.fixture
def champion(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ChampionWatcher:
    monkeypatch.setattr(registry, "Registry", Shelf)
    monkeypatch.setattr(Shelf, "number", None)
    monkeypatch.setattr(Shelf, "broken", False)
    settings = Settings(tmp_path)
    settings.registry.touch()
    return ChampionWatcher(engine, settings)


def test_without_one_there_is_none(champion: ChampionWatcher) -> None:
    assert not champion.look()
    assert champion.valuer is None


def test_where_no_model_was_ever_trained_there_is_none(champion: ChampionWatcher) -> None:
    """And nobody waits for MLflow to be imported."""
    Shelf.number = 1
    champion._settings.registry.unlink()
    assert not champion.look()
    assert champion.valuer is None


def test_another_one_is_seen_and_a_broken_one_leaves_the_last_good_one(champion: ChampionWatcher) -> None:
    Shelf.number = 1
    assert champion.look()
    assert not champion.look()
    Shelf.number, Shelf.broken = 2, True
    assert not champion.look()
    assert champion.valuer is not None
    assert (champion.valuer.model, champion.valuer.version) == ("model 1", 1)
    Shelf.broken = False
    assert champion.look()
    assert champion.valuer.version == 2


MODEL = "fivefold-value"


def say(bank: Bank, name: str, score: float | None, version: int, model: str = MODEL) -> None:
    """Let a version of a model have said something, last; None for that there is no value."""
    with Session(bank.engine) as session, session.begin():
        session.add(
            ValueScore(
                entity_id=bank.id_of(name),
                as_of_us=bank.now,
                score=score,
                segment=None if score is None else "high",
                expected_value=score,
                currency="EUR",
                model=model,
                model_version=version,
                fingerprint="0" * 64,
            )
        )


def due_for_value(bank: Bank, *names: str) -> set[str]:
    return {name for name in names if bank.mark_of(name).reasons & Reason.VALUE}


def test_whom_it_values_otherwise_becomes_due(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    names = ("valued", "before", "never", "still", "without", "without before", "renamed")
    for name in names:
        bank.put(name, country="NO")
    for number, name in enumerate(set(names) - {"still"}):
        bank.pay(number, name)
    bank.settle()
    for name, score, version in (("valued", 3.0, 2), ("before", 3.0, 1), ("without", None, 2)):
        say(bank, name, score, version)
    say(bank, "without before", None, 1)
    say(bank, "renamed", 3.0, 2, "another")
    assert mark_scored_by_other_version(engine, MODEL, 2, bank.now) == 4
    assert due_for_value(bank, *names) == {"before", "never", "without before", "renamed"}
    assert bank.settle() == 4


def test_many_are_marked_in_parts_and_where_one_part_fails_the_next_look_marks_the_rest(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = Bank(engine)
    names = ("a", "b", "c")
    for number, name in enumerate(names):
        bank.put(name)
        bank.pay(number, name)
    bank.settle()
    monkeypatch.setattr(under_test, "AT_ONCE", 1)
    mark, parts = due.mark, []

    def fail_once(session: Session, entities: Sequence[Subject], *rest: Any) -> None:
        parts.append(len(entities))
        if len(parts) == 2:
            raise StoreError("the database is out of reach")
        mark(session, entities, *rest)

    monkeypatch.setattr(under_test.due, "mark", fail_once)
    with pytest.raises(StoreError):
        mark_scored_by_other_version(engine, MODEL, 2, bank.now)
    assert len(due_for_value(bank, *names)) == 1
    assert mark_scored_by_other_version(engine, MODEL, 2, bank.now) == 3
    assert parts == [1] * 5
    assert due_for_value(bank, *names) == set(names)


def test_what_was_said_last_counts_where_a_version_comes_back(engine: Engine) -> None:
    bank = Bank(engine)
    bank.put("a")
    bank.pay(1)
    bank.settle()
    for version in (1, 2):
        bank.wait(1)
        say(bank, "a", 3.0, version)
    assert mark_scored_by_other_version(engine, MODEL, 2, bank.now) == 0
    assert mark_scored_by_other_version(engine, MODEL, 1, bank.now) == 1


def test_a_kept_value_counts_where_no_transactions_are_left(engine: Engine) -> None:
    bank = Bank(engine)
    bank.put("a")
    bank.settle()
    say(bank, "a", 3.0, 1)
    assert mark_scored_by_other_version(engine, MODEL, 1, bank.now) == 0
    assert mark_scored_by_other_version(engine, MODEL, 2, bank.now) == 1


def test_at_another_start_nobody_is_due_whom_the_same_version_looked_at(engine: Engine) -> None:
    """Of some it found no value; one has no transactions at all."""
    bank = Bank(engine)
    bank.valuer = EntityScorer(value_model(), MODEL, 1)
    whole = {"user_balance": 500.0, "user_created": "2025-01-01", "user_category": "WEB"}
    for name in ("known", "holes", "still"):
        bank.put(name)
    bank.pay(1, "known", **whole)
    bank.pay(2, "holes")
    bank.settle()
    assert mark_scored_by_other_version(engine, MODEL, 1, bank.now) == 0
    bank.valuer = replace(bank.valuer, version=2)
    assert mark_scored_by_other_version(engine, MODEL, 2, bank.now) == 2
    assert bank.settle() == 2
    assert mark_scored_by_other_version(engine, MODEL, 2, bank.now) == 0


def test_those_who_could_not_be_marked_are_marked_at_the_next_look(
    champion: ChampionWatcher, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the version after that one cannot be loaded."""
    bank = Bank(engine)
    bank.put("a")
    bank.pay(1)
    bank.settle()
    Shelf.number = 1
    with monkeypatch.context() as patched:
        patched.setattr(under_test, "mark_scored_by_other_version", out_of_reach)
        for _ in range(2):
            with pytest.raises(StoreError, match="out of reach"):
                champion.look()
    assert champion.valuer is not None
    assert not due_for_value(bank, "a")
    Shelf.number, Shelf.broken = 2, True
    assert champion.look()
    assert due_for_value(bank, "a") == {"a"}
    assert not champion.look()


def test_whoever_becomes_due_meets_the_one_they_became_due_for(
    champion: ChampionWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marked before, they might be assessed by the one before it, and never again."""
    met: list[int | None] = []
    monkeypatch.setattr(
        under_test,
        "mark_scored_by_other_version",
        lambda *_: met.append(None if champion.valuer is None else champion.valuer.version),
    )
    for number in (1, 2):
        Shelf.number = number
        champion.look()
    assert met == [1, 2]


def out_of_reach(*_: object) -> int:
    raise StoreError("out of reach")


def test_whoever_owns_what_has_transactions_is_valued_by_them(engine: Engine) -> None:
    bank = Bank(engine)
    bank.add_type("account", {}, {"operation": "text"})
    bank.put("owner")
    bank.put("account", ("customer", "owner"), "account")
    bank.pay(1, "account", "account")
    bank.settle()
    bank.wait(microseconds=1)
    mark_scored_by_other_version(engine, MODEL, 1, bank.now)
    assert bank.mark_of("owner").reasons & Reason.VALUE
