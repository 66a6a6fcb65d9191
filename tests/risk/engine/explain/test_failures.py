"""Failures name where, the value, and what would have been right, for every type and source."""

from datetime import datetime
from typing import Any

import polars as pl

from fivefold.risk.engine.explain.breakdown import explain
from fivefold.risk.engine.explain.describe import describe_inputs
from fivefold.risk.engine.explain.failures import values_text
from fivefold.risk.governance.backtest.moves import failures
from fivefold.risk.language.expressions import FieldInput
from tests.golden import compare
from tests.risk.engine.small import assessed, case, rule, ruleset

Data = dict[str, Any]


def test_field() -> None:
    def failure(row: list[Any]) -> str:
        field, value = row[0], row[1]
        found = assessed(ruleset(rule("asks", case("present", 1), input={"field": field})), {field: value}, {})
        assert found.table()["status"].to_list() == ["failed", "assessed"]
        (problem,) = explain(found, 0).rules[0].errors
        assert explain(found, 0).failures == (f"Asks: {problem}",)
        return problem

    compare("field_failures", failure)


def test_days_since_a_field() -> None:
    made = rule("asks", case({"at_least": 1}, 1), input={"days_since": "opened_on"})
    assert explain(assessed(ruleset(made), {"opened_on": "soon"}), 0).rules[0].errors == (
        "opened on is soon, which is no date such as 2024-07-01",
    )


def transactions(amount: float) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "entity_id": ["e0"],
            "transaction_amount": [amount],
            "transaction_currency": ["EUR"],
            "transaction_date": [datetime(2024, 6, 30)],  # noqa: DTZ001 (no zone is UTC)
        }
    )


def test_linked_fact() -> None:
    made = ruleset(rule("asks", case({"at_least": 1}, 1), input={"sum": "amount"}))
    errors = explain(assessed(made, {}, transactions=transactions(float("inf"))), 0).rules[0].errors
    assert errors == ("sum of amount: transaction_amount is inf; allowed: a finite number of at most 1e+15",)


def test_what_several_rules_met_is_written_once_with_all_of_them() -> None:
    asks = [
        rule(name, case({"at_least": 1}, 1), input=read)
        for name, read in (("one", {"sum": "amount"}), ("two", {"field": "income"}), ("three", {"sum": "amount"}))
    ]
    found = assessed(ruleset(*asks), {"income": "ten"}, transactions=transactions(float("inf")))
    problem = "sum of amount: transaction_amount is inf; allowed: a finite number of at most 1e+15"
    income = "income is 'ten', which is no finite number"
    assert explain(found, 0).failures == (f"One, Three: {problem}", f"Two: {income}")
    listed = [(each.rule, each.problem) for each in failures(found)]
    assert listed == [("one", problem), ("two", income), ("three", problem)], "rule by rule in a file"


def test_ratio_tells_which_side() -> None:
    ratio = {"ratio": [{"sum": "amount"}, {"field": "income"}]}
    made = ruleset(rule("asks", case({"at_least": 1}, 1), input=ratio))
    found = explain(assessed(made, {"income": "ten"}, transactions=transactions(1.0)), 0)
    assert found.rules[0].errors == ("income is 'ten', which is no finite number",)


def test_choice_of_weights_that_cannot_be_read() -> None:
    choices = [{"when": {"field": "flag", "equals": True}, "use": "all"}, {"use": "all"}]
    score = {"weighted": {"bands": [31, 61], "weights": {"all": {"a": 100}}, "weights_by": choices}}
    made = ruleset(rule("a", case({"field": "income", "at_least": 1}, 50), otherwise={"points": 1}), score=score)
    found = explain(assessed(made, {"flag": "x", "income": 1}), 0)
    assert found.status == "failed"
    assert found.failures == ("the choice of weights: flag is 'x', which is neither true nor false",)


def test_choice_that_no_column_is_for_says_each_input_once() -> None:
    choices = [{"when": {"all": [{"field": "income", "above": 5}, {"field": "income", "below": 9}]}, "use": "all"}]
    score = {"weighted": {"bands": [31, 61], "weights": {"all": {"a": 100}}, "weights_by": choices}}
    made = ruleset(rule("a", case({"field": "n0", "at_least": 1}, 50), otherwise={"points": 1}), score=score)
    found = assessed(made, {"n0": 1, "income": 5}, {"n0": 1, "income": 6})
    assert explain(found, 0).failures == ("the choice of weights: there is no column where income is 5",)
    assert explain(found, 1).status == "assessed"


def test_inputs_are_said_as_they_were_met() -> None:
    found = assessed(ruleset(rule("asks", case("present", 1), input={"field": "income"})), {"income": 5})
    seen = describe_inputs(
        [FieldInput(field="income"), FieldInput(field="income")], found.program.analysed.names, "EUR"
    )
    assert values_text(seen, found.inputs.row(0, named=True)) == "income is 5"
    assert values_text(seen, {seen[0].key: None, seen[0].error: "'ten'"}) == "income is 'ten'"
