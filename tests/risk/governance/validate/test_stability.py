"""Drift of factors, by the one index that there is."""

import math

import polars as pl
import pytest

from fivefold.models.drift import LEAST_CUSTOMERS, stability_index
from fivefold.risk.engine.assess import assess
from fivefold.risk.governance.validate.stability import stability_indices
from tests.risk.governance.making import AS_OF, analysed, portfolio


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
