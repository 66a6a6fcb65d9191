"""Levels that nobody touches: the worker looks at the moment at which time moves them, and says that it was time."""

from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.store.levels.assessment_queue import BULK, Reason
from fivefold.usecases.ingest.facts import set_tag
from tests.usecases import banks
from tests.usecases.banks import Bank

OPENED = {"input": {"days_since": "opened_on"}, "cases": [{"when": {"at_least": 90}, "points": 70}]}
MEAN = {
    "input": {"mean": "amount", "over": "20 days"},
    "cases": [{"when": {"at_least": 1500}, "points": 70}],
    "on_unknown": {"points": 40},
}
LATER = {"max_recompute_interval": "400 days"}


def opened(bank: Bank, days: int) -> str:
    return from_microseconds(bank.now - days * DAY_US).date().isoformat()


def come_due(bank: Bank, at: int, *, assessed: int = 1) -> None:
    """Nothing is due a microsecond before, and at the moment itself the customer is."""
    assert (bank.next_us(), Reason(bank.mark_of().reasons), bank.mark_of().priority) == (at, Reason.TIME, BULK)
    bank.now = at - 1
    assert bank.settle() == 0
    bank.now = at
    assert bank.settle() == assessed


def test_days_since_take_a_level_up_at_their_moment(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"opened": OPENED}, **LATER))
    begin = bank.now
    bank.put("a", opened_on=opened(bank, days=80))
    bank.settle()
    assert bank.level() == 1
    come_due(bank, begin + 10 * DAY_US)
    assert bank.transitions() == [(None, 1), (1, 3)]
    assert [one.source for one in bank.assessments()] == ["rules", "time"]
    assert bank.events()[-1]["source"] == "time"
    assert Reason(bank.mark_of().reasons) == Reason.INTERVAL


@pytest.mark.postgresql
def test_a_window_loses_its_facts_one_after_another(engine: Engine) -> None:
    """One exit changes nothing, so nobody looks; the second one takes the sum below its bound."""
    bank = Bank(engine)
    bank.activate(banks.document({"cash": banks.CASH}, **LATER))
    bank.put("a")
    for number, amount in enumerate((500.0, 700.0, 700.0)):
        bank.pay(number, transaction_amount=amount)
        bank.settle()
        bank.wait(days=1)
    second = bank.now - 2 * DAY_US
    assert bank.level() == 2
    come_due(bank, second + 180 * DAY_US)
    assert bank.level() == 1
    assert [one.source for one in bank.assessments()][-1] == "time"


def test_an_indicator_loses_its_events_at_their_moments_and_not_at_midnight(engine: Engine) -> None:
    """Two deposits of the afternoon: with the first of them the count falls ninety days later, in the afternoon."""
    often = {"input": {"indicator": "deposit_count_90d"}, "cases": [{"when": {"at_least": 2}, "points": 70}]}
    bank = Bank(engine)
    bank.activate(banks.document({"often": often}, **LATER))
    bank.put("a")
    bank.wait(days=0.7)
    first = bank.now
    for number in range(2):
        bank.pay(number)
        bank.settle()
        bank.wait(days=11.3)
    assert bank.level() == 3
    come_due(bank, first + 90 * DAY_US)
    assert bank.transitions() == [(None, 1), (1, 3), (3, 1)]
    assert [one.source for one in bank.assessments()][-1] == "time"


def test_days_that_turn_back_in_a_calculation_are_awaited_at_each_turn(engine: Engine) -> None:
    """Near the thirtieth day after the last payment the level is up: from the 28th day on, and until after the 32nd."""
    near = {"unit": "days", "absolute": {"subtract": [{"days_since": "transactions"}, 30]}}
    rule = {"input": {"calculation": "near"}, "cases": [{"when": {"at_most": 2}, "points": 70}]}
    bank = Bank(engine)
    bank.activate(banks.document({"near": rule}, calculate={"near": near}, cooldown="1 day", **LATER))
    bank.put("a")
    bank.wait(days=0.7)
    paid = bank.now
    bank.pay(1)
    bank.settle()
    come_due(bank, paid + 28 * DAY_US)
    assert bank.level() == 3
    come_due(bank, paid + 32 * DAY_US + 1)
    assert bank.level() == 1


def test_what_is_missing_on_the_second_day_is_no_good_news(engine: Engine) -> None:
    """The only payment leaves the window: the mean is unknown from then on, and costs points until there is another."""
    bank = Bank(engine)
    bank.activate(banks.document({"mean": MEAN}, cooldown="1 day", **LATER))
    bank.put("a")
    paid = bank.now
    bank.pay(1)
    bank.settle()
    assert bank.level() == 3
    come_due(bank, paid + 20 * DAY_US)
    assert (bank.level(), bank.standing().status) == (2, "assessed")
    bank.wait(days=3)
    bank.pay(2)
    bank.settle()
    assert [one.source for one in bank.assessments()] == ["rules", "time", "rules"]
    assert bank.transitions() == [(None, 3), (3, 2), (2, 3)]


def test_a_ruleset_that_did_not_apply_does_from_a_moment_on(engine: Engine) -> None:
    bank = Bank(engine)
    young = {"days_since": "opened_on", "below": 30}
    bank.activate(banks.document({"watch": banks.WATCH}, "young", applies_to=young, **LATER), 1)
    old = {"days_since": "opened_on", "at_least": 60}
    bank.activate(banks.document({"country": banks.COUNTRY}, "old", applies_to=old, **LATER), 2)
    begin = bank.now
    bank.put("a", country="KP", opened_on=opened(bank, days=0))
    bank.settle()
    assert (bank.level(), bank.standing().status) == (1, "assessed")
    come_due(bank, begin + 30 * DAY_US)
    assert (bank.level(), bank.standing().status) == (None, "not applicable")
    come_due(bank, begin + 60 * DAY_US)
    assert (bank.level(), bank.standing().status) == (3, "assessed")


def test_a_moment_that_makes_no_difference_makes_nobody_due(engine: Engine) -> None:
    """Whoever is not watched does not turn old by this rule; who is, does, and what else happened is told first."""
    both: dict[str, Any] = {
        "cases": [{"when": {"all": [{"tag": "watch", "is": "present"}, {"days_since": "opened_on", "at_least": 90}]}}]
    }
    both["cases"][0]["points"] = 70
    bank = Bank(engine)
    bank.activate(banks.document({"both": both}, **LATER))
    begin = bank.now
    bank.put("a", opened_on=opened(bank, days=80))
    bank.settle()
    assert (bank.next_us(), Reason(bank.mark_of().reasons)) == (begin + 400 * DAY_US, Reason.INTERVAL)
    set_tag(bank.context, "customer", "a", "watch")
    bank.settle()
    come_due(bank, begin + 10 * DAY_US)
    assert bank.transitions() == [(None, 1), (1, 3)]
