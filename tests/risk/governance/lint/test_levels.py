"""Totals that rules can come to, and the tiers that own them."""

from decimal import Decimal
from itertools import pairwise, product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.governance.lint.levels import level_diagnostics, possible_totals
from fivefold.risk.language.quantities import POINT_UNITS
from fivefold.risk.language.ruleset import Ruleset

points = st.one_of(st.none(), st.decimals(-5, 5, places=2), st.sampled_from([Decimal(0), Decimal(3)]))


def ruleset(score: Any, rules: list[dict[str, Any]]) -> Ruleset:
    forms = [
        {"id": f"r{number}", "title": "R", "category": "other", "input": {"tag": "x"}, **made}
        for number, made in enumerate(rules)
    ]
    head = {"ruleset": "made", "entity_type": "customer", "levels": ["low", "medium", "high"]}
    return Ruleset.model_validate({**head, "score": score, "max_recompute_interval": "1 day", "rules": forms})


def outcome(given_points: Decimal | None) -> dict[str, Any]:
    return {} if given_points is None else {"points": given_points}


chosen_points = st.tuples(st.lists(points, min_size=1, max_size=2), points, st.lists(points, max_size=1))


@given(st.lists(chosen_points, min_size=1, max_size=3))
def test_totals_run_from_the_least_to_the_greatest_sum(made: list[tuple[list[Any], Any, list[Any]]]) -> None:
    rules: list[dict[str, Any]] = []
    for cases, otherwise, unknown in made:
        forms = [{"when": "present", **outcome(case)} for case in cases]
        rest = {"on_unknown": outcome(unknown[0])} if unknown else {}
        rules.append({"cases": forms, "otherwise": outcome(otherwise), **rest})
    ways = product(*([*cases, otherwise, *unknown] for cases, otherwise, unknown in made))
    sums = [sum((way or Decimal(0) for way in chosen), Decimal(0)) * POINT_UNITS for chosen in ways]
    assert possible_totals(ruleset({"points": {"thresholds": [1, 2]}}, rules)) == (min(sums), max(sums))


def test_a_decaying_rule_comes_down_to_nothing() -> None:
    rule = {"cases": [{"when": "present", "points": 8}], "otherwise": {"points": 3}, "decay": {"half_life": "1 day"}}
    assert possible_totals(ruleset({"points": {"thresholds": [1, 2]}}, [rule])) == (0, 800)


def test_weighted_totals_are_those_of_any_column() -> None:
    rules = [
        {"cases": [{"when": "present", "points": 100}], "otherwise": {"points": 1}},
        {"cases": [{"when": "present", "points": 50}], "otherwise": {"points": 2}},
    ]
    columns = {"a": {"r0": 40, "r1": 60}, "b": {"r0": Decimal("33.33"), "r1": Decimal("66.67")}}
    score = {"weighted": {"bands": [31, 61], "weights": columns, "weights_by": [{"use": "a"}]}}
    # a: 1.6 to 70; b: 1.6667 to 66.665
    assert possible_totals(ruleset(score, rules)) == (160, 7000)


end = st.one_of(st.none(), st.integers(-6, 6))


def is_span(ends: tuple[int | None, int | None]) -> bool:
    return ends[0] is None or ends[1] is None or ends[0] <= ends[1]


spans = st.lists(st.tuples(end, end).filter(is_span), min_size=1, max_size=4)


@given(spans)
def test_tiers_are_judged_as_a_list_of_totals_would_be(made: list[tuple[int | None, int | None]]) -> None:
    """Gaps, open ends, overlaps and tiers without a total, counted total by total."""
    tiers = []
    for number, (low, high) in enumerate(made):
        ends = {word: end for word, end in (("min", low), ("max", high)) if end is not None}
        tiers.append({"title": f"T{number}", "level": 1, **ends})
    rules = [{"cases": [{"when": "present", "points": 1, "floor": 3}, {"when": "present", "floor": 2}]}]
    found = list(level_diagnostics(ruleset({"tiers": tiers}, rules)))
    totals = range(-700, 701)

    def owners(total: int) -> list[int]:
        return [
            number
            for number, (low, high) in enumerate(made)
            if (low is None or total >= low * 100) and (high is None or total <= high * 100)
        ]

    owned = [owners(total) for total in totals]
    inside = [bool(owner) for owner in owned]
    first, last = inside.index(True), len(inside) - 1 - inside[::-1].index(True)
    never = {number for number in range(len(made)) if not any(owner[:1] == [number] for owner in owned)}
    overlaps = {owner[at] for owner in owned for at in range(1, len(owner))} - never
    gaps = sum(before and not after for before, after in pairwise(inside[first : last + 1]))
    assert told(found, "leaves a gap") == gaps
    assert told(found, "owns a total below") == (not inside[0])
    assert told(found, "owns a total above") == (not inside[-1])
    assert {fault.path[2] for fault in found if "is never reached" in fault.problem} == never
    assert {fault.path[2] for fault in found if "overlaps" in fault.problem} == overlaps


def told(found: list[Diagnostic], words: str) -> int:
    return sum(words in fault.problem for fault in found)
