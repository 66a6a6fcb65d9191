"""Aggregates of one entity in plain Python: to the bit what the columns give."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fivefold.risk.engine.assess import timed_entities
from fivefold.risk.facts.inputs import Needs, resolve
from fivefold.risk.facts.resolution import lazy_sources
from fivefold.risk.facts.single.context import EntityContext
from fivefold.risk.facts.single.plans import plan_for
from tests.depth import examples
from tests.risk.facts.moments import test_moments as drawn

Data = dict[str, Any]
PERSON = {"income": None, "words": None, "opened": None}


def both(made: Data, history: list[Data], *, cuts: tuple[float, ...] = (1.0,)) -> None:
    """Compute an aggregate in both ways, and compare; nothing of it may be left to the columns."""
    analysed, held = drawn.ruleset_of(made, list(cuts)), drawn.portfolio_of(history, PERSON)
    needs, entities = Needs.of(analysed), timed_entities(held, drawn.NOW)
    sources, plan = lazy_sources(needs, held), plan_for(needs, (), "EUR")
    assert not plan.batch_only
    plain = plan.resolve(EntityContext(plan, held, entities, sources), lambda _: pytest.fail("columns were asked"))
    assert_frame_equal(plain, resolve(needs, held, sources(), {}, entities), check_exact=True)


@settings(max_examples=examples(150), deadline=None)
@given(st.one_of(drawn.aggregates, drawn.anew), drawn.histories)
def test_every_aggregate_is_what_its_column_is(made: Data, history: list[Data]) -> None:
    both(made, history)


@pytest.mark.parametrize(
    "made",
    [
        {"median": "weight"},
        {"percentile": 0.5, "of": "amount"},
        {"largest": "amount", "n": 1000},
        {"standard_deviation": "amount"},
        {"new": "operation", "over": "10 days", "where": {"field": "amount", "above": 1}},
        {"share": "weight", "where": {"field": "operation", "equals": "cash"}},
        {"share": "transactions", "where": {"field": "weight", "above": 0}},
        {"median": "amount", "in_currency": "USD"},
    ],
    ids=str,
)
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_facts_are_counted_alike(made: Data, count: int) -> None:
    """Some weights and operations are missing, and two facts are of one moment."""
    facts = [
        drawn.fact(1, 10.0, weight=0.1, operation="cash"),
        drawn.fact(1, -3.0, weight=None, operation=None),
        drawn.fact(20, 2.99, weight=-2.0, operation="wire"),
        drawn.fact(30, 0.01, weight=3.0, operation="cash"),
        drawn.fact(40, 7.0, weight=0.2, operation="wire"),
    ]
    both(made, facts[:count])
