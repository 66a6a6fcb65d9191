"""What each rule says of itself: the case, what was seen, points, factor, floor, what was missing."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.canonical import canonical_json
from fivefold.risk.engine.explain.breakdown import explain
from fivefold.risk.engine.explain.rules import RuleOutcome, signed
from tests.risk.engine.small import assessed, case, rule, ruleset

Data = dict[str, Any]


def outcome(made: Data, row: Data, **parts: Any) -> RuleOutcome:
    return explain(assessed(ruleset(made, **parts), row), 0).rules[0]


INCOME = rule(
    "income",
    {**case({"at_least": 10000}, 20.5, "medium"), "title": "a lot"},
    {**case({"field": "flag", "equals": True}, -5), "title": "well known"},
    input={"field": "income"},
    on_unknown={"points": 3},
)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"income": 1e4}, "Income: income is 10,000, flag is unknown. Case 1, a lot: +20.5 points; at least medium"),
        ({"income": 9999.5, "flag": True}, "Income: income is 9,999.5, flag is true. Case 2, well known: −5 points"),
        ({"income": 0, "flag": False}, "Income: income is 0, flag is false. No case holds: 0 points"),
        ({"income": None, "flag": False}, "Income: income is unknown, flag is false. Not known: income: +3 points"),
        ({"income": "x"}, "Income: failed, because income is 'x', which is no finite number"),
    ],
)
def test_sentence(row: Data, sentence: str) -> None:
    assert outcome(INCOME, row).sentence == sentence


def test_value_is_never_shown_rounded_across_what_it_is_compared_with() -> None:
    made = outcome(INCOME, {"income": 9999.9999999, "flag": False})
    assert made.case == "otherwise"
    assert made.seen.startswith("income is 9,999.9999999,")
    assert outcome(INCOME, {"income": 1234.56789, "flag": False}).seen.startswith("income is 1,234.57,")


BESIDE = rule(
    "n0",
    *(case({word: {"field": "n1"}}, points) for word, points in (("below", 1), ("equals", 2), ("above", 3))),
    input={"field": "n0"},
)


def test_two_inputs_compared_are_not_shown_as_one_number() -> None:
    near = outcome(BESIDE, {"n0": 12345.678, "n1": 12345.679})
    assert (near.case, near.seen) == (1, "n0 is 12,345.678, n1 is 12,345.68")
    apart = outcome(BESIDE, {"n0": 12345.678, "n1": 12346.679})
    assert apart.seen == "n0 is 12,345.68, n1 is 12,346.68"
    assert outcome(BESIDE, {"n0": 12345.678}).seen == "n0 is 12,345.68, n1 is unknown"


numbers = st.one_of(st.floats(-1e17, 1e17), st.decimals(-100, 100, places=3).map(float))


@given(numbers, st.one_of(st.just(0), st.integers(-3, 3).map(lambda number: number * 1e-7), numbers))
def test_what_is_shown_of_two_inputs_compares_as_they_do(one: float, further: float) -> None:
    other = one + further
    made = outcome(BESIDE, {"n0": one, "n1": other})
    shown = [Decimal(part.split(" is ")[1].replace(",", "")) for part in made.seen.split(", n1")]
    assert made.case == (1 if shown[0] < shown[1] else 2 if shown[0] == shown[1] else 3)


def test_factor_shows_its_weight() -> None:
    factor = rule("income", case({"at_least": 1}, 33.33), input={"field": "income"}, otherwise={"points": 1})
    other = rule("flag", case({"field": "flag", "equals": True}, 1), otherwise={"points": 1})
    floor = rule("floor", case({"field": "flag", "equals": True}, floor="high"))
    weights = {"all": {"income": 12.25, "flag": 87.75}}
    score = {"weighted": {"bands": [31, 61], "weights": weights, "weights_by": [{"use": "all"}]}}
    found = explain(assessed(ruleset(factor, other, floor, score=score), {"income": 1, "flag": True}), 0)
    assert found.rules[0].points == Decimal("33.33") * Decimal("12.25") / 100
    assert found.rules[0].factor == (Decimal("33.33"), Decimal("12.25"))
    assert found.rules[0].sentence.endswith("+4.082925 points (12.25 % of 33.33)")
    assert found.rules[2].factor is None
    assert found.total == sum(one.points for one in found.rules)


def test_points_are_signed() -> None:
    assert [signed(Decimal(points)) for points in ("100", "-0.5", "0")] == ["+100", "−0.5", "0"]


def test_text_is_the_canonical_form() -> None:
    rows: list[Data] = [{"income": 1e4}, {"income": 0, "flag": False}, {"flag": False}, {"income": '"x" − y'}]
    for row in rows:
        made = outcome(INCOME, row)
        assert bytes(made.encoded).decode() == canonical_json(made.as_json())


def test_terms_of_a_sum() -> None:
    rows: list[tuple[Data, tuple[str, str]]] = [
        ({"income": 1e4}, ("Income 20.5", "+ Income 20.5")),
        ({"income": 0, "flag": True}, ("Income −5", "− Income 5")),
        ({"income": 0, "flag": False}, ("", "")),
    ]
    assert [outcome(INCOME, row).case_outcome.terms for row, _ in rows] == [terms for _, terms in rows]
