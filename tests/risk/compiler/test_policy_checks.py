"""What makes a policy unusable is found before anything is decided by it."""

from typing import Any

from fivefold.risk.compiler.policy_checks import (
    actions_at,
    inputs_of_policy,
    inputs_of_policy_rule,
    policy_diagnostics,
    policy_errors,
)
from fivefold.risk.language.expressions import input_key
from tests.golden import compare
from tests.risk.engine.policies_small import policy

GOOD: dict[str, Any] = {
    "when": {"all": [{"level": "in_force", "at_least": "high"}, {"transaction": "amount", "above": 1000}]},
    "unless": {"tag": "known", "is": "present"},
    "action": "block",
    "on_unknown": "review",
}


def test_in_a_good_one_there_is_nothing_to_find() -> None:
    assert policy_errors(policy(GOOD, {**GOOD, "when": {"transaction": "operation", "equals": "cash"}})) == []


def test_what_is_wrong_is_found_at_its_place() -> None:
    def errors(row: list[Any]) -> str:
        found = policy_diagnostics(policy({**GOOD, **row[0]}, **row[1]))
        return " | ".join(f"{'.'.join(map(str, fault.path))}: {fault.problem}" for fault in found)

    compare("policy_errors", errors)


def test_two_rules_do_not_share_a_name() -> None:
    assert "there is a rule r0 already" in str(policy_errors(policy(GOOD, {**GOOD, "id": "r0"}))[0])


def test_what_it_reads_and_comes_to_is_listed() -> None:
    made = policy(GOOD, {"when": {"level": "in_force", "equals": 1}, "action": "note"})
    keys = ['{"level":"in_force"}', '{"transaction":"amount"}', '{"tag":"known"}']
    assert [input_key(each) for each in inputs_of_policy(made)] == keys
    assert [input_key(each) for each in inputs_of_policy_rule(made.rules[1])] == keys[:1]
    assert [action for _, action in actions_at(made)] == ["block", "review", "note", "allow"]
