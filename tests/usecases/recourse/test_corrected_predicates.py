"""A correction counts where it decides which ruleset decides, and where a rule reads screenings of any name."""

from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConflictError
from fivefold.usecases.ingest.facts import add_screening
from fivefold.usecases.recourse.settlement import settle_challenge
from tests.usecases import banks
from tests.usecases.recourse.contested import by, corrected, numbered, opened, written


def test_a_correction_that_lets_another_ruleset_decide_settles(engine: Engine) -> None:
    bank = written(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}), position=2)
    pilots: dict[str, Any] = {"applies_to": {"field": "occupation", "equals": "pilot"}}
    bank.activate(banks.document({"income": banks.INCOME}, "pilots", **pilots), position=1)
    bank.put("a", income=1234.5, country="NO", occupation="pilot")
    bank.settle()
    bank.wait(days=1)
    made = opened(bank)
    bank.put("a", income=1234.5, country="NO", occupation="teacher")
    bank.wait(microseconds=1)
    bank.settle()
    bank.wait(days=1)
    done = settle_challenge(by(bank, 2), made.id, corrected("field occupation"))
    assert done.new_assessment == numbered(bank) != made.assessment


def test_a_correction_is_not_credited_with_a_ruleset_that_time_alone_chose(engine: Engine) -> None:
    bank = written(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}), position=2)
    new: dict[str, Any] = {"applies_to": {"days_since": "opened_on", "at_most": 20}}
    bank.activate(banks.document({"income": banks.INCOME}, "new", **new), position=1)
    opened_on = day_text(bank.now)[:10]
    bank.put("a", income=1234.5, country="NO", opened_on=opened_on)
    bank.settle()
    bank.wait(days=1)
    made = opened(bank)
    bank.put("a", income=1300.0, country="NO", opened_on=opened_on)
    bank.wait(days=30)
    bank.settle()
    bank.wait(days=1)
    assert numbered(bank) != made.assessment
    with pytest.raises(ConflictError, match="comes to the same without the correction of field income"):
        settle_challenge(by(bank, 2), made.id, corrected("field income"))


COUNTED = {
    "input": {"count": "screenings"},
    "cases": [{"when": {"at_least": 1}, "points": 40}],
}
LATELY = {"input": {"days_since": "screenings"}, "cases": [{"when": {"at_most": 30}, "points": 40}]}


@pytest.mark.parametrize("rule", [COUNTED, LATELY], ids=["count", "days_since"])
def test_a_corrected_screening_counts_where_a_rule_names_none(engine: Engine, rule: Any) -> None:
    bank = written(engine)
    bank.activate(banks.document({"rule": rule}))
    bank.put("a", country="NO")
    bank.settle()
    bank.wait(days=1)
    made = opened(bank)
    add_screening(bank.context, "customer", "a", "sanctions", has_match=True, at_us=bank.now)
    bank.wait(microseconds=1)
    bank.settle()
    bank.wait(days=1)
    second = numbered(bank)
    done = settle_challenge(by(bank, 2), made.id, corrected("screening sanctions"))
    assert done.new_assessment == second != made.assessment
