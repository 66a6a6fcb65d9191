"""Lift and what each rule adds, against counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.explain.breakdown import explain
from fivefold.risk.governance.validate.lift import additions, capture_curve, lifts
from fivefold.risk.governance.validate.ranking import gini
from tests.risk.governance.making import AS_OF, TEXT, WEIGHTED_TEXT, analysed, mixed


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


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30))
def test_a_curve_holds_all_confirmed_above_each_total(rows: list[tuple[int, bool]]) -> None:
    score, confirmed = (np.array(side) for side in zip(*rows, strict=True))
    curve = capture_curve(score, confirmed)
    assert curve[0] == (0.0, 0.0)
    for first, found in curve[1:]:
        cut = np.sort(score)[::-1][round(first * len(score)) - 1]
        assert first == pytest.approx((score >= cut).mean())
        assert found == pytest.approx(confirmed[score >= cut].sum() / max(1, confirmed.sum()))
    assert curve[-1][0] == 1.0


def test_a_long_curve_is_thinned_but_keeps_its_end() -> None:
    curve = capture_curve(np.arange(10_000), np.arange(10_000) > 9_000)
    assert len(curve) <= 201
    assert curve[-1] == (1.0, 1.0)
