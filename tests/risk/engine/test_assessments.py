"""Assessments as a table, with levels moved on from what was held before."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Status
from fivefold.risk.engine.outcomes import assess_inputs
from tests.risk.engine.small import DAY, assessed, case, exactly, portfolio, rule, ruleset

Data = dict[str, Any]
SOFT = rule("soft", case({"field": "flag", "equals": True}, 0, "high"), overridable=True)
FLOORED = rule("floored", case({"field": "flag", "equals": True}, 0, "high"))


def before(level: int, days: float) -> pl.DataFrame:
    return pl.DataFrame({"entity_id": ["e0"], "level": [level], "entered": [DAY - int(days * DAY_US)]})


def overriding(level: int, until: int | None = None) -> pl.DataFrame:
    return pl.DataFrame({"entity_id": ["e0"], "level": [level], "until": [until]}, schema_overrides={"until": pl.Int64})


def one(made: Any, row: Data, previous: Any = None, overrides: Any = None) -> Data:
    found: Data = assess(AnalysedRuleset(made), portfolio([row]), DAY, previous, overrides).table().row(0, named=True)
    return found


@pytest.mark.parametrize(
    ("points", "flag", "level"),
    [(30, False, "low"), (31, False, "medium"), (0, True, "high"), (31, True, "high"), (61, True, "high")],
)
def test_level_is_the_higher_of_floor_and_total(points: float, flag: bool, level: str) -> None:
    row = one(ruleset(exactly(0), FLOORED), {"n0": points, "flag": flag})
    assert row["level"] == level
    assert row["floor"] == ("high" if flag else None)
    assert row["floor_by"] == ("floored" if flag else None)


def test_floor_is_by_the_first_rule_that_has_the_highest() -> None:
    lower = rule("lower", case({"field": "flag", "equals": True}, 0, "medium"))
    assert one(ruleset(lower, SOFT, FLOORED), {"flag": True})["floor_by"] == "soft"


def test_cooldown_withholds_a_lower_level_until_it_has_passed() -> None:
    made = ruleset(exactly(0), cooldown="30 days")
    row = one(made, {"n0": 0}, before(3, 29.5))
    assert (row["level"], row["withheld_level"]) == ("high", "low")
    assert row["entered"] == datetime(2024, 6, 1, 12, tzinfo=UTC)
    assert row["may_move_down_on"] == datetime(2024, 7, 1, 12, tzinfo=UTC)
    row = one(made, {"n0": 0}, before(3, 30))
    assert (row["level"], row["withheld_level"], row["may_move_down_on"]) == ("low", None, None)
    assert row["entered"] == datetime(2024, 7, 1, tzinfo=UTC)


def test_override_wins_but_not_below_a_hard_floor() -> None:
    assert one(ruleset(SOFT), {"flag": True}, None, overriding(1))["level"] == "low"
    row = one(ruleset(FLOORED), {"flag": True}, None, overriding(1))
    assert (row["level"], row["overridden"], row["override_raised_by_floor"]) == ("high", True, True)
    row = one(ruleset(exactly(0)), {"n0": 61}, None, overriding(1, DAY))
    assert (row["level"], row["overridden"]) == ("high", False)
    row = one(ruleset(exactly(0)), {"n0": 61}, None, overriding(1, DAY + 1))
    assert (row["level"], row["rules_level"], row["overridden"]) == ("low", "high", True)


def test_who_is_not_meant_has_no_level_and_no_floor() -> None:
    made = ruleset(exactly(0), FLOORED, applies_to={"field": "kind", "equals": "person"})
    row = one(made, {"kind": "company", "flag": True, "n0": 61}, before(2, 1))
    assert row["status"] == Status.NOT_APPLICABLE
    for column in ("level", "rules_level", "score", "score_level", "floor_by", "entered"):
        assert row[column] is None


def test_levels_of_others_are_nobodys_business() -> None:
    row = one(ruleset(exactly(0)), {"n0": 0}, before(3, 1).with_columns(entity_id=pl.lit("stranger")))
    assert row["level"] == "low"


def test_position_of_an_entity() -> None:
    found = assessed(ruleset(exactly(0)), {"n0": 1}, {"n0": 2})
    assert [found.position(name) for name in ("e0", "e1", "e2")] == [0, 1, None]
    assert assessed(ruleset(exactly(0))).position("e0") is None
    assert len(found) == 2


def test_inputs_can_be_assessed_again_under_another_standing() -> None:
    found = assessed(ruleset(exactly(0), cooldown="30 days"), {"n0": 0})
    again = assess_inputs(found.program, found.inputs, before(3, 1))
    assert again["level"].to_list() == [3]
    assert again.drop("list_versions", strict=False).columns == [
        name for name in found.outcomes.columns if name != "list_versions"
    ]
