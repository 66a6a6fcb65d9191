"""Four customers whom a version of the value model valued, and a registry that tests can change."""

from functools import cache

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.models import registry
from fivefold.models.value_model import ValueModel
from fivefold.store.levels import markings
from fivefold.store.levels.champions import begin_champion
from fivefold.usecases.levels.value_scores import EntityScorer
from tests.models.making import converting_model
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.levels.champions.champion_stories import (
    MODEL,
    NAMES,
    VALUED,
    WHOLE,
    Shelf,
)


@cache
def of_tests() -> ValueModel:
    return converting_model()


@pytest.fixture(scope="module")
def model() -> ValueModel:
    return of_tests()


@filled_once
def with_customers(engine: Engine) -> Bank:
    made = Bank(engine)
    made.valuer = EntityScorer(of_tests(), MODEL, 1)
    made.activate(banks.document({"country": banks.COUNTRY}))
    for number, name in enumerate(NAMES):
        made.put(name, country="NO")
        made.pay(number, name, **WHOLE)
    made.put("still", country="NO")
    made.settle()
    with Session(engine) as session, session.begin():
        begin_champion(session, MODEL, 1, made.now)
    made.wait(1 / 1440)
    made.valuer = None  # it would be copied as well
    return made


@pytest.fixture
def bank(engine: Engine, model: ValueModel, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """Four customers whom version 1 valued, one who never moved money; two are marked at a time."""
    monkeypatch.setattr(markings, "PART", 2)
    bank = with_customers(engine)
    bank.valuer = EntityScorer(model, MODEL, 1)
    return bank


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
