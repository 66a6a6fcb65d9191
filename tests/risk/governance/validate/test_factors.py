"""Lift and what each rule adds, against counting; drift of factors by what moved."""

import math

import numpy as np
import polars as pl
import pytest

from fivefold.models.drift import LEAST_CUSTOMERS, stability_index
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.explain.breakdown import explain
from fivefold.risk.governance.validate.factors import additions, lifts, stability_indices
from fivefold.risk.governance.validate.ranking import gini
from tests.risk.governance.making import AS_OF, TEXT, WEIGHTED_TEXT, analysed, mixed, portfolio


def test_lift_is_the_share_of_a_case_over_the_share_of_all() -> None:
    found = assess(analysed(), mixed(40), AS_OF)
    held = found.outcomes["applies"].to_numpy()
    confirmed = np.arange(40) % 10 >= 4
    everything = {(lift.rule, lift.case): lift for lift in lifts(found, held, confirmed)}
    applies = [place for place in range(40) if held[place]]
    prevalence = sum(confirmed[place] for place in applies) / len(applies)
    for (rule, case), lift in everything.items():
        if case == "any case":
            continue
        got = [
            place
            for place in applies
            if next(outcome for outcome in explain(found, place).rules if outcome.rule == rule).case == case
        ]
        assert (lift.entities, lift.confirmed) == (len(got), sum(confirmed[place] for place in got))
        if got:
            assert lift.lift is not None
            assert lift.lift.estimate == pytest.approx(lift.confirmed / lift.entities / prevalence)
            assert lift.lift.low <= lift.lift.estimate <= lift.lift.high
    any_case = everything["country", "any case"]
    assert any_case.entities == everything["country", 1].entities + everything["country", 2].entities


@pytest.mark.parametrize("text", [TEXT, WEIGHTED_TEXT])
def test_a_rule_adds_what_the_total_loses_without_it(text: str) -> None:
    found = assess(analysed(text), mixed(60), AS_OF)
    held = (found.outcomes["status"] == "assessed").to_numpy()
    confirmed = np.arange(60) % 4 == 0
    places = np.flatnonzero(held)
    exact = [[outcome.points for outcome in explain(found, place).rules] for place in places]
    totals = np.array([float(sum(row)) for row in exact])
    for number, made in enumerate(additions(found, held, confirmed, 0, 50)):
        without = np.array([float(sum(row) - row[number]) for row in exact])
        assert made.rule == found.program.rules[number].rule.id
        assert made.paired.first == pytest.approx(gini(totals, confirmed[held]), abs=1e-9)
        assert made.paired.second == pytest.approx(gini(without.round(6), confirmed[held]), abs=1e-9)


def people(xb: int, size: int = 1000) -> list[dict[str, str]]:
    return [{"country": "ZW" if number < xb else "ZM", "income": str(number % 97)} for number in range(size)]


def test_a_rule_that_moved_is_found_by_its_cases() -> None:
    before, after = (assess(analysed(), portfolio(people(count)), AS_OF) for count in (100, 400))
    found = {(line.sort, line.factor): line for line in stability_indices(before, after)}
    expected = (0.3 * math.log(0.4 / 0.1)) + (-0.3 * math.log(0.6 / 0.9))
    assert found["rule", "Country"].index == pytest.approx(expected, abs=1e-9)
    assert found["rule", "Country"].verdict == "shifted"
    assert found["level", "level"].index == pytest.approx(expected, abs=1e-9)
    assert found["input", "income"].index == pytest.approx(0, abs=1e-9)
    assert found["total", "total"].verdict == "shifted"
    assert [line.index for line in stability_indices(before, after)] == sorted(
        (line.index for line in stability_indices(before, after)), key=lambda index: -(index or 0)
    )


def test_nothing_moves_against_itself() -> None:
    same = assess(analysed(), portfolio(people(300)), AS_OF)
    assert {(line.index, line.verdict) for line in stability_indices(same, same)} == {(0.0, "stable")}


def test_few_entities_on_either_side_are_unknown() -> None:
    few, many = (assess(analysed(), portfolio(people(10, size)), AS_OF) for size in (LEAST_CUSTOMERS - 1, 1000))
    for pair in ((few, many), (many, few)):
        assert {(line.index, line.verdict) for line in stability_indices(*pair)} == {(None, "unknown")}


def test_the_index_is_that_of_models() -> None:
    before, after = (assess(analysed(), portfolio(people(count)), AS_OF) for count in (200, 260))
    counts = [
        pl.Series([int((side.inputs['{"field":"country"}'] == name).sum()) for name in ("ZW", "ZM")]).to_numpy()
        for side in (before, after)
    ]
    line = next(line for line in stability_indices(before, after) if line.sort == "rule" and line.factor == "Country")
    assert line.index == pytest.approx(stability_index(*counts), abs=1e-12)
    assert line.verdict == "stable"


def test_an_index_has_the_same_digits_whenever_it_is_taken() -> None:
    """Polars gives counts in another order each time, and sums in another order round otherwise."""
    sides = [
        [{"country": "ZA"}] * first + [{"country": "ZW"}] * second + [{"country": "NO"}] * third
        for first, second, third in ((28, 200, 272), (77, 111, 312))
    ]
    before, after = (assess(analysed(), portfolio(side), AS_OF) for side in sides)
    assert len({stability_indices(before, after) for _ in range(20)}) == 1
