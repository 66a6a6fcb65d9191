"""Groups announce when time alone changes them: days of those linked, to the microsecond, and never anything late."""

import json
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.groups.links import Links
from fivefold.risk.facts.moments.cuts import cuts_of
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.reading import read_ruleset
from tests.depth import examples
from tests.risk.engine.test_assess import QUICK
from tests.risk.facts.moments.test_moments import NOW, NUMBERS, aggregates, past, ruleset_of

Data = dict[str, Any]
HOUR_US = DAY_US // 24
NAMES = ["a", "b", "c"]

OPENED, PAID = {"days_since": "opened_on"}, {"days_since": "transactions"}
since = st.sampled_from([OPENED, PAID, {**PAID, "over": "30 days"}]) | past.map(
    lambda window: {"days_since": "transactions", **window}
)
ordered = st.tuples(st.sampled_from(["above", "at_least", "below", "at_most"]), st.sampled_from(NUMBERS))
tests_of_days = st.one_of(
    st.tuples(since, ordered).map(lambda pair: {**pair[0], pair[1][0]: pair[1][1]}),
    st.tuples(since, st.sampled_from(["above", "below"])).map(lambda pair: {**pair[0], pair[1]: {"field": "income"}}),
    st.tuples(st.sampled_from([OPENED, PAID]), ordered).map(
        lambda pair: {"ratio": [pair[0], {"field": "income"}], pair[1][0]: pair[1][1]}
    ),
    st.tuples(aggregates, ordered).map(lambda pair: {**pair[0], pair[1][0]: pair[1][1]}),
    since.map(lambda made: {**made, "is": "present"}),
)
conditions = st.one_of(
    tests_of_days,
    st.lists(tests_of_days, min_size=2, max_size=2).map(lambda both: {"all": both}),
    tests_of_days.map(lambda one: {"not": one}),
)
numbers = since | aggregates.filter(lambda made: not {"mean", "median", "standard_deviation"} & set(made))


@st.composite
def groups(draw: st.DrawFn) -> Data:
    made: Data = {"by": "household", "itself": draw(st.booleans())}
    if draw(st.booleans()):
        made["where"] = draw(conditions)
    word = draw(st.sampled_from(["count", "any", "sum", "mean", "min", "max", "sum", "max"]))
    if word == "count":
        return {**made, "count": "entities"}
    return {**made, word: draw(conditions if word == "any" else numbers)}


def analysed_of(group: Data, cuts: list[float], formula: Any = None) -> AnalysedRuleset:
    linked = {"linked": group}
    whole = json.loads(ruleset_of({"calculation": "made"} if formula else linked, cuts).ruleset.canonical)
    whole["links"] = {"household": {"kind": "shared"}}
    if "any" in group and not formula:
        whole["rules"][0]["cases"] = [{"when": {"equals": True}, "points": 1}]
    if formula:
        whole["calculate"] = {"made": {"unit": "days", **formula(linked)}}
    analysed = AnalysedRuleset(read_ruleset(json.dumps(whole)))
    assert not analysed.errors
    return analysed


MINUTE_US = 60_000_000
near = st.tuples(st.sampled_from([0.5, 1, 1.5, 2, 3, 10, 30]), st.integers(1, 700))
ages = st.integers(0, 40 * 24 * 60).map(lambda minutes: minutes * MINUTE_US) | near.map(
    lambda pair: max(int(pair[0] * DAY_US) - pair[1] * MINUTE_US, 0)
)
"""Up to forty days, by minutes, and often so that a bound is passed before the next midnight."""
members = st.fixed_dictionaries(
    {
        "opened": st.none() | ages | st.integers(-2, 0).map(lambda days: days * DAY_US),
        "income": st.sampled_from([None, 1.0, 2.0, 30.0]),
        "paid": st.lists(st.tuples(ages, st.sampled_from([1.0, 2.0, -3.0])), max_size=3),
        "joined": st.sampled_from([None, None, None, DAY_US, -3 * DAY_US]),
    }
)
households = st.lists(members, min_size=2, max_size=3)


