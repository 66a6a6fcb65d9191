"""A level by a calculation, from the facts as they came to the breakdown, its sources and its replay."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.usecases.levels.explain import ValueSeen, read_reasons
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.portfolio.sources import sources_of
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.decisions.deciding import cash, opened

CALCULATE: dict[str, Any] = {
    "cash_in": {"unit": "money", "of": {"sum": "amount", "where": {"field": "operation", "equals": "cash"}}},
    "cash_share": {"unit": "ratio", "divide": [{"calculation": "cash_in"}, {"field": "income", "as": "money"}]},
}
RULES = {
    "share": {
        "input": {"calculation": "cash_share"},
        "cases": [{"when": {"at_least": 0.3}, "points": 40}],
        "on_unknown": {"points": 5},
    }
}
FORMULA = "cash in 6,000.00 EUR ÷ income 20,000.00 EUR = 0.3"


@pytest.fixture
def bank(engine: Engine) -> Bank:
    made = Bank(engine)
    made.activate(banks.document(RULES, calculate=CALCULATE))
    return made


def breakdown(bank: Bank, number: int = -1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bank.breakdown(number=number))
    return found


@pytest.mark.postgresql
def test_a_level_by_a_calculation_is_explained_and_made_again(bank: Bank) -> None:
    bank.put("a")
    bank.settle()
    assert bank.level() == 1
    assert breakdown(bank)["rules"][0]["seen"] == (
        "cash share is unknown, as income is unknown: cash in 0.00 EUR ÷ income unknown"
    )
    bank.put("a", income=20_000)
    bank.pay(1)
    bank.pay(2)
    bank.settle()
    assert bank.level() == 1
    bank.wait(days=1)
    bank.pay(3)
    bank.settle()
    assert bank.level() == 2
    assert breakdown(bank)["rules"][0]["seen"] == f"cash share is {FORMULA}"
    bank.put("a", income=0)
    bank.wait(days=20)
    bank.mark("a")
    bank.settle()
    assert "unknown, as income is 0: cash in 6,000.00 EUR ÷ income 0.00 EUR" in breakdown(bank)["rules"][0]["seen"]
    names = [f"{bank.id_of('a')}.{one.number}" for one in bank.assessments()]
    assert len(names) >= 4
    assert all(replay_assessment(bank.context, name).same for name in names)


def test_an_investigator_sees_the_formula_and_from_where_its_numbers_are(bank: Bank) -> None:
    bank.put("a", income=20_000)
    bank.wait(days=1)
    for number in range(3):
        bank.pay(number)
    bank.settle()
    name = f"{bank.id_of('a')}.{bank.standing().number}"
    reasons, sources = read_reasons(bank.context, name), sources_of(bank.context, name)
    assert reasons is not None
    assert sources is not None
    assert reasons.rules[0].values == (ValueSeen("cash share", "0.3", FORMULA),)
    (value,) = sources.rules[0].values
    assert [(one.kind, one.about, one.state) for one in value.sources] == [
        ("transactions", "", "stored"),
        ("attribute", "income", "stored"),
    ]


def test_an_income_that_cannot_be_read_fails_visibly_and_lowers_nothing(bank: Bank) -> None:
    bank.put("a", income=20_000)
    for number in range(3):
        bank.pay(number)
    bank.settle()
    assert bank.level() == 2
    huge = {"unit": "ratio", "multiply": [{"field": "income"}] * 20}
    again = {"unit": "ratio", "multiply": [{"calculation": "huge"}] * 20}
    bank.activate(
        banks.document(
            {"again": {"input": {"calculation": "again"}, "cases": [{"when": {"above": 5}, "points": 1}]}},
            calculate={"huge": huge, "again": again},
        )
    )
    bank.mark("a")
    bank.settle()
    assert breakdown(bank)["status"] == "failed"
    assert "more digits than can be kept" in breakdown(bank)["failures"][0]
    assert bank.level() == 2


def test_a_policy_calculates_with_the_transaction(engine: Engine) -> None:
    desk = opened(engine)
    desk.bank.put("ada", country="IR", income=2_000)
    desk.bank.settle()
    share = {"unit": "ratio", "divide": [{"transaction": "amount"}, {"field": "income", "as": "money"}]}
    parts = {"calculate": {"share": share}, "fields": {"country": "country", "income": "number"}}
    desk.publish({"when": {"calculation": "share", "above": 0.5}, "action": "review"}, **parts)
    made = [desk.decide(given=cash(-amount)) for amount in (1_000, 1_000.01)]
    assert [one.action for one in made] == ["allow", "review"]
    unknown = desk.decide("bo")
    assert unknown.action == "allow"
    answers = [json.loads(row.answer or "{}")["rules"][0] for row in desk.rows()]
    assert answers[1]["seen"] == ("share is amount of the transaction 1,000.01 EUR ÷ income 2,000.00 EUR = 0.500005")
    assert answers[2]["missing"] == ["share"]


def test_a_policy_compares_the_transaction_with_what_was_paid_before(engine: Engine) -> None:
    desk = opened(engine)
    desk.bank.pay(1, "ada", transaction_amount=-900.0)
    larger = {"transaction": "amount", "above": {"max": "amount", "over": "90 days"}}
    desk.publish({"when": larger, "action": "review"})
    made = [desk.decide(given=cash(-amount)).action for amount in (900, 900.01)]
    assert made == ["allow", "review"]
    assert desk.decide("bo").action == "allow"
    answer = json.loads(desk.rows()[1].answer or "{}")["rules"][0]
    assert answer["asked"] == "amount of the transaction is above greatest amount in 90 days"
