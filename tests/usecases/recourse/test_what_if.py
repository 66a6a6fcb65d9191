"""What would move a stored level: from the last assessment as it was recorded, as far as the reader may know."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from sqlalchemy import Engine, update

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.risk.governance.what_if.search import Direction
from fivefold.store.tables.levels import AssessmentInputs
from fivefold.usecases.recourse.what_if import ChangeShown, read_what_if
from tests.store.audits import forged
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank

INCOME = {**banks.INCOME, "changeable": "down"}
"""40 points from an income of 100."""


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return Bank(engine)


def asked(bank: Bank, direction: Direction = Direction.DOWN, level: str | None = None, *, whole: bool = True) -> Any:
    return read_what_if(bank.context, "customer", "a", direction, level, with_thresholds=whole)


def test_the_smallest_change_is_told_with_its_case(bank: Bank) -> None:
    bank.activate(banks.document({"country": banks.COUNTRY, "income": INCOME}))
    bank.put("a", country="NO", income=1234.5)
    bank.settle()
    found = asked(bank)
    (answer,) = found.answers
    (change,) = answer.changes
    assert (found.assessment, found.level, found.wished, found.beyond) == (
        f"{bank.id_of('a')}.1",
        "medium",
        "low",
        False,
    )
    assert change == ChangeShown(factors=("Income",), name="income", now="1,234.5", towards="lower", then="below 100")
    assert (answer.level, answer.score) == ("low", "5")
    assert [(case.factor, case.effect_before, case.effect_after) for case in answer.cases] == [
        ("Income", "+40 points", "0 points")
    ]
    assert answer.held_until_us == bank.now + 10 * DAY_US
    assert [(one.factor, one.why, one.gives) for one in found.without] == [("Country", "not changeable", True)]
    bank.put("a", country="NO", income=99)  # what was said comes true
    bank.wait(11)
    bank.settle()
    assert bank.standing().level == 1


def test_an_investigator_sees_no_threshold_and_no_factor_that_gave_nothing(bank: Bank) -> None:
    exposed = {"input": {"field": "pep"}, "cases": [{"when": {"equals": True}, "points": 30}], "changeable": "either"}
    rules = {"income": INCOME, "exposed": exposed, "country": {**banks.COUNTRY, "changeable": "either"}}
    bank.activate(banks.document(rules))
    bank.put("a", country="NO", income=1234.5, pep=False)
    bank.settle()
    found = asked(bank, whole=False)
    (answer,) = found.answers
    (change,) = answer.changes
    assert (change.now, change.towards, change.then, answer.score, answer.cases) == (
        "1,234.5",
        "lower",
        None,
        None,
        None,
    )
    assert {one.factor for one in found.without} == {"Country"}
    above, whole = asked(bank, Direction.UP, whole=False), asked(bank, Direction.UP)
    assert [[change.factors for change in answer.changes] for answer in whole.answers] == [
        [("Exposed",)],
        [("Country",)],
        [("Country",)],
    ]
    assert [[change.factors for change in answer.changes] for answer in above.answers] == [[("Country",)]]
    assert above.answers_not_shown == 1
    shown = json.dumps(asdict(above)) + json.dumps(asdict(found))
    assert not any(word in shown for word in ("Exposed", "100", "IR", "RU"))


def test_a_level_can_be_asked_for(bank: Bank) -> None:
    bank.activate(banks.document({"income": INCOME, "watch": banks.WATCH}))
    bank.put("a", income=1234.5)
    bank.settle()
    assert asked(bank, Direction.UP, "high").answers == ()
    with pytest.raises(ConfigError):
        asked(bank, level="lowest")


def test_who_was_never_assessed_or_is_erased(bank: Bank) -> None:
    with pytest.raises(NotFoundError):
        asked(bank)
    bank.put("a", income=1234.5)
    assert asked(bank) is None
    bank.settle()
    assert asked(bank) is None  # no ruleset takes part
    bank.activate(banks.document({"income": INCOME}))
    bank.mark("a")
    bank.settle()
    assert asked(bank).answers
    with forged(bank.engine) as connection:
        connection.execute(update(AssessmentInputs).values(content=None))
    assert asked(bank) is None
