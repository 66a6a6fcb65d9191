"""What would move a stored level: from the last assessment as it was recorded, as far as the reader may know."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from sqlalchemy import Engine, update

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.risk.governance.what_if import search
from fivefold.risk.governance.what_if.search import WantedDirection
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


def asked(
    bank: Bank, direction: WantedDirection = WantedDirection.DOWN, level: str | None = None, *, whole: bool = True
) -> Any:
    return read_what_if(bank.context, "customer", "a", direction, level, with_thresholds=whole)


def test_why_nothing_can_be_said_of_a_level_is_told_with_what_is_missing(bank: Bank) -> None:
    bank.activate(banks.document({"country": banks.COUNTRY}, applies_to={"field": "pep", "equals": False}))
    bank.put("a", country="NO")
    bank.settle()
    found = asked(bank)
    assert (found.level, found.status) == (None, "undetermined")
    assert "pep" in found.failures[0]
    assert asked(bank, whole=False).failures == ()


@pytest.mark.postgresql
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
    above, whole = asked(bank, WantedDirection.UP, whole=False), asked(bank, WantedDirection.UP)
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
    assert asked(bank, WantedDirection.UP, "high").answers == ()
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


@pytest.mark.postgresql
def test_a_change_after_which_another_ruleset_may_decide_is_not_promised(bank: Bank) -> None:
    poor = banks.document({"country": banks.COUNTRY}, "poor", applies_to={"field": "income", "below": 1000})
    second = banks.document({"income": INCOME, "country": {**banks.COUNTRY, "changeable": "either"}}, "second")
    bank.activate(second, 2)
    bank.put("a", country="RU", income=1500)
    bank.settle()

    def names() -> set[str]:
        return {change.name for answer in asked(bank).answers for change in answer.changes}

    assert names() == {"income", "country"}
    bank.activate(poor, 1)
    assert names() == {"country"}
    assert [(one.factor, one.why) for one in asked(bank).without] == [("Income", "not decided")]
    bank.activate(poor, 3)  # it is tried after the one that decides
    assert names() == {"income", "country"}


def test_what_would_leave_a_ruleset_to_the_next_one_is_not_decided(bank: Bank) -> None:
    bank.activate(banks.document({"income": INCOME}, applies_to={"field": "income", "at_least": 100}))
    bank.put("a", income=1234.5)
    bank.settle()
    assert [one.why for one in asked(bank).without] == ["not alone"]
    bank.activate(banks.document({"country": banks.COUNTRY}, "rest"), 2)
    assert [one.why for one in asked(bank).without] == ["not decided"]


def held(bank: Bank) -> tuple[str, str, str | None, int | None]:
    found = asked(bank)
    return found.level, found.level_in_force, found.held_by, found.held_until_us


def beneath(bank: Bank) -> list[tuple[str, str, int | None]]:
    return [(one.by, one.level, one.until_us) for one in asked(bank).held_beneath]


@pytest.mark.postgresql
def test_what_holds_a_level_is_told_and_until_when(bank: Bank) -> None:
    bank.activate(banks.document({"country": banks.COUNTRY, "income": INCOME}))
    bank.put("a", country="NO", income=1234.5)
    bank.settle()
    assert held(bank) == ("medium", "medium", None, None)
    entered = bank.now
    bank.wait(1)
    bank.put("a", country="NO", income=99)
    bank.settle()
    cooldown = ("low", "medium", "cooldown", entered + 10 * DAY_US)
    assert held(bank) == cooldown
    until = bank.now + 3 * DAY_US
    bank.override("a", 3, until)
    bank.settle()
    assert held(bank) == ("low", "high", "override", until)
    assert beneath(bank) == [("cooldown", "medium", entered + 10 * DAY_US)]
    bank.wait(4)
    assert held(bank) == ("low", "high", "ended override", None)
    bank.settle()
    assert held(bank) == cooldown
    number = bank.override("a", 1)
    bank.settle()
    assert held(bank) == ("low", "low", "override", None)
    bank.revoke("a", number)
    assert held(bank) == ("low", "low", "ended override", None)


def test_what_is_over_holds_nothing(bank: Bank) -> None:
    bank.activate(banks.document({"income": INCOME}, max_recompute_interval="300 days"))
    bank.put("a", income=1234.5)
    bank.settle()
    entered = bank.now
    assert [answer.held_until_us for answer in asked(bank).answers] == [entered + 10 * DAY_US]
    bank.wait(11)
    assert [answer.held_until_us for answer in asked(bank).answers] == [None]
    bank.now = entered + DAY_US
    bank.put("a", income=1)
    bank.settle()
    assert held(bank)[2:] == ("cooldown", entered + 10 * DAY_US)
    bank.wait(20)
    assert held(bank) == ("low", "medium", "ended cooldown", None)


def test_a_floor_above_an_override_stays_above_it_once_that_has_ended(bank: Bank) -> None:
    exposed = {"input": {"field": "pep"}, "cases": [{"when": {"equals": True}, "points": 80, "floor": "medium"}]}
    bank.activate(banks.document({"exposed": exposed}))
    bank.put("a", pep=True)
    until = bank.now + 3 * DAY_US
    bank.override("a", 1, until)
    bank.settle()
    assert held(bank) == ("high", "medium", "floor", None)
    assert beneath(bank) == [("override", "low", until)]
    bank.wait(4)
    assert held(bank) == ("high", "medium", "floor", None)
    assert beneath(bank) == [("ended override", "low", None)]
    bank.settle()
    assert held(bank) == ("high", "high", None, None)


def test_an_override_to_what_the_rules_say_is_named_while_it_is_live(bank: Bank) -> None:
    bank.activate(banks.document({"income": INCOME}))
    bank.put("a", income=1234.5)
    number = bank.override("a", 2)
    bank.settle()
    assert held(bank) == ("medium", "medium", "override", None)
    bank.revoke("a", number)
    assert held(bank) == ("medium", "medium", None, None)


def test_a_floor_that_is_unknown_now_holds_a_level(bank: Bank) -> None:
    exposed = {"input": {"field": "pep"}, "cases": [{"when": {"equals": True}, "floor": "high"}]}
    bank.activate(banks.document({"exposed": exposed, "income": INCOME}))
    bank.put("a", pep=True, income=1)
    bank.settle()
    number = bank.override("a", 1)
    bank.settle()
    assert held(bank) == ("high", "high", "floor", None)
    assert beneath(bank) == [("override", "low", None)]
    bank.wait(30)
    bank.put("a", pep=None, income=1)
    bank.settle()
    lost = bank.now
    assert held(bank) == ("high", "high", "floor", lost + 10 * DAY_US)
    assert beneath(bank) == [("override", "low", None), ("rules", "low", None)]
    bank.revoke("a", number)
    assert held(bank) == ("high", "high", "floor", lost + 10 * DAY_US)
    assert beneath(bank) == [("rules", "low", None)]
    bank.wait(10)
    bank.settle()
    assert held(bank) == ("low", "low", None, None)


FLOORS = {
    "exposed": {"input": {"field": "pep"}, "cases": [{"when": {"equals": True}, "floor": "high"}]},
    "lived": {"input": {"field": "country"}, "cases": [{"when": {"equals": "RU"}, "floor": "medium"}]},
}


@pytest.mark.postgresql
def test_each_floor_above_an_override_that_ends_later_is_told_beneath_the_one_above_it(bank: Bank) -> None:
    bank.activate(banks.document({**FLOORS, "income": INCOME}))
    bank.put("a", pep=True, country="RU", income=1)
    bank.override("a", 1)
    bank.settle()
    assert (held(bank), beneath(bank)) == (("high", "high", "floor", None), [("override", "low", None)])
    bank.put("a", pep=None, country="RU", income=1)
    bank.settle()
    lost = bank.now
    assert held(bank) == ("high", "high", "floor", lost + 10 * DAY_US)
    assert beneath(bank) == [("floor", "medium", None), ("override", "low", None), ("rules", "medium", None)]
    bank.wait(3)
    bank.put("a", pep=None, country=None, income=1)
    bank.settle()
    second = ("floor", "medium", bank.now + 10 * DAY_US)
    assert held(bank) == ("high", "high", "floor", lost + 10 * DAY_US)
    assert beneath(bank) == [second, ("override", "low", None), ("rules", "medium", None)]
    bank.wait(7)
    bank.settle()
    assert held(bank) == ("medium", *second[1::-1], second[2])


def test_where_the_level_goes_once_an_unknown_floor_ends_is_told(bank: Bank) -> None:
    bank.activate(banks.document({**FLOORS, "income": INCOME}))
    bank.put("a", pep=True, country="RU", income=1)
    bank.settle()
    bank.wait(1)
    bank.put("a", pep=None, country="RU", income=1)
    bank.settle()
    until = bank.now + 10 * DAY_US
    bank.wait(1)
    bank.put("a", pep=None, country=None, income=1)
    bank.settle()
    assert (held(bank), beneath(bank)) == (("high", "high", "floor", until), [("rules", "medium", None)])
    bank.wait(9)
    assert (held(bank), beneath(bank)) == (("high", "high", "ended floor", None), [("rules", "medium", None)])
    bank.settle()
    assert bank.standing().level == 2
    assert held(bank) == ("medium", "medium", "cooldown", bank.now + 10 * DAY_US)
    assert beneath(bank) == [("rules", "low", None)]


def shown_to_investigator(bank: Bank, direction: WantedDirection, level: str | None = None) -> Any:
    return asked(bank, direction, level, whole=False)


@pytest.mark.postgresql
def test_a_factor_that_gave_nothing_is_not_told_by_an_input_that_another_one_reads(bank: Bank) -> None:
    own = {**INCOME, "changeable": "either", "cases": [{"when": {"at_least": 100}, "points": 5}]}
    secret = {"input": {"field": "income"}, "cases": [{"when": {"at_least": 9999}, "points": 1, "floor": "high"}]}
    bank.activate(banks.document({"income": own, "secret": secret}))
    bank.put("a", income=500)
    bank.settle()
    assert len(asked(bank, WantedDirection.UP, "high").answers) == 1
    found = shown_to_investigator(bank, WantedDirection.UP, "high")
    assert (found.answers, found.answers_not_shown) == ((), 1)
    assert [(one.factor, one.why) for one in found.without] == [("Income", "not shown")]


def test_an_input_that_the_case_did_not_look_at_is_not_told(bank: Bank) -> None:
    exposed = {"when": {"field": "pep", "equals": True}, "points": 40}
    bank.activate(banks.document({"income": {**INCOME, "cases": [{"when": {"at_most": 50}, "points": 0}, exposed]}}))
    bank.put("a", income=1234.5, pep=True)
    bank.settle()
    assert len(asked(bank).answers) == 1
    found = shown_to_investigator(bank, WantedDirection.DOWN)
    assert (found.answers, found.answers_not_shown) == ((), 1)


def test_the_value_shown_tells_nothing_of_what_other_factors_ask(bank: Bank) -> None:
    secret = {"input": {"field": "income"}, "cases": [{"when": {"at_least": 777_777}, "points": 10}]}
    bank.activate(banks.document({"income": INCOME, "secret": secret}))
    bank.put("a", income=777_776.9999)
    bank.settle()
    (change,) = shown_to_investigator(bank, WantedDirection.DOWN).answers[0].changes
    assert change.now == "777,777"
    assert asked(bank).answers[0].changes[0].now == "777,776.9999"


def test_what_investigators_are_told_does_not_depend_on_factors_that_gave_nothing(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {**banks.COUNTRY, "changeable": "either", "cases": [{"when": {"equals": "RU"}, "points": 40}]}
    rules = {"income": INCOME, "country": kept}
    hidden = {
        "linked": {
            "input": {"ratio": [{"field": "income"}, {"count": "transactions"}]},
            "cases": [{"when": {"above": 10**9}, "points": 10}],
        },
        "like": {
            "input": {"field": "country"},
            "cases": [{"when": {"fuzzy": {"to": "Atlantis", "scorer": "ratio", "at_least": 99}}, "points": 10}],
        },
        "paired": {
            "input": {"field": "pep"},
            "changeable": "either",
            "cases": [{"when": {"equals": True}, "points": 10}],
        },
    }
    monkeypatch.setattr(search, "MOST_PAIRS", 0)
    told = []
    for more in ({}, hidden):
        bank.activate(banks.document({**rules, **more}))
        bank.put("a", income=1234.5, country="RU", pep=False)
        bank.mark("a")
        bank.settle()
        found = shown_to_investigator(bank, WantedDirection.DOWN, "low")
        told.append([{one.why for one in found.without} - {"not changeable"}, found.pairs_left_out])
        assert asked(bank, level="low").pairs_left_out
    assert told == [[{"not shown"}, None]] * 2
