"""What examples give, as a portfolio: short words, defaults, and mistakes that are named."""

import json
from typing import Any

import polars as pl
import pytest

from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.explain.breakdown import explain
from fivefold.risk.governance.examples.facts import check_examples, example_portfolio, previous_levels
from fivefold.risk.governance.examples.run import assess_examples
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from tests.risk.conftest import Refusal

Data = dict[str, Any]
DAY = parse_moment("2024-07-01")
INPUTS: list[Data] = [
    {"sum": "amount", "where": {"field": "operation", "equals": "cash"}},
    {"count": "cases", "where": {"field": "team", "equals": "fraud"}},
    {"count": "alerts"},
    {"tag": "watch"},
    {"screening": "pep"},
    {"screening": "sanctions"},
    {"indicator": "account_age"},
    {"value": "segment"},
]


def ruleset(*examples: Data) -> Ruleset:
    rules = [
        {
            "id": f"r{number}",
            "title": f"R{number}",
            "category": "other",
            "input": made,
            "cases": [{"when": "present", "points": 1}],
        }
        for number, made in enumerate(INPUTS)
    ]
    whole = {
        "ruleset": "small",
        "entity_type": "customer",
        "fields": {"kind": "text", "income": "number"},
        "transaction_fields": {"operation": "text"},
        "case_fields": {"team": "text"},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [31, 61]}},
        "max_recompute_interval": "180 days",
        "rules": rules,
        "examples": [{"name": f"example {number}", "expect": {}, **example} for number, example in enumerate(examples)],
    }
    return read_ruleset(json.dumps(whole))


def seen(given: Data) -> list[str]:
    found = assess_examples(AnalysedRuleset(ruleset({"given": given})), {}, DAY)
    return [outcome.seen.split(" is ")[-1] for outcome in explain(found, 0).rules]


def test_everything_that_an_example_may_give() -> None:
    given = {
        "transactions": [
            {"amount": -50.25, "time": "2024-06-01", "operation": "cash"},
            {"amount": 1, "time": "2024-06-01", "operation": "cash", "state": "PENDING"},
            {"transaction_amount": 10, "transaction_date": "2024-06-01", "operation": "cash"},
        ],
        "cases": [{"opened": "2024-01-01", "team": "fraud"}, {"opened": "2024-01-01"}],
        "alerts": [{"opened": "2024-07-02"}, {"opened": "2024-06-02", "closed": "2024-06-03", "outcome": "cleared"}],
        "tags": ["watch"],
        "screening": ["pep"],
        "indicators": {"account_age": 90.5},
        "value": {"segment": "top"},
    }
    # Days of an age are shown whole.
    assert seen(given) == ["60.25 EUR", "1", "1", "present", "present", "absent", "90", "top"]


def test_what_is_not_given() -> None:
    of_value = "unknown (the value itself says why)"
    assert seen({}) == ["0.00 EUR", "0", "0", "absent", "unknown", "unknown", "unknown", of_value]
    assert seen({"screening": []})[4:6] == ["absent", "absent"]  # screened, and nothing found


def test_amount_in_a_currency_without_a_rate_fails_visibly() -> None:
    given = {"transactions": [{"amount": 5, "time": "2024-06-01", "operation": "cash", "currency": "USD"}]}
    explained = explain(assess_examples(AnalysedRuleset(ruleset({"given": given})), {}, DAY), 0)
    assert explained.status == "failed"
    assert "transaction_currency is USD" in explained.failures[0]


@pytest.mark.parametrize(
    "given",
    [
        {"transactions": [5]},
        {"cases": ["x"]},
        {"tags": "watch"},
        {"screening": "pep"},
        {"indicators": {"account_agee": 1}},
        {"value": [1]},
    ],
)
def test_form_that_cannot_be_read(given: Data, refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        example_portfolio(AnalysedRuleset(ruleset({"given": given})), {}, DAY)


@pytest.mark.parametrize(
    ("example", "problem"),
    [
        ({"given": {"kindd": "x"}}, "gives kindd, which is not a field; there are alerts, cases, income"),
        (
            {"given": {"kindd": "x", "incoem": 5, "shoes": 2}},
            "gives kindd (perhaps kind), incoem (perhaps income), shoes, which are not fields; there are alerts, cases",
        ),
        (
            {"given": {"transactions": [{"amonut": 5}, {"amonut": 6, "tmie": "2024-01-01"}]}},
            "transactions: gives amonut (perhaps amount), tmie (perhaps time), which are not fields; there are amount",
        ),
        (
            {"given": {"transactions": [{"amonut": 5}]}},
            "transactions: gives amonut, which is not a field; there are amount",
        ),
        ({"given": {"transactions": [{"amount": 5}]}}, "transactions: has a transaction without a time"),
        ({"given": {"transactions": [{"amount": 5, "time": None}]}}, "write one, as time: 2024-06-01"),
        ({"given": {"cases": [{"time": "2024-01-01"}]}}, "cases: gives time, which is not a field; there are closed"),
        ({"given": {}, "expect": {"floor_by": "r9"}}, "expects something of the rule r9, which is not there"),
        ({"given": {}, "expect": {"cases": {"r9": 1}}}, "expects something of the rule r9, which is not there"),
        ({"given": {}, "expect": {"cases": {"r0": 2}}}, "expects case 2 of the rule r0, which has 1"),
        ({"given": {}, "expect": {"level": "middle"}}, "expects the level middle; there are low, medium, high"),
    ],
)
def test_mistakes_are_named(example: Data, problem: str) -> None:
    (finding,) = check_examples(ruleset(example))
    assert problem in str(finding)
    assert "example 0" in finding.where


def test_good_examples_have_no_mistakes() -> None:
    expect = {"level": 3, "floor_by": "r1", "cases": {"r0": "otherwise", "r1": 1}}
    failed = {"state": "FAILED", "time": "2024-01-01"}
    assert check_examples(ruleset({"given": {"kind": None, "transactions": [failed]}, "expect": expect})) == []


def test_levels_held_before() -> None:
    made = ruleset({"given": {"previous": {"level": "high", "entered": "2024-01-01"}}}, {"given": {}})
    held = previous_levels(made)
    assert held.rows() == [("0", 3, parse_moment("2024-01-01"))]
    assert held.schema == {"entity_id": pl.String, "level": pl.Int8, "entered": pl.Int64}


@pytest.mark.parametrize("held", ["high", {"level": "high"}, {"level": "top", "entered": "2024-01-01"}])
def test_levels_held_before_in_another_form(held: Any, refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        previous_levels(ruleset({"given": {"previous": held}}))
