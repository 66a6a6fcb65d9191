"""Positions before and after."""

import polars as pl

from fivefold.risk.engine.assess import assess
from fivefold.risk.governance.backtest.moves import ALONE, MoveCount, case_hits, cells, failures, movers, positions
from tests.risk.governance.making import AS_OF, TEXT, TIERED_TEXT, WEIGHTED_TEXT, analysed, mixed, portfolio


def test_totals_and_steps_are_only_of_those_assessed_in_full() -> None:
    after = assess(analysed(), mixed(10), AS_OF)
    table = positions(after, after, None)
    full = table["after_alone"].str.starts_with("(").not_()
    assert table["after_total"].is_not_null().equals(full.alias("after_total"))
    assert table["steps"].is_not_null().equals(full.alias("steps"))
    assert movers(table, after, after, 9) == ()


def test_cells_count_pairs() -> None:
    table = pl.DataFrame({"before_alone": ["a", "a", "b"], "after_alone": ["a", "a", "a"]})
    assert cells(table, f"before_{ALONE}", f"after_{ALONE}") == (MoveCount("a", "a", 2), MoveCount("b", "a", 1))


def test_who_can_no_longer_be_assessed_is_among_the_movers() -> None:
    people = portfolio([{}])
    draft = TEXT.replace("income: number", "income: text").replace("at_least: 1000}", "equals: a}")
    after = assess(analysed(draft.replace("at_least: 100}", "equals: b}")), people, AS_OF)
    before = assess(analysed(), portfolio([{"income": "much"}]), AS_OF)
    (mover,) = movers(positions(after, before, None), after, before, 5)
    assert (mover.before, mover.after, mover.steps, mover.points_before) == ("(failed)", "low", None, "")
    assert mover.reasons == ("income: failed → −5",)


def test_a_level_that_moves_by_the_score_alone_has_the_score_for_a_reason() -> None:
    people = portfolio([{"country": "ZW"}])
    before, after = (
        assess(analysed(TEXT.replace("thresholds: [20", f"thresholds: [{cut}")), people, AS_OF) for cut in (20, 39)
    )
    assert before.outcomes["total"].equals(after.outcomes["total"])
    (mover,) = movers(positions(after, before, None), after, before, 5)
    assert mover.reasons == ("score, points, thresholds: 20, 40, 60 → 39, 40, 60",)


def test_every_outcome_is_counted_once_for_everyone_the_ruleset_applies_to() -> None:
    hits = case_hits(assess(analysed(), mixed(30), AS_OF))
    for rule in ("country", "income"):
        own = [hit for hit in hits if hit.rule == rule]
        assert [hit.case for hit in own] == [1, 2, "otherwise", "unknown", "failed"]
        assert sum(hit.entities for hit in own) == 27
        assert abs(sum(hit.share for hit in own) - 1) < 1e-9
    found = {(hit.rule, hit.case): hit for hit in hits}
    assert found["country", 1].entities == 6
    assert (found["country", 1].points, found["country", 1].floor) == ("45", "high")
    assert found["income", 2].points == "10.5"
    assert found["income", 2].asked == "it is at least 100"
    assert (found["country", "unknown"].entities, found["country", "unknown"].points) == (3, "10")
    assert found["income", "failed"].entities == 3


def test_nobody_is_nobody() -> None:
    hits = case_hits(assess(analysed(), portfolio([{"kind": "company"}]), AS_OF))
    assert {(hit.entities, hit.share) for hit in hits} == {(0, 0.0)}


def test_a_total_that_no_tier_owns_is_told() -> None:
    tiers = TIERED_TEXT.replace("min: -50", "min: 0")
    found = assess(analysed(tiers), portfolio([{}, {"income": "150"}]), AS_OF)
    (failure,) = failures(found)
    assert (failure.entity, failure.rule, failure.problem) == ("e0000", "tiers", "no tier owns the total -5")


def test_an_entity_without_a_column_of_weights_is_told() -> None:
    text = WEIGHTED_TEXT.replace("{use: all}", "{when: {field: income, above: 1}, use: all}")
    found = assess(analysed(text), portfolio([{"income": None}, {}]), AS_OF)
    (failure,) = failures(found)
    problem = "there is no column where income is unknown"
    assert (failure.entity, failure.rule, failure.problem) == ("e0000", "weights_by", problem)


def test_tiers_have_no_weights_to_choose() -> None:
    found = assess(analysed(TIERED_TEXT), portfolio([{"kind": None}, {}]), AS_OF)
    (failure,) = failures(found)
    assert (failure.entity, failure.rule, failure.problem) == ("e0000", "applies_to", "kind is unknown")


def test_so_many_are_listed_and_no_more() -> None:
    found = assess(analysed(), portfolio([{"income": "?"}] * 9), AS_OF)
    assert len(failures(found, 4)) == 4
