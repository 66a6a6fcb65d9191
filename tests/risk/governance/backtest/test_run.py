"""Backtests: everyone counted once, cooldown applied, nothing that fails is lost."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.explain.breakdown import explain
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.governance.backtest.run import NO_REACH, BacktestResult, HeldLevels, backtest, draw, joined_backtests
from tests.depth import examples
from tests.risk.conftest import Refusal
from tests.risk.governance.making import AS_OF, DAY, TEXT, analysed, mixed, portfolio, ruleset

DRAFT = TEXT.replace("[20, 40, 60]", "[25, 50, 60]").replace("points: 25}", "points: 22}")


def test_everyone_is_in_one_place_on_both_sides() -> None:
    found = backtest(analysed(DRAFT), mixed(50), AS_OF, analysed())
    assert found.present is not None
    for side in (found.draft, found.present):
        assert sum(side.alone.values()) == 50
        assert (side.alone["(failed)"], side.alone["(unclassified)"], side.alone["(not applicable)"]) == (5, 0, 5)
    assert found.present.alone == {
        "low": 20, "medium": 5, "high": 10, "critical": 5, "(failed)": 5, "(unclassified)": 0, "(undetermined)": 0,
        "(not applicable)": 5,
    }  # fmt: skip
    assert sum(cell.entities for cell in found.alone) == 50
    moved = {(cell.before, cell.after): cell.entities for cell in found.alone}
    assert moved["medium", "low"] == 5
    assert (found.entities, found.drawn, found.as_of) == (50, 50, "2024-07-01")
    assert found.later is None
    assert "The cooldown is left out" in found.cautions[0]


def test_the_matrix_is_that_of_explanations_one_by_one() -> None:
    people = mixed(30)
    found = backtest(analysed(DRAFT), people, AS_OF, analysed(), HeldLevels(entered=AS_OF - 10 * DAY))
    sides = [assess(analysed(text), people, AS_OF) for text in (TEXT, DRAFT)]
    made = [[explain(side, place) for place in range(30)] for side in sides]
    places = [[one.level if one.status == "assessed" else f"({one.status})" for one in side] for side in made]
    assert {(cell.before, cell.after): cell.entities for cell in found.alone} == Counter(zip(*places, strict=True))


def test_the_cooldown_keeps_who_entered_lately() -> None:
    people = mixed(50)
    young = backtest(analysed(DRAFT), people, AS_OF, analysed(), HeldLevels(entered=AS_OF - 10 * DAY))
    old = backtest(analysed(DRAFT), people, AS_OF, analysed(), HeldLevels(entered=AS_OF - 30 * DAY))
    assert young.draft.later is not None
    assert young.draft.withheld == 10
    assert young.draft.later["low"] == young.draft.alone["low"] - 5
    assert young.draft.later["high"] == young.draft.alone["high"] + 5
    assert young.later != young.alone
    assert {mover.later for mover in young.movers if mover.steps == -1} == {"medium", "high"}
    assert old.draft.withheld == 0
    assert old.draft.later == old.draft.alone
    assert old.standing == "those of retail, taken to stand since 2024-06-01"


def test_standing_levels_may_be_given_without_a_ruleset(refusal: Refusal) -> None:
    people = portfolio([{}, {"country": "ZA"}, {}])
    given = pl.DataFrame({"entity_id": ["e0000", "e0001"], "level": [4, 1], "entered": [AS_OF - DAY, AS_OF - DAY]})
    found = backtest(analysed(), people, AS_OF, standing=HeldLevels(given))
    assert {(cell.before, cell.after) for cell in found.alone} == {
        ("critical", "low"), ("low", "high"), ("(no level before)", "low"),
    }  # fmt: skip
    assert found.later is not None
    assert ("critical", "critical") in {(cell.before, cell.after) for cell in found.later}
    assert [(mover.entity, mover.steps) for mover in found.movers[:2]] == [("e0000", -3), ("e0001", 2)]
    wrong = given.with_columns(level=pl.lit(5))
    with refusal(ConfigError):
        backtest(analysed(), people, AS_OF, standing=HeldLevels(wrong))
    three = ruleset(TEXT.replace(", critical]", "]").replace("[20, 40, 60]", "[20, 40]"))
    with refusal(ConfigError):
        backtest(analysed(), people, AS_OF, AnalysedRuleset(three), HeldLevels(given))


def test_a_draft_alone_shows_where_everyone_would_be() -> None:
    found = backtest(analysed(), mixed(20), AS_OF)
    assert (found.present, found.alone, found.later, found.movers) == (None, (), None, ())
    assert sum(found.draft.alone.values()) == 20


def test_who_changes_most_comes_first_with_the_reasons() -> None:
    people = portfolio([{"country": "ZW"}, {"country": "ZA"}, {}, {"income": "150"}])
    draft = ruleset(TEXT.replace("points: 45, floor: high", "points: 1").replace("10.5", "12"))
    found = backtest(AnalysedRuleset(draft), people, AS_OF, analysed())
    first, second = found.movers
    assert (first.entity, first.before, first.after, first.steps) == ("e0001", "high", "low", -2)
    assert (first.points_before, first.points_after) == ("40", "-4")
    assert first.reasons == ("country: +45, at least high → +1",)
    assert (second.entity, second.steps, second.reasons) == ("e0003", 0, ("income: +10.5 → +12",))


def test_failures_are_counted_and_named_with_rule_and_value() -> None:
    found = backtest(analysed(), mixed(20), AS_OF)
    assert found.draft.failed == 2
    assert [(failure.entity, failure.rule) for failure in found.draft.failures] == [
        ("e0008", "income"),
        ("e0018", "income"),
    ]
    assert "much" in found.draft.failures[0].problem


def test_rulesets_with_other_levels_have_no_common_cooldown() -> None:
    three = ruleset(TEXT.replace("[low, medium, high, critical]", "[a, b, high]").replace("[20, 40, 60]", "[20, 40]"))
    found = backtest(AnalysedRuleset(three), mixed(20), AS_OF, analysed(), HeldLevels(entered=AS_OF - DAY))
    assert found.later is None
    assert [caution.partition(":")[0] for caution in found.cautions] == [
        "The cooldown is left out",
        "The levels of the two rulesets have different names",
    ]


def test_progress_ends_at_all_of_a_small_portfolio() -> None:
    told: list[tuple[int, int]] = []
    backtest(
        analysed(DRAFT),
        mixed(7),
        AS_OF,
        analysed(),
        size=5_000,
        progress=lambda *step: told.append(step),
    )
    assert told == [(0, 14), (7, 14), (14, 14)]


def test_every_row_may_have_its_own_as_of() -> None:
    people = mixed(20)
    moments = pl.Series([AS_OF + number * DAY for number in range(20)])
    found = backtest(analysed(), people, moments, size=5, seed=3)
    assert found.drawn == 5
    assert " to " in found.as_of


def test_what_is_not_there_is_refused_before_anyone_is_assessed() -> None:
    listed = TEXT.replace("{equals: ZA}", "{in_list: nowhere}")
    with pytest.raises(InvalidRulesetError, match="list nowhere"):
        backtest(analysed(listed), mixed(5), AS_OF)


@settings(max_examples=examples(20), deadline=None)
@given(st.integers(1, 40), st.integers(0, 5), st.sampled_from([None, 0, 10, 31]))
def test_it_is_plain_data_whatever_is_compared(size: int, seed: int, days: int | None) -> None:
    standing = None if days is None else HeldLevels(entered=AS_OF - days * DAY)
    found = backtest(analysed(DRAFT), mixed(20), AS_OF, analysed(), standing, size, seed)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["drawn"] == min(size, 20) == sum(plain["draft"]["alone"].values())
    assert plain["draft"]["content_hash"] == ruleset(DRAFT).content_hash


def names(found: pl.DataFrame) -> list[str]:
    return found["entity_id"].to_list()


def test_equal_seeds_draw_the_same_entities_in_any_order() -> None:
    people = portfolio([{}] * 100)
    turned = portfolio(people.entities.reverse().to_dicts())
    first = draw(people, AS_OF, 10, 7)
    assert (first.entities, first.size, len(first.portfolio.entities)) == (100, 10, 10)
    assert sorted(names(draw(turned, AS_OF, 10, 7).portfolio.entities)) == sorted(names(first.portfolio.entities))
    assert names(draw(people, AS_OF, 10, 8).portfolio.entities) != names(first.portfolio.entities)


def test_everyone_is_as_likely() -> None:
    people = portfolio([{}] * 10)
    counts = dict.fromkeys(names(people.entities), 0)
    for seed in range(400):
        for name in names(draw(people, AS_OF, 3, seed).portfolio.entities):
            counts[name] += 1
    assert all(85 <= count <= 155 for count in counts.values())


def test_all_are_taken_where_there_are_no_more() -> None:
    people = portfolio([{}] * 5)
    assert draw(people, AS_OF, 9, 0).size == 5
    assert draw(people, AS_OF, None, 0).portfolio is people


def test_all_rows_of_an_entity_and_its_moments_come_along() -> None:
    rows = [{"entity_id": f"e{number % 6}"} for number in range(12)]
    moments = pl.Series([AS_OF + number % 6 * DAY for number in range(12)])
    for linked in ("entity_id", "user_id"):
        transactions = pl.DataFrame({linked: [f"e{number}" for number in range(6)]})
        found = draw(portfolio(rows, transactions=transactions.lazy()), moments, 2, 1)
        assert len(found.portfolio.entities) == 4
        assert isinstance(found.as_of, pl.Series)
        assert found.as_of.n_unique() == 2
        assert found.portfolio.transactions is not None
        kept = found.portfolio.transactions.lazy().collect()[linked]
        assert set(kept) == set(names(found.portfolio.entities))


def test_what_is_no_sample_is_refused(refusal: Refusal) -> None:
    with refusal(ConfigError):
        draw(portfolio([{}]), AS_OF, 0, 0)
    with refusal(ConfigError):
        draw(portfolio([{}]).__class__(pl.DataFrame({"entity_id": []}), portfolio([{}]).rates), AS_OF, None, 0)


EVERYONE = mixed(240)
NAMES = EVERYONE.entities[ENTITY].to_list()
STANDING = pl.DataFrame(
    {
        ENTITY: NAMES[::3],
        "level": [1 + number % 4 for number in range(len(NAMES[::3]))],
        "entered": [AS_OF - (number % 60) * DAY for number in range(len(NAMES[::3]))],
    }
)


def run(begin: int, end: int, standing: pl.DataFrame | None, *, compared: bool) -> BacktestResult:
    part = replace(EVERYONE, entities=EVERYONE.entities[begin:end])
    before = analysed() if compared else None
    return backtest(analysed(DRAFT), part, AS_OF, before, HeldLevels(standing))


@settings(max_examples=examples(15))
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
