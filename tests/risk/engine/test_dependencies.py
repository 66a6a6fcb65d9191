"""What a ruleset reads, wherever in it that is written."""

from typing import Any

from fivefold.risk.engine.dependencies import (
    inputs_of_ruleset,
    lists_of_policy,
    lists_of_ruleset,
    signal_of_rule,
    signals_of_ruleset,
)
from fivefold.risk.language.inputs import key_of
from tests.risk.engine.policies_small import policy
from tests.risk.engine.small import case, rule, ruleset

Data = dict[str, Any]
LISTED: Data = {"field": "currency", "in_list": "in-where"}
SUMS = [
    {"sum": "amount", "where": {"field": "currency", "in_list": "over"}},
    {"sum": "amount", "where": {"not": LISTED}},
]
EVERYWHERE = ruleset(
    rule("own", case({"in_list": "own"}, 1), input={"field": "country"}),
    rule("nested", case({"any": [{"not": {"field": "kind", "not_in_list": "nested"}}]}, 1)),
    rule("like", case({"field": "kind", "fuzzy": {"list": "like", "scorer": "ratio", "at_least": 90}}, 1)),
    rule("counted", case({"count": "transactions", "where": LISTED, "at_least": 1}, 1)),
    rule("share", case({"above": 0.5}, 1), input={"ratio": SUMS}),
    rule("fades", case({"tag": "x", "is": "present"}, 1), decay={"half_life": "1 day", "signal": {"count": "cases"}}),
    rule("fades-too", case({"at_least": 1}, 1), input={"count": "cases"}, decay={"half_life": "1 day"}),
    rule("again", case({"field": "country", "equals": "NO"}, 1)),
    applies_to={"field": "country", "in_list": "predicate"},
)


def test_lists_are_found_everywhere() -> None:
    wanted = ["in-where", "like", "nested", "over", "own", "predicate"]
    assert lists_of_ruleset(EVERYWHERE) == wanted


def test_those_of_a_policy_are_found_everywhere() -> None:
    ratio = {"ratio": [{"transaction": "amount"}, SUMS[0]], "above": 2}
    when = {"any": [{"field": "country", "in_list": "own"}, ratio]}
    unless = {"not": {"transaction": "operation", "in_list": "unless"}}
    made = policy({"when": when, "unless": unless, "action": "block"})
    assert lists_of_policy(made) == ["over", "own", "unless"]


def test_inputs_are_found_once() -> None:
    keys = [key_of(made) for made in inputs_of_ruleset(EVERYWHERE)]
    assert len(keys) == len(set(keys)) == 6
    assert sum('"ratio"' in key for key in keys) == 1
    assert '{"count":"cases"}' in keys


def test_signal_is_the_rules_own_input_where_none_is_named() -> None:
    assert [key_of(made) for made in signals_of_ruleset(EVERYWHERE)] == ['{"count":"cases"}']
    assert key_of(signal_of_rule(EVERYWHERE.rule("fades-too"))) == key_of(signal_of_rule(EVERYWHERE.rule("fades")))


def test_choice_of_weights_is_read_too() -> None:
    choices = [{"when": {"field": "country", "in_list": "choice"}, "use": "all"}, {"use": "all"}]
    score = {"weighted": {"bands": [31, 61], "weights": {"all": {"a": 100}}, "weights_by": choices}}
    made = ruleset(rule("a", case({"field": "flag", "equals": True}, 1), otherwise={"points": 1}), score=score)
    assert lists_of_ruleset(made) == ["choice"]
    assert len(inputs_of_ruleset(made)) == 2
