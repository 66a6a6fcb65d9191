"""The champion that a worker asks: looked at now and then; another one makes due whom it may value otherwise."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from domain.errors import FingerprintMismatch
from domain.settings import Settings
from models import registry
from store.due import Reason
from store.entity_tables import ValueScore
from tests.usecases import banks
from tests.usecases.banks import Bank
from usecases.champion import Champion, mark_valued_otherwise


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
            raise FingerprintMismatch("other indicators")
        return f"model {number}"


@pytest.fixture
def champion(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Champion:
    monkeypatch.setattr(registry, "Registry", Shelf)
    monkeypatch.setattr(Shelf, "number", None)
    monkeypatch.setattr(Shelf, "broken", False)
    settings = Settings(tmp_path)
    settings.registry.touch()
    return Champion(engine, settings)


def test_without_one_there_is_none(champion: Champion) -> None:
    assert not champion.look()
    assert champion.valuer is None


def test_where_no_model_was_ever_trained_there_is_none(champion: Champion) -> None:
    """And nobody waits for MLflow to be imported."""
    Shelf.number = 1
    champion._settings.registry.unlink()
    assert not champion.look()
    assert champion.valuer is None


def test_another_one_is_seen_and_a_broken_one_leaves_the_last_good_one(champion: Champion) -> None:
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


def test_whom_it_values_otherwise_becomes_due(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    for name in ("valued", "before", "never", "still"):
        bank.put(name, country="NO")
    for number, name in enumerate(("valued", "before", "never")):
        bank.pay(number, name)
    bank.settle()
    with Session(engine) as session, session.begin():
        for name, version in (("valued", 2), ("before", 1)):
            session.add(
                ValueScore(
                    entity_id=bank.id_of(name),
                    as_of_us=bank.now,
                    score=3.0,
                    segment="high",
                    expected_value=1.0,
                    currency="EUR",
                    model="m",
                    model_version=version,
                    fingerprint="0" * 64,
                )
            )
    assert mark_valued_otherwise(engine, 2, bank.now) == 2
    due = {name for name in ("valued", "before", "never", "still") if bank.mark_of(name).reasons & Reason.VALUE}
    assert due == {"before", "never"}
    assert bank.settle() == 2


def test_whoever_owns_what_has_transactions_is_valued_by_them(engine: Engine) -> None:
    bank = Bank(engine)
    bank.add_type("account", {}, {"operation": "text"})
    bank.put("owner")
    bank.put("account", ("customer", "owner"), "account")
    bank.pay(1, "account", "account")
    bank.settle()
    bank.wait(microseconds=1)
    mark_valued_otherwise(engine, 1, bank.now)
    assert bank.mark_of("owner").reasons & Reason.VALUE
