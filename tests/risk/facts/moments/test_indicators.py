"""Indicators of the catalogue announce when time changes them: how each goes on is tried, and nothing comes late."""

import json
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import InvalidRulesetError
from fivefold.domain.money import base_only
from fivefold.features.histories import Histories
from fivefold.features.indicator_matrix import catalogue, snapshots
from fivefold.features.reading.sources import read_histories
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.figures import AGES
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.moments.anew import MOST_MOMENTS
from fivefold.risk.facts.moments.cuts import cuts_of
from fivefold.risk.facts.moments.indicators import way_of
from fivefold.risk.facts.moments.search import UNDECIDED_US
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.facts.value_inputs import indicator_frame
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.reading import read_ruleset
from tests.depth import examples
from tests.features.oracle.strategies import AS_OFS, RATES, Row, iso, ledgers, row
from tests.risk.conftest import Refusal
from tests.risk.engine.test_assess import QUICK
from tests.risk.facts.moments.test_moments import ruleset_of
from tests.risk.facts.single.test_moments import both

Data = dict[str, Any]
AS_OF = AS_OFS[1]
NAMES = catalogue().names
LENGTHS = (30, 90, 120, 275, 365)
AHEAD_US = 500 * DAY_US
NEAR = 1e-9
"""What floats round may differ by so much, as a part of the number."""


def history_of(ledger: list[Row]) -> Histories:
    histories = read_histories(ledger, RATES)
    return histories.select(0, 1)