def portfolio_of(household: list[Data]) -> Portfolio:
    names = NAMES[: len(household)]
    opened = pl.Series([None if one["opened"] is None else NOW - one["opened"] for one in household], dtype=pl.Int64)
    entities = pl.DataFrame(
        {ENTITY: names, "income": [one["income"] for one in household], "opened_on": opened.cast(pl.Datetime("us"))},
        schema_overrides={"income": pl.Float64},
    ).with_columns(words=pl.lit(None, pl.List(pl.String)))
    facts = [
        (name, NOW - age, amount) for name, one in zip(names, household, strict=True) for age, amount in one["paid"]
    ]
    rows = pl.DataFrame(facts, schema={ENTITY: pl.String, "at": pl.Int64, "amount": pl.Float64}, orient="row").select(
        ENTITY,
        transaction_date=pl.col("at").cast(pl.Datetime("us")),
        transaction_amount="amount",
        transaction_currency=pl.lit("EUR"),
        operation=pl.lit("cash"),
        counterparty_id=pl.lit("x"),
        weight=pl.lit(0.5),
    )
    begins = [None if one["joined"] is None else NOW + one["joined"] for one in household]
    links = pl.DataFrame({"type": "household", "from": names, "to": "H1"}).with_columns(
        valid_from=pl.Series(begins, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
        valid_until=pl.lit(None, pl.Datetime("us", "UTC")),
    )
    base = base_only("EUR", date(2024, 1, 1))
    return Portfolio(entities, base, transactions=rows, links=Links(links), everyone=entities)


def places(analysed: AnalysedRuleset, portfolio: Portfolio, moment: int) -> list[Any]:
    """Give where the group of each of the household lies, all of them at once."""
    key = input_key(analysed.inputs[0])
    found = assess(analysed, portfolio, moment).inputs[key].to_list()
    cuts = cuts_of(analysed, "EUR").get(key)
    return [value if cuts is None else cuts.place_of(value) for value in found]


def announced(analysed: AnalysedRuleset, portfolio: Portfolio) -> list[int | None]:
    moments = assess(analysed, portfolio, NOW, ahead=True).moments
    assert moments is not None
    names = moments.columns[1:]
    return [
        min((row[name] for name in names if row[name] is not None), default=None) for row in moments.rows(named=True)
    ]


FORMULAS = [
    None,
    None,
    None,
    lambda linked: {"absolute": {"subtract": [linked, 10]}},
    lambda linked: {"least_of": [linked, OPENED]},
]


@settings(max_examples=examples(75), phases=QUICK, deadline=None)
@given(
    groups(),
    st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=3),
    households,
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.sampled_from(FORMULAS),
)
def test_no_group_changes_before_its_moment(
    group: Data, cuts: list[float], household: list[Data], shares: list[float], formula: Any
) -> None:
    is_days = any("days_since" in group.get(word, {}) for word in ("sum", "mean", "min", "max"))
    analysed, portfolio = analysed_of(group, cuts, formula if is_days else None), portfolio_of(household)
    now, moments = places(analysed, portfolio, NOW), announced(analysed, portfolio)
    for row, moment in enumerate(moments):
        assert moment is None or moment > NOW
        end = NOW + 60 * DAY_US if moment is None else moment
        for at in (*(NOW + int((end - 1 - NOW) * share) for share in shares), NOW + (end - NOW) // 2, end - 1):
            assert places(analysed, portfolio, at)[row] == now[row], (row, moment, at)


def member(opened: float, *paid: float, income: float | None = None) -> Data:
    facts = [(int(days * DAY_US), 1.0) for days in paid]
    return {"opened": int(opened * DAY_US), "income": income, "paid": facts, "joined": None}


HOUSEHOLD = [member(2.25, 1.5, 4), member(7.75, 0.5, income=10.0)]


@pytest.mark.parametrize(
    ("group", "cut", "days"),
    [
        ({"max": OPENED}, 10, 2.25),
        ({"min": OPENED}, 10, 7.75),
        ({"sum": OPENED}, 20, 5),
        ({"mean": OPENED}, 10, 5),
        ({"max": PAID}, 2, 0.5),
        ({"min": PAID}, 2, 1.5),
        ({"sum": {**PAID, "over": "3 days"}}, 10, 1.5),  # one is unknown then
        ({"count": "entities", "where": {**OPENED, "at_least": 10}}, 0, 2.25),
        ({"any": {**OPENED, "at_least": 10}}, 0, 2.25),
        ({"any": {**OPENED, "at_least": 5}}, 0, 2.75),  # of the one: the answer stays, as the other's does
        ({"any": {**PAID, "at_most": 3}}, 0, 1.5),
        ({"any": {**OPENED, "above": {"field": "income"}}}, 0, 2.25),
        ({"any": {"ratio": [OPENED, {"field": "income"}], "at_least": 1}}, 0, 2.25),
        ({"any": {"count": "transactions", "over": "5 days", "at_least": 2}}, 0, 1),
        ({"sum": OPENED, "where": {**PAID, "at_least": 1}}, 100, 0.5),
        ({"count": "entities"}, 0, None),
    ],
)
def test_a_group_tells_its_moment(group: Data, cut: float, days: float | None) -> None:
    """What must be exceeded is passed a microsecond after it is reached."""
    analysed = analysed_of({"by": "household", "itself": True, **group}, [cut])
    moments = announced(analysed, portfolio_of(HOUSEHOLD))
    if days is None:
        assert moments == [None, None]
    else:
        assert moments[0] is not None
        assert moments[0] - (NOW + int(days * DAY_US)) in {0, 1}


def test_a_window_of_a_condition_that_makes_no_difference_makes_nobody_due() -> None:
    """Of two hundred payments one leaves every hour; the condition turns with the first one below a hundred."""
    many = member(2, *(20 + hour / 24 for hour in range(200)))
    group = {"by": "household", "any": {"count": "transactions", "over": "30 days", "at_least": 100}}
    moments = announced(analysed_of(group, [0]), portfolio_of([member(1), many]))
    assert moments[0] == NOW + int((10 - 99 / 24) * DAY_US)


def test_what_was_due_at_the_next_midnight_is_due_at_its_moment() -> None:
    """A bound that is passed in the evening is announced for the evening, of each household in one frame."""
    analysed = analysed_of({"by": "household", "max": PAID}, [1])
    evening = NOW + 8 * HOUR_US
    found = announced(analysed, portfolio_of([member(5, 16 / 24), member(5, 20 / 24)]))
    assert found == [NOW + 4 * HOUR_US + 1, evening + 1]
