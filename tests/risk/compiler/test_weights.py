"""Factors and columns that fit each other; every message with its line is in tests/risk/governance/defects.txt."""

from typing import Any

import pytest

from fivefold.risk.compiler.checks import weight_diagnostics
from tests.risk.compiler.rulesets_made import made

WEIGHTS: Any = {"a": {"one": 40, "two": 60}, "b": {"one": 100, "two": 0}}


def paths(one: Any = None, other: Any = None, weights: Any = None, use: str = "a") -> list[Any]:
    score = {"bands": [31, 61], "weights": weights or WEIGHTS, "weights_by": [{"use": use}]}
    factor = {"input": {"tag": "x"}, "otherwise": {"points": 1}}
    floor = {"id": "three", "input": {"tag": "x"}, "cases": [{"when": "present", "floor": 2}]}
    rules = [{**factor, "id": "one", **(one or {})}, {**factor, "id": "two"}, {**floor, **(other or {})}]
    return [fault.path for fault in weight_diagnostics(made(rules=rules, score={"weighted": score}))]


def test_what_fits_has_no_fault() -> None:
    assert paths() == []
    assert list(weight_diagnostics(made())) == []


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"weights": {**WEIGHTS, "b": {"one": 100}}}, ("score", "weighted", "weights", "b")),
        ({"weights": {"a": {"one": 40, "two": 50, "four": 10}}}, ("score", "weighted", "weights", "a", "four")),
        ({"use": "c"}, ("score", "weighted", "weights_by", 0, "use")),
        ({"one": {"otherwise": {}}}, ("rules", 0, "otherwise")),
        ({"one": {"otherwise": {"points": 100.01}}}, ("rules", 0, "otherwise", "points")),
        ({"one": {"on_unknown": {"points": 0.99}}}, ("rules", 0, "on_unknown", "points")),
        ({"one": {"on_unknown": {"floor": 2}}}, ("rules", 0, "on_unknown")),
        ({"one": {"cases": [{"when": "present"}]}}, ("rules", 0, "cases", 0)),
        ({"other": {"otherwise": {"points": 1}}}, ("rules", 2, "otherwise", "points")),
    ],
)
def test_a_fault_is_found_where_it_is(changed: Any, path: Any) -> None:
    assert paths(**changed) == [path]


def test_a_rule_without_a_weight_may_give_no_points_in_words() -> None:
    assert paths(other={"otherwise": {"points": 0}}) == []