def moments_of(histories: Histories, shares: list[float]) -> list[int]:
    """Give moments that lie close: now, before and at each at which something could leave a window, and others."""
    edges = {int(at) + days * DAY_US for at in histories.time for days in (0, *LENGTHS)}
    edges |= {(AS_OF // DAY_US + day) * DAY_US for day in (1, 2, 40)} | {
        AS_OF + int(part * AHEAD_US) for part in shares
    }
    return sorted({at for edge in edges for at in (edge - 1, edge) if AS_OF < at < AS_OF + AHEAD_US} | {AS_OF})


many_shares = st.lists(st.floats(0, 1), min_size=5, max_size=15)


@settings(max_examples=examples(75), deadline=None)
@given(ledgers(AS_OF), many_shares)
def test_each_indicator_goes_on_as_is_said_of_it(ledger: list[Row], shares: list[float]) -> None:
    """Between its jumps an indicator stays to the last bit, or rises or falls alone; an age passes."""
    assume(ledger)
    histories = history_of(ledger)
    moments = moments_of(histories, shares)
    taken = snapshots(histories, np.array(moments))
    for number, name in enumerate(NAMES):
        days = () if name in AGES else way_of(name).days
        jumps = {int(at) + length * DAY_US for at in histories.time for length in (0, *days)}
        pieces: list[list[int]] = [[]]
        for place, moment in enumerate(moments):
            last = pieces[-1][-1] if pieces[-1] else place
            if any(moments[last] < jump <= moment for jump in jumps):
                pieces.append([])
            pieces[-1].append(place)
        for piece in pieces:
            goes_on_well(name, [moments[place] for place in piece], taken.values[0, piece, number])


def goes_on_well(name: str, moments: list[int], values: np.ndarray) -> None:
    if np.isnan(values).any():
        assert np.isnan(values).all(), name
    elif name in AGES:
        passed = [value - value_before for value_before, value in pairwise(values)]
        wanted = [(at - before) / DAY_US for before, at in pairwise(moments)]
        waiting = name == "account_age"  # which stands at 0 until the account begins
        assert all(
            abs(one - two) < 1e-8 or (waiting and one <= two) for one, two in zip(passed, wanted, strict=True)
        ), name
    elif way_of(name).moves:
        rises = np.diff(values)
        slack = NEAR * max(1.0, np.abs(values).max())
        assert (rises <= slack).all() or (rises >= -slack).all(), name
    elif name.startswith("balance_decayed"):
        assert np.allclose(values, values[0], rtol=NEAR, atol=NEAR), name
    else:
        assert (values == values[0]).all(), name


def test_every_indicator_of_the_catalogue_has_a_way_to_go_on() -> None:
    ways = {name: way_of(name) for name in NAMES if name not in AGES}
    assert {name for name, way in ways.items() if way.moves} == {
        "active_day_share_all",
        "balance_empty_days_365d",
        *(f"balance_held_{days}d" for days in (30, 90, 365)),
        *(f"{kind}_decayed_{days}d" for kind in ("deposit", "withdrawal") for days in (15, 45, 120)),
    }
    assert {length for way in ways.values() for length in way.days} == set(LENGTHS)


def asked(histories: Histories, moment: int) -> Portfolio:
    user = histories.user_ids[0].as_py()
    entities = pl.DataFrame({ENTITY: [user], "income": [2.0], "words": [None], "opened_on": [None]})
    kinds = {"words": pl.List(pl.String), "opened_on": pl.Datetime("us")}
    rows = pl.DataFrame(
        schema={
            ENTITY: pl.String,
            "transaction_amount": pl.Float64,
            "transaction_currency": pl.String,
            "transaction_date": pl.Datetime("us"),
            "operation": pl.String,
            "counterparty_id": pl.String,
            "weight": pl.Float64,
        }
    )
    return Portfolio(
        entities.cast(kinds),
        base_only("EUR", date(2024, 1, 1)),
        transactions=rows,
        indicators=indicator_frame(histories, moment),
        histories=histories,
    )


def announced(analysed: AnalysedRuleset, histories: Histories) -> int | None:
    moments = assess(analysed, asked(histories, AS_OF), AS_OF, ahead=True).moments
    assert moments is not None
    found = [at for at in moments.row(0)[1:] if at is not None]
    return min(found, default=None)


def values(analysed: AnalysedRuleset, histories: Histories, moments: list[int]) -> list[float | None]:
    key = input_key(analysed.inputs[0])
    return [assess(analysed, asked(histories, moment), moment).inputs[key][0] for moment in moments]


def written(value: float) -> float:
    """Write a bound with as many digits as a ruleset may have."""
    return round(float(f"{value:.9g}"), 5)


FORMS: list[Any] = [
    lambda indicator: ({**indicator}, None),
    lambda indicator: ({"ratio": [indicator, {"field": "income"}]}, None),
    lambda indicator: ({"ratio": [indicator, {"indicator": "event_recency"}]}, None),
    lambda indicator: ({"calculation": "made"}, {"subtract": [indicator, {"field": "income"}]}),
    lambda indicator: ({"calculation": "made"}, {"absolute": {"subtract": [indicator, {"indicator": "balance_last"}]}}),
    lambda indicator: ({"calculation": "made"}, {"divide": [indicator, {"indicator": "event_recency"}]}),
]
"""An indicator for itself, and among others."""


def ruleset(form: Any, name: str, cuts: list[float]) -> AnalysedRuleset:
    made, formula = form({"indicator": name})
    whole = json.loads(ruleset_of(made, cuts).ruleset.canonical)
    whole["calculate"] = {} if formula is None else {"made": {"unit": "ratio", **formula}}
    analysed = AnalysedRuleset(read_ruleset(json.dumps(whole)))
    assert not analysed.errors
    return analysed


@settings(max_examples=examples(100), phases=QUICK, deadline=None)
@given(
    ledgers(AS_OF, max_rows=8), st.sampled_from(NAMES), st.sampled_from(FORMS), many_shares, st.floats(0, 1), st.data()
)
def test_nothing_of_an_indicator_changes_before_its_moment(
    ledger: list[Row], name: str, form: Any, shares: list[float], share: float, data: st.DataObject
) -> None:
    """Bounds are numbers that it comes to later on, so that it crosses them."""
    assume(ledger)
    histories = history_of(ledger)
    later = AS_OF + int(share * AHEAD_US)
    reached = [value for value in values(ruleset(form, name, [0]), histories, [AS_OF, later]) if value is not None]
    assume(reached)
    middle = [sum(reached) / len(reached)]
    cuts = [written(value) for value in data.draw(st.lists(st.sampled_from([*reached, *middle, 0.0, 1.0]), min_size=1))]
    analysed = ruleset(form, name, cuts[:3])
    moment = announced(analysed, histories)
    assert moment is None or moment > AS_OF
    end = AS_OF + AHEAD_US if moment is None else moment
    moments = [AS_OF, *(AS_OF + int((end - 1 - AS_OF) * part) for part in shares), end - 1]
    moments += [at for at in moments_of(histories, []) if AS_OF < at < end][:20]
    found = values(analysed, histories, moments)
    bounds = cuts_of(analysed, "EUR")[input_key(analysed.inputs[0])]
    places = {
        bounds.place_of(value)
        for value in found
        if value is None or not any(abs(value - cut) <= NEAR * max(1.0, abs(cut)) for cut in cuts)
    }
    assert len(places) <= 1, (moment, list(zip(moments, found, strict=True)))


@settings(max_examples=examples(150), deadline=None)
@given(ledgers(AS_OF, max_rows=12), st.sampled_from(NAMES), st.sampled_from(FORMS), st.sampled_from([0, 0.5, 1, 100]))
def test_one_entity_goes_on_as_its_column_does(ledger: list[Row], name: str, form: Any, cut: float) -> None:
    assume(ledger)
    plain, columns = both(ruleset(form, name, [cut]), asked(history_of(ledger), AS_OF), AS_OF)
    assert plain == columns


def dated(days: float, **changes: Any) -> Row:
    """Give a row of so many days ago."""
    return row(transaction_date=iso(AS_OF - int(days * DAY_US)), **changes)


@pytest.mark.parametrize(
    ("name", "cut", "ledger", "days"),
    [
        ("deposit_count_90d", 2, [dated(10), dated(89.5), dated(89.75)], 0.25),
        ("regularity_365d", 0.99, [dated(300), dated(145), dated(100), dated(55)], 65),
        ("activity_trend", 0.5, [dated(3), dated(40), dated(50), dated(60)], 27),
        ("deposit_year_ago", 1, [dated(275 - 1.5)], 1.5),
        ("balance_held_30d", 50, [dated(40, user_balance=100.0), dated(5, user_balance=0.0)], 10),
        ("balance_empty_days_365d", 7, [dated(6.25, user_balance=0.0)], 0.75),
        ("deposit_decayed_15d", 25, [dated(0, transaction_amount=100.0)], 30),
        ("active_day_share_all", 0.25, [dated(1)], None),
        ("account_age", 5, [dated(0, user_created=iso(AS_OF - 2 * DAY_US))], 3),
        ("currency_count", 1, [dated(1), dated(-2, transaction_currency="USD")], 2),
        ("balance_last", 1, [dated(1)], None),
        ("gap_mean_all", 1, [dated(1), dated(2)], None),
    ],
)
def test_an_indicator_tells_its_moment(name: str, cut: float, ledger: list[Row], days: float | None) -> None:
    histories = history_of(ledger)
    moment = announced(ruleset_of({"indicator": name}, [cut]), histories)
    if name == "active_day_share_all":  # of the fourth day on which it could have been active
        assert moment == (AS_OF // DAY_US + 2) * DAY_US
    else:
        assert (None if moment is None else (moment - AS_OF) / DAY_US) == (
            None if days is None else pytest.approx(days, abs=1e-6)
        )


def test_after_many_events_have_left_an_indicator_is_looked_at_again() -> None:
    ledger = [dated(day + 0.5) for day in range(60)]
    moment = announced(ruleset_of({"indicator": "deposit_count_365d"}, [1]), history_of(ledger))
    assert moment == AS_OF + int((365 - 59.5 + MOST_MOMENTS - 1) * DAY_US)


def test_a_mean_that_lies_on_its_bound_but_for_rounding_is_looked_at_once_an_hour() -> None:
    """The same balance for forty days: divided by how long it was held, it is that balance, or the next float."""
    histories = history_of([dated(40, user_balance=29.99)])
    assert announced(ruleset_of({"indicator": "balance_held_30d"}, [29.99]), histories) == AS_OF + UNDECIDED_US
    assert announced(ruleset_of({"indicator": "balance_held_30d"}, [29.98]), histories) is None


def test_an_account_that_begins_later_is_awaited() -> None:
    """Its age stands at 0 until then, and is not looked at all the time."""
    ledger = [dated(1, user_created=iso(AS_OF + 3 * DAY_US))]
    analysed = ruleset_of({"indicator": "account_age"}, [0.0])
    assert announced(analysed, history_of(ledger)) == AS_OF + 3 * DAY_US


def test_what_was_given_without_its_history_is_refused_and_an_age_is_not(refusal: Refusal) -> None:
    frame = pl.DataFrame({ENTITY: ["ann"], "account_age": [2.0], "regularity_365d": [0.5]})
    there = asked(history_of([dated(1)]), AS_OF)
    given_alone = Portfolio(**{**vars(there), "indicators": frame, "histories": None})
    assert assess(ruleset_of({"indicator": "account_age"}, [3.0]), given_alone, AS_OF, ahead=True).moments is not None
    with refusal(InvalidRulesetError):
        assess(ruleset_of({"indicator": "regularity_365d"}, [1.0]), given_alone, AS_OF, ahead=True)
