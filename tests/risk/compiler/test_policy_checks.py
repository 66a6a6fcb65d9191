"""What makes a policy unusable is found before anything is decided by it."""

from typing import Any

import pytest

from fivefold.risk.compiler.policy_checks import (
    actions_at,
    inputs_of_policy,
    inputs_of_policy_rule,
    policy_diagnostics,
    policy_errors,
)
from fivefold.risk.language.expressions import input_key
from tests.risk.engine.policies_small import policy

GOOD: dict[str, Any] = {
    "when": {"all": [{"level": "in_force", "at_least": "high"}, {"transaction": "amount", "above": 1000}]},
    "unless": {"tag": "known", "is": "present"},
    "action": "block",
    "on_unknown": "review",
}


def test_in_a_good_one_there_is_nothing_to_find() -> None:
    assert policy_errors(policy(GOOD, {**GOOD, "when": {"transaction": "operation", "equals": "cash"}})) == []


@pytest.mark.parametrize(
    ("changed", "path", "told"),
    [
        ({"action": "blokc"}, ("rules", 0, "action"), "there is no action blokc; there are allow, note, review, block"),
        ({"on_unknown": "no"}, ("rules", 0, "on_unknown"), "there is no action no"),
        ({"when": {"level": "in_force", "at_least": "huge"}}, ("rules", 0, "when", "at_least"), "no level huge"),
        ({"when": {"level": "rules", "at_least": 4}}, ("rules", 0, "when", "at_least"), "no level 4"),
        ({"when": {"level": "status", "equals": "ok"}}, ("rules", 0, "when", "equals"), "it can never be"),
        ({"when": {"level": "source", "equals": "ok"}}, ("rules", 0, "when", "equals"), "it can never be"),
        ({"when": {"level": "age_days", "above": "x"}}, ("rules", 0, "when", "above"), "compares a number with 'x'"),
        (
            {"when": {"level": "in_force", "contains": "x"}},
            ("rules", 0, "when", "contains"),
            "asked of a level",
        ),
        ({"when": {"transaction": "size", "above": 1}}, ("rules", 0, "when", "transaction"), "names the field size"),
        (
            {"unless": {"transaction": "size", "above": 1}},
            ("rules", 0, "unless", "transaction"),
            "names the field size",
        ),
        ({"when": {"transaction": "direction", "equals": "x"}}, ("rules", 0, "when", "equals"), "deposit, withdrawal"),
        ({"when": {"field": "age", "above": 1}}, ("rules", 0, "when", "field"), "which the entity does not have"),
        ({"when": {"at_least": 3}}, ("rules", 0, "when"), "compares nothing"),
        ({"when": "present"}, ("rules", 0, "when"), "compares nothing"),
        (
            {"when": {"sum": "amount", "where": {"field": "size", "above": 1}, "above": 1}},
            ("rules", 0, "when", "where", "field"),
            "which transactions do not have",
        ),
    ],
)
def test_what_is_wrong_is_found_at_its_place(changed: Any, path: Any, told: str) -> None:
    found = policy_diagnostics(policy({**GOOD, **changed}))
    assert (path, True) in [(fault.path, told in fault.problem) for fault in found], found


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"otherwise": "none"}, "otherwise: there is no action none"),
        ({"levels": ["low", "high", "low"]}, "there is a level low already"),
        ({"actions": ["allow", "review", "block", "allow"]}, "there is a action allow already"),
        ({"transaction_fields": {"amount": "number"}}, "amount has a meaning already"),
    ],
)
def test_what_is_wrong_with_the_whole_is_found(parts: Any, told: str) -> None:
    assert any(told in str(finding) for finding in policy_errors(policy(GOOD, **parts)))


def test_two_rules_do_not_share_a_name() -> None:
    assert "there is a rule r0 already" in str(policy_errors(policy(GOOD, {**GOOD, "id": "r0"}))[0])


def test_what_it_reads_and_comes_to_is_listed() -> None:
    made = policy(GOOD, {"when": {"level": "in_force", "equals": 1}, "action": "note"})
    keys = ['{"level":"in_force"}', '{"transaction":"amount"}', '{"tag":"known"}']
    assert [input_key(each) for each in inputs_of_policy(made)] == keys
    assert [input_key(each) for each in inputs_of_policy_rule(made.rules[1])] == keys[:1]
    assert [action for _, action in actions_at(made)] == ["block", "review", "note", "allow"]
