"""Each kind of input tells the moment at which time alone takes it to another place: never late, and mostly exact."""

import json
from datetime import UTC, date, datetime
from typing import Any, get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.moments import ANYTHING, MOVEMENTS
from fivefold.risk.facts.moments.cuts import cuts_of
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.language.expressions import PLAIN_INPUTS, input_key
from fivefold.risk.language.patterns import Pattern
from fivefold.risk.language.policy import POLICY_INPUTS
from fivefold.risk.language.reading import read_ruleset
from tests.depth import examples

Data = dict[str, Any]
NOW = to_microseconds(datetime(2024, 3, 30, 12, tzinfo=UTC))
HOUR_US = DAY_US // 24


def test_every_kind_of_input_tells_its_moment() -> None:
    """An input that is composed of others takes `composite`; one that stands still says so."""
    patterns = get_args(get_args(Pattern)[0])
    own = {form for word, form in POLICY_INPUTS.items() if word != "step"}  # flows read all facts before they begin
    assert set(MOVEMENTS) == {*PLAIN_INPUTS.values(), *own, *patterns}


OVERS = ["7 hours", "1 day", "30 days", "90 days", "1 month", "2 months", "1 year"]
NUMBERS = [0, 1, 2, 3, 0.5, 1.5, 10, 30, 100]
WHERES = [None, {"field": "operation", "equals": "cash"}, {"field": "direction", "equals": "deposit"}]

overs = st.sampled_from(OVERS)
endings = overs.map(lambda length: f"{length} ago")
wheres = st.sampled_from(WHERES[1:])
windows = st.fixed_dictionaries({"over": overs}, optional={"where": wheres})
past = st.fixed_dictionaries({"ending": endings}, optional={"where": wheres, "over": overs})
either = windows | st.tuples(windows, past).map(lambda pair: {**pair[0], "ending": pair[1]["ending"]})
counted = st.sampled_from(["amount", "weight"])
anew = st.one_of(
    *[
        st.tuples(counted, either).map(lambda drawn, word=word: {word: drawn[0], **drawn[1]})
        for word in ("median", "standard_deviation")
    ],
    st.tuples(st.sampled_from([25, 50, 95]), counted, either).map(
        lambda drawn: {"percentile": drawn[0], "of": drawn[1], **drawn[2]}
    ),
    st.tuples(st.integers(1, 3), counted, either).map(lambda drawn: {"largest": drawn[1], "n": drawn[0], **drawn[2]}),
    either.map(lambda window: {"new": "operation", **window}),
    st.tuples(st.sampled_from(["amount", "transactions"]), wheres, either).map(
        lambda drawn: {"share": drawn[0], **drawn[2], "where": drawn[1]}
    ),
    *[past.map(lambda window, word=word: {word: "amount", **window}) for word in ("sum", "mean", "max")],
    past.map(lambda window: {"count": "transactions", **window}),
)
aggregates = st.one_of(
    anew,
    windows.map(lambda window: {"count": "transactions", **window}),
    *[windows.map(lambda window, word=word: {word: "amount", **window}) for word in ("sum", "mean", "min", "max")],
    *[windows.map(lambda window, word=word: {word: "weight", **window}) for word in ("sum", "mean", "min", "max")],
    windows.map(lambda window: {"sum": "signed_amount", **window}),
    windows.map(lambda window: {"distinct": "operation", **window}),
)
since = st.one_of(
    past.map(lambda window: {"days_since": "transactions", **window}),
    windows.map(lambda window: {"days_since": "transactions", **window}),
    st.just({"days_since": "transactions"}),
    st.just({"days_since": "opened_on"}),
)
ratios = st.lists(st.one_of(aggregates, since, st.just({"field": "income"})), min_size=2, max_size=2).map(
    lambda parts: {"ratio": parts}
)
exact_patterns = st.one_of(
    st.fixed_dictionaries(
        {
            "pattern": st.just("structuring"),
            "threshold": st.just(3),
            "margin": st.just("50%"),
            "at_least": st.integers(1, 3),
            "over": overs,
        }
    ),
    st.fixed_dictionaries(
        {"pattern": st.sampled_from(["fan-in", "fan-out"]), "at_least": st.integers(1, 2), "over": overs}
    ),
    st.fixed_dictionaries(
        {
            "pattern": st.just("volume-deviation"),
            "expected_monthly": st.just("income"),
            "factor": st.sampled_from([0.5, 2]),
            "over": overs,
        }
    ),
    st.fixed_dictionaries(
        {
            "pattern": st.just("purpose-deviation"),
            "transaction_field": st.just("operation"),
            "declared": st.just("words"),
            "share": st.just("40%"),
            "over": overs,
        }
    ),
    st.fixed_dictionaries(
        {
            "pattern": st.just("dormant-then-active"),
            "dormant": overs,
            "active": overs,
            "at_least": st.integers(1, 2),
        }
    ),
)
early_patterns = st.one_of(
    st.fixed_dictionaries(
        {
            "pattern": st.just("velocity"),
            "more_than": st.integers(1, 2),
            "counterparties": st.integers(1, 2),
            "over": overs,
        }
    ),
    st.fixed_dictionaries(
        {
            "pattern": st.just("pass-through"),
            "within": overs,
            "share": st.just("50%"),
            "minimum": st.just(1),
            "at_least": st.integers(1, 2),
            "over": overs,
        }
    ),
)

