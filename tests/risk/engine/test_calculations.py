"""Calculations: columns against fractions, one entity against many, and what is unknown, unreadable or too large."""

import re
from datetime import datetime
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.risk.engine.explain.breakdown import Explanation, explain_all
from fivefold.risk.facts.portfolio import error_of
from fivefold.risk.language.expressions import CalculationInput, input_key
from tests.depth import examples
from tests.risk.engine.drawn.calculations import NAMES, calculations
from tests.risk.engine.drawn.rulesets import FIELDS, LEVELS
from tests.risk.engine.drawn.worlds import people_drawn, run, worlds
from tests.risk.engine.reference.conditions import BAD, World
from tests.risk.engine.reference.values import value_of
from tests.risk.engine.small import assessed, case, rule, ruleset
from tests.risk.engine.test_assess import QUICK, ruleset_with

Data = dict[str, Any]


def reading(calculate: Data) -> Data:
    """Write a ruleset that reads every calculation."""
    rules = [
        {"id": name, "title": name, "category": "other", "cases": [{"when": {"calculation": name, "above": 0}}]}
        for name in calculate
    ]
    parts = {"fields": FIELDS, "transaction_fields": {"operation": "text"}, "levels": LEVELS}
    score = {"points": {"thresholds": [31, 61, 86]}}
    return ruleset_with(*rules, calculate=calculate, score=score, **parts)


@settings(max_examples=examples(60), phases=QUICK)
@given(calculations(), worlds(), people_drawn)
def test_columns_are_what_fractions_come_to(calculate: Data, world: World, people: list[Data]) -> None:
    made = reading(calculate)
    together = run(made, world, people).inputs
    for place, entity in enumerate(people):
        alone = run(made, world, [entity]).inputs
        for name, unit in NAMES.items():
            key = input_key(CalculationInput(calculation=name))
            exact = value_of({"calculation": name}, made, world, entity)
            column = together[key][place]
            assert column == alone[key][0]
            if exact is None or exact is BAD:
                assert column is None
                assert (exact is BAD) == (
                    error_of(key) in together.columns and together[error_of(key)][place] is not None
                )
            else:
                units = 100 if unit == "money" else 1
                assert abs(Fraction(column) / units - exact) <= abs(exact) / 2**51


SHARE: Data = {"share": {"unit": "ratio", "divide": [{"field": "n0"}, {"field": "n1"}]}}


def told(calculate: Data, when: Any, *rows: Data, **parts: Any) -> list[Explanation]:
    """Explain a rule that asks the last of some calculations."""
    asks = rule("asks", case(when, 20), input={"calculation": list(calculate)[-1]})
    made = ruleset(asks, calculate=calculate)
    return list(explain_all(assessed(made, *rows, **parts)))


def test_a_breakdown_shows_the_formula_with_its_numbers() -> None:
    transactions = pl.DataFrame(
        {
            "entity_id": ["e0", "e0"],
            "transaction_amount": [-11_000.0, -1_000.0],
            "transaction_currency": ["EUR", "EUR"],
            "transaction_date": [datetime(2024, 6, 1), datetime(2024, 6, 2)],  # noqa: DTZ001 (UTC, as files have it)
        }
    )
    calculate = {
        "cash_out": {"unit": "money", "of": {"sum": "amount", "over": "180 days"}},
        "left": {"unit": "money", "subtract": [{"field": "income", "as": "money"}, {"calculation": "cash_out"}]},
        "share": {"unit": "ratio", "divide": [{"calculation": "cash_out"}, {"field": "income", "as": "money"}]},
        "both": {"unit": "ratio", "divide": [{"calculation": "left"}, {"calculation": "cash_out"}]},
    }
    (share,) = told(dict(list(calculate.items())[:3]), {"at_least": 0.3}, {"income": 40_000}, transactions=transactions)
    assert share.rules[0].seen == "share is cash out 12,000.00 EUR ÷ income 40,000.00 EUR = 0.3"
    assert share.total == 20
    (both,) = told(calculate, "present", {"income": 40_000}, transactions=transactions)
    assert both.rules[0].seen == (
        "both is left 28,000.00 EUR ÷ cash out 12,000.00 EUR = 2.33333, "
        "where left is income 40,000.00 EUR − cash out 12,000.00 EUR = 28,000.00 EUR"
    )


