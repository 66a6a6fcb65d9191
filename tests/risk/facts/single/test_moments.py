"""When time alone may change the inputs of one entity, in plain Python: the moments that the columns give."""

import json
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.value_types import InputColumn
from fivefold.risk.engine.assess import timed_entities
from fivefold.risk.facts import resolution
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.moments import ANYTHING, MOST_STEPS, next_moments
from fivefold.risk.facts.moments.cuts import Cuts
from fivefold.risk.facts.moments.elapsed import crossing, crossing_at, elapsed_at, elapsed_of
from fivefold.risk.facts.moments.leaving import leaves, leaves_at, returns, returns_at
from fivefold.risk.facts.portfolio import AS_OF, Portfolio, members_at
from fivefold.risk.facts.resolution import lazy_sources, moments_ahead, resolve_inputs
from fivefold.risk.facts.single.moments import moment_plan_for
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.quantities import parse_duration
from fivefold.risk.language.reading import read_ruleset
from fivefold.usecases.portfolio_files.bundled import bundled_ruleset
from tests.depth import examples
from tests.risk.engine.drawn.rulesets import read, rulesets
from tests.risk.engine.drawn.worlds import people_drawn, portfolio_of, worlds
from tests.risk.engine.reference.conditions import World
from tests.risk.engine.test_assess import QUICK
from tests.risk.facts.moments import test_moments as drawn
from tests.risk.facts.test_resolution import MANY_OR_FEW

Data = dict[str, Any]


def both(analysed: AnalysedRuleset, held: Portfolio, as_of: int) -> tuple[Data, Data]:
    """Tell the moments in both ways; what says nothing is left out."""
    held = held.with_optional_parts(analysed.ruleset)
    needs, entities = Needs.of(analysed), timed_entities(held, as_of)
    lists = {name: version.members for name, version in members_at(held.lists, analysed.lists, as_of).items()}
    sources = lazy_sources(needs, held)
    inputs = resolve_inputs(needs, held, sources, lists, entities)
    asked = (analysed, held, sources, lists, entities, inputs)
    return said(moments_ahead(*asked)), said(next_moments(*asked))


def said(moments: pl.DataFrame) -> Data:
    assert len(moments) == 1
    return {name: moment for name, moment in moments.row(0, named=True).items() if moment is not None}


@settings(max_examples=examples(200), deadline=None)
@given(
    st.one_of(drawn.inputs_drawn, drawn.early_patterns), drawn.drawn_cuts, drawn.histories, drawn.persons, MANY_OR_FEW
)
def test_each_kind_of_input_moves_as_its_column_does(
    made: Data, cuts: list[float], history: list[Data], person: Data, most: int
) -> None:
    with patch.object(resolution, "MOST_PLAIN_ROWS", most):
        plain, columns = both(drawn.ruleset_of(made, cuts), drawn.portfolio_of(history, person), drawn.NOW)
    assert plain == columns


@settings(max_examples=examples(100), phases=QUICK, deadline=None)
@given(rulesets(), worlds(), people_drawn, MANY_OR_FEW)
def test_rulesets_move_as_their_columns_do(ruleset: Data, world: World, people: list[Data], most: int) -> None:
    made = read(ruleset)
    for person in people[:1]:
        held = portfolio_of(world, [person], made)
        with patch.object(resolution, "MOST_PLAIN_ROWS", most):
            plain, columns = both(AnalysedRuleset(made), held, to_microseconds(person["as_of"]))
        assert plain == columns


@pytest.mark.parametrize("name", ["fatf-retail", "eu-bank-weighted"])
def test_rulesets_that_ship_have_moments_in_plain_form(name: str) -> None:
    analysed = AnalysedRuleset(bundled_ruleset(name))
    assert not moment_plan_for(analysed, tuple((each, ()) for each in sorted(analysed.lists)), "EUR").left


def test_of_very_many_transactions_only_what_reads_them_is_left() -> None:
    analysed = AnalysedRuleset(bundled_ruleset("fatf-retail"))
    members = tuple((each, ()) for each in sorted(analysed.lists))
    plan = moment_plan_for(analysed, members, "EUR", frozenset({"transactions"}))
    assert plan.by_columns == {"transactions"}
    assert "transactions" not in plan.sources
    read = {name for name in {*plan.left, *plan.moments} if '"180 days"' in name or '"pattern"' in name}
    assert plan.left == {*read, ANYTHING}
    assert '{"days_since":"last_review"}' in plan.moments


def test_a_ruleset_without_transactions_leaves_nothing_where_there_are_very_many() -> None:
    analysed = drawn.ruleset_of({"days_since": "opened_on"}, [3.0])
    plan = moment_plan_for(analysed, (), "EUR", frozenset({"transactions"}))
    assert (plan.left, plan.by_columns) == (frozenset(), frozenset())