days = st.one_of(st.integers(0, 20), st.sampled_from([0, 1, 2, 28, 29, 30, 31, 59, 60, 365, 366]))
moments_past = st.builds(
    lambda day, hour, more: NOW - day * DAY_US - hour * HOUR_US - more,
    days,
    st.integers(0, 30),
    st.sampled_from([0, 0, 0, 1]),
)
facts = st.fixed_dictionaries(
    {
        "at": moments_past,
        "amount": st.sampled_from([-3.0, -1.0, 0.01, 1.0, 2.0, 2.99, 10.0]),
        "weight": st.sampled_from([None, 0.1, 0.5, -2.0, 3.0]),
        "operation": st.sampled_from([None, "cash", "wire", "x"]),
        "counterparty_id": st.sampled_from([None, "a", "b", "c"]),
    }
)
histories = st.lists(facts, min_size=2, max_size=9)
persons = st.fixed_dictionaries(
    {
        "income": st.sampled_from([None, 0.0, 1.0, 2.0, 30.0]),
        "words": st.sampled_from([None, [], ["cash"], ["wire", "x"]]),
        "opened": st.sampled_from([None, -40 * DAY_US, -DAY_US, 0, HOUR_US, 3 * DAY_US]),
    }
)


def ruleset_of(made: Data, cuts: list[float]) -> AnalysedRuleset:
    """Write a ruleset of one rule, whose cases compare an input in all ways."""
    words = ("above", "at_least", "below", "at_most")
    cases = [{"when": {words[place % 4]: cut}, "points": place + 1} for place, cut in enumerate(cuts)]
    whole = {
        "ruleset": "one",
        "entity_type": "customer",
        "fields": {"income": "number", "words": ["text"], "opened_on": "date"},
        "transaction_fields": {"operation": "text", "counterparty_id": "text", "weight": "number"},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [31, 61]}},
        "max_recompute_interval": "180 days",
        "rules": [{"id": "one", "title": "One", "category": "other", "input": made, "cases": cases}],
    }
    return AnalysedRuleset(read_ruleset(json.dumps(whole)))


