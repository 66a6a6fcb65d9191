"""Inputs as they are seen: by their words, in their currency, never rounded across what they are compared with."""

from decimal import Decimal
from typing import Any

from fivefold.risk.compiler.value_types import Vocabulary, inputs_of_rule
from fivefold.risk.engine.explain.describe import describe_inputs, numbers_compared
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.fields import TRANSACTION_FIELDS
from tests.risk.engine.small import Data, case, rule, ruleset


def rule_of(*cases: Data, **parts: Any) -> Any:
    return ruleset(rule("asks", *cases, **parts)).rules[0]


def test_cuts_are_the_numbers_that_each_input_is_compared_with() -> None:
    made = rule_of(
        case({"at_least": 10, "below": 20.5}),
        case({"any": [{"between": [1, 2]}, {"field": "n0", "in": [3, 4]}, {"field": "kind", "equals": "person"}]}),
        case({"not": {"field": "n0", "above": 5}}),
        input={"field": "income"},
    )
    assert numbers_compared(made) == {
        '{"field":"income"}': (Decimal(10), Decimal("20.5"), Decimal(1), Decimal(2)),
        '{"field":"n0"}': (Decimal(3), Decimal(4), Decimal(5)),
    }


def test_each_input_is_seen_once_in_its_own_currency() -> None:
    sums: list[Data] = [{"sum": "amount"}, {"sum": "amount", "in_currency": "USD"}]
    made = rule_of(case({"all": [{**one, "above": 5} for one in sums]}), case({**sums[0], "above": 7}))
    keys = [input_key(part) for part in inputs_of_rule(made)]
    names = Vocabulary({}, TRANSACTION_FIELDS, {})
    own, foreign = describe_inputs(inputs_of_rule(made), names, "EUR", numbers_compared(made))
    assert own.words({own.key: 499}) == "sum of amount is 4.99 EUR"
    assert own.words({own.key: 699.99999}) == "sum of amount is 6.9999999000 EUR"
    assert foreign.words({foreign.key: 699.99999}) == "sum of amount in USD is 7.00 USD"
    assert foreign.words({foreign.key: None, foreign.error: "inf"}) == "sum of amount in USD is inf"
    assert (own.key, own.error) == (keys[0], f"{keys[0]}!")


def test_a_ratio_is_seen_with_both_sides_as_finely_as_they_come_to_it() -> None:
    ratio: Data = {"ratio": [{"sum": "amount"}, {"field": "n0"}]}
    made = rule_of(case({"at_least": 1}), input=ratio)
    names = Vocabulary({"n0": "number"}, TRANSACTION_FIELDS, {})
    (described,) = describe_inputs(inputs_of_rule(made), names, "EUR", numbers_compared(made))
    over, under, key = described.keys
    assert described.words({over: 3820000, under: 39232.02, key: 0.973694446526}) == (
        "sum of amount 38,200.00 EUR ÷ n0 39,232.02 = 0.973694"
    )
    fine = described.words({over: 1234500, under: 0.1234567, key: 12345 / 0.1234567})
    assert fine == "sum of amount 12,345.00 EUR ÷ n0 0.1234567 = 99,994.57"
    told = "sum of amount over n0 is unknown, as {}: sum of amount 5.00 EUR ÷ n0 {}"
    assert described.words({over: 500, under: 0.0, key: None}) == told.format("n0 is 0", "0")
    assert described.words({over: 500, under: None, key: None}) == told.format("n0 is unknown", "unknown")
    assert described.words({key: 2.0}) == "sum of amount over n0 is 2", "it was given without its sides"