RECENT = {"count": "transactions", "over": "10 days"}
STORIES: list[tuple[Data, list[float], list[Data]]] = [
    *(
        (
            {"pattern": "dormant-then-active", "dormant": "4 days", "active": "12 days", "at_least": least},
            [1],
            [drawn.fact(1), drawn.fact(2), drawn.fact(10), drawn.fact(30)],
        )
        for least in (2, 3)
    ),
    *(
        (
            {"pattern": "dormant-then-active", "dormant": "4 days", "active": active, "at_least": least},
            [1],
            drawn.PAID,
        )
        for active in ("3 days", "5 days", "6 days")
        for least in (1, 2, 3)
    ),
    *(
        (
            {
                "pattern": "pass-through",
                "within": "3 days",
                "share": "50%",
                "minimum": 1,
                "at_least": least,
                "over": "30 days",
            },
            [1],
            [drawn.fact(20, 2.0), drawn.fact(12, 3.0), drawn.fact(11, -3.0), drawn.fact(6, 4.0), drawn.fact(5, -4.0)],
        )
        for least in (1, 2, 3)
    ),
    (drawn.VELOCITY, [0], [drawn.fact(1), drawn.fact(1.5), drawn.fact(9), drawn.fact(9.5)]),
    *(
        ({"ratio": [{"days_since": "transactions"}, {"count": "transactions"}]}, [0, cut], drawn.PAID)
        for cut in (0.3, 0.5, 1.5, 5, 10, 100)
    ),
    *(
        (
            {"ratio": [{"sum": "amount", "over": "30 days"}, {"count": "transactions", "over": "10 days"}]},
            [0, cut],
            drawn.PAID,
        )
        for cut in (1.5, 3, 5)
    ),
]


@pytest.mark.parametrize(("made", "cuts", "history"), STORIES)
def test_a_story_moves_as_its_column_does(made: Data, cuts: list[float], history: list[Data]) -> None:
    person = {"income": None, "words": None, "opened": None}
    plain, columns = both(drawn.ruleset_of(made, cuts), drawn.portfolio_of(history, person), drawn.NOW)
    assert plain == columns


@pytest.mark.parametrize("facts", [3, 8, 9, 12])
@pytest.mark.parametrize("cut", [-100.0, 2.5, 6.5])
def test_a_calculation_is_looked_at_a_few_steps_ahead(facts: int, cut: float) -> None:
    """With more steps than are looked at, the last of these counts: early, in the same way as by columns."""
    whole = json.loads(drawn.ruleset_of({"calculation": "twice"}, [cut]).ruleset.canonical)
    whole["calculate"] = {"twice": {"unit": "count", "multiply": [{"count": "transactions", "over": "30 days"}, 2]}}
    analysed = AnalysedRuleset(read_ruleset(json.dumps(whole)))
    history = [drawn.fact(day + 0.5) for day in range(facts)]
    held = drawn.portfolio_of(history, {"income": None, "words": None, "opened": None})
    plain, columns = both(analysed, held, drawn.NOW)
    assert plain == columns
    assert (len(plain) == 2) is (facts >= MOST_STEPS or cut == 2.5)  # with the entity itself


def test_what_has_no_plain_form_is_asked_of_the_columns() -> None:
    """A median is left to them, the fact that comes tomorrow is not; both are found."""
    analysed = drawn.ruleset_of({"median": "amount", "over": "30 days"}, [0.0, 2.5])
    person = {"income": None, "words": None, "opened": None}
    history = [*drawn.PAID, drawn.fact(-1)]
    assert len(moment_plan_for(analysed, (), "EUR").left) == 1
    plain, columns = both(analysed, drawn.portfolio_of(history, person), drawn.NOW)
    assert plain == columns
    assert plain[ANYTHING] == drawn.NOW + DAY_US
    assert len(plain) == 3  # with the entity itself


AS_OFS = st.sampled_from(["2024-02-29", "2024-03-31T10:00", "2025-01-31T23:59:59.999999"]).map(
    lambda text: to_microseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))
)
BEFORE = st.builds(
    lambda days, hours, more: days * DAY_US + hours * DAY_US // 24 + more,
    st.integers(0, 800),
    st.integers(0, 23),
    st.sampled_from([0, 1]),
)


@given(AS_OFS, st.lists(BEFORE, min_size=1, max_size=40), st.sampled_from(drawn.OVERS))
@example(to_microseconds(datetime(2024, 12, 30, 12, tzinfo=UTC)), [30 * DAY_US + DAY_US // 12], "1 month")
@example(to_microseconds(datetime(2024, 12, 30, 12, tzinfo=UTC)), [30 * DAY_US + DAY_US // 2], "1 month")
@example(to_microseconds(datetime(2024, 12, 31, 12, tzinfo=UTC)), [31 * DAY_US + DAY_US // 12], "1 month")
def test_a_fact_leaves_a_window_and_returns_as_in_columns(as_of: int, ages: list[int], length: str) -> None:
    over, moments = parse_duration(length), [as_of - age for age in ages]
    frame = pl.DataFrame({"time": moments, AS_OF: [as_of] * len(moments)})
    columns = frame.select(left=leaves(pl.col("time"), over), back=returns(pl.col("time"), over))
    assert [leaves_at(moment, over, as_of) for moment in moments] == columns["left"].to_list()
    assert [returns_at(moment, over, as_of) for moment in moments] == columns["back"].to_list()


@given(st.lists(st.none() | st.integers(-(10**16), 10**16), min_size=1, max_size=20), drawn.drawn_cuts)
def test_days_cross_a_bound_as_in_columns(elapsed: list[int | None], bounds: list[float]) -> None:
    days = [None if each is None else float(each) / float(DAY_US) for each in elapsed]
    frame = pl.DataFrame({"days": days, AS_OF: [drawn.NOW] * len(days)}, schema={"days": pl.Float64, AS_OF: pl.Int64})
    cuts = Cuts(
        InputColumn("days", ValueType.NUMBER), tuple((bound, beyond) for bound in bounds for beyond in (False, True))
    )
    columns = frame.select(back=elapsed_of(pl.col("days"))).to_series()
    assert [elapsed_at(each) for each in days] == columns.to_list()
    crossed = frame.select(crossing(pl.col("days"), elapsed_of(pl.col("days")), cuts)).to_series()
    assert [crossing_at(each, elapsed_at(each), drawn.NOW, cuts) for each in days] == crossed.to_list()
