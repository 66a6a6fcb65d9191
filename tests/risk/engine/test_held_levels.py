"""Levels that are given: none is taken for something else, and none is lost without a word."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from fivefold.domain.errors import FileFormatError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from tests.risk.engine.small import DAY, exactly, portfolio, ruleset


def given(*rows: tuple[str, int | None, int | None], moment: str) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"entity_id": pl.String, "level": pl.Int64, moment: pl.Int64}, orient="row")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("e0", 2, 0), ("e0", 1, 0)], "levels held until now have entity 'e0' twice"),
        ([("x", 2, 0)] * 3, "levels held until now have entity 'x' 3 times"),
        ([("e0", 5, 0)], "entity 'e0' has level 5; there are 1 to 3"),
        ([("e0", 0, 0)], "entity 'e0' has level 0; there are 1 to 3"),
        ([("e0", 3, None)], "entity 'e0' has a level without entered"),
    ],
)
def test_levels_held_before_that_cannot_be_used_are_refused(
    rows: list[tuple[str, int | None, int | None]], problem: str
) -> None:
    with pytest.raises(FileFormatError, match=problem):
        assess(AnalysedRuleset(ruleset(exactly(0))), portfolio([{"n0": 0.0}]), DAY, given(*rows, moment="entered"))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("e0", 2, None), ("e0", 1, 0)], "overrides have entity 'e0' twice"),
        ([("e0", 9, None)], "overrides: entity 'e0' has level 9; there are 1 to 3"),
    ],
)
def test_overrides_that_cannot_be_used_are_refused(
    rows: list[tuple[str, int | None, int | None]], problem: str
) -> None:
    with pytest.raises(FileFormatError, match=problem):
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
    ("columns", "problem"),
    [
        ({"entity_id": ["e0"]}, "levels held until now have no level, entered; there are entity_id"),
        ({"entity_id": [1], "level": [1], "entered": [0]}, "entity_id is Int64; it must be text"),
        ({"entity_id": ["e0"], "level": ["low"], "entered": [0]}, "level is String; it must be whole numbers"),
        ({"entity_id": ["e0"], "level": [1], "entered": [date(2024, 6, 30)]}, "entered is Date; it must be whole"),
    ],
)
def test_other_columns_are_refused_instead_of_being_taken_for_1970(columns: Any, problem: str) -> None:
    with pytest.raises(FileFormatError, match=problem):
        assess(AnalysedRuleset(ruleset(exactly(0))), portfolio([{"n0": 0.0}]), DAY, pl.DataFrame(columns))
