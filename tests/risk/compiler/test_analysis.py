"""What follows from a ruleset alone: what it reads, wherever in it that is written, and what is wrong with it."""

from typing import Any

import pytest

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.compiler.analysis import (
    AnalysedPolicy,
    AnalysedRuleset,
    analyse_canonical,
    analyse_canonical_policy,
    signal_of_rule,
)
from fivefold.risk.language.expressions import input_key
from tests.risk.engine.policies_small import policy
from tests.risk.engine.small import case, rule, ruleset

Data = dict[str, Any]
LISTED: Data = {"field": "currency", "in_list": "in-where"}
SUMS = [
    {"sum": "amount", "where": {"field": "currency", "in_list": "over"}},
    {"sum": "amount", "where": {"not": LISTED}},
]
RULESET = ruleset(
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
EVERYWHERE = AnalysedRuleset(RULESET)
POLICY = AnalysedPolicy(policy({"when": {"ratio": SUMS, "above": 2}, "action": "block"}))


def test_lists_are_found_everywhere() -> None:
    wanted = ["in-where", "like", "nested", "over", "own", "predicate"]
    assert list(EVERYWHERE.lists) == wanted


def test_those_of_a_policy_are_found_everywhere() -> None:
    ratio = {"ratio": [{"transaction": "amount"}, SUMS[0]], "above": 2}
    when = {"any": [{"field": "country", "in_list": "own"}, ratio]}
    unless = {"not": {"transaction": "operation", "in_list": "unless"}}
    made = policy({"when": when, "unless": unless, "action": "block"})
    assert list(AnalysedPolicy(made).lists) == ["over", "own", "unless"]


def test_inputs_are_found_once() -> None:
    keys = [input_key(made) for made in EVERYWHERE.inputs]
    assert len(keys) == len(set(keys)) == 6
    assert sum('"ratio"' in key for key in keys) == 1
    assert '{"count":"cases"}' in keys


def test_signal_is_the_rules_own_input_where_none_is_named() -> None:
    assert [input_key(made) for made in EVERYWHERE.signals] == ['{"count":"cases"}']
    assert input_key(signal_of_rule(RULESET.rule("fades-too"))) == input_key(signal_of_rule(RULESET.rule("fades")))


def test_choice_of_weights_is_read_too() -> None:
    choices = [{"when": {"field": "country", "in_list": "choice"}, "use": "all"}, {"use": "all"}]
    score = {"weighted": {"bands": [31, 61], "weights": {"all": {"a": 100}}, "weights_by": choices}}
    made = AnalysedRuleset(
        ruleset(rule("a", case({"field": "flag", "equals": True}, 1), otherwise={"points": 1}), score=score)
    )
    assert made.lists == ("choice",)
    assert len(made.inputs) == 2


def test_a_stored_ruleset_is_read_once_and_is_the_one_that_was_written() -> None:
    stored = analyse_canonical(RULESET.canonical)
    assert stored is analyse_canonical(RULESET.canonical)
    assert (stored, hash(stored)) == (EVERYWHERE, hash(EVERYWHERE))
    assert stored != analyse_canonical(ruleset(rule("own", case("present", 1), input={"field": "country"})).canonical)


def test_a_stored_policy_is_read_once_and_is_the_one_that_was_written() -> None:
    made = policy({"when": {"level": "in_force", "at_least": "high"}, "action": "block"})
    stored = analyse_canonical_policy(made.canonical)
    assert stored is analyse_canonical_policy(made.canonical)
    assert (stored, hash(stored)) == (AnalysedPolicy(made), hash(AnalysedPolicy(made)))
    assert (stored.policy, stored.signals) == (made, ())


def test_each_part_is_computed_once() -> None:
    """A second walk over a thousand rules, for every assessment, is what this saves."""
    for name in (
        "names",
        "inputs",
        "simple_inputs",
        "signals",
        "lists",
        "conditions",
        "wheres",
        "diagnostics",
        "errors",
    ):
        assert getattr(EVERYWHERE, name) is getattr(EVERYWHERE, name), name
        assert getattr(POLICY, name) is getattr(POLICY, name), name


def test_an_unusable_ruleset_names_everything_that_is_wrong() -> None:
    broken = AnalysedRuleset(ruleset(rule("a", case({"field": "incone", "above": 1}, 1)), applies_to="present"))
    with pytest.raises(InvalidRulesetError) as refused:
        broken.require_usable()
    assert [finding.where for finding in refused.value.findings] == ["rule a, case 1, when, field", "applies_to"]
    EVERYWHERE.require_usable()


def test_a_draft_compares_no_long_text_fuzzily_and_a_stored_version_goes_on() -> None:
    def fuzzy(letters: int) -> Data:
        return {"field": "currency", "fuzzy": {"to": "a" * letters, "scorer": "partial", "at_least": 90}}

    def analysed(letters: int) -> AnalysedRuleset:
        where = {"count": "transactions", "where": fuzzy(letters), "at_least": 1}
        own = {"any": [{"field": "kind", "equals": "person"}, {**fuzzy(letters), "field": "kind"}]}
        return AnalysedRuleset(ruleset(rule("counted", case(where, 1)), rule("own", case(own, 1))))

    assert analysed(500).draft_diagnostics == ()
    made = analysed(501)
    assert made.errors == ()
    assert [(fault.path[1:], fault.problem) for fault in made.draft_diagnostics] == [
        ((1, "cases", 0, "when", "any", 1, "fuzzy", "to"), LONG),
        ((0, "cases", 0, "when", "where", "fuzzy", "to"), LONG),
    ]


LONG = "has 501 letters; a text that is compared fuzzily has at most 500"
