"""One rule: which case, which points, and how they fade."""

from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.risk.engine.explain.breakdown import Explanation, explain
from fivefold.risk.engine.rules import MOST_HALVINGS, halved
from fivefold.risk.facts.reading import read_moments
from fivefold.risk.language.quantities import MOST_POINTS, POINT_UNITS
from tests.risk.engine.small import DAY, assessed, case, rule, ruleset

Data = dict[str, Any]
HOUR = DAY_US // 24


def explained(made: Data, row: Data, **parts: Any) -> Explanation:
    return explain(assessed(ruleset(made), row, **parts), 0)


def first(made: Data, row: Data) -> tuple[int | str, float, str]:
    outcome = explained(made, row).rules[0]
    return outcome.case, float(outcome.points), outcome.floor


CASES = rule(
    "income",
    case({"at_least": 100}, 30, "high"),
    case({"field": "flag", "equals": True}, 20),
    case({"at_least": 10}, -10),
    input={"field": "income"},
    otherwise={"points": 5},
    on_unknown={"points": 7, "floor": 2},
)


@pytest.mark.parametrize(
    ("income", "flag", "came"),
    [
        (100, True, (1, 30, "high")),
        (99.99, True, (2, 20, "")),
        (10, False, (3, -10, "")),
        (9, False, ("otherwise", 5, "")),
        (None, True, (2, 20, "")),  # the first is unknown, and does not hold
        (None, False, ("unknown", 7, "medium")),
        (9, None, ("unknown", 7, "medium")),
        (10, None, (3, -10, "")),
        (float("nan"), False, ("unknown", 7, "medium")),  # NaN is above no number
        ("ten", True, ("failed", 0, "")),
        (float("inf"), True, ("failed", 0, "")),
        (10**400, True, ("failed", 0, "")),
    ],
)
def test_first_case_that_holds_wins(income: Any, flag: Any, came: tuple[int | str, float, str]) -> None:
    assert first(CASES, {"income": income, "flag": flag}) == came


def test_unknown_is_otherwise_where_nothing_else_is_written() -> None:
    made = {name: part for name, part in CASES.items() if name != "on_unknown"}
    assert first(made, {"income": None, "flag": None}) == ("unknown", 5, "")
    assert explained(made, {"income": 1, "flag": None}).rules[0].missing == ("flag",)


def test_two_hundred_cases_keep_their_numbers() -> None:
    cases = [case({"field": "income", "equals": number}, -number, 2 if number % 2 else None) for number in range(200)]
    made = ruleset(rule("many", *cases, otherwise={"points": 1}, on_unknown={"points": 2}))
    found = assessed(made, *({"income": number} for number in (*range(200), None, "bad", 777)))
    outcomes = [explain(found, row).rules[0] for row in range(len(found))]
    assert [one.case for one in outcomes] == [*range(1, 201), "unknown", "failed", "otherwise"]
    assert [float(one.points) for one in outcomes] == [*(-float(number) for number in range(200)), 2, 0, 1]
    assert [one.floor for one in outcomes[:4]] == ["", "medium", "", "medium"]


@pytest.mark.full
def test_thousand_rules_of_a_million_points_add_up() -> None:
    rules = [rule(f"r{number}", case({"field": "flag", "is": "present"}, MOST_POINTS)) for number in range(1000)]
    explained_all = explain(assessed(ruleset(*rules), {"flag": True}), 0)
    assert explained_all.total == 1000 * MOST_POINTS


FADING = {"half_life": "1 day", "signal": {"field": "opened_on"}}


def fading(length: str, points: float = 20, floor: str = "high", **parts: Any) -> Data:
    held = case({"field": "flag", "equals": True}, points, floor)
    return rule("fading", held, decay={**FADING, "half_life": length}, otherwise={"points": 8}, **parts)


def at(moment: int) -> Data:
    return {"flag": True, "opened_on": pl.Series([moment]).cast(pl.Datetime("us")).dt.to_string("iso").item()}


@pytest.mark.parametrize(
    ("length", "before", "points"),
    [
        ("90 days", 0, 20),
        ("90 days", 90 * DAY_US - 1, 20),
        ("90 days", 90 * DAY_US, 10),
        ("90 days", 180 * DAY_US - 1, 10),
        ("90 days", 180 * DAY_US, 5),
        ("90 days", 270 * DAY_US, 2.5),
        ("90 days", 360 * DAY_US, 1.25),
        ("90 days", 450 * DAY_US, 0.62),  # 0.625, half to even
        ("90 days", 540 * DAY_US, 0.31),  # of the points themselves, not of what was rounded before
        ("90 days", 40000 * DAY_US, 0),
        ("90 days", -5 * DAY_US, 20),  # a moment to come has not begun to fade
        ("7 hours", 7 * HOUR - 1, 20),
        ("7 hours", 7 * HOUR, 10),
    ],
)
def test_points_halve_with_every_half_life_and_floors_stay(length: str, before: int, points: float) -> None:
    assert first(fading(length), at(DAY - before)) == (1, points, "high")


