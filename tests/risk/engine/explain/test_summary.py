"""The line: the arithmetic, and what raised, withheld or overrode the level."""

from typing import Any

import polars as pl
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.explain.breakdown import explain, explain_all
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
    found = explain(assess(AnalysedRuleset(cooled), portfolio([{"n0": 1}]), DAY, held(3, 10)), 0)
    assert found.line == "Score 1: N0 1; Low; held at High until 2024-07-21 by the cooldown"
    assert (found.level, found.withheld, found.score_level) == ("high", "low", "low")
    found = explain(assess(AnalysedRuleset(cooled), portfolio([{"n0": 61}]), DAY, None, overridden(1)), 0)
    assert found.line == "Score 61: N0 61; High; Low by an override, the rules say High"
    found = explain(assess(AnalysedRuleset(cooled), portfolio([{"n0": 61, **YES}]), DAY, None, overridden(1)), 0)
    assert found.line.endswith("; Medium by an override, which a floor raised, the rules say High")


def test_line_where_the_ruleset_does_not_apply() -> None:
    made = ruleset(exactly(0), applies_to={"field": "kind", "equals": "person"})
    found = explain(
        assess(AnalysedRuleset(made), portfolio([{"n0": 61, "kind": "company"}]), DAY, held(3, 10), overridden(2)), 0
    )
    wanted = "so it gives no level; Medium by an override, the rules say nothing"
    assert found.line == f"The ruleset does not apply, {wanted}"
    assert (found.score_level, found.floor, found.rules_level) == ("", "", "")


def test_line_where_it_is_unknown_whether_the_ruleset_applies() -> None:
    made = ruleset(exactly(0), flagged("floored", 0, "high"), applies_to={"field": "kind", "equals": "person"})
    begin = "Score 1: N0 1; it is unknown whether the ruleset applies: "
    people = portfolio([{"n0": 1}])
    held_high = explain(assess(AnalysedRuleset(made), people, DAY, held(3, 10)), 0)
    assert held_high.line == f"{begin}nothing lowers the level, so High stays"
    found = explain(assess(AnalysedRuleset(made), people, DAY, held(3, 10), overridden(2)), 0)
    assert found.line == f"{begin}nothing lowers what the rules say; Medium by an override, the rules say High"
    assert (found.score_level, found.status) == ("", "undetermined")
    assert found.failures == ("whom the ruleset applies to: kind is unknown",)
    assert explain(assess(AnalysedRuleset(made), people, DAY), 0).line == f"{begin}there is no level yet"
    floored = explain(assess(AnalysedRuleset(made), portfolio([{"n0": 1, **YES}]), DAY), 0)
    assert floored.line == f"{begin}High by the floor of Floored"


def test_failures_name_what_is_unknown_of_the_predicate_alone() -> None:
    both = {"any": [{"field": "kind", "equals": "person"}, {"field": "flag", "equals": True}]}
    found = assessed(ruleset(exactly(0), applies_to=both), {"flag": False}, {"kind": "company"}, {})
    unknown = ["kind is unknown", "flag is unknown", "kind is unknown, flag is unknown"]
    assert [one.failures for one in explain_all(found)] == [(f"whom the ruleset applies to: {one}",) for one in unknown]


NO_TIER = {"tiers": [{"title": "Low", "max": 9, "level": "low"}]}


@pytest.mark.parametrize(
    ("row", "previous", "line"),
    [
        ({"n0": 20}, None, "Score 20: N0 20; unclassified, as no tier owns this score: there is no level yet"),
        (
            {"n0": 20},
            2,
            "Score 20: N0 20; unclassified, as no tier owns this score: nothing lowers the level, so Medium stays",
        ),
        (
            {"n0": 20, **YES},
            None,
            "Score 25: N0 20 + Raised 5; unclassified, as no tier owns this score: High by the floor of Raised",
        ),
        ({"n0": "x", **YES}, None, "Score 5: Raised 5; failed in N0: High by the floor of Raised"),
    ],
)
def test_line_where_the_rules_gave_no_level(row: Data, previous: Any, line: str) -> None:
    made = ruleset(exactly(0), flagged("raised", 5, "high"), score=NO_TIER)
    assert explain(assessed(made, row, previous=previous), 0).line == line
