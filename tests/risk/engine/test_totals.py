"""From the outcome of each rule, points and slot in one whole number, to a total and a level."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.explain.breakdown import explain
from fivefold.risk.engine.program import program_for
from fivefold.risk.engine.totals import SLOTS, Total, code, points_column, points_of, rule_column, slot_column, slot_of
from fivefold.risk.language.quantities import MOST_POINTS, POINT_UNITS
from fivefold.risk.language.ruleset import Ruleset
from tests.depth import examples
from tests.risk.engine.small import assessed, case, exactly, rule, ruleset

Data = dict[str, Any]
INCOME: Data = {"field": "income", "is": "present"}


def level_of(total: Total, units: int) -> int | None:
    frame = pl.DataFrame({"total": [units]}, schema={"total": pl.Int64})
    found: int | None = frame.with_columns(level=total.level(pl.col("total")))["level"].item()
    return found


def tiers(*ranges: tuple[Any, Any, str]) -> Data:
    made = []
    for number, (low, high, level) in enumerate(ranges):
        ends = {word: end for word, end in (("min", low), ("max", high)) if end is not None}
        made.append({"title": f"Tier {number}", **ends, "level": level})
    return {"tiers": made}


@pytest.mark.parametrize(
    ("points", "level"),
    [(-50, "low"), (0, "low"), (30.99, "low"), (31, "medium"), (60.99, "medium"), (61, "high"), (1000, "high")],
)
def test_total_equal_to_a_threshold_is_in_the_upper_level(points: float, level: str) -> None:
    found = assessed(ruleset(exactly(0)), {"n0": points})
    assert found.table()["level"].item() == level


def test_totals_add_up_over_rules() -> None:
    found = assessed(ruleset(exactly(0), exactly(1), exactly(2)), {"n0": 30.99, "n1": -1, "n2": 1})
    assert explain(found, 0).total == Decimal("30.99")
    assert explain(found, 0).level == "low"


def test_floats_put_no_total_a_band_too_low() -> None:
    parts = [rule(f"r{number}", case(INCOME, points)) for number, points in enumerate((10.1, 20.7, 0.2))]
    assert 10.1 + 20.7 + 0.2 < 31
    assert assessed(ruleset(*parts), {"income": 1}).table()["level"].item() == "medium"


def weighted(parts: dict[str, Any], columns: Data | None = None, choices: list[Data] | None = None) -> Ruleset:
    """Write a weighted ruleset of constant factors: of each its score, and in the only column its weight."""
    factors = [rule(name, case(INCOME, score), otherwise={"points": score}) for name, (score, _) in parts.items()]
    own = {"all": {name: weight for name, (_, weight) in parts.items()}}
    score = {"weighted": {"bands": [31, 61], "weights": columns or own, "weights_by": choices or [{"use": "all"}]}}
    return ruleset(*factors, score=score)


@pytest.mark.parametrize(
    ("parts", "score", "level"),
    [
        ({"a": (30.99, 100)}, "30.99", "low"),
        ({"a": (31, 100)}, "31", "medium"),
        ({"a": (30.99, 50), "b": (31, 50)}, "30.99", "low"),  # 30.995
        ({"a": (31, 99.99), "b": (30, 0.01)}, "30.99", "low"),  # 30.9999: rounded it would be 31
        ({"a": (61, 99.99), "b": (60, 0.01)}, "60.99", "medium"),
        ({"a": (61, 60), "b": (61, 40)}, "61", "high"),
    ],
)
def test_weighted_total(parts: dict[str, Any], score: str, level: str) -> None:
    explained = explain(assessed(weighted(parts), {"income": 1}), 0)
    assert (explained.score, explained.level) == (score, level)
    assert explained.total == sum(Decimal(str(value)) * Decimal(str(weight)) / 100 for value, weight in parts.values())


BY_KIND = [
    {"when": {"field": "kind", "equals": "company"}, "use": "company"},
    {"when": {"field": "kind", "equals": "person"}, "use": "person"},
]
COLUMNS = {"person": {"a": 100, "b": 0}, "company": {"a": 0, "b": 100}}


def test_weights_are_chosen_by_ordered_cases_and_an_unknown_type_fails() -> None:
    made = weighted({"a": (10, 0), "b": (90, 0)}, COLUMNS, BY_KIND)
    found = assessed(made, {"kind": "person"}, {"kind": "company"}, {"kind": None}, {"kind": "robot"})
    assert found.table()["status"].to_list() == ["assessed", "assessed", "failed", "failed"]
    assert found.table()["level"].to_list() == ["low", "high", None, None]
    assert found.table()["score_level"].to_list() == ["low", "high", None, None]
    assert explain(found, 2).failures == ("the choice of weights: there is no column where kind is unknown",)
    assert explain(found, 3).failures == ("the choice of weights: kind is robot, which is not one of person, company",)
    assert "failed in the choice of weights: there is no level yet" in explain(found, 2).line


def test_first_choice_of_weights_wins() -> None:
    both = [{"when": INCOME, "use": "company"}, *BY_KIND]
    found = assessed(weighted({"a": (10, 0), "b": (90, 0)}, COLUMNS, both), {"kind": "person", "income": 1})
    assert explain(found, 0).score == "90"


def test_first_tier_that_contains_the_total_wins() -> None:
    made = ruleset(exactly(0), score=tiers((0, 31, "low"), (31, 61, "medium"), (61, None, "high")))
    levels = assessed(made, *({"n0": points} for points in (0, 31, 61, 1000))).table()["level"].to_list()
    assert levels == ["low", "low", "medium", "high"]


GAP = tiers((0, 30, "low"), (31, 70, "medium"), (71, 100, "high"))


@pytest.mark.parametrize("points", [30.99, -1, 1000])
def test_total_that_no_tier_owns_is_unclassified(points: float) -> None:
    found = assessed(ruleset(exactly(0), score=GAP), {"n0": points}, {"n0": 30})
    assert found.table()["status"].to_list() == ["unclassified", "assessed"]
    assert found.table()["level"].to_list() == [None, "low"]
    assert explain(found, 0).line.endswith("unclassified, as no tier owns this score: there is no level yet")


def test_unclassified_keeps_the_level_and_a_floor_still_raises() -> None:
    floored = rule("floored", case({"field": "flag", "equals": True}, floor="medium"))
    made = ruleset(exactly(0), floored, score=GAP)
    rows = [{"n0": 30.99, "flag": False}, {"n0": 30.99, "flag": True}]
    assert assessed(made, *rows).table()["level"].to_list() == [None, "medium"]
    assert assessed(made, *rows, previous=1).table()["level"].to_list() == ["low", "medium"]
    held = assessed(made, *rows, previous=3)
    assert held.table()["level"].to_list() == ["high", "high"]
    assert held.table()["withheld_level"].to_list() == [None, None]
    assert explain(held, 0).line.endswith("nothing lowers the level, so High stays")
    assert explain(assessed(made, rows[1]), 0).line.endswith("Medium by the floor of Floored")


scales = st.sampled_from(["points", "tiers", "open", "weighted"])


@settings(max_examples=examples(75))
@given(scales, st.data())
def test_shown_total_has_the_level_of_the_exact_one(scale: str, data: st.DataObject) -> None:
    scores = {"points": {"points": {"thresholds": [31, 61]}}, "tiers": GAP, "open": tiers((None, None, "low"))}
    made = weighted({"a": (1, 100)}) if scale == "weighted" else ruleset(exactly(0), score=scores[scale])
    total = program_for(AnalysedRuleset(made), {}, "EUR").total
    cut = data.draw(st.sampled_from([0, 30, 31, 61, 70, 71, 100]), "cut")
    units = cut * total.scale + data.draw(st.integers(-3 * total.scale // 100, 3 * total.scale // 100), "beside it")
    shown = Decimal(total.text(units))
    assert level_of(total, int(shown * total.scale)) == level_of(total, units)
    assert abs(shown - Decimal(units) / total.scale) <= Decimal("0.01")
    if scale != "weighted":
        assert shown * total.scale == units


def test_shown_total_is_rounded_to_two_decimals_where_no_cut_is_near() -> None:
    total = program_for(AnalysedRuleset(weighted({"a": (1, 100)})), {}, "EUR").total
    assert total.text(20_004_900) == "20"
    assert total.text(20_005_000) == "20"  # half to even
    assert total.text(20_015_000) == "20.02"
    assert total.text(30_999_999) == "30.99"
    assert total.text(-5_000_000) == "-5"


@given(st.lists(st.integers(-(10**8), 10**8), max_size=20))
def test_totals_are_shown_together_as_one_by_one(totals: list[int]) -> None:
    for made in (weighted({"a": (1, 100)}), ruleset(exactly(0)), ruleset(exactly(0), score=tiers((0, 30, "low")))):
        total = program_for(AnalysedRuleset(made), {}, "EUR").total
        assert total.texts(totals) == [total.text(one) for one in totals]


def test_shown_arithmetic_adds_up_where_the_score_was_rounded() -> None:
    """30.99 was shown as 29.45 + 1.5475."""
    made = weighted({"a": (31, 95), "b": (30.95, 5)})
    found = explain(assessed(made, {"income": 1}), 0)
    assert (found.score, found.score_level) == ("30.99", "low")
    assert found.line == "Score 30.99 (exactly 30.9975): A 29.45 + B 1.5475; Low"
    assert sum(one.points for one in found.rules) == found.total


MOST_UNITS = MOST_POINTS * POINT_UNITS
MOST_SLOT = 202
"""Two hundred cases, otherwise, unknown and failed."""
units = st.integers(-MOST_UNITS, MOST_UNITS)
slots = st.integers(0, MOST_SLOT)


@given(st.lists(st.tuples(units, slots), min_size=1, max_size=20))
def test_parts_come_apart_again(pairs: list[tuple[int, int]]) -> None:
    codes = [code(points, slot) for points, slot in pairs]
    assert [(points_of(one), slot_of(one)) for one in codes] == pairs
    frame = pl.DataFrame({"code": codes}, schema={"code": pl.Int64})
    made = frame.select(points=points_column(pl.col("code")), slot=slot_column(pl.col("code")))
    assert made.rows() == pairs


@given(st.lists(st.tuples(units, slots), min_size=1, max_size=50))
def test_points_of_a_sum_are_the_sum_of_points(pairs: list[tuple[int, int]]) -> None:
    total = sum(code(points, slot) for points, slot in pairs)
    assert points_of(total) == sum(points for points, _ in pairs)


def test_thousand_rules_of_two_hundred_cases_fit() -> None:
    assert 1000 * MOST_SLOT < SLOTS
    for sign in (1, -1):
        worst = pl.DataFrame({f"c{number}": [code(sign * MOST_UNITS, MOST_SLOT)] for number in range(1000)})
        total = worst.select(points_column(pl.sum_horizontal(pl.all()))).item()
        assert total == sign * 1000 * MOST_UNITS


def test_no_rule_has_the_column_of_another() -> None:
    assert len({rule_column(name) for name in ("a", "a-b", "total")}) == 3
    assert " " in rule_column("total")  # which no id, and so no other column of the engine, has in that place
