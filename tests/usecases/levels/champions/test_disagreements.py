"""Workers that record different champions: they come to rest, say so once, and values are made good."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from fivefold.domain.clock import DAY_US, HOUR_US, second_text
from fivefold.models.value_model import ValueModel
from fivefold.store.tables.levels import Champion
from fivefold.usecases.levels import worker_loop
from fivefold.usecases.levels.value_scores import read_value
from fivefold.usecases.rulesets.activate import advance_markings, has_open_markings
from tests.usecases.banks import Bank
from tests.usecases.levels.champions.champion_stories import (
    MODEL,
    NAMES,
    WHOLE,
    Shelf,
    look_at,
    marked,
    superseded,
    swap,
    versions,
    worker,
)


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
