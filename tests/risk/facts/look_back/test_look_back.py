"""How far back rulesets look, and what of all indicators is the same where nothing earlier is read."""

from typing import Any

import pytest

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.facts.look_back import LookBack, look_back
from fivefold.usecases.portfolio_files.bundled import bundled_ruleset
from tests.usecases.banks import document
from tests.usecases.platforms import NOW


def back_of(*inputs: dict[str, Any], **more: Any) -> LookBack:
    rules = {f"r{number}": rule(given) for number, given in enumerate(inputs)}
    return look_back(analyse_text(document(rules, **more)))


def rule(given: dict[str, Any]) -> dict[str, Any]:
    return {"input": given, "cases": [{"when": {"at_least": 1}, "points": 1}]}


def opened(days: float) -> int:
    return NOW - int(days * DAY_US)


@pytest.mark.parametrize(
    ("given", "days"),
    [
        ({"count": "transactions", "over": "30 days"}, 30),
        ({"sum": "amount", "over": "30 days", "ending": "7 days ago"}, 37),
        ({"distinct": "operation", "over": "12 hours"}, 0.5),
        ({"ratio": [{"sum": "amount", "over": "1 day"}, {"mean": "amount", "over": "90 days"}]}, 90),
        ({"share": "amount", "where": {"field": "direction", "equals": "deposit"}, "over": "40 days"}, 40),
        ({"days_since": "transactions", "over": "50 days"}, 50),
        ({"pattern": "fan-in", "at_least": 3, "counterparty": "operation", "over": "60 days"}, 60),
        ({"count": "cases"}, 0),
        ({"days_since": "opened_on"}, 0),
        ({"field": "income"}, 0),
    ],
)
def test_a_window_bounds_what_is_read(given: dict[str, Any], days: float) -> None:
    back = back_of(given)
    assert not back.summary
    assert back.opens_us(NOW) == opened(days)


def test_a_year_is_counted_on_the_calendar() -> None:
    assert back_of({"count": "transactions", "over": "1 year"}).opens_us(NOW) == opened(365)
    assert back_of({"count": "transactions", "over": "3 years"}).opens_us(NOW) == opened(3 * 365 + 1)


@pytest.mark.parametrize(
    "given",
    [
        {"count": "transactions"},
        {"sum": "amount"},
        {"new": "operation", "over": "1 day"},
        {"median": "amount"},
        {"max": "amount", "where": {"field": "operation", "equals": "cash"}},
        {"max": "amount", "ending": "7 days ago"},
        {"days_since": "transactions", "where": {"field": "operation", "equals": "cash"}},
        {"indicator": "deposit_sum_all"},
    ],
)
def test_what_needs_every_transaction_says_so_by_name(given: dict[str, Any]) -> None:
    back = back_of({"count": "transactions", "over": "30 days"}, given)
    word, of = next(iter(given.items()))
    assert back.opens_us(NOW) is None
    assert [f"{{{word}: {of}" in text for text in back.everything] == [True]


@pytest.mark.parametrize(
    ("given", "days"),
    [
        ({"max": "amount"}, 0),
        ({"min": "signed_amount", "where": {"field": "state", "equals": "pending"}}, 0),
        ({"days_since": "transactions", "where": {"field": "direction", "equals": "deposit"}}, 0),
        ({"pattern": "dormant-then-active", "dormant": "365 days", "active": "30 days", "at_least": 5}, 30),
        ({"indicator": "account_age"}, 0),
        ({"indicator": "regularity_365d"}, 365),
    ],
)
def test_a_summary_is_enough_for_ends_and_extremes(given: dict[str, Any], days: float) -> None:
    back = back_of(given)
    assert back.opens_us(NOW) == opened(days)
    assert len(back.summary) == 1


def test_the_parts_of_a_calculation_are_looked_at() -> None:
    calculated = {"all": {"unit": "money", "add": [{"sum": "amount", "over": "9 days"}, {"sum": "amount"}]}}
    assert back_of({"calculation": "all"}, calculate=calculated).everything == ("{sum: amount}",)


def test_the_windows_of_peers_and_of_those_linked_are_looked_at() -> None:
    peers = {"peer_percentile": {"of": {"sum": "amount", "over": "400 days"}, "among": {"field": "country"}}}
    assert back_of(peers).opens_us(NOW) == opened(400)
    household = {"linked": {"by": "household", "sum": {"sum": "amount", "over": "500 days"}}}
    assert back_of(household, links={"household": {"kind": "shared"}}).opens_us(NOW) == opened(500)


def test_rulesets_are_looked_at_together() -> None:
    far = analyse_text(document({"a": rule({"count": "transactions", "over": "30 days"})}))
    all_time = analyse_text(document({"a": rule({"sum": "amount"})}))
    assert LookBack.of([]).opens_us(NOW) == NOW
    assert LookBack.of([far, far]).opens_us(NOW) == opened(30)
    assert LookBack.of([far, all_time]).opens_us(NOW) is None


@pytest.mark.parametrize(("name", "days", "summary"), [("eu-bank-weighted", 180, 0), ("fatf-retail", 365, 3)])
def test_no_ruleset_that_ships_needs_every_transaction(name: str, days: int, summary: int) -> None:
    back = look_back(AnalysedRuleset(bundled_ruleset(name)))
    assert back.everything == ()
    assert (back.opens_us(NOW), len(back.summary)) == (opened(days), summary)
