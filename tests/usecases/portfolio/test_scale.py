"""Where a score stands among the levels of its ruleset, and which floor raised the level above that."""

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import Assessment
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.portfolio.scale import ScoreScale, read_scale
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank

FLOORS = {
    "country": {
        "input": {"field": "country"},
        "cases": [{"when": {"equals": "IR"}, "points": 10, "floor": "high"}],
    },
    "income": {
        "input": {"field": "income"},
        "cases": [{"when": {"at_least": 100}, "points": 40, "floor": "medium"}],
    },
}


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return Bank(engine)


def scale(bank: Bank, attributes: dict[str, Any], *, with_thresholds: bool = True, **ruleset: Any) -> ScoreScale | None:
    """Let rules with floors decide about a customer, and read the scale."""
    bank.activate(banks.document(FLOORS, applies_to={"not": {"tag": "outside", "is": "present"}}, **ruleset))
    bank.put("a", **attributes)
    return latest(bank, with_thresholds=with_thresholds)


def latest(bank: Bank, *, with_thresholds: bool = True) -> ScoreScale | None:
    bank.settle()
    return read_scale(bank.context, f"{bank.id_of('a')}.{bank.standing().number}", with_thresholds=with_thresholds)


def test_a_floor_that_raised_the_level_is_named(bank: Bank) -> None:
    expected = ScoreScale(score="10", score_level="low", floor="high", floor_rule="Country", begins=("31", "61"))
    assert scale(bank, {"country": "IR"}) == expected


def test_a_floor_for_what_is_not_known_is_marked(bank: Bank) -> None:
    rule = {**FLOORS["country"], "on_unknown": {"points": 10, "floor": "high"}}
    bank.activate(banks.document({"country": rule}))
    bank.put("a", income=1)
    found = latest(bank)
    assert found is not None
    assert (found.floor, found.floor_rule, found.floor_unknown) == ("high", "Country", True)


def test_of_two_floors_the_one_that_raised_it_is_named(bank: Bank) -> None:
    found = scale(bank, {"country": "IR", "income": 200})
    assert found is not None
    assert (found.score, found.score_level, found.floor, found.floor_rule) == ("50", "medium", "high", "Country")


def test_a_floor_that_the_score_reaches_by_itself_raised_nothing(bank: Bank) -> None:
    found = scale(bank, {"income": 200})
    assert found is not None
    assert (found.score_level, found.floor, found.floor_rule) == ("medium", None, None)


def test_thresholds_are_left_out_where_they_are_not_to_be_shown(bank: Bank) -> None:
    found = scale(bank, {"country": "IR"}, with_thresholds=False)
    assert found is not None
    assert (found.begins, found.floor) == ((), "high")


def test_a_ruleset_of_ranges_has_no_thresholds(bank: Bank) -> None:
    tiers = [
        {"title": "All is well", "max": 30, "level": "low"},
        {"title": "Look", "min": 30.01, "level": "high"},
    ]
    found = scale(bank, {"income": 1}, score={"tiers": tiers})
    assert found is not None
    assert (found.score_level, found.begins) == ("low", ())


def test_there_is_no_scale_without_a_score_that_gave_a_level(bank: Bank) -> None:
    scale(bank, {"country": "IR"})
    first = f"{bank.id_of('a')}.{bank.standing().number}"
    set_tag(bank.context, "customer", "a", "outside")
    assert latest(bank) is None
    with Session(bank.engine) as session, session.begin():
        session.get_one(Entity, bank.id_of("a")).erased_us = bank.now  # the guards of history ask for it
        session.flush()
        session.get_one(Assessment, (bank.id_of("a"), int(first.partition(".")[2]))).breakdown = None
    assert read_scale(bank.context, first, with_thresholds=True) is None


def test_another_organisations_assessments_are_not_there(bank: Bank) -> None:
    scale(bank, {"country": "IR"})
    other = Bank(bank.engine, "other")
    with pytest.raises(NotFoundError, match="there is no assessment"):
        read_scale(Context(bank.engine, other.actor), f"{bank.id_of('a')}.1", with_thresholds=True)
