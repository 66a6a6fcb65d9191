"""When to look again: until that moment nothing comes out otherwise by time alone, and then something may."""

from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.next_change import NextChange, next_changes
from fivefold.risk.engine.time_changes import next_by_time, next_of_columns
from fivefold.risk.facts.portfolio import ListVersion, NamedList, Portfolio
from tests.risk.engine.small import FIELDS, case, rule
from tests.risk.engine.small import ruleset as made

NOW = 20_000 * DAY_US
LISTS = {
    "hot": NamedList(
        list="hot",
        title="Hot",
        source="us",
        versions=(ListVersion(since=1, members=("NO",)), ListVersion(since=NOW + 7 * DAY_US, members=("SE",))),
    )
}


def assessed(
    ruleset: Any, at: int = NOW, previous: tuple[int, int] | None = None, override: tuple[int, int | None] | None = None
) -> tuple[Assessments, pl.DataFrame | None]:
    """One entity with an alert of 100 days ago."""
    entities = pl.DataFrame({"entity_id": ["e"], **{name: [None] for name in FIELDS}, "country": ["NO"]})
    alerts = pl.DataFrame({"entity_id": ["e"], "opened": [NOW - 100 * DAY_US]}).with_columns(
        pl.col("opened").cast(pl.Datetime("us"))
    )

    def held(pair: tuple[int, int | None] | None, moment: str) -> pl.DataFrame | None:
        schema = {"entity_id": pl.String, "level": pl.Int64, moment: pl.Int64}
        return None if pair is None else pl.DataFrame([("e", *pair)], schema=schema, orient="row")

    set_by_hand = held(override, "until")
    portfolio = Portfolio(entities, base_only("EUR", date(2024, 7, 1)), alerts=alerts, lists=LISTS)
    return assess(AnalysedRuleset(ruleset), portfolio, at, held(previous, "entered"), set_by_hand), set_by_hand


def looked_at(*given: Any, **named: Any) -> tuple[float, str]:
    """In how many days, and why."""
    found, overrides = assessed(*given, **named)
    row = next_changes(found, overrides, LISTS).row(0, named=True)
    return (row["next_us"] - found.outcomes["as_of"][0]) / DAY_US, row["why"]


PLAIN = rule("plain", case({"field": "country", "equals": "NO"}, 10))


def test_where_nothing_else_comes_it_is_the_interval() -> None:
    assert looked_at(made(PLAIN)) == (180, NextChange.INTERVAL)


def test_an_override_ends_and_one_without_an_end_or_that_has_ended_does_not() -> None:
    assert looked_at(made(PLAIN), override=(3, NOW + 5 * DAY_US)) == (5, NextChange.EXPIRY)
    assert looked_at(made(PLAIN), override=(3, None)) == (180, NextChange.INTERVAL)
    assert looked_at(made(PLAIN), override=(3, NOW)) == (180, NextChange.INTERVAL)


def test_a_level_that_is_withheld_may_go_down_and_no_other() -> None:
    ruleset = made(PLAIN, cooldown="30 days")
    assert looked_at(ruleset, previous=(3, NOW - 10 * DAY_US)) == (20, NextChange.MOVE_DOWN)
    assert looked_at(ruleset, previous=(1, NOW - 10 * DAY_US)) == (180, NextChange.INTERVAL)


@pytest.mark.parametrize(("days", "expected"), [(0, 80), (79, 1), (80, 90), (81, 89)])
def test_points_fade_in_steps(days: int, expected: int) -> None:
    """The alert is 100 days old; points halve every 90 days."""
    fading = rule("fading", case({"at_least": 1}, 64), input={"count": "alerts"}, decay={"half_life": "90 days"})
    assert looked_at(made(fading), NOW + days * DAY_US) == (expected, NextChange.DECAY)


def test_two_rules_fade_from_one_signal() -> None:
    first, second = (
        rule(name, case({"at_least": 1}, 64), input={"count": "alerts"}, decay={"half_life": half_life})
        for name, half_life in (("first", "90 days"), ("second", "60 days"))
    )
    assert looked_at(made(first, second)) == (20, NextChange.DECAY)


def test_a_signal_that_moves_is_looked_at_then_though_each_condition_is_known() -> None:
    """Its points are those of another age from then on."""
    fading = rule(
        "fading",
        case({"field": "country", "equals": "NO"}, 64),
        decay={"half_life": "90 days", "signal": {"field": "opened_on"}},
    )
    found, _ = assessed(made(fading))
    signal, at = found.program.rules[0].signal, NOW + 5 * DAY_US
    moments = pl.DataFrame({"entity_id": ["e"], signal: [at]})
    ahead = replace(found, moments=moments)
    limits = pl.Series([NOW + 180 * DAY_US])
    assert next_by_time(ahead, limits).to_list() == [at]
    assert next_of_columns(ahead, moments, limits).to_list() == [at]


def test_points_that_are_none_do_not_fade() -> None:
    fading = rule("fading", case({"at_least": 5}, 64), input={"count": "alerts"}, decay={"half_life": "90 days"})
    assert looked_at(made(fading)) == (180, NextChange.INTERVAL)


def test_points_that_have_faded_to_nothing_are_not_looked_at_again() -> None:
    fading = rule("fading", case({"at_least": 1}, 64), input={"count": "alerts"}, decay={"half_life": "1 day"})
    assert looked_at(made(fading)) == (180, NextChange.INTERVAL)


@pytest.mark.parametrize("points", [0.01, -0.01])
def test_the_smallest_points_fade_too(points: float) -> None:
    fading = rule("fading", case({"at_least": 1}, points), input={"count": "alerts"}, decay={"half_life": "200 days"})
    assert looked_at(made(fading)) == (100, NextChange.DECAY)


def test_points_that_no_case_gives_do_not_fade() -> None:
    fading = rule("fading", case({"at_least": 5}, 64), input={"count": "alerts"}, decay={"half_life": "90 days"})
    assert looked_at(made(fading | {"otherwise": {"points": 8}})) == (180, NextChange.INTERVAL)


def test_of_whom_a_ruleset_does_not_apply_to_nothing_fades() -> None:
    fading = rule("fading", case({"at_least": 1}, 64), input={"count": "alerts"}, decay={"half_life": "90 days"})
    others = {"field": "country", "equals": "SE"}
    assert looked_at(made(fading, applies_to=others)) == (180, NextChange.INTERVAL)


def test_a_lists_next_version_begins_where_the_ruleset_reads_it() -> None:
    listed = rule("listed", case({"field": "country", "in_list": "hot"}, 10))
    assert looked_at(made(listed)) == (7, NextChange.LIST)
    assert looked_at(made(listed), NOW + 7 * DAY_US) == (180, NextChange.INTERVAL)
    assert looked_at(made(PLAIN)) == (180, NextChange.INTERVAL)


def test_without_the_lists_none_of_their_versions_is_waited_for() -> None:
    found, _ = assessed(made(rule("listed", case({"field": "country", "in_list": "hot"}, 10))))
    assert next_changes(found)["why"].to_list() == [NextChange.INTERVAL]


def test_of_several_the_first_one_is_told() -> None:
    listed = rule("listed", case({"field": "country", "in_list": "hot"}, 10))
    assert looked_at(made(listed), override=(3, NOW + 7 * DAY_US)) == (7, NextChange.EXPIRY)
    assert looked_at(made(listed), override=(3, NOW + 8 * DAY_US)) == (7, NextChange.LIST)
