"""Where the registry does not answer, or there is none: other days are judged, and predictions go in the end."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import RegistryError
from fivefold.domain.settings import Settings
from fivefold.models.value_model import ValueModel
from fivefold.store.tables.entities import Entity
from fivefold.usecases.monitoring.realised import judge
from fivefold.usecases.monitoring.realised.judge import LEASE_US, LONGEST_DAYS, judge_next
from tests.usecases.monitoring.realised.living import CUSTOMERS, HORIZON_DAYS, SETTINGS, Living, Shelf

ALONE = Settings(Path())
"""Of a worker that has no registry."""


@pytest.fixture
def bank(without_predictions: Living) -> Living:
    """Predictions of two versions were kept, those of version 1 a day earlier."""
    made = without_predictions
    made.keep()
    made.wait(1)
    made.serve(2)
    made.keep()
    return made


def take_away(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Let the files of some versions not be read any more."""
    load = Shelf.load

    def loaded(shelf: Shelf, number: int) -> ValueModel:
        if number in numbers:
            raise RegistryError(f"the files of version {number} cannot be read")
        return load(shelf, number)

    monkeypatch.setattr(Shelf, "load", loaded)


def rounds(bank: Living, count: int, settings: Settings = SETTINGS) -> None:
    """Let a single worker look some times, each time once its leases have ended; each round must end."""
    for _ in range(count):
        for _ in range(10):
            if not judge_next(bank.engine, settings, bank.now):
                break
        else:
            pytest.fail("the round did not end")
        bank.now += LEASE_US


def test_a_version_whose_files_are_away_keeps_no_other_day_waiting(
    bank: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_away(monkeypatch, 1)
    bank.live(HORIZON_DAYS, share=0.01)
    rounds(bank, 1)
    assert [(day.model_version, day.state) for day in bank.days()] == [(1, None), (2, "due")]


def test_where_a_round_has_time_for_one_day_each_has_its_turn(bank: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(monkeypatch, 1)
    bank.live(HORIZON_DAYS, share=0.01)
    for _ in range(2):  # a registry that answers nothing for ten minutes
        judge_next(bank.engine, SETTINGS, bank.now)
        bank.now += LEASE_US
    assert bank.days()[1].state == "due"


def test_a_round_ends_where_all_are_away(bank: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(monkeypatch, 1, 2)
    bank.live(HORIZON_DAYS)
    rounds(bank, 3)
    assert [day.state for day in bank.days()] == [None, None]
    monkeypatch.undo()
    monkeypatch.setattr(judge, "_open", lambda *_: bank.shelf)
    rounds(bank, 1)
    assert [day.judged_us is None for day in bank.days()] == [False, False]


@pytest.mark.parametrize("settings", [SETTINGS, ALONE])
def test_predictions_go_after_a_year_whatever_the_registry_says(
    bank: Living, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    take_away(monkeypatch, 1, 2)
    bank.wait(HORIZON_DAYS + LONGEST_DAYS - 2)
    for _ in range(2):
        rounds(bank, 1, settings)
        bank.wait(1)
    assert [len(bank.predictions(number)) for number in (0, 1)] == [CUSTOMERS, CUSTOMERS]
    bank.wait(1)
    rounds(bank, 1, settings)
    assert [len(bank.predictions(number)) for number in (0, 1)] == [0, CUSTOMERS]
    bank.wait(1)
    rounds(bank, 1, settings)
    assert [len(bank.predictions(number)) for number in (0, 1)] == [0, 0]
    assert [day.forgotten_us is None for day in bank.days()] == [False, False]


@pytest.mark.postgresql
def test_of_whom_a_legal_hold_is_on_they_stay_as_long_as_it_is(bank: Living) -> None:
    held = update(Entity).where(Entity.id == bank.id_of("c1"))
    with Session(bank.engine) as session, session.begin():
        session.execute(held.values(hold_until_us=bank.now + 1_000 * DAY_US, hold_reason="court"))
    bank.wait(HORIZON_DAYS + LONGEST_DAYS)
    for _ in range(3):
        rounds(bank, 1, ALONE)
        bank.wait(1)
    assert [set(bank.predictions(number)) for number in (0, 1)] == [{bank.id_of("c1")}] * 2
    with Session(bank.engine) as session, session.begin():
        session.execute(held.values(hold_until_us=None, hold_reason=None))
    rounds(bank, 1, ALONE)
    assert [len(bank.predictions(number)) for number in (0, 1)] == [0, 0]


def test_after_a_year_in_which_no_worker_ran_the_registry_has_a_day_to_answer(bank: Living) -> None:
    bank.live(HORIZON_DAYS)
    bank.wait(LONGEST_DAYS + 10)
    assert not judge_next(bank.engine, ALONE, bank.now)
    rounds(bank, 1)
    assert [day.figures is None for day in bank.days()] == [False, False]


@pytest.mark.parametrize("settings", [SETTINGS, ALONE])
def test_a_clock_that_was_a_year_ahead_once_removes_nothing(
    engine: Engine, bank: Living, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = bank.now
    bank.wait(HORIZON_DAYS + LONGEST_DAYS + 100)
    rounds(bank, 2, settings)
    bank.now = now
    assert [len(bank.predictions(number)) for number in (0, 1)] == [CUSTOMERS, CUSTOMERS]
    bank.live(HORIZON_DAYS, share=0.01)
    rounds(bank, 1)
    assert [(day.state, day.judged_us) for day in bank.days()] == [("due", bank.now - LEASE_US)] * 2


def test_what_a_clock_that_was_ahead_for_days_said_is_taken_back(bank: Living) -> None:
    """Its predictions are gone then; that is said, once the horizon is over."""
    now = bank.now
    bank.wait(HORIZON_DAYS + LONGEST_DAYS + 100)
    for _ in range(3):
        rounds(bank, 1)
        bank.wait(1)
    assert {len(bank.predictions(number)) for number in (0, 1)} == {0}
    bank.now = now
    rounds(bank, 1)
    assert {(day.state, day.judged_us, day.forgotten_us) for day in bank.days()} == {(None, None, None)}
    bank.live(HORIZON_DAYS)
    rounds(bank, 1)
    assert {tuple(day.reasons or ()) for day in bank.days()} == {("nobody who was predicted is left",)}