def portfolio_of(history: list[Data], person: Data) -> Portfolio:
    opened = None if person["opened"] is None else NOW + person["opened"]
    entities = pl.DataFrame(
        {ENTITY: ["e"], "income": [person["income"]], "words": [person["words"]], "opened_on": [opened]},
        schema={ENTITY: pl.String, "income": pl.Float64, "words": pl.List(pl.String), "opened_on": pl.Datetime("us")},
    )
    rows = pl.DataFrame(
        {
            ENTITY: ["e"] * len(history),
            "transaction_date": pl.Series([one["at"] for one in history], dtype=pl.Int64).cast(pl.Datetime("us")),
            "transaction_amount": pl.Series([one["amount"] for one in history], dtype=pl.Float64),
            "transaction_currency": ["EUR"] * len(history),
            **{
                name: pl.Series([one[name] for one in history], dtype=kind)
                for name, kind in (("weight", pl.Float64), ("operation", pl.String), ("counterparty_id", pl.String))
            },
        },
        schema_overrides={ENTITY: pl.String, "transaction_currency": pl.String},
    )
    return Portfolio(entities, base_only("EUR", date(2024, 1, 1)), transactions=rows)


def places(analysed: AnalysedRuleset, portfolio: Portfolio, moments: list[int]) -> list[int]:
    """Give the place of the input at each moment."""
    key = input_key(analysed.inputs[0])
    cuts = cuts_of(analysed, "EUR")[key]
    return [assess(analysed, portfolio, moment).inputs.select(cuts.place(pl.col(key))).item() for moment in moments]


def announced(analysed: AnalysedRuleset, portfolio: Portfolio) -> int | None:
    found = assess(analysed, portfolio, NOW, ahead=True)
    assert found.moments is not None
    key = input_key(analysed.inputs[0])
    moments = [found.moments[name][0] for name in (key, ANYTHING) if name in found.moments.columns]
    return min((moment for moment in moments if moment is not None), default=None)


def looked_at(moment: int | None, shares: list[float]) -> list[int]:
    """Give moments between now and the announced one, the last of them a microsecond before it."""
    end = NOW + 800 * DAY_US if moment is None else moment
    return [NOW, *(NOW + int((end - 1 - NOW) * share) for share in shares), end - 1]


drawn_shares = st.lists(st.floats(0, 1), min_size=2, max_size=4)
drawn_cuts = st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=3)


inputs_drawn = st.one_of(aggregates, since, ratios, exact_patterns)


@settings(max_examples=examples(300), deadline=None)
@given(st.one_of(inputs_drawn, early_patterns), drawn_cuts, histories, persons, drawn_shares)
def test_nothing_moves_before_its_moment(
    made: Data, cuts: list[float], history: list[Data], person: Data, shares: list[float]
) -> None:
    analysed, portfolio = ruleset_of(made, cuts), portfolio_of(history, person)
    moment = announced(analysed, portfolio)
    assert moment is None or moment > NOW
    moments = looked_at(moment, shares)
    assert len(set(places(analysed, portfolio, moments))) == 1, (moment, moments)


def is_on_the_calendar(made: Data) -> bool:
    return "month" in json.dumps(made) or "year" in json.dumps(made)


@settings(max_examples=examples(200), deadline=None)
@given(inputs_drawn, drawn_cuts, histories, persons)
def test_at_its_moment_it_moves(made: Data, cuts: list[float], history: list[Data], person: Data) -> None:
    """But for windows on the calendar, into which a fact may come back, and ratios in which days pass."""
    if is_on_the_calendar(made) or ("ratio" in made and "days_since" in json.dumps(made)):
        return
    analysed, portfolio = ruleset_of(made, cuts), portfolio_of(history, person)
    moment = announced(analysed, portfolio)
    if moment is not None:
        before, then = places(analysed, portfolio, [NOW, moment])
        assert before != then


