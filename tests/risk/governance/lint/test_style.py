"""What a ruleset should have; every defect with its line is in test_lint.py."""

from typing import Any

import pytest

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.governance.lint.style import style_diagnostics
from fivefold.risk.language.reading import read_ruleset
from tests.risk.governance.linted import changed, clean


def problems(text: str) -> list[tuple[Any, str]]:
    return [
        (fault.path, fault.problem)
        for fault in style_diagnostics(AnalysedRuleset(read_ruleset(text)))
        if fault.severity < 2
    ]


@pytest.mark.parametrize("name", ["clean-points", "clean-tiers", "clean-weighted"])
def test_a_clean_ruleset_has_all(name: str) -> None:
    assert problems(clean(name)) == []


@pytest.mark.parametrize(
    ("half_life", "over", "is_short"),
    [
        ("90 days", "180 days", False),
        ("90 days", "179 days", True),
        ("36 hours", "3 days", False),
        ("90 days", "6 months", False),
    ],
)
def test_a_decaying_rule_looks_back_two_half_lives(half_life: str, over: str, is_short: bool) -> None:
    text = changed("clean-points", "at_least: 3, over: 180 days", f"at_least: 3, over: {over}")
    found = problems(text.replace("half_life: 90 days", f"half_life: {half_life}"))
    assert [path for path, _ in found] == ([("rules", 2, "input", "over")] if is_short else [])


def test_a_window_without_an_end_is_long_enough() -> None:
    text = changed("clean-points", "input: {screening: pep}", "input: {count: cases}\n    decay: {half_life: 900 days}")
    assert problems(text) == []


def test_decay_without_points_has_no_effect() -> None:
    text = changed("clean-points", "points: 30}\n", "floor: high}\n").replace("points: 25, floor", "floor")
    assert problems(text) == [(("rules", 2, "decay"), "has no effect: no case gives points")]


def test_a_floor_of_otherwise_is_for_the_unknown_too() -> None:
    before = "otherwise: {points: 5}\n    on_unknown: {points: 15}"
    ((path, problem),) = problems(changed("clean-points", before, "otherwise: {floor: high}"))
    assert path == ("rules", 0, "otherwise", "floor")
    assert problem == "raises everyone for whom no case holds, or it is unknown"
