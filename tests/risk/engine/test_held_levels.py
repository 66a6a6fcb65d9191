"""Levels that are given: none is taken for something else, and none is lost without a word."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from fivefold.domain.errors import FileFormatError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from tests.risk.conftest import Refusal
from tests.risk.engine.small import DAY, exactly, portfolio, ruleset


def given(*rows: tuple[str, int | None, int | None], moment: str) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"entity_id": pl.String, "level": pl.Int64, moment: pl.Int64}, orient="row")


@pytest.mark.parametrize(
    "rows",
    [
        [("e0", 2, 0), ("e0", 1, 0)],
        [("x", 2, 0)] * 3,
        [("e0", 5, 0)],
        [("e0", 0, 0)],
        [("e0", 3, None)],
    ],
)
def test_levels_held_before_that_cannot_be_used_are_refused(
    rows: list[tuple[str, int | None, int | None]], refusal: Refusal
) -> None:
    with refusal(FileFormatError):
        assess(AnalysedRuleset(ruleset(exactly(0))), portfolio([{"n0": 0.0}]), DAY, given(*rows, moment="entered"))


@pytest.mark.parametrize(
    "rows",
    [
        [("e0", 2, None), ("e0", 1, 0)],
        [("e0", 9, None)],
    ],
)
def test_overrides_that_cannot_be_used_are_refused(
    rows: list[tuple[str, int | None, int | None]], refusal: Refusal
) -> None:
    with refusal(FileFormatError):
        assess(AnalysedRuleset(ruleset(exactly(0))), portfolio([{"n0": 0.0}]), DAY, None, given(*rows, moment="until"))


def test_no_level_needs_no_moment_and_an_override_no_end() -> None:
    nobody, forever = given(("e0", None, None), moment="entered"), given(("e0", 3, None), moment="until")
    found = (
        assess(AnalysedRuleset(ruleset(exactly(0))), portfolio([{"n0": 0.0}]), DAY, nobody, forever)
        .table()
        .row(0, named=True)
    )
    assert (found["level"], found["rules_level"]) == ("high", "low")


@pytest.mark.parametrize(
    "columns",
    [
        {"entity_id": ["e0"]},
        {"entity_id": [1], "level": [1], "entered": [0]},
        {"entity_id": ["e0"], "level": ["low"], "entered": [0]},
        {"entity_id": ["e0"], "level": [1], "entered": [date(2024, 6, 30)]},
    ],
)
def test_other_columns_are_refused_instead_of_being_taken_for_1970(columns: Any, refusal: Refusal) -> None:
    with refusal(FileFormatError):
        assess(AnalysedRuleset(ruleset(exactly(0))), portfolio([{"n0": 0.0}]), DAY, pl.DataFrame(columns))


def test_columns_of_nothing_need_no_type() -> None:
    nobody = pl.DataFrame({"entity_id": ["e0"], "level": [None], "entered": [None]})
    found = assess(AnalysedRuleset(ruleset(exactly(0))), portfolio([{"n0": 0.0}]), DAY, nobody).table()
    assert found["level"].to_list() == ["low"]


@pytest.mark.parametrize("column", ["floor", "hard_floor"])
@pytest.mark.parametrize(("floors", "dtype"), [([1.0, float("nan")], "Float64"), (["1", "2"], "String")])
def test_floors_that_are_no_whole_numbers_are_refused(column: str, floors: list[Any], dtype: str) -> None:
    held = pl.DataFrame({"entity_id": ["e0", "e1"], "level": [1, 1], "entered": [0, 0], column: floors})
    with pytest.raises(FileFormatError, match=f"{column} is {dtype}; it must be whole numbers"):
        assess(AnalysedRuleset(ruleset(exactly(0))), portfolio([{"n0": 0.0}]), DAY, held)
