"""The breakdown: the arithmetic in one line, parts that add up, and a form for JSON."""

import json
from decimal import Decimal
from math import isclose
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.clock import DAY_US
from risk.engine.assess import assess
from risk.engine.breakdown import as_json, explain
from tests.risk.engine.small import DAY, Data, assessed, case, exactly, portfolio, rule, ruleset


def flagged(name: str, points: float, floor: str | None = None) -> Data:
    return rule(name, case({"field": "flag", "equals": True}, points, floor))


YES: Data = {"flag": True}


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        (
            [flagged("geography", 20), flagged("product", 15), flagged("behaviour", 20, "high")],
            "Score 55: Geography 20 + Product 15 + Behaviour 20; Medium, raised to High by the floor of Behaviour",
        ),
        ([flagged("a", -5), flagged("b", 2.5), flagged("c", -0.25)], "Score −2.75: A −5 + B 2.5 − C 0.25; Low"),
        ([flagged("a", 0), flagged("b", 61, "medium")], "Score 61: B 61; High"),
        ([flagged("a", 0, "medium")], "Score 0: no rule gave points; Low, raised to Medium by the floor of A"),
        ([flagged("a", 31, "medium")], "Score 31: A 31; Medium"),
    ],
)
def test_arithmetic_in_one_line(rules: list[Data], line: str) -> None:
    assert explain(assessed(ruleset(*rules), YES), 0).line == line


def held(level: int, days: int) -> pl.DataFrame:
    return pl.DataFrame({"entity_id": ["e0"], "level": [level], "entered": [DAY - days * DAY_US]})


def overridden(level: int) -> pl.DataFrame:
    return pl.DataFrame({"entity_id": ["e0"], "level": [level], "until": [None]}, schema_overrides={"until": pl.Int64})


def test_line_tells_what_withholds_and_what_overrides() -> None:
    cooled = ruleset(exactly(0), flagged("floored", 0, "medium"), cooldown="30 days")
    found = explain(assess(cooled, portfolio([{"n0": 1}]), DAY, held(3, 10)), 0)
    assert found.line == "Score 1: N0 1; Low; held at High until 2024-07-21 by the cooldown"
    assert (found.level, found.withheld, found.score_level) == ("high", "low", "low")
    found = explain(assess(cooled, portfolio([{"n0": 61}]), DAY, None, overridden(1)), 0)
    assert found.line == "Score 61: N0 61; High; Low by an override, the rules say High"
    found = explain(assess(cooled, portfolio([{"n0": 61, **YES}]), DAY, None, overridden(1)), 0)
    assert found.line.endswith("; Medium by an override, which a floor raised, the rules say High")


def test_line_where_the_ruleset_does_not_apply() -> None:
    made = ruleset(exactly(0), applies_to={"field": "kind", "equals": "person"})
    found = explain(assess(made, portfolio([{"n0": 61}]), DAY, held(3, 10), overridden(2)), 0)
    wanted = "so it gives no level; Medium by an override, the rules say nothing"
    assert found.line == f"It is unknown whether the ruleset applies (kind is unknown), {wanted}"
    known = explain(assess(made, portfolio([{"n0": 61, "kind": "company"}]), DAY, held(3, 10), overridden(2)), 0)
    assert known.line == f"The ruleset does not apply, {wanted}"
    assert (found.score_level, found.floor, found.rules_level) == ("", "", "")


points = st.sampled_from([-50, -1, 0, 1, 20, 30, 30.99, 31, 60.99, 61, 1000, None, "bad"])


@settings(max_examples=40)
@given(st.lists(points, min_size=4, max_size=4))
def test_parts_add_up_to_the_total_that_is_shown(values: list[Any]) -> None:
    made = ruleset(*(exactly(number) for number in range(4)))
    found = explain(assessed(made, {f"n{number}": value for number, value in enumerate(values)}), 0)
    assert found.total == sum(outcome.points for outcome in found.rules) == Decimal(found.score)
    assert isclose(found.breakdown.total, float(found.total), abs_tol=1e-9)
    assert [part.name for part in found.breakdown.contributions] == ["n0", "n1", "n2", "n3"]


def test_breakdown_has_the_words_of_every_rule() -> None:
    part = explain(assessed(ruleset(flagged("geography", 20)), YES), 0).breakdown.contributions[0]
    assert (part.name, part.family, part.label) == ("geography", "other", "Geography")
    assert part.sentence == "Geography: flag is true. Case 1, flag is true: +20 points"
    assert (part.seen, part.value) == ("flag is true", "flag is true")


def test_form_for_json() -> None:
    made = ruleset(flagged("geography", 20.5, "medium"), exactly(0), cooldown="30 days")
    found = explain(assessed(made, {**YES, "n0": "x"}, previous=1), 0)
    data = json.loads(json.dumps(as_json(found)))
    assert data["as_of"] == "2024-07-01T00:00:00+00:00"
    assert data["may_move_down_on"] == "2024-07-31T00:00:00+00:00"
    assert (data["total"], data["score"], data["level"], data["status"]) == ("20.5", "20.5", "medium", "failed")
    assert data["failures"] == ["N0: n0 is 'x', which is no finite number"]
    assert data["content_hash"] == made.content_hash
    assert data["rules"][0]["points"] == "20.5"
    assert data["rules"][0]["sentence"] == found.rules[0].sentence
    assert (data["rules"][0]["factor"], data["rules"][1]["case"]) == (None, "failed")
    assert as_json(explain(assessed(ruleset(exactly(0)), {"n0": 1}), 0))["may_move_down_on"] is None
