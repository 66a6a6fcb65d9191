"""Calculations in which days pass, and that may turn back, announce each turn: never late, and mostly exact."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.moments.cuts import cuts_of
from fivefold.risk.facts.moments.search import UNDECIDED_US
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.reading import read_ruleset
from tests.depth import examples
from tests.risk.engine.test_assess import QUICK
from tests.risk.facts.moments.test_moments import NOW, announced, fact, portfolio_of, ruleset_of
from tests.risk.facts.single.test_moments import both

Data = dict[str, Any]
HOUR_US = DAY_US // 24

OPENED, PAID, SINCE = {"days_since": "opened_on"}, {"days_since": "transactions"}, {"indicator": "account_age"}
RECENT = {"count": "transactions", "over": "30 days"}
_DAYS = st.sampled_from([OPENED, PAID, {**SINCE, "as": "days"}, {"field": "income", "as": "days"}])
_NUMBERS = st.sampled_from([-5, 0, 1, 2, 3, 10, 29.99, 30])
_FACTORS = st.sampled_from([-2, -1, 0, 0.5, 1, 3]) | st.sampled_from([{"field": "income"}, {"value": "score"}])


def _days(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    other = below | _NUMBERS
    two = st.tuples(below, other).map(list)
    ends = st.sampled_from([{"from": 0}, {"to": 10}, {"from": 1, "to": 3}])
    return st.one_of(
        *[two.map(lambda pair, word=word: {word: pair}) for word in ("add", "subtract", "least_of", "greatest_of")],
        below.map(lambda part: {"absolute": part}),
        st.tuples(below, ends).map(lambda pair: {"clamp": pair[0], **pair[1]}),
        st.tuples(below, st.integers(0, 2)).map(lambda pair: {"round": pair[0], "decimals": pair[1]}),
        st.tuples(below, _FACTORS).map(lambda pair: {"multiply": list(pair)}),
        st.tuples(below, below, below).map(lambda three: {"multiply": [three[0], {"divide": list(three[1:])}]}),
    )


turning = st.recursive(_DAYS, _days, max_leaves=4).filter(
    lambda made: not set(made) & {"days_since", "field", "indicator"}
)
"""Days under sizes, differences, products, quotients, ranges and roundings, of each other too."""
cuts_drawn = st.lists(st.sampled_from([-5, 0, 0.5, 1, 2, 3, 10, 27, 30, 31.5]), min_size=1, max_size=3)
ages = st.integers(0, 40 * 24 * 60).map(lambda minutes: minutes * 60_000_000)
"""Up to forty days, by minutes: mostly not at midnight, and often the same."""


def calculated(formula: Data, cuts: list[float], unit: str = "days") -> AnalysedRuleset:
    whole = json.loads(ruleset_of({"calculation": "made"}, cuts).ruleset.canonical)
    whole["calculate"] = {"made": {"unit": unit, **formula}}
    analysed = AnalysedRuleset(read_ruleset(json.dumps(whole)))
    assert not analysed.errors
    return analysed


@st.composite
def persons(draw: st.DrawFn) -> tuple[Portfolio, int]:
    """Draw one entity with a date and payments, and how old its account is; dates may be to come, or the same."""
    opened = draw(ages | st.integers(-HOUR_US, 3 * DAY_US) | st.just(30 * DAY_US))
    paid = draw(st.lists(ages | st.just(opened), max_size=3))
    person = {"income": draw(st.sampled_from([None, 0.0, 1.0, 2.0, 30.0])), "words": None, "opened": -opened}
    history = [fact(0, draw(st.sampled_from([1.0, -3.0]))) | {"at": NOW - age} for age in paid]
    return portfolio_of(history, person), draw(st.sampled_from([opened, *paid, DAY_US])) if opened >= 0 else 0


def at(portfolio: Portfolio, age: int, moment: int) -> Portfolio:
    """Let the account be so old now, and older later."""
    days = max(age + moment - NOW, 0) / DAY_US
    frame = pl.DataFrame({ENTITY: ["e"], "account_age": [days], "score": [2.0]})
    return Portfolio(**{**vars(portfolio), "indicators": frame, "values": frame})


def places(analysed: AnalysedRuleset, portfolio: Portfolio, age: int, moments: list[int]) -> list[int]:
    key = input_key(analysed.inputs[0])
    cuts = cuts_of(analysed, "EUR")[key]
    found = [assess(analysed, at(portfolio, age, moment), moment).inputs[key][0] for moment in moments]
    return [cuts.place_of(value) for value in found]


@settings(max_examples=examples(200), phases=QUICK, deadline=None)
@given(turning, cuts_drawn, persons(), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_nothing_turns_before_its_moment(
    formula: Data, cuts: list[float], drawn: tuple[Portfolio, int], shares: list[float]
) -> None:
    analysed, (portfolio, age) = calculated(formula, cuts), drawn
    moment = announced(analysed, at(portfolio, age, NOW))
    assert moment is None or moment > NOW
    end = NOW + 200 * DAY_US if moment is None else moment
    near = [NOW + int((end - 1 - NOW) * share) for share in (*shares, *(part / 8 for part in range(1, 8)))]
    if moment == NOW + UNDECIDED_US:  # rounding decides until then
        return
    assert len(set(places(analysed, portfolio, age, [NOW, *near, end - 1]))) == 1, (moment, near)


@settings(max_examples=examples(150), phases=QUICK, deadline=None)
@given(turning, cuts_drawn, persons())
def test_one_entity_turns_as_its_column_does(formula: Data, cuts: list[float], drawn: tuple[Portfolio, int]) -> None:
    portfolio, age = drawn
    plain, columns = both(calculated(formula, cuts), at(portfolio, age, NOW), NOW)
    assert plain == columns


@pytest.mark.parametrize(
    ("formula", "opened", "cut", "later_us"),
    [
        ({"absolute": {"subtract": [OPENED, 10]}}, 3.25, 5, 1.75 * DAY_US),
        ({"absolute": {"subtract": [OPENED, 10]}}, 8, 5, 7 * DAY_US + 1),
        ({"clamp": {"subtract": [20, OPENED]}, "from": 0, "to": 3}, 4.5, 2, 13.5 * DAY_US),
        ({"greatest_of": [{"subtract": [10, OPENED]}, {"subtract": [OPENED, 10]}]}, 2.25, 6, 1.75 * DAY_US),
        ({"least_of": [OPENED, {"subtract": [10, OPENED]}]}, 4, 4.5, 0.5 * DAY_US + 1),
        ({"round": OPENED, "decimals": 0}, 1.75, 2, 0.75 * DAY_US + 1),
        ({"subtract": [OPENED, PAID]}, 8, 6, None),  # a day apart for ever
        ({"subtract": [OPENED, {"add": [PAID, 0.5]}]}, 8, 6.5, None),
        ({"multiply": [OPENED, {"divide": [OPENED, OPENED]}]}, 8, 9, DAY_US + 1),
        ({"multiply": [OPENED, {"divide": [{"subtract": [10, OPENED]}, OPENED]}]}, 3, 4, 3 * DAY_US),
    ],
)
def test_a_turn_is_told_to_the_microsecond(formula: Data, opened: float, cut: float, later_us: float | None) -> None:
    """What must be exceeded is passed a microsecond after it is reached; a payment was a day after the opening."""
    person = {"income": None, "words": None, "opened": -int(opened * DAY_US)}
    portfolio = portfolio_of([fact(opened - 1)], person)
    assert announced(calculated(formula, [cut]), portfolio) == (None if later_us is None else NOW + int(later_us))


def test_where_the_last_digits_of_a_float_decide_it_is_looked_at_once_an_hour() -> None:
    """An account that was opened as the entity was: one age is a float, the other one counts microseconds."""
    age = 3 * DAY_US + 123_456_789
    portfolio = at(portfolio_of([], {"income": None, "words": None, "opened": -age}), age, NOW)
    apart = {"subtract": [{**SINCE, "as": "days"}, OPENED]}
    assert announced(calculated(apart, [0]), portfolio) == NOW + UNDECIDED_US
    assert announced(calculated(apart, [1]), portfolio) is None
