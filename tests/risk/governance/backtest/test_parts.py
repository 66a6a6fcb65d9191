"""A portfolio in parts comes to the same backtest as the whole."""

from dataclasses import replace
from itertools import pairwise

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.governance.backtest.parts import joined_backtests
from fivefold.risk.governance.backtest.run import NO_REACH, Backtest, HeldLevels, backtest
from tests.risk.governance.making import AS_OF, DAY, TEXT, analysed, mixed, portfolio, ruleset

DRAFT = TEXT.replace("[20, 40, 60]", "[25, 50, 60]").replace("points: 25}", "points: 22}")
EVERYONE = mixed(240)
NAMES = EVERYONE.entities[ENTITY].to_list()
STANDING = pl.DataFrame(
    {
        ENTITY: NAMES[::3],
        "level": [1 + number % 4 for number in range(len(NAMES[::3]))],
        "entered": [AS_OF - (number % 60) * DAY for number in range(len(NAMES[::3]))],
    }
)


def run(begin: int, end: int, standing: pl.DataFrame | None, *, compared: bool) -> Backtest:
    part = replace(EVERYONE, entities=EVERYONE.entities[begin:end])
    before = analysed() if compared else None
    return backtest(analysed(DRAFT), part, AS_OF, before, HeldLevels(standing))


@settings(max_examples=15)
@given(st.sets(st.integers(1, 239), max_size=6), st.booleans(), st.booleans())
def test_any_parts_come_to_the_whole(cuts: set[int], compared: bool, standing: bool) -> None:
    ends = [0, *sorted(cuts), 240]
    levels = STANDING if standing else None
    parts = [run(begin, end, levels, compared=compared) for begin, end in pairwise(ends)]
    assert joined_backtests(parts) == run(0, 240, levels, compared=compared)


def test_of_failures_the_first_hundred_entities_are_kept() -> None:
    failing = replace(EVERYONE, entities=EVERYONE.entities.with_columns(pl.lit("?").alias("income")))
    whole = backtest(analysed(), failing, AS_OF)
    assert whole.draft.failed > 100
    parts = [
        backtest(analysed(), replace(failing, entities=failing.entities[begin : begin + 80]), AS_OF)
        for begin in (0, 80, 160)
    ]
    assert joined_backtests(parts) == whole
    assert len({failure.entity for failure in joined_backtests(parts).draft.failures}) == 100


def test_a_draft_that_applies_to_none_is_said_first_for_the_whole_alone() -> None:
    applies = "applies_to: {field: income, above: 1000000000}"
    nobody = ruleset(DRAFT.replace("applies_to: {field: kind, equals: person}", applies))
    everyone = backtest(AnalysedRuleset(nobody), portfolio([{}, {}]), AS_OF, analysed())
    assert everyone.cautions[0] == NO_REACH
    one = portfolio([{}])
    rich = portfolio([{"income": "2000000000"}])
    parts = [backtest(AnalysedRuleset(nobody), part, AS_OF, analysed()) for part in (one, rich)]
    assert [NO_REACH in part.cautions for part in parts] == [True, False]
    assert NO_REACH not in joined_backtests(parts).cautions
    assert joined_backtests([parts[0], parts[0]]).cautions[0] == NO_REACH