@pytest.mark.parametrize(
    ("points", "days", "words"),
    [
        (20, 0, "+20 points"),
        (20, 1, "+10 points, 20 halved once (half-life 1 day)"),
        (-20, 2, "−5 points, −20 halved twice (half-life 1 day)"),
        (2.5, 3, "+0.31 points, 2.5 halved 3 times (half-life 1 day)"),
        (0.03, 1, "+0.02 points, 0.03 halved once (half-life 1 day)"),
        (0.05, 2, "+0.01 points, 0.05 halved twice or more (half-life 1 day)"),
        (20, 30, "0 points, 20 halved to nothing (half-life 1 day)"),
    ],
)
def test_points_that_fade_say_what_they_were(points: float, days: int, words: str) -> None:
    (outcome,) = explained(fading("1 day", points), at(DAY - days * DAY_US)).rules
    assert outcome.sentence.endswith(f": {words}; at least high")


def test_otherwise_does_not_fade() -> None:
    assert first(fading("1 day"), {**at(DAY - 100 * DAY_US), "flag": False}) == ("otherwise", 8, "")


def test_no_signal_leaves_the_points_unknown_and_the_floor_where_it_is() -> None:
    found = explained(fading("1 day", on_unknown={"points": 3}), {"flag": True})
    outcome = found.rules[0]
    assert (outcome.case, float(outcome.points), outcome.missing) == (1, 3, ("opened on",))
    assert (outcome.floor, found.floor, found.level) == ("high", "high", "high")
    assert outcome.sentence.endswith("Case 1, flag is true; not known: opened on: +3 points; at least high")


def test_floor_of_the_unknown_holds_without_a_signal_where_it_is_higher() -> None:
    made = fading("1 day", on_unknown={"points": 3, "floor": "high"}, floor="medium")
    assert first(made, {"flag": True}) == ("unknown", 3, "high")


@pytest.mark.parametrize("points", [None, 0, 10])
def test_floor_is_the_same_with_and_without_points_where_there_is_no_signal(points: float | None) -> None:
    """A decaying rule that gives points as well lost its floor with its signal."""
    made = rule("fading", case({"field": "flag", "equals": True}, points, "high"), decay=FADING)
    found = explained(made, {"flag": True})
    assert (found.floor, found.level, found.total) == ("high", "high", 0)


def test_case_without_a_floor_is_unknown_without_a_signal() -> None:
    made = rule("fading", case({"field": "flag", "equals": True}, 20), decay=FADING, on_unknown={"points": 3})
    outcome = explained(made, {"flag": True}).rules[0]
    assert (outcome.case, float(outcome.points), outcome.missing) == ("unknown", 3, ("opened on",))


def test_floor_alone_needs_no_signal() -> None:
    assert first(fading("1 day", points=0), {"flag": True}) == (1, 0, "high")


def test_signal_that_cannot_be_read_fails_its_rule() -> None:
    found = explained(fading("1 day"), {"flag": True, "opened_on": "soon"})
    assert (found.status, found.rules[0].case) == ("failed", "failed")
    assert found.failures == ("Fading: opened on is soon, which is no date such as 2024-07-01",)


def test_signal_of_an_aggregate_is_its_latest_fact() -> None:
    made = rule("cash", case({"at_least": 1}, 20), input={"count": "transactions"}, decay={"half_life": "90 days"})
    times = [DAY - 200 * DAY_US, DAY - 90 * DAY_US, DAY + 1]
    rows = pl.DataFrame(
        {
            "entity_id": ["e0"] * 3,
            "transaction_amount": [1.0] * 3,
            "transaction_currency": ["EUR"] * 3,
            "transaction_date": pl.Series(times).cast(pl.Datetime("us", "UTC")),
        }
    )
    assert float(explained(made, {}, transactions=rows).rules[0].points) == 10


def test_nothing_counted_has_no_signal() -> None:
    made = rule("quiet", case({"at_most": 0}, 20), input={"count": "cases"}, decay={"half_life": "90 days"})
    empty = pl.DataFrame(schema={"entity_id": pl.String, "opened": pl.Datetime})
    outcome = explained(made, {}, cases=empty).rules[0]
    assert (outcome.case, outcome.missing) == ("unknown", ("when the latest was, of cases",))


def slow_half(points: int, times: int) -> int:
    return round(Fraction(points, 2**times))  # a fraction is rounded half to even


@given(st.lists(st.tuples(st.integers(-MOST_POINTS * POINT_UNITS, MOST_POINTS * POINT_UNITS), st.integers(0, 40))))
def test_halving_rounds_half_to_even(pairs: list[tuple[int, int]]) -> None:
    frame = pl.DataFrame(pairs, schema={"points": pl.Int64, "times": pl.Int64}, orient="row")
    made = frame.select(halved(pl.col("points"), pl.col("times"))).to_series().to_list()
    assert made == [slow_half(points, times) for points, times in pairs]


def test_after_most_halvings_nothing_is_left() -> None:
    assert slow_half(MOST_POINTS * POINT_UNITS, MOST_HALVINGS) == 0


def test_moments_of_these_tests_are_read_as_they_are_meant() -> None:
    assert read_moments(pl.Series([at(DAY - 1)["opened_on"]])).to_list() == [DAY - 1]
