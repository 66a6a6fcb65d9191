"""A champion that is withdrawn, a registry without it, and one that does not answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from fivefold.models.value_model import ValueModel
from fivefold.store.levels.champions import begin_champion
from fivefold.store.tables.levels import Champion
from fivefold.usecases.levels.value_scores import read_value
from tests.usecases.banks import Bank
from tests.usecases.levels.champions.champion_stories import (
    MODEL,
    NAMES,
    WHOLE,
    Shelf,
    marked,
    refreshing,
    superseded,
    swap,
    versions,
    worker,
)


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
