"""What makes a policy unusable is found before anything is decided by it."""

from typing import Any

from fivefold.risk.compiler.analysis import AnalysedPolicy
from fivefold.risk.compiler.checks import actions_at
from fivefold.risk.compiler.value_types import inputs_of_policy_rule
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
    good = AnalysedPolicy(policy(GOOD, {**GOOD, "when": {"transaction": "operation", "equals": "cash"}}))
    assert good.errors == ()
    good.require_usable()


def test_what_is_wrong_is_found_at_its_place() -> None:
    def errors(row: list[Any]) -> str:
        found = AnalysedPolicy(policy({**GOOD, **row[0]}, **row[1])).diagnostics
        return " | ".join(f"{'.'.join(map(str, fault.path))}: {fault.problem}" for fault in found)

    compare("policy_errors", errors)


def test_two_rules_do_not_share_a_name() -> None:
    assert "there is a rule r0 already" in str(AnalysedPolicy(policy(GOOD, {**GOOD, "id": "r0"})).errors[0])


def test_what_it_reads_and_comes_to_is_listed() -> None:
    made = policy(GOOD, {"when": {"level": "in_force", "equals": 1}, "action": "note"})
    keys = ['{"level":"in_force"}', '{"transaction":"amount"}', '{"tag":"known"}']
    assert [input_key(each) for each in AnalysedPolicy(made).inputs] == keys
    assert [input_key(each) for each in inputs_of_policy_rule(made.rules[1])] == keys[:1]
    assert [action for _, action in actions_at(made)] == ["block", "review", "note", "allow"]