def test_a_divisor_that_is_zero_as_days_pass_is_looked_at_again() -> None:
    """The account was opened thirty days ago, to the microsecond."""
    apart = {"subtract": [{"days_since": "opened_on"}, 30]}
    whole = json.loads(ruleset_of({"calculation": "share"}, [1]).ruleset.canonical)
    whole["calculate"] = {"share": {"unit": "ratio", "divide": [{"days_since": "opened_on"}, apart]}}
    analysed = AnalysedRuleset(read_ruleset(json.dumps(whole)))
    portfolio = portfolio_of([], {"income": None, "words": None, "opened": -30 * DAY_US})
    assert assess(analysed, portfolio, NOW).inputs[input_key(analysed.inputs[0])].to_list() == [None]
    assert announced(analysed, portfolio) == NOW + 1
    nobody = portfolio_of([], {"income": None, "words": None, "opened": None})
    assert announced(analysed, nobody) is None


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        ({"at_least": 90}, 90 * DAY_US),
        ({"below": 90}, 90 * DAY_US),
        ({"above": 90}, 90 * DAY_US + 1),
        ({"at_most": 90}, 90 * DAY_US + 1),
        ({"equals": 90}, 90 * DAY_US),
        ({"between": [5, 90]}, 5 * DAY_US),
        ({"between": [1, 90]}, 90 * DAY_US + 1),
        ({"outside": [5, 90]}, 5 * DAY_US),
        ({"outside": [1, 90]}, 90 * DAY_US + 1),
        ({"in": [1, 90]}, 90 * DAY_US),
        ({"at_least": 30000}, 30000 * DAY_US),
        ({"at_least": 1}, None),
    ],
)
def test_days_cross_a_bound_to_the_microsecond(comparison: Data, expected: int | None) -> None:
    """The account was opened two days ago."""
    whole = json.loads(ruleset_of({"days_since": "opened_on"}, [1]).ruleset.canonical)
    whole["rules"][0]["cases"][0]["when"] = comparison
    portfolio = portfolio_of([], {"income": None, "words": None, "opened": -2 * DAY_US})
    moment = announced(AnalysedRuleset(read_ruleset(json.dumps(whole))), portfolio)
    assert moment == (None if expected is None else NOW - 2 * DAY_US + expected)


def fact(days: float, amount: float = 1.0, **changed: Any) -> Data:
    at = NOW - int(days * DAY_US)
    return {"at": at, "amount": amount, "weight": None, "operation": "x", "counterparty_id": None, **changed}


PAID = [fact(1), fact(2, 2.0), fact(4, 3.0), fact(9, 10.0)]
"""Four deposits, 6 together without the oldest; the second of the window's facts to leave is that of four days ago."""


@pytest.mark.parametrize(
    ("made", "cut", "days"),
    [
        ({"count": "transactions", "over": "30 days"}, 3, 30 - 4),
        ({"sum": "amount", "over": "30 days"}, 7, 30 - 9),
        ({"sum": "amount", "over": "720 hours"}, 4, 30 - 4),
        ({"mean": "amount", "over": "30 days"}, 3, 30 - 9),
        ({"max": "amount", "over": "30 days"}, 4, 30 - 9),
        ({"min": "amount", "over": "30 days"}, 1, 30 - 1),
        ({"distinct": "operation", "over": "30 days"}, 1, 30 - 1),
        ({"days_since": "transactions", "over": "30 days"}, 100, 30 - 1),
        ({"ratio": [{"sum": "amount", "over": "30 days"}, {"count": "transactions", "over": "10 days"}]}, 5, 10 - 9),
        ({"ratio": [{"days_since": "transactions"}, {"count": "transactions"}]}, 5, 20 - 1),
        ({"pattern": "fan-in", "at_least": 1, "over": "30 days"}, 1, 30 - 1),
        ({"pattern": "structuring", "threshold": 4, "margin": "50%", "at_least": 2, "over": "30 days"}, 1, 30 - 4),
        ({"pattern": "dormant-then-active", "dormant": "4 days", "active": "6 days", "at_least": 2}, 1, 6 - 4),
        ({"count": "transactions"}, 3, None),
        ({"count": "transactions", "over": "30 days", "ending": "3 days ago"}, 3, 3 - 2),
        ({"count": "transactions", "over": "3 days", "ending": "4 days ago"}, 2, 4 - 2),
        ({"sum": "amount", "ending": "2 days ago"}, 16, 2 - 1),
        ({"days_since": "transactions", "ending": "3 days ago"}, 4.5, 0.5),
        ({"days_since": "transactions", "over": "1 day", "ending": "9 days ago"}, 100, 1),
        ({"median": "amount", "over": "30 days"}, 2.5, 30 - 9),
        ({"median": "amount", "over": "30 days"}, 2, 30 - 4),
        ({"percentile": 75, "of": "amount", "over": "30 days"}, 3, 30 - 4),
        ({"largest": "amount", "n": 2, "over": "30 days"}, 12, 30 - 9),
        ({"standard_deviation": "amount", "over": "30 days"}, 4, 30 - 9),
        ({"new": "operation", "over": "30 days"}, 1, 30 - 9),
        ({"share": "amount", "where": {"field": "amount", "at_least": 3}, "over": "30 days"}, 0.7, 30 - 9),
    ],
)
def test_a_window_is_left_to_the_microsecond(made: Data, cut: float, days: float | None) -> None:
    portfolio = portfolio_of(PAID, {"income": None, "words": None, "opened": None})
    moment = announced(ruleset_of(made, [0.0, cut]), portfolio)
    assert moment == (None if days is None else NOW + int(days * DAY_US))