def test_a_calculation_within_another_comes_to_what_is_shown_of_it() -> None:
    calculate = {**SHARE, "held": {"unit": "ratio", "clamp": {"calculation": "share"}, "to": 1}}
    near, apart = told(calculate, {"at_least": 0.3}, {"n0": 12_000, "n1": 40_000.01}, {"n0": 1, "n1": 3})
    assert near.rules[0].seen == (
        "held is share 0.299999925 held to at most 1 = 0.299999925, "
        "where share is n0 12,000 ÷ n1 40,000.01 = 0.299999925"
    )
    assert (
        apart.rules[0].seen
        == "held is share 0.333333 held to at most 1 = 0.333333, where share is n0 1 ÷ n1 3 = 0.333333"
    )


def test_a_division_by_zero_is_unknown_with_its_reason() -> None:
    zero, unknown, known = told(SHARE, {"below": 1}, {"n0": 3, "n1": 0}, {"n0": 3}, {"n0": 3, "n1": 10})
    assert [each.rules[0].case for each in (zero, unknown, known)] == ["unknown", "unknown", 1]
    assert zero.rules[0].seen == "share is unknown, as n1 is 0: n0 3 ÷ n1 0"
    assert unknown.rules[0].seen == "share is unknown, as n1 is unknown: n0 3 ÷ n1 unknown"
    assert zero.rules[0].missing == ("share",)
    assert zero.total == 0


def test_a_difference_that_is_zero_divides_nothing_though_floats_would_not_be_zero() -> None:
    calculate = {
        "rest": {"unit": "ratio", "subtract": [{"add": [{"field": "n1"}, {"field": "n2"}]}, {"field": "n3"}]},
        "share": {"unit": "ratio", "divide": [{"field": "n0"}, {"calculation": "rest"}]},
    }
    (found,) = told(calculate, "present", {"n0": 1, "n1": 0.1, "n2": 0.2, "n3": 0.3})
    assert found.rules[0].seen.startswith("share is unknown, as rest is 0: n0 1 ÷ rest 0, where rest is")


def test_what_cannot_be_read_fails_as_every_other_input_does() -> None:
    bad, fine = told(SHARE, {"below": 1}, {"n0": 3, "n1": "ten"}, {"n0": 3, "n1": 10})
    assert bad.status == "failed"
    assert bad.failures == ("Asks: n1 is 'ten', which is no finite number",)
    assert bad.rules[0].seen == "share cannot be calculated"
    assert (fine.status, fine.total) == ("assessed", 20)


def test_what_is_too_large_fails_visibly() -> None:
    times = {"multiply": [{"field": "n0"}] * 20}
    calculate = {
        "large": {"unit": "ratio", **times},
        "small": {"unit": "ratio", "divide": [1, {"calculation": "large"}]},
    }
    grown = dict(calculate)
    for number in range(8):  # 20 to the power of 9 factors
        below = {"calculation": "large" if not number else f"grown{number - 1}"}
        grown[f"grown{number}"] = {"unit": "ratio", "multiply": [below] * 20}
    assert [each.total for each in told(calculate, {"above": 0}, {"n0": 1e10}, {"n0": 2})] == [20, 20]
    (large,) = told(dict(list(calculate.items())[:1]), {"above": 0}, {"n0": 1e100})
    assert (large.status, large.failures) == ("failed", ("Asks: large: the result has more digits than can be kept",))
    huge, one = told(grown, {"above": 0}, {"n0": 1.5}, {"n0": 1})
    assert huge.status == "failed"
    assert "more digits than can be kept" in huge.failures[0]
    assert one.total == 20


def test_what_is_made_of_a_result_that_is_too_large_has_no_value() -> None:
    """Though it would be small enough itself: what could not be kept is no part of anything."""
    calculate = {
        "large": {"unit": "ratio", "multiply": [{"field": "n0"}, {"field": "n0"}]},
        "back": {"unit": "ratio", "divide": [{"calculation": "large"}, {"field": "n0"}]},
    }
    asks = rule("asks", case("present", 20), input={"calculation": "back"})
    found = assessed(ruleset(asks, calculate=calculate), {"n0": 1e200}, {"n0": 1e100})
    assert found.inputs[input_key(CalculationInput(calculation="back"))].to_list() == [None, 1e100]
    assert found.outcomes["status"].to_list() == ["failed", "assessed"]


