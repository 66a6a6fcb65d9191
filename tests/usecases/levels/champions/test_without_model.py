"""A process without a model beside one with it: values stay, end or are looked at again."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.models.value_model import ValueModel
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.tables.levels import Marking
from fivefold.usecases.levels.read import Freshness, read_level
from fivefold.usecases.levels.value_scores import NO_MODEL, read_value
from fivefold.usecases.shared.entity_checks import OwnerGiven
from tests.usecases.banks import Bank
from tests.usecases.levels.champions.champion_stories import (
    NAMES,
    WHOLE,
    Shelf,
    marked,
    refreshing,
    superseded,
    versions,
    worker,
)


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
