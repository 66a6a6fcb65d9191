"""Lint of policies: what never decides is told, and what is told never decides."""

import json
from itertools import product
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given

from fivefold.domain.errors import Finding
from fivefold.risk.compiler.analysis import AnalysedPolicy
from fivefold.risk.governance.lint import policy as lint_of_policies
from fivefold.risk.governance.lint.policy import lint_policy
from fivefold.risk.governance.lint.reachability import try_conditions
from fivefold.risk.governance.lint.ruleset import Lists
from fivefold.risk.language.documents import Document
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.reading import read_document
from tests.golden import compare
from tests.risk.engine.policies_small import ACTIONS, LEVELS, decision_of, drawn_rules, outcome_of
from tests.risk.governance.linted import LISTS
from tests.risk.language.test_policy import WRITTEN

ALL_ROWS = list(
    product(
        [1, 2, 3, None],
        [1.0, 1.5, 2.5, 3.0, 4.0, 5.0, None],
        [0, 1, 99_999, 100_000, 100_001, 100_002, None],
        ["deposit", "withdrawal", None],
        [True, False],
    )
)
"""Values on both sides of everything that drawn rules ask, and unknown ones."""


def text(rules: list[Any], wins: str = "first", **parts: Any) -> str:
    named = [{"id": f"r{at}", "title": f"R{at}", "rationale": "So.", **rule} for at, rule in enumerate(rules)]
    whole = {
        "policy": "small",
        "entity_type": "customer",
        "levels": LEVELS,
        "actions": ACTIONS,
        "wins": wins,
        "rationale": "Because.",
        "rules": named,
        "otherwise": "allow",
        **parts,
    }
    return json.dumps(whole)


def linted(written: str, lists: Lists | None = None) -> list[Finding]:
    document = Document(written, "the policy")
    return lint_policy(AnalysedPolicy(read_document(Policy, document, "the policy")), lists, document)


def told(rules: list[Any], wins: str = "first", **parts: Any) -> list[str]:
    found = linted(text(rules, wins, **parts), LISTS)
    return [
        f"{one.where}: {one.problem}"
        for one in found
        if "is never given" not in one.problem or "action " not in one.where
    ]


@pytest.mark.parametrize("wins", ["first", "most severe"])
@given(rules=drawn_rules)
def test_a_rule_is_told_never_to_decide_only_where_no_values_let_it(wins: str, rules: list[Any]) -> None:
    """And each rule that is read by itself alone is told where none does."""
    found = told(rules, wins)
    deciding = {(decision_of(rules, wins, row)[1]) for row in ALL_ROWS}
    giving = {at for row in ALL_ROWS for at, rule in enumerate(rules) if outcome_of(rule, row)[0] == "held"}
    for line in found:
        at = int(line.split(":")[0].split(",")[0].removeprefix("rule r")) if line.startswith("rule r") else None
        if "never gives its action" in line:
            assert at not in giving, line
        if "never decides" in line and "on_unknown" not in line and "on_unknown" not in rules[at or 0]:
            assert at not in deciding, line
        if line.startswith("otherwise"):
            assert None not in deciding


@given(rules=drawn_rules)
def test_a_rule_that_never_gives_its_action_is_told(rules: list[Any]) -> None:
    giving = {at for row in ALL_ROWS for at, rule in enumerate(rules) if outcome_of(rule, row)[0] == "held"}
    found = "\n".join(told(rules))
    for at in set(range(len(rules))) - giving:
        assert f"rule r{at}: never gives its action" in found


HIGH, MEDIUM = {"level": "in_force", "at_least": "high"}, {"level": "in_force", "at_least": "medium"}


def test_what_never_decides_is_told() -> None:
    def told_of(row: list[Any]) -> str:
        return " | ".join(told([{"when": when, "action": action} for when, action in row[1]], row[0])) or "nothing"

    compare("policy_lint", told_of)


def test_what_has_no_effect_is_told() -> None:
    rule = {"when": HIGH, "action": "block", "unless": {"level": "in_force", "below": 2}}
    assert told([rule]) == ["rule r0, unless: has no effect: it never holds where the rule gives an action"]
    rule = {"when": {"tag": "x", "is": "present"}, "action": "block", "on_unknown": "review"}
    assert told([rule]) == ["rule r0, on_unknown: is never given"]


def test_an_action_that_nothing_gives_is_told() -> None:
    found = linted(text([{"when": HIGH, "action": "block"}]), {})
    assert [str(one) for one in found] == [
        "line 1: action 2: note is never given",
        "line 1: action 3: review is never given",
    ]


def test_missing_reasons_are_told_with_their_lines() -> None:
    found = linted(WRITTEN.replace("rationale: Cash by risk.\n", "").replace("    rationale: They launder it.\n", ""))
    assert [str(one) for one in found] == [
        "line 1: policy: has no written rationale",
        "line 8: rule cash: has no written rationale",
    ]
    assert linted(WRITTEN) == []


def test_lists_are_looked_up() -> None:
    rule = {"when": {"transaction": "currency", "in_list": "grey"}, "action": "block"}
    assert told([rule]) == []
    gone = {**rule, "when": {"count": "transactions", "where": {"field": "currency", "in_list": "gone"}, "above": 1}}
    assert told([gone]) == ["rule r0, when, where, in_list: names the list gone, which is missing; there are grey"]
    found = linted(text([rule]))
    assert [(one.fatal, "no lists were given" in one.problem) for one in found][:1] == [(False, True)]


def test_what_cannot_be_used_is_fatal_and_not_searched_further() -> None:
    found = linted(text([{"when": {"level": "in_force", "at_least": "huge"}, "action": "blokc"}]), {})
    assert [one.problem[:17] for one in found if one.fatal] == ["there is no action"[:17], "there is no level"[:17]]


def test_rules_are_tried_together_and_not_each_with_all_before_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = Mock(side_effect=try_conditions)
    monkeypatch.setattr(lint_of_policies, "try_conditions", tried)
    rules = [{"when": {"transaction": "amount", "above": 90 - each}, "action": "block"} for each in range(40)]
    assert not [line for line in told(rules) if "never decides" in line]
    assert tried.call_count == 2  # once for the order, once for otherwise