@pytest.mark.parametrize(
    ("over", "days_ago", "expected"),
    [
        ("1 month", 0, "2024-04-30T12:00:00"),  # 30 March
        (
            "1 month",
            30,
            "2024-03-31T00:00:00",
        ),  # 29 February: it left at noon, and is inside again
        ("1 year", 30, "2025-03-01T00:00:00"),  # 2025 has no 29 February, so its 28th is a year after both
    ],
)
def test_a_window_on_the_calendar_is_left_by_its_steps(over: str, days_ago: int, expected: str) -> None:
    portfolio = portfolio_of([fact(days_ago)], {"income": None, "words": None, "opened": None})
    moment = announced(ruleset_of({"count": "transactions", "over": over}, [0.0, 1.0]), portfolio)
    assert moment == to_microseconds(datetime.fromisoformat(expected).replace(tzinfo=UTC))


VELOCITY = {"pattern": "velocity", "more_than": 1, "counterparties": 2, "over": "30 days"}


@pytest.mark.parametrize(
    ("history", "ahead", "before", "then"),
    [
        ([fact(1), fact(1.5)], 28.5, None, 0),  # two transactions of which nobody knows with whom
        ([fact(1), fact(1.5), fact(9), fact(9.5)], 28.5, None, 0),  # the earlier two leave, and nothing changes
        ([fact(1), fact(1.5), fact(-2), fact(-1.9, counterparty_id="a")], 1.9, None, None),
        ([fact(0.5), fact(-0.1, counterparty_id="a"), fact(-0.1, counterparty_id="b")], 0.1, 0, 3),
        ([fact(0.1), fact(0.2), fact(-0.1, counterparty_id="a"), fact(-0.2, counterparty_id="b")], 0.1, None, None),
        ([fact(0.1), fact(0.2), *(fact(-0.1, counterparty_id=each) for each in "ab")], 0.1, None, 4),
        ([fact(9, counterparty_id="a"), fact(9.5, counterparty_id="b"), fact(1), fact(1.5)], 20.5, 2, None),
    ],
)
def test_velocity_is_looked_at_anew_whether_it_is_known_or_not(
    history: list[Data], ahead: float, before: int | None, then: int | None
) -> None:
    analysed = ruleset_of(VELOCITY, [0.0])
    portfolio = portfolio_of(history, {"income": None, "words": None, "opened": None})
    at = announced(analysed, portfolio)
    assert at == NOW + round(ahead * DAY_US)
    key = input_key(analysed.inputs[0])
    values = [assess(analysed, portfolio, moment).inputs[key].item() for moment in (NOW, at - 1, at)]
    assert values == [before, before, then]