@pytest.mark.parametrize(
    ("over", "under", "holds"), [(3, 10, True), (3, 10.000_000_000_001, False), (3.000_000_000_000_01, 10, True)]
)
def test_a_bound_is_met_exactly_or_not_at_all(over: float, under: float, holds: bool) -> None:
    (found,) = told(SHARE, {"at_least": 0.3}, {"n0": over, "n1": under})
    assert (found.total == 20) is holds


@pytest.mark.parametrize("people", [1, 2])
def test_money_that_is_calculated_meets_its_bound_to_the_cent(people: int) -> None:
    twice = {"twice": {"unit": "money", "multiply": [{"field": "income", "as": "money"}, 2]}}
    for bound, points in ((200.02, 20), (200.03, 0)):
        found = told(twice, {"at_least": bound}, *[{"income": 100.01}] * people)
        assert [each.total for each in found] == [points] * people


def test_less_than_a_float_below_a_bound_is_below_it() -> None:
    tiny = {"multiply": [{"field": "n1"}] * 3}
    calculate = {"just": {"unit": "ratio", "subtract": [{"field": "n0"}, tiny]}}
    below, at, above = told(calculate, {"at_least": 0.3}, *({"n0": 0.3, "n1": n1} for n1 in (1e-14, 0, -1e-14)))
    assert [each.total for each in (below, at, above)] == [0, 20, 20]
    assert told(calculate, {"above": 0.3}, {"n0": 0.3, "n1": -1e-14})[0].total == 20
    assert told(calculate, {"equals": 0.3}, {"n0": 0.3, "n1": -1e-14})[0].total == 0


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        ({"add": [{"field": "n0"}, {"field": "n1"}, 1]}, "n0 −2 + n1 3 + 1 = 2"),
        (
            {"multiply": [{"add": [{"field": "n0"}, 1]}, {"divide": [6, {"field": "n1"}]}]},
            "(n0 −2 + 1) × (6 ÷ n1 3) = -2",
        ),
        ({"subtract": [{"field": "n0"}, {"add": [{"field": "n1"}, 1]}]}, "n0 -2 − (n1 3 + 1) = -6"),
        ({"least_of": [{"field": "n0"}, {"field": "n1"}, 7]}, "the least of n0 -2, n1 3 and 7 = -2"),
        ({"greatest_of": [{"field": "n0"}, {"field": "n1"}]}, "the greatest of n0 -2 and n1 3 = 3"),
        (
            {"least_of": [{"absolute": {"field": "n0"}}, {"add": [{"field": "n1"}, 1]}]},
            "the least of (the size of n0 -2) and (n1 3 + 1) = 2",
        ),
        ({"absolute": {"field": "n0"}}, "the size of n0 -2 = 2"),
        ({"of": {"field": "n0"}}, "n0 -2"),
        ({"of": {"add": [{"field": "n0"}, 1]}}, "n0 -2 + 1 = -1"),
        ({"round": {"field": "n0"}, "decimals": 1}, "n0 -2 rounded to 1 decimal = -2"),
        ({"round": {"field": "n0"}, "decimals": 0}, "n0 -2 rounded to a whole number = -2"),
        ({"clamp": {"field": "n1"}, "from": 0, "to": 1}, "n1 3 held to at least 0 and at most 1 = 1"),
        (
            {"round": {"divide": [{"field": "n0"}, {"field": "n1"}]}, "decimals": 2},
            "(n0 -2 ÷ n1 3) rounded to 2 decimals = -0.67",
        ),
    ],
)
def test_every_operation_is_shown(formula: Data, shown: str) -> None:
    (found,) = told({"made": {"unit": "ratio", **formula}}, "present", {"n0": -2, "n1": 3})
    assert found.rules[0].seen == f"made is {shown}".replace("n0 −2", "n0 -2")


