"""Structure that no form can tell by itself; every message with its line is in tests/risk/governance/defects.txt."""

from typing import Any

import pytest

from fivefold.risk.compiler.checks import outcomes_with_paths, structure_diagnostics
from fivefold.risk.compiler.value_types import vocabulary
from tests.risk.compiler.rulesets_made import made


def paths(ruleset: Any) -> list[Any]:
    return [fault.path for fault in structure_diagnostics(ruleset, vocabulary(ruleset))]


def test_what_is_right_has_no_fault() -> None:
    assert paths(made()) == []


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"levels": ["a", "b", "a"]}, ("levels", 2)),
        ({"fields": {"cases": "date"}}, ("fields", "cases")),
        ({"transaction_fields": {"state": "text"}}, ("transaction_fields", "state")),
        ({"case_fields": {"outcome": "text"}}, ("case_fields", "outcome")),
        ({"score": {"points": {"thresholds": [1, 2, 3]}}}, ("score", "points", "thresholds")),
        ({"score": {"points": {"thresholds": [2, 2]}}}, ("score", "points", "thresholds", 1)),
        ({"score": {"tiers": [{"title": "T", "level": "x"}]}}, ("score", "tiers", 0, "level")),
        ({"score": {"tiers": [{"title": "T", "level": 1, "min": 2, "max": 1}]}}, ("score", "tiers", 0)),
        (
            {"score": {"weighted": {"bands": [2, 1], "weights": {"a": {"one": 100}}, "weights_by": [{"use": "a"}]}}},
            ("score", "weighted", "bands", 1),
        ),
        ({"rule": {"otherwise": {"floor": 4}}}, ("rules", 0, "otherwise", "floor")),
        ({"rule": {"on_unknown": {"floor": "x"}}}, ("rules", 0, "on_unknown", "floor")),
        ({"rules": [{"id": "a", "input": {"tag": "x"}}] * 2}, ("rules", 1)),
    ],
)
def test_a_fault_is_found_where_it_is(more: Any, path: Any) -> None:
    assert paths(made(**more)) == [path]


@pytest.mark.parametrize(
    ("own", "signal", "has_one"),
    [
        ({"tag": "x"}, None, False),
        ({"tag": "x"}, {"count": "cases"}, True),
        ({"count": "cases"}, None, True),
        ({"sum": "amount"}, None, True),
        ({"days_since": "born"}, None, False),
        ({"days_since": "transactions"}, None, True),
        ({"field": "born"}, None, True),
        ({"field": "name"}, None, False),
        ({"pattern": "velocity", "over": "1 day"}, None, True),
        ({"ratio": [{"count": "cases"}, {"count": "alerts"}]}, None, False),
        ({"indicator": "account_age"}, None, False),
    ],
)
def test_decay_needs_a_moment_to_count_from(own: Any, signal: Any, has_one: bool) -> None:
    decay = {"half_life": "1 day"} if signal is None else {"half_life": "1 day", "signal": signal}
    ruleset = made({"input": own, "decay": decay}, fields={"born": "date", "name": "text"})
    assert paths(ruleset) == ([] if has_one else [("rules", 0, "decay")])


def test_a_rule_comes_to_its_cases_and_what_else_is_written() -> None:
    ruleset = made({"on_unknown": {"points": 1}})
    assert [path for path, _ in outcomes_with_paths(ruleset.rules[0])] == [
        ("cases", 0),
        ("otherwise",),
        ("on_unknown",),
    ]
    assert [path for path, _ in outcomes_with_paths(made().rules[0])] == [("cases", 0), ("otherwise",)]
