"""Positions before and after."""

import polars as pl

from fivefold.risk.engine.assess import assess
from fivefold.risk.governance.backtest.moves import ALONE, Cell, matrix, movers, positions
from tests.risk.governance.making import AS_OF, TEXT, analysed, mixed, portfolio


def test_totals_and_steps_are_only_of_those_assessed_in_full() -> None:
    after = assess(analysed(), mixed(10), AS_OF)
    table = positions(after, after, None)
    full = table["after_alone"].str.starts_with("(").not_()
    assert table["after_total"].is_not_null().equals(full.alias("after_total"))
    assert table["steps"].is_not_null().equals(full.alias("steps"))
    assert movers(table, after, after, 9) == ()


def test_cells_count_pairs() -> None:
    table = pl.DataFrame({"before_alone": ["a", "a", "b"], "after_alone": ["a", "a", "a"]})
    assert matrix(table, ALONE) == (Cell("a", "a", 2), Cell("b", "a", 1))


def test_who_can_no_longer_be_assessed_is_among_the_movers() -> None:
    people = portfolio([{}])
    draft = TEXT.replace("income: number", "income: text").replace("at_least: 1000}", "equals: a}")
    after = assess(analysed(draft.replace("at_least: 100}", "equals: b}")), people, AS_OF)
    before = assess(analysed(), portfolio([{"income": "much"}]), AS_OF)
    (mover,) = movers(positions(after, before, None), after, before, 5)
    assert (mover.before, mover.after, mover.steps, mover.points_before) == ("(failed)", "low", None, "")
    assert mover.reasons == ("income: failed → −5",)