@pytest.mark.parametrize(
    ("n0", "n1", "shown"),
    [
        (0.00000001, 0.29999998, "n0 0.00000001 + n1 0.29999998 = 0.29999999"),
        (0.00000001, 0.29999999, "n0 0.00000001 + n1 0.29999999 = 0.3"),
        (1.23456789, 0.1, "n0 1.23457 + n1 0.1 = 1.33457"),
    ],
)
def test_the_parts_of_a_formula_come_to_the_result_as_they_are_shown(n0: float, n1: float, shown: str) -> None:
    calculate = {"made": {"unit": "ratio", "add": [{"field": "n0"}, {"field": "n1"}]}}
    (found,) = told(calculate, {"at_least": 0.3}, {"n0": n0, "n1": n1})
    assert found.rules[0].seen == f"made is {shown}"


@pytest.mark.parametrize(
    ("decimals", "base", "income", "shown"),
    [
        (1, "JPY", 4_440, "(income 4,440 JPY × 0.333) rounded to 1 decimal = 1,478.50 JPY"),
        (0, "JPY", 4_440, "(income 4,440 JPY × 0.333) rounded to a whole number = 1,479 JPY"),
        (3, "EUR", 12.5, "(income 12.50 EUR × 0.333) rounded to 3 decimals = 4.1620 EUR"),
        (2, "KWD", 12.5, "(income 12.500 KWD × 0.333) rounded to 2 decimals = 4.160 KWD"),
    ],
)
def test_money_is_shown_in_all_of_the_decimals_that_it_is_rounded_to(
    decimals: int, base: str, income: float, shown: str
) -> None:
    product = {"multiply": [{"field": "income", "as": "money"}, 0.333]}
    calculate = {"kept": {"unit": "money", "round": product, "decimals": decimals}}
    (own,) = told(calculate, "present", {"income": income}, base=base)
    assert own.rules[0].seen == f"kept is {shown}"
    calculate |= {"all": {"unit": "money", "multiply": [{"calculation": "kept"}, 1]}}
    (within,) = told(calculate, "present", {"income": income}, base=base)
    assert within.rules[0].seen.endswith(f", where kept is {shown}")


def test_a_number_is_shown_in_all_of_the_decimals_that_it_is_rounded_to() -> None:
    product = {"multiply": [{"field": "n0"}, {"field": "n1"}]}
    calculate = {"kept": {"unit": "ratio", "round": product, "decimals": 4}}
    (explanation,) = told(calculate, "present", {"n0": 1_234_567, "n1": 0.33331})
    assert explanation.rules[0].seen == "kept is (n0 1,234,567 × n1 0.33331) rounded to 4 decimals = 411,493.5268"


numbers_drawn = st.floats(-1e6, 1e6).map(lambda number: round(number, 9))


@settings(max_examples=examples(60))
@given(numbers_drawn, numbers_drawn, st.sampled_from(["add", "multiply", "greatest_of"]))
def test_a_formula_is_true_as_it_is_shown(n0: float, n1: float, operation: str) -> None:
    """Reads the formula back: its parts come to the result, which was rounded at most by half of its last digit."""
    calculate = {"made": {"unit": "ratio", operation: [{"field": "n0"}, {"field": "n1"}]}}
    (found,) = told(calculate, "present", {"n0": n0, "n1": n1})
    parts, shown = found.rules[0].seen.removeprefix("made is ").replace(",", "").split(" = ")
    first, second = (Fraction(word) for word in re.findall(r"n[01] (-?[0-9.e+-]+)", parts))
    exact = {"add": first + second, "multiply": first * second, "greatest_of": max(first, second)}[operation]
    assert abs(exact - Fraction(shown)) <= Fraction(1, 2 * 10 ** len(shown.partition(".")[2]))


def test_a_field_is_compared_with_a_field() -> None:
    made = ruleset(rule("asks", case({"field": "n0", "below": {"field": "n1"}}, 20)))
    rows = ({"n0": 0.3, "n1": 0.30000000000000004}, {"n0": 3, "n1": 3}, {"n0": 3}, {"n0": 1, "n1": "ten"})
    below, same, unknown, bad = explain_all(assessed(made, *rows))
    assert [each.rules[0].case for each in (below, same, unknown, bad)] == [1, "otherwise", "unknown", "failed"]
    assert same.rules[0].seen == "n0 is 3, n1 is 3"
    assert below.rules[0].sentence.endswith("Case 1, n0 is below n1: +20 points")
    assert unknown.rules[0].missing == ("n1",)
    assert bad.failures == ("Asks: n1 is 'ten', which is no finite number",)
